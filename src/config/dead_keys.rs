//! Warnings for keys that do nothing because of other keys. What a target has from the root of the file may be
//! meant for the other targets, and is passed over.

use super::field::Field;
use super::findings::Findings;
use crate::wire::{AppSpec, Probe, Tls};

/// Warns of the keys of one target after everything is read.
pub fn warn(root: &Field<'_>, spec: &AppSpec, findings: &mut Findings<'_>) {
    let path = spec.health_check_path.as_deref();
    let checks_by = spec.health_check.as_ref().and_then(|check| match &check.probe {
        Probe::Http(probe) if path != Some(&probe.path) => Some("`health_check.path`"),
        Probe::Tcp { .. } => Some("`health_check.tcp`"),
        Probe::Command(_) => Some("`health_check.command`"),
        Probe::None => Some("`health_check.none`"),
        Probe::Standard | Probe::Http(_) => None,
    });
    let mut warn = |key: &str, why: &str| {
        if let Some(field) = root.get(key).filter(|field| !findings.is_inherited(field)) {
            findings.warning(&field, format!("`{key}` does nothing {why}")).hint("leave it out");
        }
    };
    if spec.domains.is_empty() {
        warn("acme_email", "without `domains`");
        warn("tls", "without `domains`");
        warn("hsts", "without `domains`");
    } else if spec.tls == Tls::Off {
        warn("acme_email", "with `tls: off`: haloy gets no certificates for this app");
    }
    if let Some(other) = checks_by {
        warn("health_check_path", &format!("beside {other}"));
    }
}
