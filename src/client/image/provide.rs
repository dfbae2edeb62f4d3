//! What a deploy does about images before it asks for anything: build each that is built, once, and bring it to
//! where it is pulled from. The answer says of each target which content is meant.

use std::collections::BTreeMap;
use std::path::Path;

use super::build::Builder;
use super::docker::Docker;
use super::dockerfile;
use super::error::ImageError;
use super::recipe::{Recipe, RecipeError};
use super::upload::{self, Destination};
use super::{push, remote};
use crate::client::api::Api;
use crate::client::error::{ClientError, Effect};
use crate::client::interruption::Interruption;
use crate::client::output::Output;
use crate::config::secrets::FetchedSecrets;
use crate::config::{BuildsOn, Environment, Push, Target};
use crate::names::Digest;
use crate::term;
use crate::wire::{Pin, RegistryLogin, Version, routes};

/// A target, and what its image needs.
pub struct Wanted<'a> {
    pub target: &'a Target,
    pub environment: &'a Environment,
    /// The server that it goes to; none where nothing leaves this machine.
    pub api: Option<&'a Api>,
    pub login: Option<&'a RegistryLogin>,
}

/// What became of the images, target by target in their order.
pub struct Provided {
    /// None where the image exists already.
    pub pins: Vec<Option<Pin>>,
    /// What was built, and its id on the engine that built it.
    pub built: Vec<(String, Digest)>,
}

/// How images are provided.
pub struct Provider<'a> {
    pub folder: &'a Path,
    pub secrets: &'a FetchedSecrets,
    pub output: &'a Output,
    /// Nothing is shown but what goes wrong.
    pub quiet: bool,
    /// Only build.
    pub stay_here: bool,
    pub interruption: &'a Interruption,
}

/// Looks whether all is there that the targets are built from, before anybody is asked for anything.
pub fn check<'t>(folder: &Path, targets: impl Iterator<Item = &'t Target>) -> Result<(), ImageError> {
    for target in targets {
        if let Some(build) = &target.image.build {
            dockerfile::find(target.spec.image.as_str(), build, folder)?;
        }
    }
    Ok(())
}

/// Builds and brings.
pub async fn provide(provider: &Provider<'_>, wanted: &[Wanted<'_>]) -> Result<Provided, ClientError> {
    let mut provided = Provided { pins: wanted.iter().map(|_| None).collect(), built: Vec::new() };
    let builds = provider.builds(wanted).await?;
    if builds.is_empty() {
        return Ok(provided);
    }
    let work = async {
        for (recipe, targets) in &builds {
            provider.one(recipe, targets, wanted, &mut provided).await?;
        }
        Ok(())
    };
    tokio::select! {
        done = work => done.map(|()| provided),
        () = provider.interruption.happens() => {
            Err(ClientError::Interrupted { during: "the work on images".to_owned(), effect: Effect::None })
        }
    }
}

