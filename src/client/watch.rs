//! Watching a job until its verdict, through broken connections.
//!
//! Watching changes nothing: the job goes on when nobody looks. A connection that breaks is made anew
//! behind the last event that was seen.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

use crate::error::chain;
use crate::wire::{Event, EventKind, Failure, Job, JobId, Phase, routes};

use super::api::Api;
use super::error::ClientError;
use super::progress::Progress;

const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// Without any word from the server for so long, watching ends.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// A job's verdict.
pub struct Verdict {
    /// Why it failed; `None` when it is done.
    pub failure: Option<Failure>,
    /// How long it took on the server.
    pub took: Option<SignedDuration>,
}

pub enum Watched {
    Ended(Verdict),
    /// The user does not want to watch any longer (Ctrl-C).
    Left,
}

/// Shows a job's events until its verdict. `attach` is the command that watches it again.
pub async fn watch(api: &Api, job: JobId, progress: &mut Progress, attach: &str) -> Result<Watched, ClientError> {
    let mut watcher = Watcher { api, job, progress, last: None, failure: None };
    tokio::select! {
        verdict = watcher.until_the_end(attach) => verdict.map(Watched::Ended),
        interrupt = tokio::signal::ctrl_c() => interrupt.map(|()| Watched::Left).map_err(ClientError::Runtime),
    }
}

struct Watcher<'a> {
    api: &'a Api,
    job: JobId,
    progress: &'a mut Progress,
    /// Number of the last event that was seen.
    last: Option<u64>,
    failure: Option<Failure>,
}

impl Watcher<'_> {
    async fn until_the_end(&mut self, attach: &str) -> Result<Verdict, ClientError> {
        let mut delay = FIRST_DELAY;
        let mut heard = Instant::now();
        loop {
            let seen = self.last;
            let error = match self.one_connection().await {
                Ok(Some(verdict)) => return Ok(verdict),
                Ok(None) => None,
                Err(error) if error.is_passing() => Some(error),
                Err(error) => return Err(error),
            };
            if self.last != seen || error.is_none() {
                (delay, heard) = (FIRST_DELAY, Instant::now());
            }
            if let Some(error) = error {
                if heard.elapsed() > PATIENCE {
                    return Err(self.give_up(error, attach));
                }
                self.progress.trouble(&format!("{}; trying again in {}", chain(&error), in_words(delay)));
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(LONGEST_DELAY);
        }
    }

    /// Follows one stream. `None` when it ended and the job did not.
    async fn one_connection(&mut self) -> Result<Option<Verdict>, ClientError> {
        let mut stream = self.api.events(&routes::job_events(self.job), self.last).await?;
        while let Some(event) = stream.next().await? {
            let event: Event = serde_json::from_str(&event.data).map_err(|error| ClientError::Answer {
                server: self.api.server(),
                request: format!("GET {}", routes::job_events(self.job)),
                source: error.into(),
            })?;
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

    fn give_up(&self, error: ClientError, attach: &str) -> ClientError {
        ClientError::GaveUp {
            server: self.api.server(),
            job: self.job,
            minutes: PATIENCE.as_secs() / 60,
            attach: attach.to_owned(),
            source: Box::new(error),
        }
    }
}

fn failure_of(phase: Phase, failure: Option<Failure>) -> Option<Failure> {
    let unknown = || Failure { reason: "the server gave no reason".to_owned(), hint: None, container: None };
    (phase == Phase::Failed).then(|| failure.unwrap_or_else(unknown))
}

fn in_words(delay: Duration) -> String {
    if delay < Duration::from_secs(1) { format!("{} ms", delay.as_millis()) } else { format!("{} s", delay.as_secs()) }
}
