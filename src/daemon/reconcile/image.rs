//! Getting a deployment's image ready: which content is meant, where it comes from, and that it stays.
//!
//! A pin decides before any name does: what was uploaded, pushed or built for a deployment is taken by its digest,
//! so that no image of the same name can take its place. Names are looked up once, at the first deployment;
//! from then on the image's id holds, and the digest in its registry where it must be brought back.

use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::execute::{Executor, StepError, docker};
use crate::daemon::logins;
use crate::daemon::store::{HeldImage, Prepared, Release};
use crate::docker::{Image, Login, PullProgress};
use crate::error::chain;
use crate::names::{AppName, Digest, ImageRef};
use crate::wire::{AppSpec, JobId, Pin, PullPolicy, routes};

/// The port of an app that names none and whose image EXPOSEs none.
const DEFAULT_PORT: NonZeroU16 = NonZeroU16::new(8080).expect("invariant: 8080 is not zero");

/// A long pull says this often how far it is.
const PULL_LINES: Duration = Duration::from_secs(5);

/// The server's own registry, as the engine reaches it over loopback.
#[derive(Debug, Clone)]
pub struct OwnRegistry {
    /// Address and port of the API.
    pub host: String,
    pub login: Login,
}

/// An image that is on the engine.
struct Found {
    image: Image,
    /// The reference that led to it.
    reference: Option<ImageRef>,
    /// It was pulled just now, and the engine did not have it before.
    is_new: bool,
}

impl Found {
    fn by_id(image: Image) -> Self {
        Self { image, reference: None, is_new: false }
    }

    fn here(image: Image, reference: &ImageRef) -> Self {
        Self { image, reference: Some(reference.clone()), is_new: false }
    }

    fn pulled(image: Image, reference: ImageRef) -> Self {
        Self { image, reference: Some(reference), is_new: true }
    }
}

impl Executor {
    /// `pinned`: the id of the image that it must be, when that was decided already.
    pub async fn prepare_image(&self, release: &Release, pinned: Option<&str>, job: Option<JobId>) -> Result<Prepared, StepError> {
        let spec = &release.spec;
        let found = match (pinned, &spec.pin) {
            (Some(id), _) => self.same_image(id, release, job).await?,
            (None, Some(Pin::Uploaded(digest))) => self.uploaded(spec, digest, job).await?,
            (None, Some(Pin::Pushed(digest))) => self.by_digest(release, digest, job).await?,
            (None, Some(Pin::Built(id))) => {
                let gone = || StepError::BuiltGone { image: spec.image.clone(), id: id.clone() };
                Found::by_id(self.look(id.as_str()).await?.ok_or_else(gone)?)
            }
            (None, None) => self.chosen_image(release, job).await?,
        };
        self.hold(release, &found).await?;
        let Found { image, .. } = found;
        let port = port(spec, &image.exposed_ports);
        if spec.port.is_none() && !spec.domains.is_empty() {
            let origin = if image.exposed_ports.len() == 1 { "the image's only EXPOSEd port" } else { "the default" };
            self.note(job, format!("routing to port {port}, {origin}")).await;
        }
        Ok(Prepared { digest: digest_of(&image, &spec.image), image_id: image.id, port })
    }

    /// The very image that an earlier deployment ran. One that is gone is brought back by its digest, or by its tag
    /// where that still means the same.
    async fn same_image(&self, id: &str, release: &Release, job: Option<JobId>) -> Result<Found, StepError> {
        if let Some(image) = self.look(id).await? {
            return Ok(Found::by_id(image));
        }
        let spec = &release.spec;
        let gone = || StepError::ImageGone { image: spec.image.clone(), id: id.to_owned() };
        let pulled = match (&spec.pin, &release.digest) {
            (Some(Pin::Uploaded(digest)), _) => return self.uploaded(spec, digest, job).await,
            (Some(Pin::Built(_)), _) => return Err(gone()),
            (Some(Pin::Pushed(digest)), _) | (None, Some(digest)) => return self.by_digest(release, digest, job).await,
            (None, None) if spec.pull_policy == PullPolicy::Never => return Err(gone()),
            (None, None) => self.pull(&spec.image, release, job).await,
        };
        match self.look(id).await? {
            Some(image) => Ok(Found::pulled(image, spec.image.clone())),
            None => Err(pulled.err().unwrap_or_else(gone)),
        }
    }

