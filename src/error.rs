//! How errors reach people: one trait for the hint and the exit code, one renderer for the words.
//!
//! Every module has its own error enum whose variants say what was attempted on what and hold their
//! source. `Display` never repeats the source: the chain is printed here, once.

use std::error::Error;
use std::fmt::Write as _;

/// Exit code of a request that was understood and failed.
pub const FAILED: u8 = 1;
/// Exit code of a misuse: wrong flags, wrong configuration.
pub const MISUSE: u8 = 2;

/// An error that a person will read.
pub trait Report: Error + 'static {
    /// What to do about it: a command or a place, never advice in general.
    fn hint(&self) -> Option<String> {
        None
    }

    /// The process's exit code: [`FAILED`] unless the user can mend it by typing something else.
    fn exit_code(&self) -> u8 {
        FAILED
    }

    /// Text that replaces the `error:` block, for errors that bring their own report (config mistakes).
    fn report(&self) -> Option<String> {
        None
    }
}

/// A program that needs Linux was asked for on another system.
#[cfg(not(target_os = "linux"))]
#[derive(Debug, thiserror::Error)]
#[error("`{program}` runs on Linux servers only")]
pub struct Unsupported {
    pub program: String,
}

#[cfg(not(target_os = "linux"))]
impl Report for Unsupported {
    fn hint(&self) -> Option<String> {
        Some("use `haloy deploy` here and run the daemon on the server".to_owned())
    }
}

/// The text for an error: `error:`, each `caused by:`, then `hint:`.
pub fn render(error: &dyn Report) -> String {
    if let Some(report) = error.report() {
        return report;
    }
    let mut text = format!("error: {error}\n");
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        // Some libraries repeat their source in their own message; say it once.
        if !said.contains(&words) {
            let _ = writeln!(text, "  caused by: {words}");
        }
        said = words;
        source = cause.source();
    }
    if let Some(hint) = error.hint() {
        let _ = writeln!(text, "\nhint: {hint}");
    }
    text
}

/// Prints the error to stderr.
pub fn report(error: &dyn Report) {
    crate::term::words(&render(error));
}

/// The error as one JSON value on stdout, for programs that read nothing else: in one line, because
/// some commands print a value per line.
pub fn report_json(error: &dyn Report, chain: &str) {
    let value = serde_json::json!({ "error": chain, "hint": error.hint(), "exit_code": error.exit_code() });
    crate::term::data(&format!("{value}\n"));
}

/// The whole chain of causes in one line, for logs and API bodies.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            let _ = write!(text, ": {words}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not start `shop`")]
    struct Outer(#[source] std::io::Error);

    impl Report for Outer {
        fn hint(&self) -> Option<String> {
            Some("run `haloy logs`".to_owned())
        }
    }

    #[test]
    fn renders_error_causes_and_hint() {
        let error = Outer(std::io::Error::other("disk is full"));
        assert_eq!(render(&error), "error: could not start `shop`\n  caused by: disk is full\n\nhint: run `haloy logs`\n");
        assert_eq!(chain(&error), "could not start `shop`: disk is full");
    }
}
