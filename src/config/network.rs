//! The key `network`: where the app's containers are reached.

use super::field::Field;
use super::findings::Findings;
use crate::names::is_network_name;
use crate::wire::AppSpec;

pub fn read(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let name = findings.word(field)?;
    if matches!(name, "bridge" | "default") {
        let message = format!("Docker's network `{name}` knows no names: apps there cannot find each other");
        let hint = format!("leave `{}` out: the app is then in `{}`, where they can", field.path, AppSpec::DEFAULT_NETWORK);
        findings.mistake(field, message).hint(hint);
        return None;
    }
    if !is_network_name(name) {
        let name = findings.quoted(field, name);
        findings.mistake(field, format!("{name} is not the name of a Docker network: it has letters, digits, `_`, `.` and `-`"));
        return None;
    }
    Some(name.to_owned())
}
