//! TOML to a tree with spans.

use std::ops::Range;

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};
use figment::value::Num;

use super::tree::{Key, Kind, Node, Parsed, SyntaxError};

/// The tree of a TOML text.
pub fn parse(text: &str) -> Result<Parsed, SyntaxError> {
    let table = DeTable::parse(text).map_err(|error| SyntaxError { message: error.message().to_owned(), span: error.span() })?;
    let span = table.span();
    let root = Node { kind: lower_table(table.into_inner(), text), span: span.clone(), defined: span };
    Ok(Parsed { root, repeated: None })
}

fn lower_table(table: DeTable<'_>, text: &str) -> Kind {
    let entry = |(key, value): (Spanned<_>, _)| (Key { span: key.span(), name: String::from(key.into_inner()) }, lower(value, text));
    let mut entries: Vec<(Key, Node)> = table.into_iter().map(entry).collect();
    entries.sort_by_key(|(key, _)| key.span.start);
    Kind::Map(entries)
}

fn lower(value: Spanned<DeValue<'_>>, text: &str) -> Node {
    let span = value.span();
    let kind = match value.into_inner() {
        DeValue::String(value) => Kind::Text(value.into_owned()),
        DeValue::Integer(value) => number(i64::from_str_radix(value.as_str(), value.radix()).map(Num::I64).ok(), &span, text),
        DeValue::Float(value) => number(value.as_str().parse().map(Num::F64).ok(), &span, text),
        DeValue::Boolean(value) => Kind::Bool { value, written: written(&span, text) },
        // A date is a word to every key that we know.
        DeValue::Datetime(_) => Kind::Text(written(&span, text)),
        DeValue::Array(values) => Kind::List(values.into_iter().map(|value| lower(value, text)).collect()),
        DeValue::Table(table) => lower_table(table, text),
    };
    Node { kind, span: span.clone(), defined: span }
}

/// Numbers beyond 64 bits keep their text; as a value they are larger than any limit.
fn number(value: Option<Num>, span: &Range<usize>, text: &str) -> Kind {
    Kind::Number { value: value.unwrap_or(Num::F64(f64::INFINITY)), written: written(span, text) }
}

fn written(span: &Range<usize>, text: &str) -> String {
    text.get(span.clone()).unwrap_or_default().to_owned()
}
