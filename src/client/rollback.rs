//! `rollback`: an earlier version serves again, as a new deployment.

use std::process::ExitCode;

use crate::names::DeployId;
use crate::wire::{Accepted, Deployment, JobKind, RollbackRequest, routes};

use super::change::{self, End, Following};
use super::duration::took;
use super::error::ClientError;
use super::interruption::Interruption;
use super::subject::{self, Globals, Subject};
use super::targets::{Purpose, Selection};
use super::{Outcome, rollback_targets, several};

/// Go back to an earlier deployment
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  haloy rollback                               Back to the deployment before the current one
  haloy rollback 20261121093000                Back to this one
  haloy rollback my-app.yaml 20261121093000    The same for the app of another file
  haloy rollback -t staging                    Back with one of several targets
  haloy rollback my-app                        List what an app can go back to")]
pub struct Rollback {
    /// Configuration file or its directory, or the app's name; may be left out
    #[arg(value_name = "CONFIG|APP")]
    app: Option<String>,
    /// Deployment to go back to; the one before the current when absent
    #[arg(value_name = "DEPLOYMENT")]
    deployment: Option<String>,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    pub following: Following,
}

impl Rollback {
    pub async fn run(self, globals: &Globals) -> Outcome {
        let (word, deployment) = split(self.app.as_deref(), self.deployment.as_deref())?;
        let json = self.following.json;
        if let (Some(word), None) = (word, deployment)
            && !subject::names_a_file(word)
        {
            let subjects = Subject::find(globals, Some(word), &self.selection, Purpose::Look).await?;
            return several::in_order(&subjects, json, async |subject| rollback_targets::show(subject, json).await).await;
        }
        let subjects = Subject::find(globals, word, &self.selection, Purpose::Change).await?;
        let interruption = Interruption::default();
        several::in_order(&subjects, json, async |subject| self.go_back(subject, deployment, &interruption).await).await
    }

    async fn go_back(&self, subject: &Subject, deployment: Option<DeployId>, interruption: &Interruption) -> Outcome {
        let target = target(subject, deployment).await?;
        if deployment.is_none() && !self.following.json {
            subject.output.words(&format!("going back to {} ({})", target.id, target.image));
        }
        let request = RollbackRequest { deployment: Some(target.id), ..RollbackRequest::default() };
        let path = routes::app_verb(&subject.app, "rollback");
        let accepted = change::accepted(subject.api.post(&path, &request), interruption).await?;
        match change::follow(subject, JobKind::Rollback, &accepted, &self.following, interruption).await? {
            End::Left(code) => Ok(code),
            End::Done(time) => {
                success(subject, target.id, &accepted, time.map(took));
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// The deployment to go back to, looked up before anything changes.
async fn target(subject: &Subject, wanted: Option<DeployId>) -> Result<Deployment, ClientError> {
    let mut deployments = rollback_targets::deployments(subject).await?;
    let wanted = match wanted {
        Some(id) if deployments.iter().any(|deployment| deployment.id == id && deployment.current) => {
            return Err(ClientError::ServesAlready { id, restart: subject.command("restart", "") });
        }
        Some(id) => Some(id),
        None => rollback_targets::before(&deployments).map(|deployment| deployment.id),
    };
    let targets = || subject.command("rollback-targets", "");
    let Some(id) = wanted else { return Err(ClientError::NothingBefore { app: subject.app.clone(), targets: targets() }) };
    deployments.retain(|deployment| deployment.id == id);
    deployments.pop().ok_or_else(|| ClientError::NoTarget { app: subject.app.clone(), id, targets: targets() })
}

fn success(subject: &Subject, back: DeployId, accepted: &Accepted, time: Option<String>) {
    let id = accepted.deployment.map(|id| format!(" as {id}")).unwrap_or_default();
    let time = time.map(|time| format!(" in {time}")).unwrap_or_default();
    let output = &subject.output;
    output.words(&format!("{} `{}` is rolled back to {back}{id}{time}", output.terminal.green("✓"), subject.app));
}

/// A single word is the deployment when it looks like one.
fn split<'a>(first: Option<&'a str>, second: Option<&str>) -> Result<(Option<&'a str>, Option<DeployId>), ClientError> {
    match (first, second) {
        (Some(word), None) => Ok(word.parse().map_or((first, None), |id| (None, Some(id)))),
        (_, None) => Ok((None, None)),
        (_, Some(id)) => {
            let id = id.parse()?;
            Ok((first, Some(id)))
        }
    }
}
