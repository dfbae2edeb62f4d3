//! Acting: one small, idempotent call of the engine for each step. No decisions.

use super::blueprint;
use super::image::OwnRegistry;
use super::observe::release_of;
use super::plan::Step;
use super::release_command::ReleaseFailure;
use crate::crypto::{CryptoError, Identity};
use crate::daemon::disk;
use crate::daemon::logins::LoginError;
use crate::daemon::prune::{NoRoom, Pruner};
use crate::daemon::store::{AppIntent, Release, Store, StoreError};
use crate::docker::{Container, ContainerId, Docker, DockerError, Owner};
use crate::error::Report;
use crate::names::{AppName, DeployId, Digest, ImageRef};
use crate::secret::Secret;
use crate::wire::{AppSpec, JobId, MountSource};

#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error("could not {action}")]
    Docker { action: String, source: DockerError },
    #[error("could not read what to run")]
    Store(#[source] StoreError),
    #[error("could not open the stored environment of the deployment")]
    Env(#[source] CryptoError),
    #[error("the stored environment of the deployment is damaged")]
    DamagedEnv(#[source] serde_json::Error),
    #[error("the image `{0}` is not on this server and could not be pulled")]
    NoImage(ImageRef),
    #[error("could not pull the image `{image}`{}", with_login.as_ref().map(|server| format!(" with the login for `{server}`")).unwrap_or_default())]
    Pull {
        image: ImageRef,
        /// The registry whose login was used, when there was one.
        with_login: Option<String>,
        source: DockerError,
    },
    #[error("could not hand the uploaded image `{image}` to the Docker Engine")]
    Uploaded { image: ImageRef, source: DockerError },
    #[error("the image `{image}` that was built on this server ({}) is gone", id.short())]
    BuiltGone { image: ImageRef, id: Digest },
    #[error("there is no room to pull the image `{image}`: {} are needed on the disk of `{}`, {} are free", disk::size(no_room.disk.needed), no_room.disk.path.display(), disk::size(no_room.disk.free))]
    NoRoom { image: ImageRef, no_room: Box<NoRoom> },
    #[error("could not look for a login to the image's registry")]
    Login(#[source] LoginError),
    #[error("the image that this deployment ran is gone: `{image}` is another one now, not {id}")]
    ImageGone { image: ImageRef, id: String },
    #[error("the image `{0}` is not on this server, and `pull_policy: never` forbids to pull it")]
    NotHere(ImageRef),
    #[error("{0}")]
    Release(Box<ReleaseFailure>),
}

impl Report for StepError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Docker { source, .. } => source.hint(),
            Self::Store(source) => source.hint(),
            Self::Pull { with_login: Some(server), source, .. } if source.is_refused_login() => Some(format!(
                "check the login for `{server}` (`image.registry` in haloy.yaml, else `haloy server registry login {server}`) and that it may pull this image"
            )),
            Self::Pull { source, .. } => source.hint(),
            Self::Uploaded { source, .. } if source.is_permanent() => {
                Some("run `haloy deploy` again: it uploads what is missing".to_owned())
            }
            Self::Uploaded { source, .. } => source.hint(),
            Self::BuiltGone { .. } => Some("run `haloy deploy` again: it builds the image anew".to_owned()),
            Self::Login(source) => source.hint(),
            Self::NoRoom { .. } => Some("make room with `haloy prune`, or see `docker system df` on the server".to_owned()),
            Self::NoImage(image) => Some(format!("build or load `{image}` on the server, or name an image that a registry has")),
            Self::ImageGone { .. } => Some("run `haloy rollback-targets` and choose a deployment whose image is still there".to_owned()),
            Self::NotHere(image) => {
                Some(format!("run `docker pull {image}` on the server or build it there, or set `pull_policy: if_missing` in haloy.yaml"))
            }
            Self::Release(failure) => Some(failure.hint().to_owned()),
            Self::Env(_) | Self::DamagedEnv(_) => Some("run `haloy deploy` again: it brings the values anew".to_owned()),
        }
    }
}

impl StepError {
    /// Nothing is wrong with the step.
    pub fn is_engine_away(&self) -> bool {
        match self {
            Self::Docker { source, .. } | Self::Pull { source, .. } | Self::Uploaded { source, .. } => source.is_unreachable(),
            _ => false,
        }
    }