    /// What the client uploaded, from the server's own registry.
    async fn uploaded(&self, spec: &AppSpec, digest: &Digest, job: Option<JobId>) -> Result<Found, StepError> {
        let reference = format!("{}/{}@{digest}", self.registry.host, routes::repository(&spec.name));
        let reference: ImageRef = reference.parse().map_err(|_| StepError::NoImage(spec.image.clone()))?;
        if let Some(image) = self.look(reference.as_str()).await? {
            return Ok(Found::here(image, &reference));
        }
        self.make_room(&spec.image, self.store.image_size(routes::repository(&spec.name), digest.clone()).await.map_err(StepError::Store)?)
            .await?;
        self.note(job, "handing the uploaded image to the Docker Engine".to_owned()).await;
        let pulled = self.pull_with(&reference, Some(&self.registry.login), job).await;
        pulled.map_err(|source| StepError::Uploaded { image: spec.image.clone(), source })?;
        let image = self.look(reference.as_str()).await?.ok_or_else(|| StepError::NoImage(spec.image.clone()))?;
        Ok(Found::pulled(image, reference))
    }

    /// A content of the image's registry, whatever its tags mean by now.
    async fn by_digest(&self, release: &Release, digest: &Digest, job: Option<JobId>) -> Result<Found, StepError> {
        let image = &release.spec.image;
        let reference = format!("{}@{digest}", image.repository());
        let reference: ImageRef = reference.parse().map_err(|_| StepError::NoImage(image.clone()))?;
        if let Some(image) = self.look(reference.as_str()).await? {
            return Ok(Found::here(image, &reference));
        }
        self.pull(&reference, release, job).await?;
        let image = self.look(reference.as_str()).await?.ok_or_else(|| StepError::NoImage(image.clone()))?;
        Ok(Found::pulled(image, reference))
    }

    async fn chosen_image(&self, release: &Release, job: Option<JobId>) -> Result<Found, StepError> {
        let spec = &release.spec;
        let reference = &spec.image;
        let here = self.look(reference.as_str()).await?;
        match (here, spec.pull_policy) {
            (Some(image), PullPolicy::IfMissing | PullPolicy::Never) => Ok(Found::here(image, reference)),
            (None, PullPolicy::Never) => Err(StepError::NotHere(reference.clone())),
            // Built on this server: no registry knows it.
            (Some(image), PullPolicy::Always) if !image.pulled => Ok(Found::here(image, reference)),
            (Some(image), PullPolicy::Always) => match self.pull(reference, release, job).await {
                Ok(()) => Ok(Found::here(self.look(reference.as_str()).await?.unwrap_or(image), reference)),
                Err(error) => {
                    self.note(job, format!("{}; using the image that is on the server", chain(&error))).await;
                    Ok(Found::here(image, reference))
                }
            },
            (None, PullPolicy::Always | PullPolicy::IfMissing) => {
                self.pull(reference, release, job).await?;
                let image = self.look(reference.as_str()).await?.ok_or_else(|| StepError::NoImage(reference.clone()))?;
                Ok(Found::pulled(image, reference.clone()))
            }
        }
    }

    /// A tag of our own keeps the image on the engine, whatever becomes of other names. The row comes first: what
    /// is not written down is never taken away again.
    async fn hold(&self, release: &Release, found: &Found) -> Result<(), StepError> {
        let app = &release.spec.name;
        let held = HeldImage {
            deployment: release.id,
            app: app.clone(),
            image_id: found.image.id.clone(),
            tag: format!("haloy/{}:{}", routes::repository(app), release.id),
            pulled: found.reference.as_ref().filter(|_| found.is_new).map(ToString::to_string),
        };
        let (tag, found_as) = (held.tag.clone(), found.reference.as_ref().map(ToString::to_string));
        self.store.hold_image(held, found_as).await.map_err(StepError::Store)?;
        self.docker.tag(&found.image.id, &tag).await.map_err(docker(format!("tag the image as `{tag}`")))?;
        if matches!(release.spec.pin, Some(Pin::Built(_))) { self.take_over_build(app, &found.image.id).await } else { Ok(()) }
    }

