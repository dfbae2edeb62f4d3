//! Keys that are fine by themselves and not together: where each contradiction stands in the file, and the way out.

use super::field::Field;
use super::findings::Findings;
use crate::wire::contradictions::{Contradiction, StaticName, contradictions};
use crate::wire::{AppSpec, HealthCheck, Probe};

/// Notes all contradictions of one target.
pub fn check(root: &Field<'_>, spec: &AppSpec, findings: &mut Findings<'_>) {
    for found in contradictions(spec) {
        let Explained { place, message, hint, first } = explain(found, root, spec);
        // What stands in an entry that could not be read is said already.
        let Some(field) = place else { continue };
        let first = first.map(|first| findings.span(&first));
        let mistake = findings.mistake(&field, message);
        mistake.hint(hint);
        if let Some(first) = first {
            mistake.other(first, "first mounted here");
        }
    }
}

struct Explained<'f> {
    place: Option<Field<'f>>,
    message: String,
    hint: &'static str,
    /// What was there before it.
    first: Option<Field<'f>>,
}

fn explain<'f>(found: Contradiction<'_>, root: &Field<'f>, spec: &AppSpec) -> Explained<'f> {
    let at = |key: &str, message: String, hint| Explained { place: root.get(key), message, hint, first: None };
    match found {
        Contradiction::ReadyTime => {
            let timeout = spec.deploy_timeout;
            let message =
                format!("`min_ready_seconds` must be shorter than `deploy_timeout` ({timeout} seconds): no deployment could succeed");
            at("min_ready_seconds", message, "make `deploy_timeout` longer")
        }
        Contradiction::StaticName(why) => {
            let (key, message, hint) = explain_naming(why, spec);
            at(key, message, hint)
        }
        Contradiction::HostNetworkReplicas => {
            let message = format!("in the network `host` {} containers cannot listen on the same port of the server", spec.replicas);
            at("replicas", message, "write `replicas: 1`, or leave `network` out")
        }
        Contradiction::HostNetworkRolling => {
            let message = "in the network `host` a new version cannot listen on the port that the old one still holds";
            at("network", message.to_owned(), "write `deployment_strategy: replace`, or leave `network` out")
        }
        Contradiction::NoNetworkDomains => {
            at("network", "an app without a network cannot be reached under its domains".to_owned(), "leave `network` out, or `domains`")
        }
        Contradiction::NoNetworkCheck => {
            let key = check_key(spec.health_check.as_ref());
            let message = format!("an app without a network cannot be asked for its health: `{key}` would always fail");
            at(key, message, "check with a program: `health_check: {command: …}`")
        }
        Contradiction::HstsWithoutTls => {
            let message = "`hsts` needs TLS to end here: with `tls: off` haloy serves plain HTTP only";
            at("hsts", message.to_owned(), "leave `hsts` out and have the header sent by what terminates TLS, or leave `tls` out")
        }
        Contradiction::HstsPreload => {
            let message = "no browser takes `preload` without `include_subdomains` and a `max_age` of a year or more";
            at("hsts", message.to_owned(), "write `include_subdomains: true` and leave `max_age` out, or leave `preload` out")
        }
        Contradiction::TmpfsOverVolume { index } => {
            let message = format!("a volume is mounted at `{}`, too", spec.container.tmpfs[index].path);
            Explained { place: tmpfs(index, root, spec), message, hint: "keep one of them", first: None }
        }
        Contradiction::TmpfsTwice { index, first } => {
            let message = format!("two file systems are mounted at `{}`", spec.container.tmpfs[index].path);
            Explained { place: tmpfs(index, root, spec), message, hint: "keep one of them", first: tmpfs(first, root, spec) }
        }
        Contradiction::Capability { name } => at("cap_add", format!("the capability `{name}` is added and dropped"), "keep one of them"),
    }
}

fn explain_naming(why: StaticName, spec: &AppSpec) -> (&'static str, String, &'static str) {
    match why {
        StaticName::Short => (
            "name",
            format!("with `naming_strategy: static` the container is called `{}`, and Docker wants two characters", spec.name),
            "give the app a longer `name`, or write `naming_strategy: dynamic`",
        ),
        StaticName::Replicas => (
            "replicas",
            "`naming_strategy: static` needs `replicas: 1`: two containers cannot have one name".to_owned(),
            "write `replicas: 1`, or `naming_strategy: dynamic`",
        ),
        StaticName::Rolling => (
            "naming_strategy",
            "`naming_strategy: static` needs `deployment_strategy: replace`: two versions side by side cannot have one name".to_owned(),
            "write `deployment_strategy: replace`, or `naming_strategy: dynamic`",
        ),
    }
}

/// The key that asks over the network.
fn check_key(check: Option<&HealthCheck>) -> &'static str {
    match check.map(|check| &check.probe) {
        Some(Probe::Http(_) | Probe::Tcp { .. }) => "health_check",
        Some(Probe::Command(_) | Probe::None | Probe::Standard) | None => "health_check_path",
    }
}

/// An entry of the key `tmpfs`; none when some of them could not be read, as their numbers then differ from the spec's.
fn tmpfs<'f>(index: usize, root: &Field<'f>, spec: &AppSpec) -> Option<Field<'f>> {
    let items = root.get("tmpfs")?.items()?;
    (items.len() == spec.container.tmpfs.len()).then(|| items.into_iter().nth(index))?
}
