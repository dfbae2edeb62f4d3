//! Bitwarden: an item of the password manager (`bw get item`), the list of the secrets manager (`bws secret list`).

use super::document::{self, Contents, Value};
use super::error::Unreadable;

/// What an item of one kind holds; reachable as `card.code`.
const KINDS: [&str; 3] = ["card", "identity", "sshKey"];

/// `username`, `password`, `totp` and `uri` of the login, `notes`, then the fields by their names.
pub fn item(output: &[u8]) -> Result<Contents, Unreadable> {
    let item = document::object(output)?;
    let login = item.named("login").filter(|login| login.is_object());
    let fields = item.named("fields").and_then(Value::items).unwrap_or_default();
    if login.is_none() && item.named("name").is_none() {
        return Err(Unreadable::Shape("an item"));
    }
    let of_login = ["username", "password", "totp"].into_iter().filter_map(|name| some(name, login?.named(name)));
    let uri = login.and_then(|login| login.at("uris.0.uri")).and_then(|uri| some("uri", Some(uri)));
    let of_fields = fields.iter().filter_map(|field| {
        let value = field.named("value").cloned().unwrap_or_else(Value::empty);
        Some((field.text_of("name")?.expose().to_owned(), value))
    });
    let of_item = ["notes"].into_iter().chain(KINDS).filter_map(|name| some(name, item.named(name)));
    Ok(Contents::keys(of_login.chain(uri).chain(of_fields).chain(of_item).collect()))
}

/// What is there: an item has `null` for what it has not.
fn some(name: &str, value: Option<&Value>) -> Option<(String, Value)> {
    let value = value.filter(|value| value.text().is_none_or(|text| !text.expose().is_empty()))?;
    Some((name.to_owned(), value.clone()))
}

/// A list of objects with `key` and `value`.
pub fn secrets(output: &[u8]) -> Result<Contents, Unreadable> {
    const SHAPE: Unreadable = Unreadable::Shape("a list of secrets with `key` and `value`");
    let list = document::json(output)?;
    let secret = |secret: &Value| Some((secret.text_of("key")?.expose().to_owned(), secret.named("value")?.clone()));
    let secrets = list.items().ok_or(SHAPE)?.iter().map(secret).collect::<Option<Vec<_>>>();
    Ok(Contents::keys(secrets.ok_or(SHAPE)?.into_iter().collect()))
}
