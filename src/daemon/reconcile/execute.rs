//! Acting: one small, idempotent call of the engine for each step. No decisions.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::plan::Step;
use crate::crypto::{CryptoError, Identity};
use crate::daemon::store::{AppIntent, Prepared, Release, Store, StoreError};
use crate::docker::{ContainerId, ContainerSpec, Docker, DockerError, Image, Owner, VolumeMount};
use crate::error::Report;
use crate::names::{AppName, ImageRef};
use crate::secret::Secret;
use crate::wire::{AppSpec, JobId, Mount, MountSource};

/// The port of an app that names none and whose image EXPOSEs none.
const DEFAULT_PORT: NonZeroU16 = NonZeroU16::new(8080).expect("invariant: 8080 is not zero");

/// A long pull says this often how far it is.
const PULL_LINES: Duration = Duration::from_secs(5);

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
    #[error("the image that this deployment ran is gone: `{image}` is another one now, not {id}")]
    ImageGone { image: ImageRef, id: String },
}

impl Report for StepError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Docker { source, .. } => source.hint(),
            Self::Store(source) => source.hint(),
            Self::NoImage(image) => Some(format!("build or load `{image}` on the server, or name an image that a registry has")),
            Self::ImageGone { .. } => Some("run `haloy rollback-targets` and choose a deployment whose image is still there".to_owned()),
            Self::Env(_) | Self::DamagedEnv(_) => Some("run `haloy deploy` again: it brings the values anew".to_owned()),
        }
    }
}

impl StepError {
    /// Repeating the step cannot help.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Docker { source, .. } => source.is_permanent(),
            Self::Env(_) | Self::DamagedEnv(_) | Self::NoImage(_) | Self::ImageGone { .. } => true,
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
}

/// One step with the values that it works on, taken from the pass that planned it.
pub enum Work {
    Prepare { release: Release, job: Option<JobId> },
    Launch { release: Release, slot: u16 },
    Start(ContainerId),
    Stop(ContainerId),
    Retire(ContainerId),
}

/// Joins a step with its values; none when they are gone already.
pub fn work(step: &Step, app: &AppIntent) -> Option<Work> {
    let release = |id| [&app.rollout, &app.serving].into_iter().flatten().find(|release| release.id == id).cloned();
    Some(match step {
        Step::Prepare(id) => Work::Prepare { release: release(*id)?, job: app.job.map(|job| job.id) },
        Step::Launch(id, slot) => Work::Launch { release: release(*id)?, slot: *slot },
        Step::Start(id) => Work::Start(id.clone()),
        Step::Stop(id) => Work::Stop(id.clone()),
        Step::Retire(id) => Work::Retire(id.clone()),
    })
}

impl Executor {
    /// Does one step. Cancelled in the middle it leaves nothing that repeating does not mend.
    pub async fn execute(&self, work: Work) -> Result<(), StepError> {
        match work {
            Work::Prepare { release, job } => self.prepare(&release, job).await,
            Work::Launch { release, slot } => self.launch(&release, slot).await,
            Work::Start(id) => self.docker.start(&id).await.map_err(docker("start a container")),
            Work::Stop(id) => self.docker.stop(&id).await.map_err(docker("stop a container")),
            Work::Retire(id) => {
                self.docker.stop(&id).await.map_err(docker("stop a container"))?;
                self.docker.remove(&id).await.map_err(docker("remove a container"))
            }
        }
    }

