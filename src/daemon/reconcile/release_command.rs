//! The release command: it runs once for each new deployment, in a container of its own, before the rollout.
//!
//! Once means: by the name of its container, which follows from the deployment, a repeated step finds
//! what an earlier one began, waits for it, or reads how it ended. So the container stays until the
//! store knows the result; what a crash leaves behind, the next deployment or the app's removal clears away.

use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::Timestamp;

use super::execute::{Executor, StepError, docker};
use super::{blueprint, failure};
use crate::daemon::store::{Prepared, Release};
use crate::docker::{ContainerId, ContainerPhase, LogQuery, OneOff};
use crate::error::chain;
use crate::names::{AppName, DeployId};
use crate::wire::{ContainerReport, JobId};

/// In front of every line that the command prints.
const MARK: &str = "release | ";
/// So many lines of its output are kept in the job, each up to so many characters.
const LINES: usize = 200;
const WIDTH: usize = 500;
/// Lines that arrive together are stored together.
const BATCH: usize = 50;
/// The last lines may come a little after the end; an engine that cannot give them is not waited for.
const LAST_LINES: Duration = Duration::from_secs(5);

/// How a release command failed.
#[derive(Debug)]
pub struct ReleaseFailure {
    /// In seconds, when it took longer than that.
    pub timeout: Option<u32>,
    pub report: ContainerReport,
}

impl std::fmt::Display for ReleaseFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.timeout, self.report.exit_code) {
            (Some(timeout), _) => write!(f, "the release command did not end within {timeout} s"),
            (None, _) if self.report.out_of_memory => write!(f, "the release command ran out of memory"),
            (None, Some(code)) => write!(f, "the release command ended with exit code {code}"),
            (None, None) => write!(f, "the container of the release command went away"),
        }
    }
}

impl ReleaseFailure {
    pub fn hint(&self) -> &'static str {
        match self.timeout {
            _ if self.report.out_of_memory => "set `resources.memory` in haloy.yaml higher; what served before serves on",
            Some(_) => {
                "set `deploy_timeout` in haloy.yaml when it needs longer, and see that the image's ENTRYPOINT runs it; what served before serves on"
            }
            None => "see the lines above; what served before serves on",
        }
    }
}

impl Executor {
    /// The container of this deployment's release command, if an earlier attempt made one. Those of
    /// other deployments are removed.
    pub async fn begun_release(&self, release: &Release) -> Result<Option<OneOff>, StepError> {
        let (ours, others): (Vec<_>, Vec<_>) =
            self.one_offs(&release.spec.name).await?.into_iter().partition(|o| o.deployment == release.id);
        for other in others {
            self.remove_one_off(&other.id).await?;
        }
        Ok(ours.into_iter().next())
    }

    /// Runs the command to its end, or goes on with one that `begun`; answers with its container, which
    /// may be removed once the result is stored.
    pub async fn run_release(
        &self,
        release: &Release,
        prepared: &Prepared,
        begun: Option<OneOff>,
        job: Option<JobId>,
    ) -> Result<Option<ContainerId>, StepError> {
        let Some(words) = release.spec.release_command.as_deref().filter(|_| !release.repeats) else { return Ok(None) };
        let id = match begun {
            Some(begun) => begun.id,
            None => self.create_release(release, prepared, words).await?,
        };
        self.note(job, format!("running the release command `{}`", words.join(" "))).await;
        if let Some(present) = self.look_at_release(&id).await?.filter(|present| present.phase == ContainerPhase::Created) {
            self.docker.start(&present.id).await.map_err(docker("start the release command"))?;
        }
        let stopped = self.await_release(release, &id, job).await?;
        self.judge_release(release, &id, stopped).await.map(|()| Some(id))
    }

    async fn create_release(&self, release: &Release, prepared: &Prepared, words: &[String]) -> Result<ContainerId, StepError> {
        let env = self.environment(release, None, &prepared.image_id).await?;
        let spec = blueprint::release_command(release, &prepared.image_id, words, env);
        self.docker.create(&spec).await.map_err(docker(format!("create the container `{}`", spec.name)))
    }