impl Provider<'_> {
    /// Every build that there is, with the targets that share it.
    async fn builds(&self, wanted: &[Wanted<'_>]) -> Result<Vec<(Recipe, Vec<usize>)>, ClientError> {
        let mut builds: Vec<(Recipe, Vec<usize>)> = Vec::new();
        let mut platforms: BTreeMap<String, Option<String>> = BTreeMap::new();
        for (index, one) in wanted.iter().enumerate() {
            let Some(build) = &one.target.image.build else { continue };
            let platform = match one.api.filter(|_| build.platform.is_none() && !self.stay_here) {
                Some(api) => self.platform(api, &mut platforms).await?,
                None => None,
            };
            let recipe =
                Recipe::of(one.target, build, self.folder, one.environment, self.secrets, platform).map_err(|error| match error {
                    RecipeError::Image(error) => ClientError::from(error),
                    RecipeError::Config(error) => error.into(),
                })?;
            if recipe.on == BuildsOn::Server {
                remote::check(&recipe)?;
            }
            match builds.iter_mut().find(|(known, _)| *known == recipe) {
                Some((_, targets)) => targets.push(index),
                None => builds.push((recipe, vec![index])),
            }
        }
        Ok(builds)
    }

    /// What a server runs; asked once.
    async fn platform(&self, api: &Api, known: &mut BTreeMap<String, Option<String>>) -> Result<Option<String>, ClientError> {
        let server = api.server();
        if let Some(platform) = known.get(&server) {
            return Ok(platform.clone());
        }
        let version: Version = api.get(routes::VERSION).await?;
        known.insert(server, version.platform.clone());
        Ok(version.platform)
    }

    async fn one(&self, recipe: &Recipe, targets: &[usize], wanted: &[Wanted<'_>], provided: &mut Provided) -> Result<(), ClientError> {
        let image = recipe.image.as_str();
        if recipe.on == BuildsOn::Server {
            return self.on_servers(recipe, targets, wanted, provided).await;
        }
        let docker = Docker::find(self.folder).ok_or_else(|| ImageError::NoDocker { image: image.to_owned() })?;
        let builder = Builder::of(docker).await?;
        let exposed = recipe.exposed(self.folder);
        self.warn_of(&exposed, builder.mounts_secrets());
        self.heading(&format!("building `{image}`"));
        let id = builder.build(recipe, &exposed, |line| self.say(line)).await?;
        provided.built.push((recipe.image.to_string(), id.clone()));
        if self.stay_here {
            return Ok(());
        }
        self.to_registries(&builder, recipe, &id, targets, wanted, provided).await?;
        self.to_servers(&builder, &id, targets, wanted, provided).await
    }

    fn warn_of(&self, exposed: &[&str], can_mount: bool) {
        let [name, ..] = exposed else { return };
        let names = exposed.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let warning = format!("warning: the Dockerfile declares {names} with `ARG`: the value stays in the image's history");
        let way = format!("leave the `ARG` out and use `RUN --mount=type=secret,id={name},env={name} …`");
        let hint = if can_mount { way } else { format!("build with Docker's buildx plugin on this machine, {way}") };
        term::words(&self.output.terminal.yellow(&warning));
        term::words(&format!("hint: {hint}"));
    }

    /// A server builds for itself: no image travels.
    async fn on_servers(
        &self,
        recipe: &Recipe,
        targets: &[usize],
        wanted: &[Wanted<'_>],
        provided: &mut Provided,
    ) -> Result<(), ClientError> {
        let mut ids: BTreeMap<String, Digest> = BTreeMap::new();
        self.warn_of(&recipe.exposed(self.folder), false);
        for &index in targets {
            let Wanted { api: Some(api), target, .. } = &wanted[index] else { continue };
            let server = api.server();
            if !ids.contains_key(&server) {
                self.heading(&format!("building `{}` on `{server}`", recipe.image));
                let id = remote::build(api, &target.spec.name, recipe, self.folder, |line| self.say(line)).await?;
                provided.built.push((recipe.image.to_string(), id.clone()));
                ids.insert(server.clone(), id);
            }
            provided.pins[index] = ids.get(&server).cloned().map(Pin::Built);
        }
        Ok(())
    }

    /// Once for each login: several targets of one registry get the same digest.
    async fn to_registries(
        &self,
        builder: &Builder,
        recipe: &Recipe,
        id: &Digest,
        targets: &[usize],
        wanted: &[Wanted<'_>],
        provided: &mut Provided,
    ) -> Result<(), ClientError> {
        let mut pushed: Vec<(&RegistryLogin, Digest)> = Vec::new();
        for &index in targets {
            let Some(login) = wanted[index].login.filter(|_| goes_to(wanted[index].target, Push::Registry)) else { continue };
            let known = pushed.iter().find(|(known, _)| *known == login).map(|(_, digest)| digest.clone());
            let digest = match known {
                Some(digest) => digest,
                None => {
                    self.heading(&format!("pushing `{}`", recipe.image));
                    let digest = push::push(&builder.docker, &recipe.image, id, login, |line| self.say(line)).await?;
                    pushed.push((login, digest.clone()));
                    digest
                }
            };
            provided.pins[index] = Some(Pin::Pushed(digest));
        }
        Ok(())
    }

    async fn to_servers(
        &self,
        builder: &Builder,
        id: &Digest,
        targets: &[usize],
        wanted: &[Wanted<'_>],
        provided: &mut Provided,
    ) -> Result<(), ClientError> {
        let targets: Vec<usize> = targets.iter().copied().filter(|&index| goes_to(wanted[index].target, Push::Server)).collect();
        let mut destinations: Vec<Destination<'_>> = Vec::new();
        for &index in &targets {
            let Wanted { api: Some(api), target, .. } = &wanted[index] else { continue };
            let repository = routes::repository(&target.spec.name);
            match destinations.iter_mut().find(|known| known.api.server() == api.server()) {
                Some(known) if known.repositories.contains(&repository) => {}
                Some(known) => known.repositories.push(repository),
                None => destinations.push(Destination { api, repositories: vec![repository] }),
            }
        }
        if destinations.is_empty() {
            return Ok(());
        }
        let servers: Vec<String> = destinations.iter().map(|to| format!("`{}`", to.api.server())).collect();
        self.heading(&format!("uploading to {}", servers.join(", ")));
        let digest = upload::send(&builder.docker, id, &destinations, (!self.quiet).then_some(self.output)).await?;
        for index in targets {
            provided.pins[index] = Some(Pin::Uploaded(digest.clone()));
        }
        Ok(())
    }

    fn heading(&self, text: &str) {
        if !self.quiet {
            self.output.words(text);
        }
    }

    fn say(&self, line: &str) {
        if !self.quiet {
            self.output.words(&self.output.terminal.dim(&format!("  | {line}")));
        }
    }
}

fn goes_to(target: &Target, place: Push) -> bool {
    target.image.build.as_ref().is_some_and(|build| build.push == place)
}
