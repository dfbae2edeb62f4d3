//! HashiCorp Vault and OpenBao: `vault kv get -format=json`. Version 2 of the key-value engine has the secret in
//! `data.data`, beside its `metadata`; version 1 has it in `data`.

use super::document::{self, Contents, Value};
use super::error::Unreadable;

pub fn read(output: &[u8]) -> Result<Contents, Unreadable> {
    let answer = document::object(output)?;
    let data = answer.named("data").filter(|data| data.is_object()).ok_or(Unreadable::Shape("an answer with `data`"))?;
    let is_second = data.named("metadata").is_some_and(Value::is_object);
    let secret = if is_second { data.named("data").filter(|data| data.is_object()) } else { Some(data) };
    // The data of a deleted version is null.
    secret.cloned().map(Contents::keys).ok_or(Unreadable::Shape("a version that still exists"))
}
