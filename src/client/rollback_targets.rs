//! `rollback-targets`: the deployments that an app can go back to.

use std::process::ExitCode;

use jiff::Timestamp;

use crate::error::chain;
use crate::names::DeployId;
use crate::term;
use crate::wire::{Code, Deployment, DeploymentState, TagCandidate, routes};

use super::Outcome;
use super::duration::ago;
use super::error::ClientError;
use super::several;
use super::subject::{Globals, Subject};
use super::targets::{Purpose, Selection};

/// List the deployments that an app can go back to
#[derive(clap::Args)]
pub struct RollbackTargets {
    /// Configuration file or its directory, or the app's name
    #[arg(value_name = "CONFIG|APP")]
    app: Option<String>,
    #[command(flatten)]
    selection: Selection,
    /// Print one JSON value, a list of deployments; for several targets a list of them with their deployments
    #[arg(long)]
    pub json: bool,
}

impl RollbackTargets {
    pub async fn run(self, globals: &Globals) -> Outcome {
        let subjects = Subject::find(globals, self.app.as_deref(), &self.selection, Purpose::Look).await?;
        several::in_order(&subjects, self.json, async |subject| show(subject, self.json).await).await
    }
}

/// The complete deployments, newest first.
pub async fn deployments(subject: &Subject) -> Result<Vec<Deployment>, ClientError> {
    let mut deployments: Vec<Deployment> = subject.api.get(&routes::app_verb(&subject.app, "deployments")).await?;
    deployments.retain(|deployment| deployment.state == DeploymentState::Complete);
    deployments.sort_by_key(|deployment| std::cmp::Reverse(deployment.id));
    Ok(deployments)
}

/// Where a rollback goes that names no deployment, of `deployments` newest first: the newest that
/// repeats nothing, whose image is kept and that is older than what serves, or than the deployment which that repeats. The
/// server's own choice follows the same rule.
pub fn before(deployments: &[Deployment]) -> Option<&Deployment> {
    let current = deployments.iter().find(|deployment| deployment.current)?;
    let from = current.repeats.unwrap_or(current.id);
    deployments.iter().find(|deployment| deployment.id < from && deployment.repeats.is_none() && deployment.image_kept)
}

/// Prints the complete deployments, newest first.
pub async fn show(subject: &Subject, json: bool) -> Outcome {
    let output = &subject.output;
    let deployments = deployments(subject).await?;
    if json && output.is_alone() {
        output.json(&deployments);
        return Ok(ExitCode::SUCCESS);
    }
    if json {
        output.json(&serde_json::json!({ "app": subject.app, "deployments": deployments }));
        return Ok(ExitCode::SUCCESS);
    }
    output.heading(&subject.api.server());
    let earlier = before(&deployments).map(|deployment| deployment.id);
    let now = Timestamp::now();
    let kept = deployments.iter().filter(|deployment| deployment.image_kept || deployment.current);
    let rows: Vec<_> = kept.map(|deployment| row(deployment, earlier, now)).collect();
    let gone = deployments.len() - rows.len();
    term::data(&term::table(&["deployment", "image", "digest", "when", "by", "commit", ""], rows));
    if gone > 0 {
        output.words(&format!("{gone} older without their images (`history.count` says how many are kept)"));
    }
    if let Some(tags) = tags(subject).await {
        term::data(&format!("\n{}", term::table(&["tag", "deployment", ""], tags.iter().map(tag_row).collect())));
        output.words(&output.terminal.dim(&format!("\nhint: go to a tag with `{}`", subject.command("rollback", "--tag TAG"))));
    }
    match earlier {
        Some(id) => output.words(&output.terminal.dim(&format!("\nhint: go back with `{}`", subject.command("rollback", &id.to_string())))),
        None => output.words(&format!("`{}` has no earlier deployment to go back to", subject.app)),
    }
    Ok(ExitCode::SUCCESS)
}

/// The tags of the app's registry, for apps whose history is there; a server that knows none has none. When the registry
/// does not answer, what is kept on the server is still there to go back to.
async fn tags(subject: &Subject) -> Option<Vec<TagCandidate>> {
    match subject.api.get(&routes::app_verb(&subject.app, "tags")).await {
        Ok(tags) => Some(tags),
        Err(ClientError::Refused { problem, .. }) if matches!(problem.code, Code::Conflict | Code::NotFound) => None,
        Err(error) => {
            let warning = format!("warning: the tags of its registry are not known: {}", chain(&error));
            subject.output.words(&subject.output.terminal.yellow(&warning));
            None
        }
    }
}

fn tag_row(candidate: &TagCandidate) -> Vec<String> {
    let remark = if candidate.current { "current" } else { "" };
    vec![candidate.tag.clone(), candidate.deployment.map(|id| id.to_string()).unwrap_or_default(), remark.to_owned()]
}

/// The first twelve digits, as Docker shows ids.
fn short(id: &str) -> String {
    id.trim_start_matches("sha256:").chars().take(12).collect()
}

fn row(deployment: &Deployment, default: Option<DeployId>, now: Timestamp) -> Vec<String> {
    let commit: String = deployment.git_commit.iter().flat_map(|commit| commit.chars().take(10)).collect();
    let remark = match (deployment.current, deployment.repeats) {
        (true, _) => "current".to_owned(),
        _ if default == Some(deployment.id) => "default".to_owned(),
        (false, Some(id)) => format!("same as {id}"),
        (false, None) => String::new(),
    };
    vec![
        deployment.id.to_string(),
        deployment.image.to_string(),
        deployment.image_id.as_deref().map(short).unwrap_or_default(),
        ago(deployment.created_at, now),
        deployment.performer.clone().unwrap_or_default(),
        commit,
        remark,
    ]
}
