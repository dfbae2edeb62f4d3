//! `logs`: what an app's containers print.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use crate::error::{FAILED, chain};
use crate::names::DeployId;
use crate::term;
use crate::wire::{AppState, AppStatus, Job, JobId, LogLine, Phase, Problem, routes};

use super::error::ClientError;
use super::output::Output;
use super::patience::{Patience, in_words};
use super::subject::{Globals, Subject};
use super::targets::{Purpose, Selection};
use super::{Outcome, several};

/// Show what an app's containers print, also stopped and failed ones
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  haloy logs --follow              What is printed from now on, too
  haloy logs --since 10m           The last ten minutes
  haloy logs --deployment 20261121093000
  haloy logs --all --follow        All targets side by side, each line under its target's name")]
pub struct Logs {
    /// Configuration file or its directory, or the app's name
    #[arg(value_name = "CONFIG|APP")]
    app: Option<String>,
    #[command(flatten)]
    selection: Selection,
    /// Only the last N lines of each replica
    #[arg(long, value_name = "N")]
    tail: Option<u32>,
    /// Go on with new lines until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Only lines after this: a time span like 10m, 2h or 1d, or a moment like 2026-11-21T09:30:00Z
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// Only lines of this deployment
    #[arg(long, value_name = "ID")]
    deployment: Option<DeployId>,
    /// Print one JSON value per line; with its target where there are several
    #[arg(long)]
    pub json: bool,
}

/// Without `--tail` and `--since`, so many lines of each replica.
const DEFAULT_TAIL: u32 = 100;

/// What has come out so far, over all connections.
#[derive(Default)]
struct Shown {
    lines: u64,
    /// The time of each container's last line.
    until: BTreeMap<String, Timestamp>,
    /// What the server could not read, in its words.
    problems: BTreeSet<String>,
}

impl Logs {
    pub async fn run(self, globals: &Globals) -> Outcome {
        let subjects = Subject::find(globals, self.app.as_deref(), &self.selection, Purpose::Look).await?;
        if !self.follow || subjects.len() == 1 {
            return several::in_order(&subjects, false, async |subject| self.show(subject).await).await;
        }
        let outcomes = join_all(subjects.iter().map(|subject| self.show(subject))).await;
        let code = |(subject, outcome): (&Subject, Outcome)| outcome.unwrap_or_else(|error| several::told(&subject.output, &error, false));
        let failed = subjects.iter().zip(outcomes).map(code).filter(|code| *code != ExitCode::SUCCESS).count();
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }

    async fn show(&self, subject: &Subject) -> Outcome {
        let output = &subject.output;
        let status: AppStatus = subject.api.get(&routes::app(&subject.app)).await?;
        let several = status.replicas_wanted > 1 || status.replicas.len() > 1;
        let failed = self.failed_job(subject).await?;
        // A deployment that failed says nothing more.
        let follow = self.follow && failed.is_none();
        let mut patience = Patience::new();
        let mut shown = Shown::default();
        loop {
            let before = shown.lines;
            let outcome = self.one_connection(subject, follow, several, &mut shown).await;
            if shown.lines != before {
                patience.heard();
            }
            match (outcome, patience.next()) {
                (Err(error), Some(delay)) if follow && error.is_passing() => {
                    let text = format!("{}; trying again in {}", chain(&error), in_words(delay));
                    output.words(&output.terminal.yellow(&text));
                    tokio::time::sleep(delay).await;
                }
                (outcome, _) => {
                    outcome?;
                    if shown.nothing() {
                        self.explain_silence(subject, &status, failed);
                    }
                    return Ok(if shown.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) });
                }
            }
        }
    }

    /// The job that made the chosen deployment, when it failed.
    async fn failed_job(&self, subject: &Subject) -> Result<Option<JobId>, ClientError> {
        let Some(wanted) = self.deployment else { return Ok(None) };
        let jobs: Vec<Job> = subject.api.get(&routes::jobs_of(&subject.app)).await?;
        Ok(jobs.iter().find(|job| job.deployment == Some(wanted) && job.phase == Phase::Failed).map(|job| job.id))
    }

    fn when(&self) -> String {
        self.since.map(|since| format!(" since {since}")).unwrap_or_default()
    }

    /// No containers, no output: that is not the same as being silent.
    fn explain_silence(&self, subject: &Subject, status: &AppStatus, failed: Option<JobId>) {
        let (app, output) = (&subject.app, &subject.output);
        let Some(wanted) = self.deployment else {
            match status.state {
                _ if !status.replicas.is_empty() => output.words(&format!("the containers of `{app}` have printed nothing{}", self.when())),
                AppState::Stopped => output.words(&format!("`{app}` is stopped, and its containers are gone")),
                _ => output.words(&format!("`{app}` has no containers")),
            }
            return;
        };
        if status.replicas.iter().any(|replica| replica.deployment == wanted) {
            return output.words(&format!("the containers of deployment {wanted} have printed nothing{}", self.when()));
        }
        match failed {
            Some(job) => {
                output.words(&format!("nothing is left of deployment {wanted}: it failed, and its containers are removed"));
                output.words(&format!("\nhint: `{}` shows why, and its last lines", subject.command("attach", &job.to_string())));
            }
            None => output.words(&format!("`{}` has no containers of deployment {wanted}", subject.app)),
        }
    }

    /// Shows one stream to its end, behind what was shown before.
    async fn one_connection(&self, subject: &Subject, follow: bool, several: bool, shown: &mut Shown) -> Result<(), ClientError> {
        let output = &subject.output;
        let before = shown.until.clone();
        // From where the one that is furthest behind left off: the server reads the containers side by
        // side, and the newest line of one says nothing about the others.
        let path = format!("{}?{}", routes::app_verb(&subject.app, "logs"), self.query(follow, before.values().min().copied()));
        let mut stream = subject.api.events(&path, None).await?;
        while let Some(event) = stream.next().await? {
            if event.kind == "problem" {
                shown.problem(&event.data, output);
            }
            // What is neither comes from a newer server.
            let Ok(line) = serde_json::from_str::<LogLine>(&event.data) else { continue };
            if line.at.is_some() && line.at <= before.get(&line.container).copied() {
                continue;
            }
            term::data(&if self.json { as_json(&line, output) } else { show(&line, several, output) });
            shown.line(line);
        }
        Ok(())
    }

    /// What to ask for; only what came after `last` when the connection broke there.
    fn query(&self, follow: bool, last: Option<Timestamp>) -> String {
        let since = last.or(self.since);
        let tail = self.tail.or_else(|| since.is_none().then_some(DEFAULT_TAIL)).filter(|_| last.is_none());
        let mut query = format!("follow={follow}");
        if let Some(tail) = tail {
            query.push_str(&format!("&tail={tail}"));
        }
        if let Some(since) = since {
            query.push_str(&format!("&since={since}"));
        }
        if let Some(deployment) = self.deployment {
            query.push_str(&format!("&deployment={deployment}"));
        }
        query
    }
}

