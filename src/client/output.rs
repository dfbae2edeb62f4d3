//! Where the words and the data about one app go: straight out when the command is about that app
//! alone, under its target's name when it is one of several.

use std::cell::RefCell;

use serde::Serialize;
use serde_json::Value;

use crate::term::{self, Terminal};

/// The output of one app.
pub struct Output {
    pub terminal: Terminal,
    label: Option<Label>,
    /// The JSON value of one of several: they are printed together.
    kept: RefCell<Option<Value>>,
}

struct Label {
    target: String,
    /// So wide that the lines of all targets are aligned.
    width: usize,
    /// Nothing was printed of another before it.
    first: bool,
}

impl Output {
    /// For an app that the command is about alone.
    pub fn alone(terminal: Terminal) -> Self {
        Self { terminal, label: None, kept: RefCell::default() }
    }

    /// For one of several; `width` is that of the longest name among them.
    pub fn beside_others(target: String, width: usize, first: bool, terminal: Terminal) -> Self {
        Self { terminal, label: Some(Label { target, width, first }), kept: RefCell::default() }
    }

    pub fn is_alone(&self) -> bool {
        self.label.is_none()
    }

    /// The target's name, when the app is one of several.
    pub fn target(&self) -> Option<&str> {
        self.label.as_ref().map(|label| label.target.as_str())
    }

    /// The target's name as lines begin with it, as wide as all others; empty for an app alone.
    pub fn margin(&self) -> String {
        self.label.as_ref().map(|label| format!("{:<width$}", label.target, width = label.width)).unwrap_or_default()
    }

    /// Prints words to stderr, each line under the target's name.
    pub fn words(&self, text: &str) {
        if self.label.is_none() {
            return term::words(text);
        }
        let margin = self.terminal.dim(&format!("{} |", self.margin()));
        let lines = text.trim_matches('\n').lines().filter(|line| !line.is_empty());
        let lines: Vec<String> = lines.map(|line| format!("{margin} {line}")).collect();
        // In one piece: lines of others do not come between.
        term::words(&lines.join("\n"));
    }

    /// Prints the heading of one of several parts of data to stdout.
    pub fn heading(&self, server: &str) {
        let Some(label) = &self.label else { return };
        let gap = if label.first { "" } else { "\n" };
        term::data(&format!("{gap}{} on {server}\n", label.target));
    }

    /// Prints a JSON value to stdout, or keeps it until those of the others are there.
    pub fn json<T: Serialize>(&self, value: &T) {
        match &self.label {
            None => term::json(value),
            Some(label) => {
                let mut value = serde_json::to_value(value).expect("invariant: our own types serialise");
                if let Value::Object(fields) = &mut value {
                    fields.insert("target".to_owned(), Value::from(label.target.clone()));
                }
                self.kept.replace(Some(value));
            }
        }
    }

    /// The value that was kept, if there is one.
    pub fn kept(&self) -> Option<Value> {
        self.kept.take()
    }
}
