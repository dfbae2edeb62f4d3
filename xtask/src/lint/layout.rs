//! The repository's top level is given; nothing grows beside it.

use std::fs;
use std::path::Path;

use super::Finding;
use crate::failure::{Attempt as _, Outcome};

const REQUIRED: &[&str] =
    &["Cargo.toml", "Cargo.lock", "CHANGELOG.md", "LICENSE", "README.md", "assets", "packaging", "rustfmt.toml", "src", "tests", "xtask"];
const OPTIONAL: &[&str] = &["clippy.toml", "deny.toml", "rust-toolchain.toml", "target"];

/// What lies at the top level.
pub fn entries(root: &Path) -> Outcome<Vec<String>> {
    let entries = fs::read_dir(root).attempt(|| format!("read {}", root.display()))?;
    Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

pub fn check(entries: &[String]) -> Vec<Finding> {
    let known = |name: &str| REQUIRED.contains(&name) || OPTIONAL.contains(&name) || name.starts_with('.');
    let strangers = entries.iter().filter(|name| !known(name)).map(|name| Finding::new(name, 1, "does not belong to the top level"));
    let missing = REQUIRED.iter().filter(|name| !entries.iter().any(|entry| entry == *name));
    strangers.chain(missing.map(|name| Finding::new(name, 1, "is missing from the top level"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_level_is_exact() {
        let mut entries: Vec<String> = REQUIRED.iter().chain(&["target", ".git", "clippy.toml"]).map(|name| (*name).to_owned()).collect();
        assert_eq!(check(&entries), []);
        entries.push("docs".to_owned());
        entries.retain(|name| name != "assets");
        let findings: Vec<_> = check(&entries).iter().map(ToString::to_string).collect();
        assert_eq!(findings, ["docs:1: does not belong to the top level", "assets:1: is missing from the top level"]);
    }
}