    /// The name that a build on this server gave has done its work, unless it means a newer build by now.
    async fn take_over_build(&self, app: &AppName, id: &str) -> Result<(), StepError> {
        let built = routes::built(app);
        if self.look(&built).await?.is_some_and(|image| image.id == id) {
            self.docker.remove_reference(&built).await.map_err(docker(format!("remove the name `{built}`")))?;
        }
        Ok(())
    }

    async fn look(&self, image: &str) -> Result<Option<Image>, StepError> {
        self.docker.image(image).await.map_err(docker(format!("look for the image `{image}`")))
    }

    /// With the deployment's own login, else with the server's.
    async fn pull(&self, image: &ImageRef, release: &Release, job: Option<JobId>) -> Result<(), StepError> {
        let own = self.store.sealed_login(release.id).await.map_err(StepError::Store)?;
        let login = logins::for_image(&self.store, &self.identity, image, own).await.map_err(StepError::Login)?;
        // How large it is, only its registry knows.
        self.make_room(image, 0).await?;
        self.note(job, format!("pulling `{image}`")).await;
        self.pull_with(image, login.as_ref(), job).await.map_err(|source| StepError::Pull {
            image: image.clone(),
            with_login: login.map(|login| login.server),
            source,
        })
    }

    /// Before the engine writes so many bytes.
    async fn make_room(&self, image: &ImageRef, bytes: u64) -> Result<(), StepError> {
        let made = self.pruner.make_room(0, bytes).await;
        made.map(|_| ()).map_err(|no_room| StepError::NoRoom { image: image.clone(), no_room: Box::new(no_room) })
    }

    async fn pull_with(&self, image: &ImageRef, login: Option<&Login>, job: Option<JobId>) -> Result<(), crate::docker::DockerError> {
        let (say, mut said) = mpsc::channel(4);
        let mut last = Instant::now();
        let pull = self.docker.pull(image, login, move |progress: PullProgress| {
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
        tokio::join!(pull, tell).0
    }
}

/// The image's manifest in the registry that its reference names; the engine leaves out what is Docker Hub's own.
fn digest_of(image: &Image, reference: &ImageRef) -> Option<Digest> {
    let familiar = |name: &str| name.trim_start_matches("docker.io/").trim_start_matches("library/").to_owned();
    let wanted = familiar(reference.repository());
    let of_it = |entry: &String| {
        let (repository, digest) = entry.split_once('@')?;
        (familiar(repository) == wanted).then(|| digest.parse().ok())?
    };
    image.digests.iter().find_map(of_it)
}

fn port(spec: &AppSpec, exposed: &[u16]) -> NonZeroU16 {
    let only = match exposed {
        [port] => NonZeroU16::new(*port),
        _ => None,
    };
    spec.port.or(only).unwrap_or(DEFAULT_PORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_registry_which_the_reference_names() {
        let (ours, hub) = (format!("sha256:{}", "a".repeat(64)), format!("sha256:{}", "b".repeat(64)));
        let image = Image {
            id: String::new(),
            exposed_ports: Vec::new(),
            has_healthcheck: false,
            pulled: true,
            size_bytes: 0,
            tags: Vec::new(),
            digests: vec![format!("127.0.0.1:9999/shop@{ours}"), format!("postgres@{hub}")],
        };
        let of = |reference: &str| digest_of(&image, &reference.parse().unwrap()).map(|digest| digest.to_string());
        assert_eq!(of("127.0.0.1:9999/shop:1"), Some(ours));
        assert_eq!(of("docker.io/library/postgres:18").as_deref(), Some(hub.as_str()));
        assert_eq!((of("postgres"), of("shop")), (Some(hub), None));
    }
}
