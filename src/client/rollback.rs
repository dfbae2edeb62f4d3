//! `rollback`: an earlier version serves again, as a new deployment.

use std::process::ExitCode;

use crate::names::DeployId;
use crate::wire::{Accepted, Code, DeployRequest, Deployment, DeploymentDetails, EnvValue, JobKind, RollbackRequest, routes};

use super::change::{self, End, Following};
use super::duration::took;
use super::error::ClientError;
use super::interruption::Interruption;
use super::project::Project;
use super::renewal::Origin;
use super::subject::{self, Globals, Subject};
use super::targets::{Purpose, Selection};
use super::{Outcome, deploy, rollback_targets, several};

/// Go back to an earlier deployment
#[derive(clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{HELP}"))]
pub struct Rollback {
    /// Configuration file or its directory, or the app's name; may be left out
    #[arg(value_name = "CONFIG|APP")]
    app: Option<String>,
    /// Deployment to go back to; the one before the current when absent
    #[arg(value_name = "DEPLOYMENT")]
    deployment: Option<String>,
    /// Take the image of that deployment alone, everything else from today's configuration; hooks are not run
    #[arg(long)]
    current_config: bool,
    /// Go to this tag of the app's image, for apps with `history.strategy: registry`
    #[arg(long, value_name = "TAG", conflicts_with_all = ["current_config", "deployment"])]
    tag: Option<String>,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    pub following: Following,
}

const EXAMPLES: &str = "\
Examples:
  haloy rollback                               Back to the deployment before the current one
  haloy rollback 20261121093000                Back to this one
  haloy rollback my-app.yaml 20261121093000    The same for the app of another file
  haloy rollback -t staging                    Back with one of several targets
  haloy rollback --current-config              Its image, with the configuration of today
  haloy rollback --tag v1.4.1                  To a tag of the registry, where the history is there
  haloy rollback my-app                        List what an app can go back to";

const HELP: &str = "Secrets are looked up anew where the deployment took them from; what cannot be looked up keeps its value.";

impl Rollback {
    pub async fn run(self, globals: &Globals) -> Outcome {
        let (word, deployment) = split(self.app.as_deref(), self.deployment.as_deref())?;
        let json = self.following.json;
        if let (Some(word), None, None) = (word, deployment, &self.tag)
            && !subject::names_a_file(word)
            && !self.current_config
        {
            let subjects = Subject::find(globals, Some(word), &self.selection, Purpose::Look).await?;
            return several::in_order(&subjects, json, async |subject| rollback_targets::show(subject, json).await).await;
        }
        if self.current_config {
            return self.with_current_config(globals, word, deployment).await;
        }
        let (subjects, project) = Subject::find_with_project(globals, word, &self.selection, Purpose::Change).await?;
        let interruption = Interruption::default();
        let go_back = async |subject: &Subject| {
            let origin = Origin::of(subject, project.as_ref());
            self.go_back(subject, deployment, &origin, globals, &interruption).await
        };
        several::in_order(&subjects, json, go_back).await
    }

    /// The image of an earlier deployment and today's configuration: a deploy of its own.
    async fn with_current_config(&self, globals: &Globals, word: Option<&str>, deployment: Option<DeployId>) -> Outcome {
        let mut project = Project::read(globals, word, &self.selection, Purpose::Change)?;
        project.warn();
        project.fetch_secrets(globals).await?;
        let interruption = Interruption::default();
        let go_back = async |prepared: &super::deployment::Deployment<'_>| {
            let subject = &prepared.subject;
            let target = target(subject, deployment).await?;
            let request = DeployRequest { image_of: Some(target.id), ..prepared.request.clone() };
            let path = routes::app_verb(&subject.app, "deploy");
            let accepted = change::accepted(subject.api.post(&path, &request), &interruption).await?;
            self.follow(subject, JobKind::Deploy, &target.id.to_string(), &accepted, &interruption).await
        };
        several::in_order(&deploy::prepare(&project, globals)?, self.following.json, go_back).await
    }

    async fn go_back(
        &self,
        subject: &Subject,
        deployment: Option<DeployId>,
        origin: &Origin<'_>,
        globals: &Globals,
        interruption: &Interruption,
    ) -> Outcome {
        let (request, back) = match &self.tag {
            Some(tag) => {
                // The values are those of what serves.
                let deployments = rollback_targets::deployments(subject).await?;
                let current = deployments.iter().find(|deployment| deployment.current);
                let env = match current {
                    Some(current) => renewed(subject, current.id, origin, globals).await?,
                    None => Vec::new(),
                };
                (RollbackRequest { tag: Some(tag.clone()), env, deployment: None }, tag.clone())
            }
            None => {
                let target = target(subject, deployment).await?;
                if deployment.is_none() && !self.following.json {
                    subject.output.words(&format!("going back to {} ({})", target.id, target.image));
                }
                let env = renewed(subject, target.id, origin, globals).await?;
                (RollbackRequest { deployment: Some(target.id), env, tag: None }, target.id.to_string())
            }
        };
        let path = routes::app_verb(&subject.app, "rollback");
        let accepted = change::accepted(subject.api.post(&path, &request), interruption).await?;
        self.follow(subject, JobKind::Rollback, &back, &accepted, interruption).await
    }

    async fn follow(&self, subject: &Subject, kind: JobKind, back: &str, accepted: &Accepted, interruption: &Interruption) -> Outcome {
        match change::follow(subject, kind, accepted, &self.following, interruption).await? {
            End::Left(code) => Ok(code),
            End::Done(time) => {
                success(subject, back, accepted, time.map(took));
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
    if let Some(id) = wanted
        && deployments.iter().any(|deployment| deployment.id == id && !deployment.image_kept)
    {
        return Err(ClientError::NotKept { app: subject.app.clone(), id, targets: targets() });
    }
    let Some(id) = wanted else { return Err(ClientError::NothingBefore { app: subject.app.clone(), targets: targets() }) };
    deployments.retain(|deployment| deployment.id == id);
    deployments.pop().ok_or_else(|| ClientError::NoTarget { app: subject.app.clone(), id, targets: targets() })
}

/// The values of that deployment, looked up anew as far as that is possible here.
async fn renewed(subject: &Subject, id: DeployId, origin: &Origin<'_>, globals: &Globals) -> Result<Vec<EnvValue>, ClientError> {
    let details: DeploymentDetails = match subject.api.get(&routes::deployment(&subject.app, id)).await {
        Ok(details) => details,
        // A server from before there were snapshots to look at keeps what it has.
        Err(ClientError::Refused { problem, .. }) if problem.code == Code::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let renewed = origin.renew(&details.spec, globals).await?;
    if !renewed.kept.is_empty() {
        let names = renewed.kept.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let why = renewed.trouble.map(|trouble| format!(" ({trouble})")).unwrap_or_default();
        let warning = format!("warning: {names} cannot be looked up here and keep the values that deployment {id} had{why}");
        subject.output.words(&subject.output.terminal.yellow(&warning));
    }
    Ok(renewed.values)
}

fn success(subject: &Subject, back: &str, accepted: &Accepted, time: Option<String>) {
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