impl Shown {
    fn nothing(&self) -> bool {
        self.lines == 0 && self.problems.is_empty()
    }

    fn line(&mut self, line: LogLine) {
        self.lines += 1;
        if let Some(at) = line.at {
            let until = self.until.entry(line.container).or_insert(at);
            *until = at.max(*until);
        }
    }

    /// Tells what the server could not read; once, however often it is asked.
    fn problem(&mut self, data: &str, output: &Output) {
        let Ok(problem) = serde_json::from_str::<Problem>(data) else { return };
        let detail = problem.detail.map(|detail| format!(": {detail}")).unwrap_or_default();
        let text = format!("warning: {}{detail}", problem.title);
        if self.problems.insert(text.clone()) {
            output.words(&output.terminal.yellow(&text));
            if let Some(hint) = problem.hint {
                output.words(&format!("hint: {hint}"));
            }
        }
    }
}

fn as_json(line: &LogLine, output: &Output) -> String {
    let mut value = serde_json::to_value(line).expect("invariant: our own types serialise");
    if let (Some(target), Some(fields)) = (output.target(), value.as_object_mut()) {
        fields.insert("target".to_owned(), target.into());
    }
    format!("{value}\n")
}

fn show(line: &LogLine, several: bool, output: &Output) -> String {
    let text = line.line.trim_end_matches(['\r', '\n']);
    let replica = if several { line.replica.to_string() } else { String::new() };
    let margin = [output.margin(), replica].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    if margin.is_empty() {
        return format!("{text}\n");
    }
    format!("{} {text}\n", output.terminal.for_data().dim(&format!("{margin} |")))
}

/// A span before now, or a moment.
fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let refused = || format!("`{text}` is neither a time span like `10m` nor a moment like `2026-11-21T09:30:00Z`");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or_else(refused)?);
    let seconds = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(refused()),
    };
    let number: i64 = number.parse().map_err(|_| refused())?;
    let span = SignedDuration::from_secs(number.checked_mul(seconds).ok_or_else(refused)?);
    Timestamp::now().checked_sub(span).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_takes_spans_and_moments() {
        assert_eq!(since("2026-11-21T09:30:00Z").map(|moment| moment.to_string()), Ok("2026-11-21T09:30:00Z".to_owned()));
        for (text, seconds) in [("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86_400)] {
            let moment = since(text).expect(text);
            let passed = Timestamp::now().duration_since(moment).as_secs();
            assert!((seconds..seconds + 5).contains(&passed), "{text}: {passed}");
        }
        for bad in ["", "10", "m", "10 m", "10y", "99999999999999999999s", "99999999999999d", "yesterday"] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }
}
