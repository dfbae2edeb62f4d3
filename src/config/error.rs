//! What can be wrong with the files that people write.

use std::path::PathBuf;

use super::mistake::Mistake;
use super::server::{self, NotAServer};
use crate::error::{FAILED, MISUSE, Report};
use crate::files::FileError;
use crate::term::Terminal;

/// So many mistakes are shown: who made more has another kind of problem.
pub const SHOWN: usize = 100;

/// Why a configuration could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("there is no configuration file")]
    NotFound { tried: Vec<PathBuf> },
    #[error("there is more than one configuration file: {}", list(found))]
    Ambiguous { found: Vec<PathBuf> },
    #[error("`{}` does not say its format", path.display())]
    UnknownFormat { path: PathBuf },
    #[error("`{}` is larger than 1 MiB: that is no configuration file", path.display())]
    TooLarge { path: PathBuf },
    #[error("`{}` is not a text in UTF-8", path.display())]
    NotText { path: PathBuf },
    /// The file is there and holds mistakes: the first of them (at most 100) in the order of the file.
    #[error("the configuration has {}", count(*total))]
    Invalid { mistakes: Vec<Mistake>, total: usize },
    /// A line of an environment file. Its text is never shown: it may be a secret.
    #[error("`{}`, line {line} is not `NAME=value`", path.display())]
    EnvironmentLine { path: PathBuf, line: usize },
    #[error("`{written}` is not a server")]
    ServerName {
        written: String,
        #[source]
        source: NotAServer,
    },
    #[error("the server `{host}` is already known")]
    ServerExists { host: String },
    #[error("the server `{host}` is not known")]
    ServerUnknown { host: String, known: Vec<String> },
    #[error("the token holds characters that no token has")]
    TokenText,
    #[error(transparent)]
    File(#[from] FileError),
}

impl ConfigError {
    /// Sorts the mistakes, keeps the first and finds out their lines.
    pub(super) fn invalid(mut mistakes: Vec<Mistake>) -> Self {
        let total = mistakes.len();
        mistakes.sort_by_key(Mistake::start);
        mistakes.truncate(SHOWN);
        Self::Invalid { mistakes: mistakes.into_iter().map(Mistake::placed).collect(), total }
    }

    /// Both of them, when both are mistakes in a file: what two targets of it have in common is told once.
    /// Else the first.
    pub fn and(self, other: Self) -> Self {
        let (mut mistakes, mut total, more, of_more) = match (self, other) {
            (Self::Invalid { mistakes, total }, Self::Invalid { mistakes: more, total: of_more }) => (mistakes, total, more, of_more),
            (first, _) => return first,
        };
        let known =
            |mistakes: &[Mistake], new: &Mistake| mistakes.iter().any(|old| old.start() == new.start() && old.message == new.message);
        total += of_more;
        for mistake in more {
            if known(&mistakes, &mistake) {
                total -= 1;
            } else {
                mistakes.push(mistake);
            }
        }
        mistakes.sort_by_key(Mistake::start);
        mistakes.truncate(SHOWN);
        Self::Invalid { mistakes, total }
    }

    /// The mistakes in the file, for `--json`; empty when the file could not be read at all.
    pub fn mistakes(&self) -> Vec<Mistake> {
        match self {
            Self::Invalid { mistakes, .. } => mistakes.clone(),
            _ => Vec::new(),
        }
    }

    /// The reports of all mistakes, one below the other, and their number.
    pub(super) fn all_mistakes(&self, colour: bool) -> Option<String> {
        let Self::Invalid { mistakes, total } = self else { return None };
        let mut text: String = mistakes.iter().map(|mistake| format!("{}\n\n", mistake.render(colour))).collect();
        let first = if *total > mistakes.len() { format!(", of which these are the first {}", mistakes.len()) } else { String::new() };
        text.push_str(&format!("error: {self}{first}\n"));
        Some(text)
    }
}

impl Report for ConfigError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotFound { tried } => format!("looked for {}; name another with `--config PATH`", list(tried)),
            Self::Ambiguous { .. } => "keep one of them, or name it with `--config PATH`".to_owned(),
            Self::UnknownFormat { .. } => "let its name end in `.yaml`, `.yml`, `.json` or `.toml`".to_owned(),
            Self::EnvironmentLine { .. } => "put values with spaces, quotes or `#` in single quotes: `NAME='a value'`".to_owned(),
            Self::ServerName { .. } => server::EXAMPLE.to_owned(),
            Self::ServerExists { host } => format!("replace its token with `haloy server add {host} TOKEN --force`"),
            Self::ServerUnknown { known, .. } if known.is_empty() => "add one with `haloy server add HOST TOKEN`".to_owned(),
            Self::ServerUnknown { known, .. } => format!("known servers: {}", known.join(", ")),
            Self::TokenText => "paste the token as `haloy admin api token` printed it".to_owned(),
            Self::TooLarge { .. } | Self::NotText { .. } | Self::Invalid { .. } | Self::File(_) => return None,
        };
        Some(hint)
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::File(_) => FAILED,
            _ => MISUSE,
        }
    }

    fn report(&self) -> Option<String> {
        self.all_mistakes(Terminal::detect().colour)
    }
}

fn count(mistakes: usize) -> String {
    if mistakes == 1 { "1 mistake".to_owned() } else { format!("{mistakes} mistakes") }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
}
