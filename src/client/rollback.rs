//! `rollback`: an earlier version serves again, as a new deployment.

use std::process::ExitCode;

use crate::names::DeployId;
use crate::term;
use crate::wire::{Accepted, AppStatus, Code, JobKind, RollbackRequest, routes};

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
    following: Following,
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
        let accepted = ask(&subject, deployment).await?;
        match change::follow(&subject, JobKind::Rollback, &accepted, &self.following, globals.terminal).await? {
            End::Left(code) => Ok(code),
            End::Done(time) => {
                success(&subject, deployment, &accepted, time.map(took), globals);
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// A refusal about an app that the server does not know is that there is no such app: whoever misspelt
/// its name should not go looking for its deployments.
async fn ask(subject: &Subject, deployment: Option<DeployId>) -> Result<Accepted, ClientError> {
    let path = routes::app_verb(&subject.app, "rollback");
    let refused = match subject.api.post(&path, &RollbackRequest { deployment }).await {
        Err(error @ ClientError::Refused { .. }) => error,
        answer => return answer,
    };
    match subject.api.get::<AppStatus>(&routes::app(&subject.app)).await {
        Err(ClientError::Refused { problem, detail }) if problem.code == Code::NotFound => Err(ClientError::Refused { problem, detail }),
        _ => Err(refused),
    }
}

fn success(subject: &Subject, deployment: Option<DeployId>, accepted: &Accepted, time: Option<String>, globals: &Globals) {
    let back = deployment.map(|id| format!(" to {id}")).unwrap_or_default();
    let id = accepted.deployment.map(|id| format!(" as {id}")).unwrap_or_default();
    let time = time.map(|time| format!(" in {time}")).unwrap_or_default();
    term::words(&format!("{} `{}` is rolled back{back}{id}{time}", globals.terminal.green("✓"), subject.app));
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
