//! A change of an app from its acceptance to its verdict: what `deploy`, `rollback`, `stop`, `start`
//! and `restart` have in common.

use std::process::ExitCode;

use jiff::SignedDuration;

use crate::wire::{Accepted, JobId, JobKind};

use super::error::{ClientError, Effect};
use super::failure;
use super::interruption::Interruption;
use super::progress::Progress;
use super::subject::Subject;
use super::watch::{self, Verdict};

/// Exit code of a process that SIGINT ended, as shells count.
pub const INTERRUPTED: u8 = 130;

/// How much of a change the user wants to see.
#[derive(clap::Args)]
pub struct Following {
    /// Wait for the verdict without showing progress
    #[arg(long)]
    pub no_logs: bool,
    /// Do not wait: return as soon as the server has accepted the job
    #[arg(long, conflicts_with = "no_logs")]
    pub detach: bool,
    /// Print one JSON value: the finished job, or the accepted one with --detach and after Ctrl-C; a list for several targets
    #[arg(long)]
    pub json: bool,
}

/// How a change came to its end, as far as this process saw.
pub enum End {
    /// It is done; how long that took on the server.
    Done(Option<SignedDuration>),
    /// Nobody waited for it; the process's exit code.
    Left(ExitCode),
}

/// Waits for the answer to a change, unless the user leaves before it is there.
pub async fn accepted(
    answer: impl Future<Output = Result<Accepted, ClientError>>,
    interruption: &Interruption,
) -> Result<Accepted, ClientError> {
    let during = || "the request".to_owned();
    if interruption.happened() {
        return Err(ClientError::Interrupted { during: during(), effect: Effect::None });
    }
    tokio::select! {
        answer = answer => answer,
        () = interruption.happens() => Err(ClientError::Interrupted { during: during(), effect: Effect::Unknown }),
    }
}

/// Waits for an accepted change as `following` says. A failed job is an error with the whole report.
pub async fn follow(
    subject: &Subject,
    kind: JobKind,
    accepted: &Accepted,
    following: &Following,
    interruption: &Interruption,
) -> Result<End, ClientError> {
    let output = &subject.output;
    let attach = subject.command("attach", &accepted.job.to_string());
    if following.detach {
        if following.json {
            output.json(accepted);
        } else {
            output.words(&format!("{} of `{}` is accepted as job {}", noun(kind), subject.app, accepted.job));
            output.words(&format!("\nhint: watch it with `{attach}`"));
        }
        return Ok(End::Left(ExitCode::SUCCESS));
    }
    let quiet = following.no_logs || following.json;
    if accepted.queued_behind > 0 && !quiet {
        output.words(&format!("job {} waits for {} of `{}`", accepted.job, earlier_jobs(accepted.queued_behind), subject.app));
    }
    let job = Followed { id: accepted.job, kind, attach };
    let end = job.watch(subject, quiet, following.json, interruption).await?;
    if matches!(end, End::Left(_)) && following.json {
        output.json(accepted);
    }
    Ok(end)
}

/// A job that is being watched.
pub struct Followed {
    pub id: JobId,
    pub kind: JobKind,
    /// The command that watches it again.
    pub attach: String,
}

impl Followed {
    /// Shows the job's progress until its verdict.
    pub async fn watch(self, subject: &Subject, quiet: bool, json: bool, interruption: &Interruption) -> Result<End, ClientError> {
        let mut progress = Progress::start(&subject.output, quiet);
        let verdict = watch::watch(&subject.api, self.id, &mut progress, &self.attach, interruption).await?;
        let Some(verdict) = verdict else {
            drop(progress);
            subject.output.words(&format!("\ndetached, job {} goes on\n\nhint: watch it again with `{}`", self.id, self.attach));
            return Ok(End::Left(ExitCode::from(INTERRUPTED)));
        };
        if json {
            subject.output.json(&watch::finished(&subject.api, self.id, &mut progress, &self.attach).await?);
        }
        drop(progress);
        self.judge(subject, verdict)
    }

    fn judge(&self, subject: &Subject, verdict: Verdict) -> Result<End, ClientError> {
        let Some(failure) = verdict.failure else { return Ok(End::Done(verdict.took)) };
        let what = format!("{} of `{}` (job {})", noun(self.kind), subject.app, self.id);
        Err(ClientError::Job { report: failure::report(&what, &failure, &subject.command("logs", "")) })
    }
}

/// The change as a noun at the beginning of a sentence.
pub fn noun(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Deploy => "deployment",
        JobKind::Rollback => "rollback",
        JobKind::Restart => "restart",
        JobKind::Stop => "stop",
        JobKind::Start => "start",
    }
}

/// What the app is when the change is done: `it is …`.
pub fn participle(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Deploy => "deployed",
        JobKind::Rollback => "rolled back",
        JobKind::Restart => "restarted",
        JobKind::Stop => "stopped",
        JobKind::Start => "started",
    }
}

fn earlier_jobs(count: u32) -> String {
    if count == 1 { "1 earlier job".to_owned() } else { format!("{count} earlier jobs") }
}
