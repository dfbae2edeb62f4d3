//! Files stay readable: they open with what they are for, and end before they are two.

use super::Finding;
use super::source::Source;

/// From here on a file owes a reason.
const WORTH_A_NOTE: usize = 450;
const LIMIT: usize = 800;

pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !source.text.starts_with("//!") {
        findings.push(Finding::new(&source.path, 1, "a file begins with `//!`: what it is for"));
    }
    let lines = source.text.lines().count();
    if lines > LIMIT {
        findings.push(Finding::new(&source.path, LIMIT + 1, format!("{lines} lines; past {LIMIT} it is two files")));
    }
    findings
}

/// A word about a file that grows large.
pub fn note(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    (WORTH_A_NOTE < lines && lines <= LIMIT).then(|| format!("{} has {lines} lines", source.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(lines: usize) -> Source {
        Source::new("src/a.rs", &format!("//! A.\n{}", "\n".repeat(lines - 1)))
    }

    #[test]
    fn long_files_are_noted_then_refused() {
        assert!(check(&file(450)).is_empty() && note(&file(450)).is_none());
        assert!(check(&file(800)).is_empty() && note(&file(800)).is_some());
        assert_eq!(check(&file(801))[0].message, "801 lines; past 800 it is two files");
    }

    #[test]
    fn a_file_says_what_it_is_for() {
        assert_eq!(check(&Source::new("src/a.rs", "use std::fs;\n//! Late.")).len(), 1);
        assert_eq!(check(&Source::new("src/a.rs", "")).len(), 1);
    }
}
