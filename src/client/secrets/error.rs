//! What can go wrong with secrets of other programs: all of it is told at once, none of it quotes a value.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use crate::config::nearest;
use crate::config::secrets::{Provider, SourceId};
use crate::error::{FAILED, MISUSE, Report, render};

use super::tool::Tool;

/// So many keys are named at most.
const KEYS_SHOWN: usize = 20;

/// Everything that is wrong with the sources and keys that were asked for; never empty.
#[derive(Debug, thiserror::Error)]
#[error("{}", one_line(failures))]
pub struct SecretError {
    failures: Vec<Failure>,
}

/// What is wrong with one source, or with one reference to it.
#[derive(Debug, thiserror::Error)]
#[error("`secret_providers.{}.{source_name}` {problem}", provider.name())]
pub struct Failure {
    provider: Provider,
    source_name: String,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("is not defined")]
    Undefined,
    #[error("needs the program `{program}`, which was not found")]
    NotInstalled { program: String },
    #[error("could not be read: `{program}` could not be run: {cause}")]
    Run { program: String, cause: io::Error },
    #[error("could not be read: `{program}` failed with {outcome}{}", after_colon(words))]
    Exit {
        program: String,
        outcome: String,
        /// The last lines of stderr, masked.
        words: Vec<String>,
    },
    #[error("could not be read: `{program}` did not end within {} s{}", limit.as_secs(), after_colon(words))]
    TimeOut { program: String, limit: Duration, words: Vec<String> },
    #[error("could not be read: `{program}` printed more than {} KiB", limit >> 10)]
    TooMuch { program: String, limit: usize },
    #[error("could not be read: what `{program}` printed is not {reason}")]
    Output { program: String, reason: Unreadable },
    #[error("is a file whose ending does not say its format")]
    SopsFormat,
    #[error("has no key `{key}`")]
    NoKey { key: String, known: Vec<String> },
    #[error("has several secrets below `{key}`, the reference must name one of them")]
    Group { key: String, known: Vec<String> },
    #[error("has several secrets, the reference must name one of them")]
    KeyNeeded { known: Vec<String> },
    #[error("is a single secret and has no key `{key}`")]
    OneSecret { key: String },
}

/// What an output is not. Never a part of the output.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("understood as JSON (line {line}, column {column})")]
    Json { line: usize, column: usize },
    #[error("understood as dotenv (line {line})")]
    Dotenv { line: usize },
    #[error("{0}")]
    Shape(&'static str),
}

impl SecretError {
    pub fn new(failures: Vec<Failure>) -> Self {
        Self { failures }
    }
}

impl Failure {
    pub fn new((provider, source_name): &SourceId, problem: Problem) -> Self {
        Self { provider: *provider, source_name: source_name.clone(), problem }
    }
}

impl Report for SecretError {
    fn hint(&self) -> Option<String> {
        let mut hints: Vec<String> = Vec::new();
        for hint in self.failures.iter().filter_map(Failure::hint) {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        (!hints.is_empty()).then(|| hints.join("; "))
    }

    /// A misuse when everything that is wrong can be mended in the configuration.
    fn exit_code(&self) -> u8 {
        if self.failures.iter().all(|failure| failure.exit_code() == MISUSE) { MISUSE } else { FAILED }
    }

    fn report(&self) -> Option<String> {
        Some(self.failures.iter().map(|failure| render(failure)).collect::<Vec<_>>().join("\n"))
    }
}

impl Report for Failure {
    fn hint(&self) -> Option<String> {
        let tool = Tool::of(self.provider);
        Some(match &self.problem {
            Problem::Undefined => format!("see `haloy config docs secret_providers.{}`", self.provider.name()),
            Problem::NotInstalled { program } => match tool.install {
                Some(install) => format!("install it ({install}) and make sure that `{program}` is on the PATH"),
                None => format!("check `secret_providers.{}.{}.run`", self.provider.name(), self.source_name),
            },
            Problem::Exit { words, .. } => (tool.sign_in)(words)?.to_owned(),
            Problem::TimeOut { .. } => (tool.sign_in)(&[])?.to_owned(),
            Problem::Run { .. } | Problem::TooMuch { .. } => return None,
            Problem::Output { .. } => tool.format.to_owned(),
            Problem::SopsFormat => "write `format: yaml`, `format: json` or `format: dotenv` below it".to_owned(),
            Problem::NoKey { key, known } => match nearest(key, known.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => keys(known),
            },
            Problem::Group { known, .. } | Problem::KeyNeeded { known } => keys(known),
            Problem::OneSecret { .. } => format!("write `{}:{}`", self.provider.name(), self.source_name),
        })
    }

    fn exit_code(&self) -> u8 {
        match self.problem {
            Problem::Undefined
            | Problem::SopsFormat
            | Problem::NoKey { .. }
            | Problem::Group { .. }
            | Problem::KeyNeeded { .. }
            | Problem::OneSecret { .. } => MISUSE,
            _ => FAILED,
        }
    }

    /// With the program's own words below the error, a line each.
    fn report(&self) -> Option<String> {
        let (what, words) = match &self.problem {
            Problem::Exit { program, outcome, words } => (format!("`{program}` failed with {outcome}"), words),
            Problem::TimeOut { program, limit, words } => (format!("`{program}` did not end within {} s", limit.as_secs()), words),
            _ => return None,
        };
        let mut text = format!("error: `secret_providers.{}.{}` could not be read: {what}\n", self.provider.name(), self.source_name);
        if !words.is_empty() {
            text.push_str("  last words\n");
        }
        words.iter().for_each(|line| {
            let _ = writeln!(text, "    {line}");
        });
        if let Some(hint) = self.hint() {
            let _ = writeln!(text, "\nhint: {hint}");
        }
        Some(text)
    }
}

fn one_line(failures: &[Failure]) -> String {
    failures.iter().map(Failure::to_string).collect::<Vec<_>>().join("; ")
}

fn after_colon(words: &[String]) -> String {
    if words.is_empty() { String::new() } else { format!(": {}", words.join(" / ")) }
}

/// Names alone.
fn keys(known: &[String]) -> String {
    if known.is_empty() {
        return "it holds no secret at all".to_owned();
    }
    let shown: Vec<String> = known.iter().take(KEYS_SHOWN).map(|key| format!("`{key}`")).collect();
    let more = known.len().saturating_sub(KEYS_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("its keys are {}{more}", shown.join(", "))
}
