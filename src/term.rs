//! The terminal: data goes to stdout, words go to stderr. The only file that may print.

use std::io::{self, BufRead as _, IsTerminal, Write as _};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressStyle};

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

/// Whether stdin is a terminal.
pub fn reads_from_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Asks a question on stderr and reads the answer from stdin, without the end of the line. `None`
/// at the end of input. Only where stdin is a terminal.
pub fn ask(question: &str) -> Option<String> {
    let _ = write!(io::stderr().lock(), "{question} ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer).ok()?;
    (read > 0).then(|| answer.trim().to_owned())
}

/// The same for a secret: what is typed is not shown.
pub fn ask_hidden(question: &str) -> Option<String> {
    let _hidden = Hidden::start();
    let answer = ask(question);
    // The end of the line that was typed was not shown either.
    words("");
    answer
}

/// The terminal does not show what is typed; it does again when this is dropped.
#[cfg(unix)]
struct Hidden(Option<rustix::termios::Termios>);

#[cfg(unix)]
impl Hidden {
    fn start() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut hidden = before.clone();
            hidden.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &hidden);
        }
        Self(before)
    }
}

#[cfg(unix)]
impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Now, before);
        }
    }
}

#[cfg(not(unix))]
struct Hidden;

#[cfg(not(unix))]
impl Hidden {
    fn start() -> Self {
        Self
    }
}

/// Columns of text, two spaces apart, under their headings.
pub fn table(headings: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.iter().map(|heading| heading.to_uppercase())).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let text: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    text.join("\n") + "\n"
}

/// A text cut into lines of at most `width` characters where words allow it; its own line ends stay.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// How many characters a line of text on stdout has: at most 100, where longer lines read badly.
pub fn width() -> usize {
    const MOST: usize = 100;
    columns().map_or(MOST, |columns| columns.clamp(40, MOST))
}

#[cfg(unix)]
fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then(|| usize::from(size.ws_col))
}

#[cfg(not(unix))]
fn columns() -> Option<usize> {
    None
}

/// A line on stderr that shows what is being waited for and for how long already; lines can be
/// printed above it. Only for a process with [`Terminal::progress`].
pub struct Spinner(ProgressBar);

impl Spinner {
    pub fn start(what: &str) -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed:.dim}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::new_spinner().with_style(style).with_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// One that does not move, beside a program that may ask for something on the same terminal.
    pub fn still(what: &str) -> Self {
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::new_spinner().with_style(style).with_message(what.to_owned());
        bar.tick();
        Self(bar)
    }

    /// What is being waited for from now on.
    pub fn wait_for(&self, what: &str) {
        self.0.reset_elapsed();
        self.0.set_message(what.to_owned());
    }

    /// Prints a line above.
    pub fn line(&self, text: &str) {
        self.0.suspend(|| words(text));
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// How this process is being run; asked here and nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Progress bars may be drawn on stderr.
    pub progress: bool,
    /// A question may be asked.
    pub interactive: bool,
    /// stderr may be coloured (stdout after [`Terminal::for_data`]).
    pub colour: bool,
}

impl Terminal {
    pub fn detect() -> Self {
        let dumb = env::read(env::TERM).is_some_and(|term| term == "dumb");
        let stderr = io::stderr().is_terminal() && !dumb;
        Self {
            progress: stderr && env::read(env::CI).is_none(),
            interactive: stderr && io::stdin().is_terminal(),
            colour: stderr && env::read(env::NO_COLOR).is_none(),
        }
    }

    /// The same for text that goes to stdout.
    pub fn for_data(self) -> Self {
        let dumb = env::read(env::TERM).is_some_and(|term| term == "dumb");
        Self { colour: io::stdout().is_terminal() && !dumb && env::read(env::NO_COLOR).is_none(), ..self }
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

    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
