//! Files and modules are named after things of the domain.

use super::Finding;
use super::source::Source;

/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "managers", "misc"];

pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let parts = source.path.trim_end_matches(".rs").split('/');
    for part in parts.filter(|part| EMPTY_NAMES.contains(part)) {
        findings.push(Finding::new(&source.path, 1, message(part)));
    }
    for (place, token) in source.tokens.iter().enumerate() {
        let name = source.at(place + 1);
        // `mod name;` shows in the file's own path.
        if token.text == "mod" && source.at(place + 2) == "{" && EMPTY_NAMES.contains(&name) {
            findings.push(Finding::new(&source.path, token.line, message(name)));
        }
    }
    findings
}

fn message(name: &str) -> String {
    format!("`{name}` says nothing; name it after what it is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_nothing_are_refused() {
        let findings = |path, text| check(&Source::new(path, text)).len();
        assert_eq!(findings("src/daemon/store.rs", "mod jobs {}"), 0);
        assert_eq!(findings("src/utils.rs", ""), 1);
        assert_eq!(findings("tests/common/mod.rs", ""), 1);
        assert_eq!(findings("src/daemon/store.rs", "\nmod helpers { }"), 1);
    }
}
