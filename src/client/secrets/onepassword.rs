//! 1Password: `op item get --format json`. An item has `fields` with `label` and `value`; those that lie in a section
//! are known as `section.label`, too.

use super::document::{self, Contents, Value};
use super::error::Unreadable;

pub fn read(output: &[u8]) -> Result<Contents, Unreadable> {
    let item = document::object(output)?;
    let fields = item.named("fields").and_then(Value::items).ok_or(Unreadable::Shape("an item with `fields`"))?;
    let (loose, sectioned): (Vec<&Value>, Vec<&Value>) = fields.iter().partition(|field| section(field).is_none());
    // A label outside of sections is the plainer one.
    let labelled = loose.iter().chain(&sectioned).filter_map(|field| Some((name(field)?, value(field))));
    let by_section = sectioned.iter().filter_map(|field| Some((format!("{}.{}", section(field)?, name(field)?), value(field))));
    Ok(Contents::keys(labelled.chain(by_section).collect()))
}

fn name(field: &Value) -> Option<String> {
    field.text_of("label").or_else(|| field.text_of("id")).map(|name| name.expose().to_owned())
}

/// An empty field has no `value`.
fn value(field: &Value) -> Value {
    field.named("value").cloned().unwrap_or_else(Value::empty)
}

fn section(field: &Value) -> Option<&str> {
    field.named("section")?.text_of("label").map(|label| label.expose())
}
