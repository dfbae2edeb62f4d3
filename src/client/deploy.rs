//! `deploy`: everything is looked up, then hooks, requests, verdicts, hooks.

use futures_util::future::join_all;

use crate::config::Target;
use crate::error::render;
use crate::term;
use crate::wire::{DeployRequest, EnvValue, Pin, RegistryLogin, Version, routes};

use super::api::Api;
use super::change::Following;
use super::deployment::{Deployment, Ending, Fate};
use super::error::{ClientError, Effect};
use super::hooks::{self, About, Hooks};
use super::image::{self, Provided, Provider, Wanted};
use super::interruption::Interruption;
use super::output::Output;
use super::project::{Chosen, Project};
use super::subject::{Globals, Subject};
use super::targets::{Purpose, Selection};
use super::{Outcome, fleet, origin, several};

/// Deploy apps and wait until they serve
#[derive(clap::Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", hooks::HELP))]
pub struct Deploy {
    /// Configuration file or its directory
    #[arg(value_name = "CONFIG")]
    file: Option<String>,
    #[command(flatten)]
    selection: Selection,
    /// Run none of the configuration's commands before and after
    #[arg(long)]
    skip_hooks: bool,
    #[command(flatten)]
    pub following: Following,
}

const EXAMPLES: &str = "\
Examples:
  haloy deploy                      Deploy the app of ./haloy.yaml
  haloy deploy my-app.yaml          Deploy the app of another file
  haloy deploy -t staging,eu        Deploy these targets of the file, on different servers at once
  haloy deploy --all                Deploy all its targets, except protected ones
  haloy deploy --detach             Return at once, watch later with `haloy attach`

The exit code is the verdict: 0 when the new version serves, 1 when it does not (the old one then
serves on) or a command after it failed (then the new version serves), 2 when the configuration is
wrong, 130 after Ctrl-C (the deployment goes on).";

impl Deploy {
    pub async fn run(self, globals: &Globals) -> Outcome {
        let mut project = Project::read(globals, self.file.as_deref(), &self.selection, Purpose::Change)?;
        project.warn();
        if !self.skip_hooks {
            read_for_hooks(&project)?;
        }
        project.fetch_secrets(globals).await?;
        let mut deployments = prepare(&project, globals)?;
        let interruption = Interruption::default();
        let common = &deployments[0].request;
        let hooks = Hooks {
            folder: project.folder(),
            config: std::path::absolute(&project.path).unwrap_or_else(|_| project.path.clone()),
            performer: common.performer.clone(),
            git_commit: common.git_commit.clone(),
            interruption: &interruption,
            skipped: self.skip_hooks,
        };
        image::check(project.folder(), deployments.iter().map(|deployment| deployment.target))?;
        let builds = deployments.iter().any(|deployment| deployment.target.image.build.is_some());
        if deployments.len() > 1 || builds || (has_hooks_before(&project) && !self.skip_hooks) {
            tokio::select! {
                checked = check_servers(&deployments) => checked?,
                () = interruption.happens() => return Err(interrupted()),
            }
        }
        let names = deployments.iter().map(|deployment| deployment.label().to_owned()).collect::<Vec<_>>().join(",");
        let about = About { environment: &project.environment, variables: vec![("HALOY_TARGETS", names.as_str())] };
        let output = Output::alone(globals.terminal);
        hooks.run("global_pre_deploy", &project.global_pre_deploy, &about, &output).await?;
        self.provide_images(&project, &mut deployments, &interruption, &output).await?;
        let fates = fleet::run(&deployments, &hooks, &self.following).await;
        let end = self.sum_up(&deployments, fates)?;
        if end == fleet::End::Served {
            hooks.run("global_post_deploy", &project.global_post_deploy, &about, &output).await?;
        } else if !project.global_post_deploy.is_empty() && !self.skip_hooks {
            let why = if end == fleet::End::Failed { "not all targets were deployed" } else { "nobody waited for the verdict" };
            term::words(&format!("warning: `global_post_deploy` commands were not run, because {why}"));
        }
        Ok(end.exit_code())
    }

