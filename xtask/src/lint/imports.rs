//! Who may import whom, and which folder alone may name a crate.

use super::Finding;
use super::source::Source;

/// The folders of `src/` and which others each may import. Root files may be imported by all and import only each other.
const FOLDERS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("docker", &[]),
    ("proxy", &[]),
    ("config", &["wire"]),
    ("client", &["wire", "config", "docker"]),
    ("daemon", &["wire", "config", "docker", "proxy"]),
    ("admin", &["config", "docker"]),
];

/// Crates that one folder keeps to itself, so that they could be exchanged.
const OWNED_CRATES: &[(&str, &str)] = &[
    ("bollard", "src/docker/"),
    ("figment", "src/config/"),
    ("serde_saphyr", "src/config/"),
    ("annotate_snippets", "src/config/"),
    ("rusqlite", "src/daemon/store/"),
    ("indicatif", "src/term.rs"),
    ("instant_acme", "src/daemon/certs/acme/"),
    ("x509_parser", "src/x509.rs"),
];

/// The program's own entry: it hands over to the three programs.
const ENTRY: &str = "src/lib.rs";
/// The one place inside the daemon where all parts meet.
const DAEMON_ENTRY: &str = "src/daemon/mod.rs";

pub fn check(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("src/") {
        return Vec::new();
    }
    let mut findings = owned_crates(source);
    let own = module_of(&source.path);
    for reference in references(source, &own) {
        if let Some(message) = refusal(source, &own, &reference.path) {
            findings.push(Finding::new(&source.path, reference.line, message));
        }
    }
    findings.dedup();
    findings
}

/// Why `own` may not name `target`, if so.
fn refusal(source: &Source, own: &[String], target: &[String]) -> Option<String> {
    let to = target.first()?.as_str();
    let from = own.first().map_or("", String::as_str);
    let folder = |name: &str| FOLDERS.iter().find(|(folder, _)| *folder == name);
    folder(to)?;
    if source.path == ENTRY {
        return None;
    }
    if from == to {
        let api = to == "daemon" && target.get(1).is_some_and(|part| part == "api");
        let inside = own.get(1).is_some_and(|part| part == "api");
        let refused = api && !inside && source.path != DAEMON_ENTRY;
        return refused.then(|| "daemon::api may be named by daemon/mod.rs alone".to_owned());
    }
    match folder(from) {
        None => Some(format!("a root file may not import {to}")),
        Some((_, allowed)) if allowed.contains(&to) => None,
        Some((_, [])) => Some(format!("{from} may import root files only, not {to}")),
        Some((_, allowed)) => Some(format!("{from} may import {} and root files, not {to}", allowed.join(", "))),
    }
}

fn owned_crates(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (place, token) in source.tokens.iter().enumerate() {
        let Some((name, owner)) = OWNED_CRATES.iter().find(|(name, _)| *name == token.text) else { continue };
        let named = source.before(place) == "use" || (source.at(place + 1) == "::" && source.before(place) != "::");
        if named && !source.path.starts_with(owner) {
            findings.push(Finding::new(&source.path, token.line, format!("{name} may be named in {owner} alone")));
        }
    }
    findings
}

/// A path that begins at the crate's root.
#[derive(Debug, PartialEq, Eq)]
struct Reference {
    path: Vec<String>,
    line: usize,
}

/// `src/daemon/store/jobs.rs` → `daemon::store::jobs`.
fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    let path = if matches!(path, "lib" | "main") { "" } else { path };
    path.split('/').filter(|part| !part.is_empty() && *part != "mod").map(str::to_owned).collect()
}

/// Every `crate::…` and `super::…` path in the file, with `use` groups taken apart.
fn references(source: &Source, own: &[String]) -> Vec<Reference> {
    let mut found = Vec::new();
    // Inline modules that are open at this point, with the brace depth inside them.
    let mut inline: Vec<(String, usize)> = Vec::new();
    let mut depth = 0;
    let mut place = 0;
    while place < source.tokens.len() {
        match source.at(place) {
            "mod" if source.at(place + 2) == "{" => {
                inline.push((source.at(place + 1).to_owned(), depth + 1));
                depth += 1;
                place += 2;
            }
            "{" => depth += 1,
            "}" => {
                inline.pop_if(|(_, inside)| *inside == depth);
                depth = depth.saturating_sub(1);
            }
            "crate" if source.at(place + 1) == "::" => {
                place = tree(source, place + 2, &[], &mut found);
                continue;
            }
            "super" if source.at(place + 1) == "::" && source.before(place) != "::" => {
                let here: Vec<String> = own.iter().cloned().chain(inline.iter().map(|(name, _)| name.clone())).collect();
                place = tree(source, place, &here, &mut found);
                continue;
            }
            _ => {}
        }
        place += 1;
    }
    found
}

