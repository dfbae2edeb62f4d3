//! `deploy`: hooks, request, verdict, hooks.

use std::process::ExitCode;
use std::time::Instant;

use jiff::SignedDuration;

use crate::config::secrets::FetchedSecrets;
use crate::term;
use crate::wire::{Accepted, AppSpec, DeployRequest, JobKind, Tls, Version, routes};

use super::api::Api;
use super::change::{self, End, Following};
use super::duration::took;
use super::error::ClientError;
use super::subject::{Globals, Project, Subject};
use super::{Outcome, hooks, origin};

/// Deploy an app and wait until it serves
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Deploy {
    /// Configuration file or its directory
    #[arg(value_name = "CONFIG")]
    file: Option<String>,
    #[command(flatten)]
    pub following: Following,
}

const EXAMPLES: &str = "\
Examples:
  haloy deploy                      Deploy the app of ./haloy.yaml
  haloy deploy my-app.yaml          Deploy the app of another file
  haloy deploy --detach             Return at once, watch later with `haloy attach`

The exit code is the verdict: 0 when the new version serves, 1 when it does not (the old one then
serves on), 2 when the configuration is wrong, 130 after Ctrl-C (the deployment goes on).";

impl Deploy {
    pub async fn run(self, globals: &Globals) -> Outcome {
        let began = Instant::now();
        let project = Project::read(globals, self.file.as_deref())?;
        let request = request(&project)?;
        let subject = Subject::of(&project, globals, self.file.as_deref())?;
        if !project.target.pre_deploy.is_empty() {
            // A wrong token should not come out after minutes of building.
            let _: Version = subject.api.get(routes::VERSION).await?;
        }
        hooks::run("pre_deploy", &project.target.pre_deploy, project.folder(), globals.terminal)?;
        let accepted: Accepted = subject.api.post(&routes::app_verb(&subject.app, "deploy"), &request).await?;
        let end = change::follow(&subject, JobKind::Deploy, &accepted, &self.following, globals.terminal).await?;
        if let End::Left(code) = end {
            if !project.target.post_deploy.is_empty() {
                term::words("warning: `post_deploy` commands were not run, because nobody waited for the verdict");
            }
            return Ok(code);
        }
        success(&project.target.spec, &accepted, began, globals);
        urls(&project.target.spec, &subject.api).await.iter().for_each(|url| term::words(&format!("  {url}")));
        hooks::run("post_deploy", &project.target.post_deploy, project.folder(), globals.terminal)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn request(project: &Project) -> Result<DeployRequest, ClientError> {
    Ok(DeployRequest {
        spec: project.target.spec.clone(),
        env: project.target.resolve_env(&project.environment, &FetchedSecrets::default())?,
        performer: origin::performer(),
        git_commit: origin::git_commit(project.folder()),
    })
}

fn success(spec: &AppSpec, accepted: &Accepted, began: Instant, globals: &Globals) {
    let time = took(SignedDuration::try_from(began.elapsed()).unwrap_or_default());
    let id = accepted.deployment.map(|id| format!(" as {id}")).unwrap_or_default();
    term::words(&format!("{} `{}` is deployed{id} in {time}", globals.terminal.green("✓"), spec.name));
}

/// Where people find the app. A server that does not say its ports has the web's own.
async fn urls(spec: &AppSpec, api: &Api) -> Vec<String> {
    if spec.domains.is_empty() {
        return Vec::new();
    }
    let version = api.glance::<Version>(routes::VERSION).await.ok();
    let (scheme, standard, port) = match spec.tls {
        Tls::Auto => ("https", 443, version.and_then(|version| version.https_port)),
        Tls::Off => ("http", 80, version.and_then(|version| version.http_port)),
    };
    let port = port.filter(|port| *port != standard).map(|port| format!(":{port}")).unwrap_or_default();
    spec.domains.iter().map(|domain| format!("{scheme}://{}{port}", domain.domain)).collect()
}
