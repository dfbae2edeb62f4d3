//! Watching a job until its verdict, through broken connections.
//!
//! Watching changes nothing: the job goes on when nobody looks. A connection that breaks is made anew
//! behind the last event that was seen.

use jiff::SignedDuration;

use crate::error::chain;
use crate::wire::{Event, EventKind, Failure, Job, JobId, Phase, routes};

use super::api::Api;
use super::error::ClientError;
use super::interruption::Interruption;
use super::patience::{Patience, in_words};
use super::progress::Progress;

/// A job's verdict.
pub struct Verdict {
    /// Why it failed; `None` when it is done.
    pub failure: Option<Failure>,
    /// How long it took on the server.
    pub took: Option<SignedDuration>,
}

/// Shows a job's events until its verdict; `None` when the user does not want to watch any longer
/// (Ctrl-C). `attach` is the command that watches it again.
pub async fn watch(
    api: &Api,
    job: JobId,
    progress: &mut Progress<'_>,
    attach: &str,
    interruption: &Interruption,
) -> Result<Option<Verdict>, ClientError> {
    let mut watcher = Watcher { api, job, progress, attach, last: None, failure: None };
    tokio::select! {
        verdict = watcher.until_the_end() => verdict.map(Some),
        () = interruption.happens() => Ok(None),
    }
}

/// The job as the server describes it at its end. The verdict is known by now: a server that is away
/// for a moment does not change it.
pub async fn finished(api: &Api, job: JobId, progress: &mut Progress<'_>, attach: &str) -> Result<Job, ClientError> {
    let mut patience = Patience::new();
    let watcher = Watcher { api, job, progress, attach, last: None, failure: None };
    loop {
        match api.get(&routes::job(job)).await {
            Err(error) if error.is_passing() => watcher.wait(error, &mut patience).await?,
            answer => return answer,
        }
    }
}

struct Watcher<'a, 'o> {
    api: &'a Api,
    job: JobId,
    progress: &'a mut Progress<'o>,
    attach: &'a str,
    /// Number of the last event that was seen.
    last: Option<u64>,
    failure: Option<Failure>,
}

impl Watcher<'_, '_> {
    async fn until_the_end(&mut self) -> Result<Verdict, ClientError> {
        let mut patience = Patience::new();
        loop {
            let seen = self.last;
            let outcome = self.one_connection().await;
            if self.last != seen {
                patience.heard();
            }
            match outcome {
                Ok(Some(verdict)) => return Ok(verdict),
                // The daemon restarts, or a proxy between cut the stream off; the server itself answers.
                Ok(None) => {
                    patience.heard();
                    tokio::time::sleep(patience.next().unwrap_or_default()).await;
                }
                Err(error) if error.is_passing() => self.wait(error, &mut patience).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Follows one stream. `None` when it ended and the job did not.
    async fn one_connection(&mut self) -> Result<Option<Verdict>, ClientError> {
        let path = routes::job_events(self.job);
        let mut stream = self.api.events(&path, self.last).await?;
        while let Some(event) = stream.next_of::<Event>().await? {
            if let Some(verdict) = self.take(event) {
                return Ok(Some(verdict));
            }
        }
        let job: Job = self.api.get(&routes::job(self.job)).await?;
        Ok(job.phase.is_final().then(|| Verdict {
            failure: failure_of(job.phase, job.failure),
            took: job.finished_at.map(|finished| finished.duration_since(job.created_at)),
        }))
    }

    fn take(&mut self, event: Event) -> Option<Verdict> {
        if self.last.is_some_and(|last| event.seq <= last) {
            return None;
        }
        self.last = Some(event.seq);
        self.progress.event(&event);
        match event.kind {
            EventKind::Phase { phase } if phase.is_final() => {
                Some(Verdict { failure: failure_of(phase, self.failure.take()), took: self.progress.elapsed() })
            }
            EventKind::Failure(failure) => {
                self.failure = Some(failure);
                None
            }
            EventKind::Phase { .. } | EventKind::Note { .. } => None,
        }
    }

    /// Tells the user and waits for the next attempt, or gives up.
    async fn wait(&self, error: ClientError, patience: &mut Patience) -> Result<(), ClientError> {
        let Some(delay) = patience.next() else {
            return Err(ClientError::GaveUp {
                server: self.api.server(),
                job: self.job,
                minutes: Patience::minutes(),
                attach: self.attach.to_owned(),
                source: Box::new(error),
            });
        };
        self.progress.trouble(&format!("{}; trying again in {}", chain(&error), in_words(delay)));
        tokio::time::sleep(delay).await;
        Ok(())
    }
}

fn failure_of(phase: Phase, failure: Option<Failure>) -> Option<Failure> {
    let unknown = || Failure { reason: "the server gave no reason".to_owned(), hint: None, container: None };
    (phase == Phase::Failed).then(|| failure.unwrap_or_else(unknown))
}
