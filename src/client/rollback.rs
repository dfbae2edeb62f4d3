//! `rollback`: an earlier version serves again, as a new deployment.

use std::process::ExitCode;

use crate::names::DeployId;
use crate::term;
use crate::wire::{Accepted, Deployment, JobKind, RollbackRequest, routes};

use super::change::{self, End, Following};
use super::duration::took;
use super::error::ClientError;
use super::subject::{self, Globals, Subject};
use super::{Outcome, rollback_targets};

/// Go back to an earlier deployment
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  haloy rollback                               Back to the deployment before the current one
  haloy rollback 20261121093000                Back to this one
  haloy rollback my-app.yaml 20261121093000    The same for the app of another file
  haloy rollback my-app                        List what an app can go back to")]
pub struct Rollback {
    /// Configuration file or its directory, or the app's name; may be left out
    #[arg(value_name = "CONFIG|APP")]
    app: Option<String>,
    /// Deployment to go back to; the one before the current when absent
    #[arg(value_name = "DEPLOYMENT")]
    deployment: Option<String>,
    #[command(flatten)]
    pub following: Following,
}

impl Rollback {
    pub async fn run(self, globals: &Globals) -> Outcome {
        let (word, deployment) = split(self.app.as_deref(), self.deployment.as_deref())?;
        let subject = Subject::find(globals, word)?;
        if let (Some(word), None) = (word, deployment)
            && !subject::names_a_file(word)
        {
            return rollback_targets::show(&subject, self.following.json, globals).await;
        }
        let target = target(&subject, deployment).await?;
        if deployment.is_none() && !self.following.json {
            term::words(&format!("going back to {} ({})", target.id, target.image));
        }
        let request = RollbackRequest { deployment: Some(target.id) };
        let accepted = subject.api.post(&routes::app_verb(&subject.app, "rollback"), &request).await?;
        match change::follow(&subject, JobKind::Rollback, &accepted, &self.following, globals.terminal).await? {
            End::Left(code) => Ok(code),
            End::Done(time) => {
                success(&subject, target.id, &accepted, time.map(took), globals);
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

fn success(subject: &Subject, back: DeployId, accepted: &Accepted, time: Option<String>, globals: &Globals) {
    let id = accepted.deployment.map(|id| format!(" as {id}")).unwrap_or_default();
    let time = time.map(|time| format!(" in {time}")).unwrap_or_default();
    term::words(&format!("{} `{}` is rolled back to {back}{id}{time}", globals.terminal.green("✓"), subject.app));
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