    /// Until it has ended; stops it when it takes longer than the deployment may, and says so.
    async fn await_release(&self, release: &Release, id: &ContainerId, job: Option<JobId>) -> Result<bool, StepError> {
        let Some(present) = self.look_at_release(id).await? else { return Ok(false) };
        let left = timeout(release).saturating_sub(running_for(&present));
        let output = self.tell_output(id, job);
        let waiting = async {
            let ended = tokio::time::timeout(left, self.docker.wait(id)).await;
            match ended {
                Ok(ended) => ended.map(|()| false).map_err(docker("wait for the release command")),
                Err(_) => self.docker.stop(id).await.map(|()| true).map_err(docker("stop the release command")),
            }
        };
        let mut output = std::pin::pin!(output);
        let mut waiting = std::pin::pin!(waiting);
        tokio::select! {
            ended = &mut waiting => {
                // Whatever the engine still has to say of it.
                let _ = tokio::time::timeout(LAST_LINES, &mut output).await;
                ended
            }
            () = &mut output => waiting.await,
        }
    }

    /// `stopped`: by us. When a daemon before this one did that, the engine's times tell.
    async fn judge_release(&self, release: &Release, id: &ContainerId, stopped: bool) -> Result<(), StepError> {
        let ended = self.look_at_release(id).await?;
        let late = stopped || ended.as_ref().is_some_and(|ended| running_for(ended) > timeout(release));
        let (exit_code, out_of_memory) = match ended.map(|ended| ended.phase) {
            Some(ContainerPhase::Exited { exit_code: 0, .. }) if !late => return Ok(()),
            Some(ContainerPhase::Exited { exit_code, out_of_memory }) => (Some(exit_code), out_of_memory),
            _ => (None, false),
        };
        let report = ContainerReport {
            name: blueprint::release_name(release),
            exit_code,
            out_of_memory,
            restarts: 0,
            listening_ports: Vec::new(),
            probe: None,
            log_tail: failure::log_tail(&self.docker, id).await,
        };
        let timeout = late.then_some(release.spec.deploy_timeout);
        Err(StepError::Release(Box::new(ReleaseFailure { timeout, report })))
    }

    /// The command's output as lines of the job, from the first that the job does not have.
    async fn tell_output(&self, id: &ContainerId, job: Option<JobId>) {
        let Some(job) = job else { return };
        let query = LogQuery { follow: true, ..LogQuery::default() };
        let told = self.store.count_notes(job, MARK).await.unwrap_or(LINES);
        let lines = self.docker.logs(id, query).filter_map(async |line| line.ok().map(|line| marked(&line.text)));
        let mut batches = std::pin::pin!(lines.skip(told).take(LINES.saturating_sub(told)).ready_chunks(BATCH));
        let mut last = told;
        while let Some(batch) = batches.next().await {
            last += batch.len();
            self.store_lines(job, batch).await;
        }
        if last >= LINES {
            self.note(Some(job), format!("what it says beyond {LINES} lines is not kept")).await;
        }
    }

    /// A missing line makes the job poorer, not wrong.
    async fn store_lines(&self, job: JobId, lines: Vec<String>) {
        if let Err(error) = self.store.notes(job, lines).await {
            tracing::warn!(job, error = chain(&error), "could not add lines to a job");
        }
    }

    async fn look_at_release(&self, id: &ContainerId) -> Result<Option<OneOff>, StepError> {
        self.docker.one_off(id).await.map_err(docker("look at the release command"))
    }

    async fn one_offs(&self, app: &AppName) -> Result<Vec<OneOff>, StepError> {
        self.docker.one_offs(app).await.map_err(docker("look for release commands"))
    }

    pub async fn remove_one_off(&self, id: &ContainerId) -> Result<(), StepError> {
        self.docker.remove(id).await.map_err(docker("remove the container of a release command"))
    }

    /// Removes what is left of an app's release commands: of one deployment, or of all.
    pub async fn remove_one_offs(&self, app: &AppName, of: Option<DeployId>) -> Result<(), StepError> {
        for one_off in self.one_offs(app).await?.into_iter().filter(|o| of.is_none_or(|of| o.deployment == of)) {
            self.remove_one_off(&one_off.id).await?;
        }
        Ok(())
    }
}

fn timeout(release: &Release) -> Duration {
    Duration::from_secs(release.spec.deploy_timeout.into())
}

/// From its start to its end, or until now. A clock that was set back makes it shorter, never negative.
fn running_for(one_off: &OneOff) -> Duration {
    let Some(began) = one_off.started_at else { return Duration::ZERO };
    let ended = match one_off.phase {
        ContainerPhase::Exited { .. } => one_off.finished_at,
        _ => None,
    };
    Duration::try_from(ended.unwrap_or_else(Timestamp::now).duration_since(began)).unwrap_or_default()
}

fn marked(line: &str) -> String {
    let text: String = line.chars().take(WIDTH).collect();
    format!("{MARK}{text}")
}
