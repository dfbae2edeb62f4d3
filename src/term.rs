//! The terminal: data goes to stdout, words go to stderr. The only file that may print.

use std::io::{self, IsTerminal, Write as _};

use crate::env;

/// Prints a line of words (progress, warnings, hints) to stderr.
pub fn words(text: &str) {
    // Nobody is left to hear about a broken stderr.
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end_matches('\n'));
}

/// Prints data to stdout. A reader that has gone away (`haloy … | head`) ends the process quietly.
pub fn data(text: &str) {
    let mut out = io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Prints one value as pretty JSON to stdout.
pub fn json<T: serde::Serialize>(value: &T) {
    let text = serde_json::to_string_pretty(value).expect("invariant: our own types serialise");
    data(&format!("{text}\n"));
}

/// How this process is being run; asked here and nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Progress bars may be drawn on stderr.
    pub progress: bool,
    /// A question may be asked.
    pub interactive: bool,
    /// stderr may be coloured.
    pub colour: bool,
}

impl Terminal {
    pub fn detect() -> Self {
        let dumb = env::read("TERM").is_some_and(|term| term == "dumb");
        let stderr = io::stderr().is_terminal() && !dumb;
        Self {
            progress: stderr && env::read(env::CI).is_none(),
            interactive: stderr && io::stdin().is_terminal(),
            colour: stderr && env::read(env::NO_COLOR).is_none(),
        }
    }

    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
