//! `attach`: watch a job that is under way, or see how the last one went.

use std::process::ExitCode;

use crate::term;
use crate::wire::{AppStatus, Job, JobId, routes};

use super::Outcome;
use super::change::{End, Followed, noun, participle};
use super::duration::took;
use super::error::ClientError;
use super::interruption::Interruption;
use super::subject::{self, Globals, Subject};
use super::targets::Selection;

/// Watch a job of an app until its verdict
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  haloy attach          Watch the job of ./haloy.yaml's app that is under way, else see its last one
  haloy attach 12       Watch job 12")]
pub struct Attach {
    /// Configuration file or its directory, or the app's name; may be left out
    #[arg(value_name = "CONFIG|APP")]
    app: Option<String>,
    /// Job number; the app's job under way, else its last one, when absent
    #[arg(value_name = "JOB")]
    job: Option<String>,
    #[command(flatten)]
    selection: Selection,
    /// Print one JSON value: the finished job, or after Ctrl-C as it was before
    #[arg(long)]
    pub json: bool,
}

impl Attach {
    pub async fn run(self, globals: &Globals) -> Outcome {
        let (word, job) = split(self.app.as_deref(), self.job.as_deref())?;
        let subject = match (word, job) {
            (None, Some(job)) if !self.selection.is_given() => {
                let api = subject::server(globals).await?;
                let job: Job = api.get(&routes::job(job)).await?;
                return self.watch(&Subject::known(job.app.clone(), api, globals), job, globals).await;
            }
            (word, _) => Subject::find_one(globals, word, &self.selection).await?,
        };
        let job = match job {
            Some(job) => subject.api.get(&routes::job(job)).await?,
            None => last_job(&subject).await?,
        };
        if job.app != subject.app {
            return Err(ClientError::OtherApp { job: job.id, app: job.app, wanted: subject.app });
        }
        self.watch(&subject, job, globals).await
    }

    async fn watch(&self, subject: &Subject, job: Job, globals: &Globals) -> Outcome {
        if !self.json {
            term::words(&format!("job {}: {} of `{}`", job.id, noun(job.kind), job.app));
        }
        let followed = Followed { id: job.id, kind: job.kind, attach: subject.command("attach", &job.id.to_string()) };
        match followed.watch(subject, self.json, self.json, &Interruption::default()).await? {
            End::Left(code) => {
                if self.json {
                    term::json(&job);
                }
                Ok(code)
            }
            End::Done(time) => {
                let time = time.map(|time| format!(" in {}", took(time))).unwrap_or_default();
                term::words(&format!("{} `{}` is {}{time}", globals.terminal.green("✓"), job.app, participle(job.kind)));
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// A single word is the job when it is a number.
fn split<'a>(first: Option<&'a str>, second: Option<&str>) -> Result<(Option<&'a str>, Option<JobId>), ClientError> {
    match (first, second) {
        (Some(word), None) => Ok(word.parse().map_or((first, None), |job| (None, Some(job)))),
        (_, None) => Ok((None, None)),
        (_, Some(job)) => {
            let job = job.parse().map_err(|_| ClientError::JobNumber { word: job.to_owned() })?;
            Ok((first, Some(job)))
        }
    }
}

async fn last_job(subject: &Subject) -> Result<Job, ClientError> {
    let status: AppStatus = subject.api.get(&routes::app(&subject.app)).await?;
    status.job.ok_or_else(|| ClientError::NoJob { app: subject.app.clone() })
}
