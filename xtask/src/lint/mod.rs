//! Formatting, clippy, and the rules of the house that no other tool checks.
//!
//! A rule is a function from sources to findings with its tests beside it. The rules read tokens, not lines:
//! what stands in a comment or a string is not code.

mod imports;
mod layout;
mod names;
mod sizes;
mod source;
mod speech;

use std::fmt;

use crate::command;
use crate::failure::{Failure, Outcome};
use crate::words::Words;
use crate::workspace::{self, cargo};
use source::Sources;

/// A broken rule and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Relative to the repository's root.
    path: String,
    /// Counts from 1.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// `cargo xtask lint`: everything is checked and shown, however early something fails.
pub fn main(words: Words) -> Outcome {
    words.end()?;
    let house = house_rules()?;
    let formatting = command::run(cargo().args(["fmt", "--all", "--check"]));
    let clippy = command::run(cargo().args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]));

    let complaints: Vec<String> =
        [house, formatting.err().map(|f| f.to_string()), clippy.err().map(|f| f.to_string())].into_iter().flatten().collect();
    if complaints.is_empty() {
        println!("lint: no finding");
        return Ok(());
    }
    Err(Failure::new(complaints.join("\n       ")))
}

/// Prints the findings; returns how many there were, as a complaint.
fn house_rules() -> Outcome<Option<String>> {
    let root = workspace::root();
    let sources = Sources::read(root, &["src", "tests", "xtask"])?;
    let mut findings = layout::check(&layout::entries(root)?);
    for source in sources.iter() {
        findings.extend(sizes::check(source));
        findings.extend(names::check(source));
        findings.extend(speech::check(source));
        findings.extend(imports::check(source));
    }
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    for note in sources.iter().filter_map(sizes::note) {
        println!("note: {note}");
    }
    Ok((!findings.is_empty()).then(|| format!("house rules: {} broken", findings.len())))
}