    /// Repeating the step cannot help.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Docker { source, .. } | Self::Pull { source, .. } | Self::Uploaded { source, .. } => source.is_permanent(),
            Self::BuiltGone { .. } | Self::Login(_) | Self::NoRoom { .. } => true,
            Self::Env(_) | Self::DamagedEnv(_) | Self::NoImage(_) | Self::ImageGone { .. } | Self::NotHere(_) | Self::Release(_) => true,
            Self::Store(_) => false,
        }
    }
}

/// Everything a step may need; cheap to clone into its task.
#[derive(Clone)]
pub struct Executor {
    pub docker: Docker,
    pub store: Store,
    pub identity: Identity,
    pub registry: OwnRegistry,
    pub pruner: Pruner,
}

/// One step with the values that it works on, taken from the pass that planned it.
pub enum Work {
    Prepare {
        release: Release,
        job: Option<JobId>,
    },
    /// `kept`: the deployment that may be needed again.
    Launch {
        release: Release,
        slot: u16,
        kept: Option<DeployId>,
    },
    /// With the name that it must have, when it has another.
    Start {
        id: ContainerId,
        name: Option<(String, Owner)>,
    },
    Stop(ContainerId),
    Retire(ContainerId),
}

/// Joins a step with its values; none when they are gone already.
pub fn work(step: &Step, app: &AppIntent, containers: &[Container]) -> Option<Work> {
    let release = |id| [&app.rollout, &app.serving].into_iter().flatten().find(|release| release.id == id).cloned();
    Some(match step {
        Step::Prepare(id) => Work::Prepare { release: release(*id)?, job: app.job.map(|job| job.id) },
        Step::Launch(id, slot) => {
            Work::Launch { release: release(*id)?, slot: *slot, kept: app.serving.as_ref().map(|serving| serving.id) }
        }
        Step::Start(id) => Work::Start { id: id.clone(), name: name_to_take(id, app, containers) },
        Step::Stop(id) => Work::Stop(id.clone()),
        Step::Retire(id) => Work::Retire(id.clone()),
    })
}

/// An app with one name for ever had to lend it to a newcomer: the old container takes it back.
fn name_to_take(id: &ContainerId, app: &AppIntent, containers: &[Container]) -> Option<(String, Owner)> {
    let container = containers.iter().find(|c| c.id == *id)?;
    let name = blueprint::fixed_name(&release_of(app, container)?.spec)?;
    (container.name != name).then(|| (name.to_owned(), container.owner.clone()))
}

impl Executor {
    /// Does one step. Cancelled in the middle it leaves nothing that repeating does not mend.
    pub async fn execute(&self, work: Work) -> Result<(), StepError> {
        match work {
            Work::Prepare { release, job } => self.prepare(&release, job).await,
            Work::Launch { release, slot, kept } => self.launch(&release, slot, kept).await,
            Work::Start { id, name } => {
                if let Some((name, owner)) = name {
                    self.docker.take_name(&id, &name, &owner).await.map_err(docker(format!("give a container its name `{name}`")))?;
                }
                self.docker.start(&id).await.map_err(docker("start a container"))
            }
            Work::Stop(id) => self.docker.stop(&id).await.map_err(docker("stop a container")),
            Work::Retire(id) => {
                self.docker.stop(&id).await.map_err(docker("stop a container"))?;
                self.docker.remove(&id).await.map_err(docker("remove a container"))
            }
        }
    }

    /// Everything that can be done, and can fail, before a container of the app is touched.
    async fn prepare(&self, release: &Release, job: Option<JobId>) -> Result<(), StepError> {
        let app = &release.spec.name;
        if let Some(name) = blueprint::fixed_name(&release.spec) {
            self.docker.check_name(name, app).await.map_err(docker(format!("call the container `{name}`")))?;
        }
        self.prepare_surroundings(&release.spec).await?;
        let begun = self.begun_release(release).await?;
        let pinned = release.image_id.clone().or(begun.as_ref().map(|begun| begun.image.clone()));
        let prepared = self.prepare_image(release, pinned.as_deref(), job).await?;
        let released = self.run_release(release, &prepared, begun, job).await?;
        self.store.prepared(release.id, prepared).await.map_err(StepError::Store)?;
        // From here on a repeated step does not come this way.
        if let Some(id) = released
            && let Err(error) = self.remove_one_off(&id).await
        {
            tracing::warn!(%app, error = crate::error::chain(&error), "the container of a release command stays behind");
        }
        Ok(())
    }