/// Reads the path or group at `place` below `base`; returns where it ends.
fn tree(source: &Source, mut place: usize, base: &[String], found: &mut Vec<Reference>) -> usize {
    let line = source.tokens.get(place).map_or(0, |token| token.line);
    let mut path = base.to_vec();
    loop {
        match source.at(place) {
            "{" => return group(source, place + 1, &path, found),
            "super" => drop(path.pop()),
            "self" => {}
            word if word.starts_with(|c: char| c.is_alphanumeric() || c == '_') => path.push(word.to_owned()),
            _ => break,
        }
        if source.at(place + 1) != "::" {
            place += 1;
            break;
        }
        place += 2;
    }
    found.push(Reference { path, line });
    place
}

/// Reads the inside of a `{a, b::{c, d}}`; returns the place after its `}`.
fn group(source: &Source, mut place: usize, base: &[String], found: &mut Vec<Reference>) -> usize {
    while place < source.tokens.len() {
        match source.at(place) {
            "}" => return place + 1,
            "," | "*" => place += 1,
            "as" => place += 2,
            _ => place = tree(source, place, base, found).max(place + 1),
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn complaints(path: &str, text: &str) -> Vec<String> {
        check(&Source::new(path, text)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn directions() {
        assert_eq!(complaints("src/client/deploy.rs", "use crate::{wire::{app, job}, config, docker::Docker, term};"), [""; 0]);
        assert_eq!(
            complaints("src/client/deploy.rs", "use crate::wire;\nuse crate::{docker, daemon::store};"),
            ["src/client/deploy.rs:2: client may import wire, config, docker and root files, not daemon"]
        );
        assert_eq!(
            complaints("src/proxy/pool.rs", "fn a() { crate::docker::ping() }"),
            ["src/proxy/pool.rs:1: proxy may import root files only, not docker"]
        );
        assert_eq!(complaints("src/admin/init.rs", "use crate::wire;").len(), 1);
        assert_eq!(complaints("src/names.rs", "use crate::wire::app;"), ["src/names.rs:1: a root file may not import wire"]);
        assert_eq!(complaints("src/lib.rs", "mod daemon;\nfn a() { daemon::main(); crate::client::main() }"), [""; 0]);
    }

    #[test]
    fn relative_paths_are_followed() {
        assert_eq!(complaints("src/wire/app.rs", "use super::super::docker::Docker;").len(), 1);
        assert_eq!(complaints("src/wire/app.rs", "mod tests { use super::*; use super::super::job; }"), [""; 0]);
        assert_eq!(complaints("src/wire/app.rs", "mod tests { mod deep { use super::super::super::super::docker; } }").len(), 1);
        assert_eq!(complaints("src/wire/mod.rs", "use super::docker::Docker;").len(), 1);
    }

    #[test]
    fn the_api_is_named_by_the_daemon_s_entry_alone() {
        assert_eq!(complaints("src/daemon/mod.rs", "use crate::daemon::api; use super::daemon::api::serve;"), [""; 0]);
        assert_eq!(complaints("src/daemon/api/jobs.rs", "use super::auth; use crate::daemon::api::auth;"), [""; 0]);
        assert_eq!(
            complaints("src/daemon/store/jobs.rs", "use super::super::api::Server;"),
            ["src/daemon/store/jobs.rs:1: daemon::api may be named by daemon/mod.rs alone"]
        );
    }

    #[test]
    fn crates_have_one_owner() {
        assert_eq!(complaints("src/docker/mod.rs", "use bollard::Docker;"), [""; 0]);
        assert_eq!(
            complaints("src/daemon/mod.rs", "use bollard::Docker;"),
            ["src/daemon/mod.rs:1: bollard may be named in src/docker/ alone"]
        );
        assert_eq!(complaints("src/daemon/api.rs", "fn a(c: &rusqlite::Connection) {}").len(), 1);
        assert_eq!(complaints("src/daemon/api.rs", "// bollard::Docker\nlet bollard = 1;"), [""; 0]);
    }
}
