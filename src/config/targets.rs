//! The inheritance step: which targets a file has, and the values of each.
//!
//! Every source of values is a figment provider, and a target is what is left after they were laid
//! over one another: dictionaries merge key by key, lists and scalars are replaced.

use figment::Figment;
use figment::value::Value;

use super::document::Document;

/// A target's values after inheritance.
pub struct Merged {
    /// None for the one target of a file that names none.
    pub name: Option<String>,
    pub values: Value,
}

/// The targets of a file, in its order; never empty.
pub fn inherit(document: &Document) -> Vec<Merged> {
    vec![Merged { name: None, values: values(document) }]
}

/// The values of a file that has no targets.
pub fn values(document: &Document) -> Value {
    // Not `extract`: it gives names like `___figment_tagged_item` in the file a meaning of their own.
    Figment::from(document).find_value("").expect("invariant: a document provides a dictionary")
}
