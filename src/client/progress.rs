//! A job's events as they happen: a moving line on a terminal, one line per phase otherwise.

use jiff::{SignedDuration, Timestamp};

use crate::term::Spinner;
use crate::wire::{Event, EventKind, Phase};

use super::duration::took;
use super::output::Output;

/// Shows events on stderr. Times are the server's, so that a job watched afterwards shows the same.
pub struct Progress<'o> {
    output: &'o Output,
    spinner: Option<Spinner>,
    /// Nothing but trouble is shown.
    quiet: bool,
    began: Option<Timestamp>,
    current: Option<(Phase, Timestamp)>,
}

impl<'o> Progress<'o> {
    pub fn start(output: &'o Output, quiet: bool) -> Self {
        // Moving lines of several jobs would fight for one place.
        let spinner = (output.terminal.progress && output.is_alone() && !quiet).then(|| Spinner::start("waiting for the server"));
        Self { output, spinner, quiet, began: None, current: None }
    }

    pub fn event(&mut self, event: &Event) {
        let began = *self.began.get_or_insert(event.at);
        let elapsed = event.at.duration_since(began);
        match &event.kind {
            EventKind::Phase { phase } => self.enter(*phase, event.at, elapsed),
            EventKind::Note { message } if !self.quiet => self.note(message, elapsed),
            // A failure is reported whole at the end.
            EventKind::Note { .. } | EventKind::Failure(_) => {}
        }
    }

    /// A line about the watching itself, shown even to those who want no progress.
    pub fn trouble(&self, text: &str) {
        self.line(&self.output.terminal.yellow(text));
    }

    /// From the first event to the last one so far.
    pub fn elapsed(&self) -> Option<SignedDuration> {
        Some(self.current?.1.duration_since(self.began?))
    }

    fn enter(&mut self, phase: Phase, at: Timestamp, elapsed: SignedDuration) {
        let left = self.current.replace((phase, at));
        if self.quiet {
            return;
        }
        match &self.spinner {
            Some(spinner) => {
                if let Some((left, since)) = left {
                    let mark = if phase == Phase::Failed { self.output.terminal.red("✗") } else { self.output.terminal.green("✓") };
                    let time = self.output.terminal.dim(&took(at.duration_since(since)));
                    spinner.line(&format!("{mark} {} {time}", label(left)));
                }
                spinner.wait_for(label(phase));
            }
            None if phase.is_final() => {}
            None => self.line(&format!("{:>8}  {}", took(elapsed), label(phase))),
        }
    }

    fn note(&self, message: &str, elapsed: SignedDuration) {
        if self.spinner.is_some() {
            self.line(&format!("  {message}"));
        } else {
            self.line(&format!("{:>8}    {message}", took(elapsed)));
        }
    }

    fn line(&self, text: &str) {
        match &self.spinner {
            Some(spinner) => spinner.line(text),
            None => self.output.words(text),
        }
    }
}

/// What is being done, in words.
fn label(phase: Phase) -> &'static str {
    match phase {
        Phase::Queued => "queued",
        Phase::Preparing => "preparing image, network and volumes",
        Phase::Starting => "starting containers",
        Phase::Checking => "checking health",
        Phase::Switching => "switching traffic",
        Phase::Draining => "draining old containers",
        Phase::Done => "done",
        Phase::Failed => "failed",
    }
}
