//! JSON to a tree with spans: serde_json says whether it is JSON, the YAML reader knows the places.

use super::source;
use super::tree::{Parsed, SyntaxError};
use super::yaml;

/// The tree of a JSON text. Without the strict look first, YAML's wider grammar would take a
/// forgotten comma for a part of a string.
pub fn parse(text: &str) -> Result<Parsed, SyntaxError> {
    serde_json::from_str::<serde_json::Value>(text).map_err(|error| syntax_error(&error, text))?;
    yaml::parse(text)
}

fn syntax_error(error: &serde_json::Error, text: &str) -> SyntaxError {
    let whole = error.to_string();
    // serde_json ends its message with the position, which is shown in another way here.
    let message = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(message, _)| message);
    // Its columns count bytes and name the last byte that was read; 0 is the end of the line before.
    let line_start = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
    let last = text.trim_end().len().saturating_sub(1);
    let byte = if error.is_eof() { last } else { (line_start + error.column().saturating_sub(1)).min(text.len()) };
    let message = if error.is_eof() { "the file ends too early" } else { message };
    SyntaxError { message: message.to_owned(), span: Some(source::char_at(text, byte)) }
}
