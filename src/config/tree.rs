//! The tree that all formats are read into: values with the place of every key and value.
//!
//! Nothing here knows what a key means.

use std::ops::Range;

use figment::value::Num;

/// One value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub kind: Kind,
    /// Where the value is used, in bytes of the text. Of a list or an object perhaps its first byte only.
    pub span: Range<usize>,
    /// Where the value is written: another place than `span` behind a YAML alias.
    pub defined: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Null,
    /// `written` is the text of the file: `True`, `1.10`, `0x1F`.
    Bool {
        value: bool,
        written: String,
    },
    Number {
        value: Num,
        written: String,
    },
    Text(String),
    List(Vec<Node>),
    /// In the order of the file where the format keeps it.
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub name: String,
    pub span: Range<usize>,
}

/// What a parser makes of a text that has one root value.
#[derive(Debug)]
pub struct Parsed {
    pub root: Node,
    /// A key written twice, when that is the only thing wrong: the rest can still be checked.
    pub repeated: Option<SyntaxError>,
}

/// The text is not of its format. The message speaks of the format alone and quotes no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    pub message: String,
    pub span: Option<Range<usize>>,
}
