//! The key `network`: where the app's containers are reached.

use super::field::Field;
use super::findings::Findings;
use crate::names::is_network_name;
use crate::wire::{AppSpec, Probe};

/// `has_domains`: visitors must be able to reach the app there.
pub fn read(field: &Field<'_>, has_domains: bool, findings: &mut Findings<'_>) -> Option<String> {
    let name = findings.word(field)?;
    match name {
        "bridge" | "default" => {
            let message = format!("Docker's network `{name}` knows no names: apps there cannot find each other");
            let hint = format!("leave `{}` out: the app is then in `{}`, where they can", field.path, AppSpec::DEFAULT_NETWORK);
            findings.mistake(field, message).hint(hint);
            return None;
        }
        "none" if has_domains => {
            let message = "an app without a network cannot be reached under its domains";
            findings.mistake(field, message).hint(format!("leave `{}` out, or `domains`", field.path));
            return None;
        }
        _ => {}
    }
    if !is_network_name(name) {
        let name = findings.quoted(field, name);
        findings.mistake(field, format!("{name} is not the name of a Docker network: it has letters, digits, `_`, `.` and `-`"));
        return None;
    }
    Some(name.to_owned())
}

/// What a network makes impossible.
pub fn check(root: &Field<'_>, spec: &AppSpec, findings: &mut Findings<'_>) {
    match spec.network() {
        "host" => check_host(root, spec, findings),
        "none" => check_none(root, spec, findings),
        _ => {}
    }
}

/// The containers of the network `host` share the server's ports.
fn check_host(root: &Field<'_>, spec: &AppSpec, findings: &mut Findings<'_>) {
    let listens = !spec.domains.is_empty() || spec.port.is_some();
    if let Some(field) = root.get("replicas").filter(|_| listens && spec.replicas > 1) {
        let message = format!("in the network `host` {} containers cannot listen on the same port of the server", spec.replicas);
        findings.mistake(&field, message).hint("write `replicas: 1`, or leave `network` out");
    }
}

/// Nobody outside can ask a container without a network how it is.
fn check_none(root: &Field<'_>, spec: &AppSpec, findings: &mut Findings<'_>) {
    let probe = spec.health_check.as_ref().map(|check| &check.probe);
    let key = match probe {
        Some(Probe::Http(_) | Probe::Tcp { .. }) => "health_check",
        Some(Probe::Command(_) | Probe::None) => return,
        Some(Probe::Standard) | None => "health_check_path",
    };
    if let Some(field) = root.get(key) {
        let message = format!("an app without a network cannot be asked for its health: `{key}` would always fail");
        findings.mistake(&field, message).hint("check with a program: `health_check: {command: …}`");
    }
}