    /// What a container needs beside its image. Somebody may have removed it while the app was stopped.
    async fn prepare_surroundings(&self, spec: &AppSpec) -> Result<(), StepError> {
        self.docker.ensure_network(spec.network()).await.map_err(docker(format!("prepare the network `{}`", spec.network())))?;
        for mount in &spec.volumes {
            if let MountSource::Volume(name) = &mount.source {
                self.docker.ensure_volume(name, &spec.name).await.map_err(docker(format!("prepare the volume `{name}`")))?;
            }
        }
        Ok(())
    }

    /// A line for people; the deployment does not depend on it.
    pub async fn note(&self, job: Option<JobId>, message: String) {
        let Some(job) = job else { return };
        if let Err(error) = self.store.note(job, message).await {
            tracing::warn!(job, error = crate::error::chain(&error), "could not add a line to a job");
        }
    }

    async fn launch(&self, release: &Release, slot: u16, kept: Option<DeployId>) -> Result<(), StepError> {
        let Some(prepared) = &release.prepared else { return Ok(()) };
        self.prepare_surroundings(&release.spec).await?;
        let env = self.environment(release, Some(slot), &prepared.image_id).await?;
        let spec = blueprint::replica(release, prepared, slot, env);
        if let Some(name) = blueprint::fixed_name(&release.spec) {
            let freed = self.docker.free_name(name, &spec.owner, kept).await;
            freed.map_err(docker(format!("free the name `{name}` for the new container")))?;
        }
        let id = self.docker.create(&spec).await.map_err(docker(format!("create the container `{}`", spec.name)))?;
        self.docker.start(&id).await.map_err(docker(format!("start the container `{}`", spec.name)))
    }

    /// The app's own variables, then the facts that haloy adds; no replica's number outside of one.
    pub async fn environment(&self, release: &Release, slot: Option<u16>, image_id: &str) -> Result<Vec<(String, Secret)>, StepError> {
        let sealed = self.store.sealed_env(release.id).await.map_err(StepError::Store)?;
        let identity = self.identity.clone();
        let opened = tokio::task::spawn_blocking(move || identity.open(&sealed)).await;
        let plain = opened.expect("invariant: opening a sealed value does not panic").map_err(StepError::Env)?;
        let mut env: Vec<(String, Secret)> = serde_json::from_slice(&plain).map_err(StepError::DamagedEnv)?;
        let spec = &release.spec;
        let version = spec.image.tag().unwrap_or(image_id);
        let mut facts = vec![
            ("HALOY_APP", spec.name.to_string()),
            ("HALOY_DEPLOYMENT_ID", release.id.to_string()),
            ("HALOY_VERSION", version.to_owned()),
        ];
        facts.extend(slot.map(|slot| ("HALOY_REPLICA", slot.to_string())));
        // The engine keeps both of two entries with one name, and programs read the first.
        env.retain(|(name, _)| facts.iter().all(|(fact, _)| fact != name));
        env.extend(facts.into_iter().map(|(name, value)| (name.to_owned(), Secret::new(value))));
        Ok(env)
    }

    /// Removes what is left of an app without containers: of its release commands, and the named
    /// volumes of these deployments that are its own.
    pub async fn remove_the_rest(&self, app: &AppName, releases: &[Release]) -> Result<(), StepError> {
        self.remove_one_offs(app, None).await?;
        for mount in releases.iter().flat_map(|release| &release.spec.volumes) {
            if let MountSource::Volume(name) = &mount.source {
                self.docker.remove_volume(name, app).await.map_err(docker(format!("remove the volume `{name}`")))?;
            }
        }
        Ok(())
    }
}

pub fn docker(action: impl Into<String>) -> impl FnOnce(DockerError) -> StepError {
    move |source| StepError::Docker { action: action.into(), source }
}