    async fn prepare(&self, release: &Release, job: Option<JobId>) -> Result<(), StepError> {
        self.prepare_surroundings(&release.spec).await?;
        let prepared = self.prepare_image(release, job).await?;
        self.store.prepared(release.id, prepared).await.map_err(StepError::Store)
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

    async fn prepare_image(&self, release: &Release, job: Option<JobId>) -> Result<Prepared, StepError> {
        let image = match &release.image_id {
            Some(id) => self.same_image(id, &release.spec.image, job).await?,
            None => self.newest_image(&release.spec.image, job).await?,
        };
        let port = port(&release.spec, &image.exposed_ports);
        if release.spec.port.is_none() && !release.spec.domains.is_empty() {
            let origin = if image.exposed_ports.len() == 1 { "the image's only EXPOSEd port" } else { "the default" };
            self.note(job, format!("routing to port {port}, {origin}")).await;
        }
        Ok(Prepared { image_id: image.id, port })
    }

    /// The very image that an earlier deployment ran; pulled again when it is gone and the tag still means it.
    async fn same_image(&self, id: &str, reference: &ImageRef, job: Option<JobId>) -> Result<Image, StepError> {
        if let Some(image) = self.look(id).await? {
            return Ok(image);
        }
        let pulled = self.pull(reference, job).await;
        match self.look(id).await? {
            Some(image) => Ok(image),
            None => Err(pulled.err().unwrap_or_else(|| StepError::ImageGone { image: reference.clone(), id: id.to_owned() })),
        }
    }

    /// What the tag means now. A registry is asked about images that came from one; those that were
    /// built here are taken as they are.
    async fn newest_image(&self, reference: &ImageRef, job: Option<JobId>) -> Result<Image, StepError> {
        let here = self.look(reference.as_str()).await?;
        match here {
            Some(image) if !image.pulled => Ok(image),
            Some(image) => match self.pull(reference, job).await {
                Ok(()) => Ok(self.look(reference.as_str()).await?.unwrap_or(image)),
                Err(error) => {
                    self.note(job, format!("{}; using the image that is on the server", crate::error::chain(&error))).await;
                    Ok(image)
                }
            },
            None => {
                self.pull(reference, job).await?;
                self.look(reference.as_str()).await?.ok_or_else(|| StepError::NoImage(reference.clone()))
            }
        }
    }

    async fn look(&self, image: &str) -> Result<Option<Image>, StepError> {
        self.docker.image(image).await.map_err(docker(format!("look for the image `{image}`")))
    }

    async fn pull(&self, image: &ImageRef, job: Option<JobId>) -> Result<(), StepError> {
        self.note(job, format!("pulling `{image}`")).await;
        let (say, mut said) = mpsc::channel(4);
        let mut last = Instant::now();
        let pull = self.docker.pull(image, move |progress| {
            if last.elapsed() >= PULL_LINES {
                last = Instant::now();
                // A line that finds no room is followed by a newer one.
                let _ = say.try_send(progress.message);
            }
        });
        let tell = async {
            while let Some(message) = said.recv().await {
                self.note(job, message).await;
            }
        };
        let (pulled, ()) = tokio::join!(pull, tell);
        pulled.map_err(docker(format!("pull the image `{image}`")))
    }

    /// A line for people; the deployment does not depend on it.
    async fn note(&self, job: Option<JobId>, message: String) {
        let Some(job) = job else { return };
        if let Err(error) = self.store.note(job, message).await {
            tracing::warn!(job, error = crate::error::chain(&error), "could not add a line to a job");
        }
    }

    async fn launch(&self, release: &Release, slot: u16) -> Result<(), StepError> {
        let Some(prepared) = &release.prepared else { return Ok(()) };
        self.prepare_surroundings(&release.spec).await?;
        let env = self.environment(release, slot).await?;
        let owner = Owner { app: release.spec.name.clone(), deployment: release.id, slot };
        let spec = ContainerSpec {
            name: format!("{}-{}-{slot}", release.spec.name, release.id),
            owner,
            image: prepared.image_id.clone(),
            env,
            labels: labels(&release.spec, prepared.port),
            network: release.spec.network().to_owned(),
            mounts: release.spec.volumes.iter().map(mount).collect(),
            stop_timeout: Duration::from_secs(release.spec.stop_timeout.into()),
        };
        let id = self.docker.create(&spec).await.map_err(docker(format!("create the container `{}`", spec.name)))?;
        self.docker.start(&id).await.map_err(docker(format!("start the container `{}`", spec.name)))
    }

    /// The app's own variables, then the facts that haloy adds.
    async fn environment(&self, release: &Release, slot: u16) -> Result<Vec<(String, Secret)>, StepError> {
        let sealed = self.store.sealed_env(release.id).await.map_err(StepError::Store)?;
        let identity = self.identity.clone();
        let opened = tokio::task::spawn_blocking(move || identity.open(&sealed)).await;
        let plain = opened.expect("invariant: opening a sealed value does not panic").map_err(StepError::Env)?;
        let mut env: Vec<(String, Secret)> = serde_json::from_slice(&plain).map_err(StepError::DamagedEnv)?;
        let spec = &release.spec;
        let version = spec.image.tag().unwrap_or_else(|| release.prepared.as_ref().map_or("", |p| p.image_id.as_str()));
        let facts = [
            ("HALOY_APP", spec.name.to_string()),
            ("HALOY_DEPLOYMENT_ID", release.id.to_string()),
            ("HALOY_REPLICA", slot.to_string()),
            ("HALOY_VERSION", version.to_owned()),
        ];
        // The engine keeps both of two entries with one name, and programs read the first.
        env.retain(|(name, _)| facts.iter().all(|(fact, _)| fact != name));
        env.extend(facts.map(|(name, value)| (name.to_owned(), Secret::new(value))));
        Ok(env)
    }

    /// Removes the named volumes of a deployment that are the app's own.
    pub async fn remove_volumes(&self, app: &AppName, release: &Release) -> Result<(), StepError> {
        for mount in &release.spec.volumes {
            if let MountSource::Volume(name) = &mount.source {
                self.docker.remove_volume(name, app).await.map_err(docker(format!("remove the volume `{name}`")))?;
            }
        }
        Ok(())
    }
}

fn docker(action: impl Into<String>) -> impl FnOnce(DockerError) -> StepError {
    move |source| StepError::Docker { action: action.into(), source }
}

fn port(spec: &AppSpec, exposed: &[u16]) -> NonZeroU16 {
    let only = match exposed {
        [port] => NonZeroU16::new(*port),
        _ => None,
    };
    spec.port.or(only).unwrap_or(DEFAULT_PORT)
}

fn mount(mount: &Mount) -> VolumeMount {
    let source = match &mount.source {
        MountSource::Volume(name) => name.clone(),
        MountSource::Host(path) => path.clone(),
    };
    VolumeMount { source, target: mount.target.clone(), options: mount.options.clone() }
}

/// The path of the HTTP health check, for apps that have one.
pub fn health_path(spec: &AppSpec) -> Option<&str> {
    spec.health_check_path.as_deref().or((!spec.domains.is_empty()).then_some("/"))
}

/// Labels that tell people and other tools how the app is routed.
fn labels(spec: &AppSpec, port: NonZeroU16) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([("dev.haloy.port".to_owned(), port.to_string())]);
    if let Some(path) = health_path(spec) {
        labels.insert("dev.haloy.health-check-path".to_owned(), path.to_owned());
    }
    if let Some(email) = &spec.acme_email {
        labels.insert("dev.haloy.acme.email".to_owned(), email.clone());
    }
    for (index, domain) in spec.domains.iter().enumerate() {
        labels.insert(format!("dev.haloy.domain.{index}"), domain.domain.to_string());
        for (alias_index, alias) in domain.aliases.iter().enumerate() {
            labels.insert(format!("dev.haloy.domain.{index}.alias.{alias_index}"), alias.to_string());
        }
    }
    labels
}
