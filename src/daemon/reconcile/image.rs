//! Getting a deployment's image ready: which content its name means, and whether a registry is asked.

use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::execute::{Executor, StepError, docker};
use crate::daemon::store::{Prepared, Release};
use crate::docker::Image;
use crate::error::chain;
use crate::names::ImageRef;
use crate::wire::{AppSpec, JobId, PullPolicy};

/// The port of an app that names none and whose image EXPOSEs none.
const DEFAULT_PORT: NonZeroU16 = NonZeroU16::new(8080).expect("invariant: 8080 is not zero");

/// A long pull says this often how far it is.
const PULL_LINES: Duration = Duration::from_secs(5);

impl Executor {
    /// `pinned`: the id of the image that it must be, when that was decided already.
    pub async fn prepare_image(&self, release: &Release, pinned: Option<&str>, job: Option<JobId>) -> Result<Prepared, StepError> {
        let spec = &release.spec;
        let image = match pinned {
            Some(id) => self.same_image(id, spec, job).await?,
            None => self.chosen_image(spec, job).await?,
        };
        let port = port(spec, &image.exposed_ports);
        if spec.port.is_none() && !spec.domains.is_empty() {
            let origin = if image.exposed_ports.len() == 1 { "the image's only EXPOSEd port" } else { "the default" };
            self.note(job, format!("routing to port {port}, {origin}")).await;
        }
        Ok(Prepared { image_id: image.id, port })
    }

    /// The very image that an earlier deployment ran; pulled again when it is gone and the tag still means it.
    async fn same_image(&self, id: &str, spec: &AppSpec, job: Option<JobId>) -> Result<Image, StepError> {
        if let Some(image) = self.look(id).await? {
            return Ok(image);
        }
        let gone = || StepError::ImageGone { image: spec.image.clone(), id: id.to_owned() };
        if spec.pull_policy == PullPolicy::Never {
            return Err(gone());
        }
        let pulled = self.pull(&spec.image, job).await;
        match self.look(id).await? {
            Some(image) => Ok(image),
            None => Err(pulled.err().unwrap_or_else(gone)),
        }
    }

    async fn chosen_image(&self, spec: &AppSpec, job: Option<JobId>) -> Result<Image, StepError> {
        let reference = &spec.image;
        let here = self.look(reference.as_str()).await?;
        match (here, spec.pull_policy) {
            (Some(image), PullPolicy::IfMissing | PullPolicy::Never) => Ok(image),
            (None, PullPolicy::Never) => Err(StepError::NotHere(reference.clone())),
            // Built on this server: no registry knows it.
            (Some(image), PullPolicy::Always) if !image.pulled => Ok(image),
            (Some(image), PullPolicy::Always) => match self.pull(reference, job).await {
                Ok(()) => Ok(self.look(reference.as_str()).await?.unwrap_or(image)),
                Err(error) => {
                    self.note(job, format!("{}; using the image that is on the server", chain(&error))).await;
                    Ok(image)
                }
            },
            (None, PullPolicy::Always | PullPolicy::IfMissing) => {
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
}

fn port(spec: &AppSpec, exposed: &[u16]) -> NonZeroU16 {
    let only = match exposed {
        [port] => NonZeroU16::new(*port),
        _ => None,
    };
    spec.port.or(only).unwrap_or(DEFAULT_PORT)
}
