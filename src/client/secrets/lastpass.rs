//! LastPass: `lpass show --json`, a list with one entry. What a form-like note holds (server, database, SSH key) is
//! in the text of its note, a line `Name:value` each; those names are keys, too.

use super::document::{self, Contents, Value};
use super::error::Unreadable;
use crate::secret::Secret;

const FIELDS: [&str; 6] = ["username", "password", "url", "note", "name", "id"];

pub fn read(output: &[u8]) -> Result<Contents, Unreadable> {
    let list = document::json(output)?;
    let [entry] = list.items().unwrap_or_default() else { return Err(Unreadable::Shape("a list of exactly one entry")) };
    let fields = FIELDS.into_iter().filter_map(|name| Some((name.to_owned(), entry.named(name)?.clone())));
    let note = entry.text_of("note").map(form).unwrap_or_default();
    Ok(Contents::keys(fields.chain(note).collect()))
}

/// The fields of a note that is a form: it begins with its kind. Values may span lines; `Notes` is the last field.
fn form(note: &Secret) -> Vec<(String, Value)> {
    let mut fields: Vec<(String, Secret)> = Vec::new();
    if !note.expose().starts_with("NoteType:") {
        return Vec::new();
    }
    for line in note.expose().lines() {
        let in_notes = fields.last().is_some_and(|(name, _)| name == "Notes");
        match (line.split_once(':').filter(|_| !in_notes), fields.last_mut()) {
            (Some((name, value)), _) => fields.push((name.to_owned(), Secret::new(value))),
            (None, Some((_, value))) => *value = Secret::new(format!("{}\n{line}", value.expose())),
            (None, None) => {}
        }
    }
    fields.into_iter().map(|(name, value)| (name, Value::Text(value))).collect()
}
