//! The key `volumes`: named volumes and absolute paths of the host.
//!
//! Paths follow the server's rules (Linux), whatever system the file is read on.

use std::collections::BTreeMap;

use super::field::Field;
use super::findings::Findings;
use super::spelling::nearest;
use crate::names::{is_container_path, is_host_path, is_volume_name};
use crate::wire::{Mount, MountSource};

/// Options that Docker understands behind the second colon.
const OPTIONS: [&str; 16] = [
    "ro",
    "rw",
    "z",
    "Z",
    "nocopy",
    "copy",
    "shared",
    "rshared",
    "slave",
    "rslave",
    "private",
    "rprivate",
    "consistent",
    "cached",
    "delegated",
    "volume-nocopy",
];

/// A list of `name:/path[:options]` and `/host/path:/path[:options]`.
pub fn read(field: &Field<'_>, findings: &mut Findings<'_>) -> Vec<Mount> {
    let items = findings.list(field);
    let mut mounts: Vec<Mount> = Vec::new();
    let mut seen = BTreeMap::new();
    for item in items {
        let Some(mount) = read_one(&item, findings) else { continue };
        if let Some(first) = seen.get(&mount.target).cloned() {
            findings.mistake(&item, format!("two volumes are mounted at `{}`", mount.target)).other(first, "first mounted here");
            continue;
        }
        seen.insert(mount.target.clone(), findings.span(&item));
        mounts.push(mount);
    }
    mounts
}

fn read_one(item: &Field<'_>, findings: &mut Findings<'_>) -> Option<Mount> {
    let text = findings.word(item)?;
    if is_windows_path(text) {
        let message = format!("the volume `{text}` has a path of Windows: it is mounted on the server, which runs Linux");
        findings.mistake(item, message).hint("use an absolute path of the server, or a named volume like `app-data:/path`");
        return None;
    }
    let mut parts = text.splitn(3, ':');
    let (Some(source), Some(target)) = (parts.next(), parts.next()) else {
        findings.mistake(item, format!("the volume `{text}` does not say where it is mounted")).hint("write `name:/path/in/the/container`");
        return None;
    };
    let options = parts.next();
    let source = read_source(item, source, findings)?;
    if !is_container_path(target) {
        let message = format!("the volume `{text}` must be mounted at an absolute path below `/`, without `..`");
        findings.mistake(item, message).hint("write `name:/path/in/the/container`");
        return None;
    }
    for option in options.into_iter().flat_map(|options| options.split(',')) {
        if !OPTIONS.contains(&option) {
            let mistake = findings.mistake(item, format!("the volume `{text}` has the unknown option `{option}`"));
            mistake.hint(match nearest(option, OPTIONS) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "options are `ro`, `rw`, `z` and the like, separated by commas".to_owned(),
            });
            return None;
        }
    }
    Some(Mount { source, target: target.trim_end_matches('/').to_owned(), options: options.map(str::to_owned) })
}

fn read_source(item: &Field<'_>, source: &str, findings: &mut Findings<'_>) -> Option<MountSource> {
    if source.starts_with('/') {
        if !is_host_path(source) {
            findings.mistake(item, format!("the volume's source `{source}` must not go up with `..`")).hint("write the path that is meant");
            return None;
        }
        return Some(MountSource::Host(source.to_owned()));
    }
    if source.starts_with(['.', '~']) || source.contains('/') {
        let message = format!("the volume's source `{source}` is a relative path: the server has no place that it could be relative to");
        findings.mistake(item, message).hint("use an absolute path of the server, or a named volume like `app-data:/path`");
        return None;
    }
    if !is_volume_name(source) {
        findings.mistake(item, format!("`{source}` is not a volume's name: it has 2 or more of letters, digits, `_`, `.` and `-`"));
        return None;
    }
    Some(MountSource::Volume(source.to_owned()))
}

/// `C:\data`, `C:/data`, or anything with a backslash.
fn is_windows_path(text: &str) -> bool {
    let mut parts = text.splitn(3, ':');
    let is_drive = parts.next().is_some_and(|first| first.len() == 1 && first.bytes().all(|b| b.is_ascii_alphabetic()));
    let is_rooted = |part: Option<&str>| part.is_some_and(|part| part.starts_with('/'));
    let has_drive = is_drive && is_rooted(parts.next()) && is_rooted(parts.next());
    text.contains('\\') || has_drive
}
