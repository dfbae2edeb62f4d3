//! Enpass: `enpass-cli -json show`. It lists the secret fields of all items whose titles contain the words, each with
//! `title`, `label`, `login` and `password`.

use super::document::{self, Contents, Value};
use super::error::Unreadable;

/// The fields of the item with exactly this title: by label, the first as `password`, and `username`.
pub fn read(output: &[u8], title: &str) -> Result<Contents, Unreadable> {
    let list = document::json(output)?;
    let entries = list.items().ok_or(Unreadable::Shape("a list of items"))?;
    let has_title = |entry: &&Value| entry.text_of("title").is_some_and(|text| text.expose() == title);
    let fields: Vec<&Value> = entries.iter().filter(has_title).collect();
    let first = fields.first().ok_or(Unreadable::Shape("a list with an item of exactly this title"))?;
    let labelled = fields.iter().filter_map(|field| Some((field.text_of("label")?.expose().to_owned(), field.named("password")?.clone())));
    let password = first.named("password").map(|password| ("password".to_owned(), password.clone()));
    let login = first.text_of("login").map(|login| ("username".to_owned(), Value::Text(login.clone())));
    Ok(Contents::keys(labelled.chain(password).chain(login).collect()))
}