    /// Builds what is built and brings it to where it is pulled from; from then on the contents are settled.
    async fn provide_images(
        &self,
        project: &Project,
        deployments: &mut [Deployment<'_>],
        interruption: &Interruption,
        output: &Output,
    ) -> Result<(), ClientError> {
        let wanted = deployments.iter().map(|deployment| Wanted {
            target: deployment.target,
            environment: deployment.environment,
            api: Some(&deployment.subject.api),
            login: deployment.request.login.as_ref(),
        });
        let provider = Provider {
            folder: project.folder(),
            secrets: &project.secrets,
            output,
            quiet: self.following.no_logs || self.following.json,
            stay_here: false,
            interruption,
        };
        let Provided { pins, .. } = image::provide(&provider, &wanted.collect::<Vec<_>>()).await?;
        for (deployment, pin) in deployments.iter_mut().zip(pins) {
            if matches!(pin, Some(Pin::Uploaded(_) | Pin::Built(_))) {
                // Nothing is pulled with it.
                deployment.request.login = None;
            }
            deployment.request.spec.pin = pin;
        }
        Ok(())
    }

    /// The failure of one that is deployed alone is the command's own.
    fn sum_up(&self, deployments: &[Deployment<'_>], mut fates: Vec<Fate>) -> Result<fleet::End, ClientError> {
        let end = fleet::end(&fates);
        if deployments.len() > 1 {
            fleet::sum_up(deployments, &fates);
            if self.following.json {
                several::print(deployments.iter().map(|deployment| &deployment.subject.output));
            }
        } else if let Some(Fate { ending: Ending::Failed(error), .. }) = fates.pop() {
            return Err(error);
        }
        Ok(end)
    }
}

fn interrupted() -> ClientError {
    ClientError::Interrupted { during: "the check of the servers".to_owned(), effect: Effect::None }
}

/// Looks up all that the deploys need; everything that is missing is told at once.
pub fn prepare<'a>(project: &'a Project, globals: &Globals) -> Result<Vec<Deployment<'a>>, ClientError> {
    let (performer, git_commit) = (origin::performer(), origin::git_commit(project.folder()));
    let mut deployments = Vec::new();
    let mut mistakes: Option<ClientError> = None;
    for chosen in &project.targets {
        let looked_up = both(env(project, chosen), login(project, chosen));
        let request = looked_up.map(|(env, login)| DeployRequest {
            spec: chosen.target.spec.clone(),
            env,
            performer: performer.clone(),
            git_commit: git_commit.clone(),
            login,
            image_of: None,
        });
        match (request, Subject::of(project, chosen, globals)) {
            (Ok(request), Ok(subject)) => {
                let Chosen { target, environment } = chosen;
                deployments.push(Deployment { target, environment, subject, request });
            }
            (request, subject) => {
                let errors = request.err().into_iter().chain(subject.err());
                mistakes = errors.fold(mistakes, |all, error| Some(error.after(all)));
            }
        }
    }
    mistakes.map_or(Ok(deployments), Err)
}

fn env(project: &Project, chosen: &Chosen) -> Result<Vec<EnvValue>, ClientError> {
    Ok(chosen.target.resolve_env(&chosen.environment, &project.secrets)?)
}

fn login(project: &Project, chosen: &Chosen) -> Result<Option<RegistryLogin>, ClientError> {
    Ok(chosen.target.resolve_registry(&chosen.environment, &project.secrets)?)
}

/// Both, or what is wrong with either.
fn both<A, B>(a: Result<A, ClientError>, b: Result<B, ClientError>) -> Result<(A, B), ClientError> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(a), Err(b)) => Err(b.after(Some(a))),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

/// A `.env` file that hooks cannot be given is found out before anything is done.
fn read_for_hooks(project: &Project) -> Result<(), ClientError> {
    let has_hooks = |target: &Target| !(target.pre_deploy.is_empty() && target.post_deploy.is_empty());
    let own = project.targets.iter().filter(|chosen| has_hooks(&chosen.target)).map(|chosen| &chosen.environment);
    let has_global = !(project.global_pre_deploy.is_empty() && project.global_post_deploy.is_empty());
    for environment in own.chain(has_global.then_some(&project.environment)) {
        environment.file_variables()?;
    }
    Ok(())
}

fn has_hooks_before(project: &Project) -> bool {
    !project.global_pre_deploy.is_empty() || project.targets.iter().any(|chosen| !chosen.target.pre_deploy.is_empty())
}

/// Asks each server once for each token: a wrong token should not come out after minutes of building.
async fn check_servers(deployments: &[Deployment<'_>]) -> Result<(), ClientError> {
    let mut servers: Vec<&Api> = Vec::new();
    for Deployment { subject, .. } in deployments {
        if !servers.iter().any(|api| api.is_same(&subject.api)) {
            servers.push(&subject.api);
        }
    }
    let checks = servers.into_iter().map(|api| api.get::<Version>(routes::VERSION));
    let mut errors: Vec<ClientError> = join_all(checks).await.into_iter().filter_map(Result::err).collect();
    let Some(last) = errors.pop() else { return Ok(()) };
    errors.iter().for_each(|error| term::words(&format!("{}\n", render(error))));
    Err(last)
}
