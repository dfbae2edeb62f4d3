//! Every key of every file: the one table that reading, spelling checks, masking, the JSON Schema and
//! the printed reference follow.
//!
//! Keys are listed in snake_case; their camelCase spelling is accepted everywhere.

mod app;
mod files;
mod image;
mod secrets;
pub mod target;

pub use app::{APP, TARGET};
pub use files::{CLIENT, DAEMON};
pub use image::{FROM, IMAGE, VALUE_SOURCE};
pub use target::WORDS;

use super::spelling::spells;
use super::tree;

/// What may stand at a place of a file. A value of another shape is passed on as it is: the reader
/// of that key knows better words for it.
#[derive(Debug, PartialEq)]
pub enum Shape {
    /// One value.
    Value(Kind),
    /// The name of an environment variable: the only thing that is shown inside a private key. Where a
    /// secret may have been pasted by mistake, only a name in `capitals` is shown.
    Variable {
        capitals: bool,
    },
    /// Groups of keys, in the order of the reference.
    Object(&'static [&'static [Key]]),
    List(&'static Shape),
    /// An object whose keys the user chooses.
    Names(&'static Shape),
    /// Several ways to write the same, the preferred one first; one of each: scalar, list, object.
    Either(&'static [Shape]),
}

/// What a single value may be.
#[derive(Debug, PartialEq)]
pub enum Kind {
    Text,
    /// Text in which every character counts: quoted as written, numbers and booleans too.
    Literal,
    Boolean,
    /// A whole number, both ends included; a string of digits is one, too.
    Whole(u32, u32),
    /// A length of time in whole seconds, both ends included: `90`, `90s`, `2m`.
    Seconds(u32, u32),
    /// A size: `512m`, `2g`, or bytes.
    Bytes,
    /// A positive number that may have a fraction.
    Decimal,
    Choice(&'static [&'static str]),
}

#[derive(Debug, PartialEq)]
pub struct Key {
    pub name: &'static str,
    /// Other names that earlier generations gave it.
    pub former: &'static [&'static str],
    pub shape: Shape,
    /// What stands below may be a secret and is never shown.
    pub private: bool,
    /// What it means, in whole sentences.
    pub about: &'static str,
    /// What holds when it is absent, as people write it.
    pub default: &'static str,
    /// How it is written in YAML, with its name.
    pub example: &'static str,
    /// Of an earlier generation: what to write today.
    pub superseded: &'static str,
    pub required: bool,
}

const fn key(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, former: &[], shape, private: false, about, default: "", example: "", superseded: "", required: false }
}

const fn text(name: &'static str, about: &'static str) -> Key {
    key(name, Shape::Value(Kind::Text), about)
}

/// Text, for which a number may be written, too.
const fn literal(name: &'static str, about: &'static str) -> Key {
    key(name, Shape::Value(Kind::Literal), about)
}

const fn boolean(name: &'static str, about: &'static str) -> Key {
    key(name, Shape::Value(Kind::Boolean), about)
}

const fn choice(name: &'static str, words: &'static [&'static str], about: &'static str) -> Key {
    key(name, Shape::Value(Kind::Choice(words)), about)
}

const fn seconds(name: &'static str, least: u32, most: u32, about: &'static str) -> Key {
    key(name, Shape::Value(Kind::Seconds(least, most)), about)
}

const fn list(name: &'static str, about: &'static str) -> Key {
    key(name, Shape::List(&Shape::Value(Kind::Text)), about)
}

const fn literals(name: &'static str, about: &'static str) -> Key {
    key(name, Shape::List(&Shape::Value(Kind::Literal)), about)
}

impl Key {
    /// Whether a key of a file is this one, in either spelling and by any of its names.
    pub fn is_written(&self, written: &str) -> bool {
        spells(self.name, written) || self.former.iter().any(|name| spells(name, written))
    }

    const fn private(mut self) -> Self {
        self.private = true;
        self
    }

    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn former(mut self, names: &'static [&'static str]) -> Self {
        self.former = names;
        self
    }

    const fn default(mut self, value: &'static str) -> Self {
        self.default = value;
        self
    }

    const fn example(mut self, yaml: &'static str) -> Self {
        self.example = yaml;
        self
    }

    const fn superseded(mut self, today: &'static str) -> Self {
        self.superseded = today;
        self
    }
}

impl Shape {
    /// The keys of an object with fixed keys, else none.
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> + Clone + use<> {
        let groups: &'static [&'static [Key]] = if let Self::Object(groups) = self { groups } else { &[] };
        groups.iter().flat_map(|group| group.iter())
    }

    /// Whether something below may be a secret.
    pub fn holds_private(&self) -> bool {
        match self {
            Self::Object(_) => self.keys().any(|key| key.private || key.shape.holds_private()),
            Self::List(inner) | Self::Names(inner) => inner.holds_private(),
            Self::Either(ways) => ways.iter().any(Self::holds_private),
            Self::Value(_) | Self::Variable { .. } => false,
        }
    }

    /// Of several ways to write a value the one that a node is written in.
    pub fn of(&'static self, kind: &tree::Kind) -> &'static Self {
        let Self::Either(ways) = self else { return self };
        let fits = |way: &&Self| match kind {
            tree::Kind::Map(_) => matches!(way, Self::Object(_) | Self::Names(_)),
            tree::Kind::List(_) => matches!(way, Self::List(_)),
            _ => matches!(way, Self::Value(_) | Self::Variable { .. }),
        };
        ways.iter().find(fits).unwrap_or(&ways[0])
    }

    /// All ways to write a value.
    pub fn ways(&'static self) -> &'static [Self] {
        if let Self::Either(ways) = self { ways } else { std::slice::from_ref(self) }
    }
}
