//! Pruning: what no app and no history needs goes, and nothing that haloy did not bring.
//!
//! Images go by the rows that were written when deployments got them: our own tag, then the name under which haloy
//! itself pulled it. A name that a user gave keeps the image, because the engine removes an image with its last name
//! only. Then the registry's garbage. One prune at a time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::disk::{self, Disk};
use super::registry::{Registry, RegistryError};
use super::store::{HeldImage, Store, StoreError};
use crate::docker::{Docker, DockerError, Removal};
use crate::error::chain;
use crate::names::DeployId;
use crate::wire::{PruneReport, Pruned, PrunedKind};

/// The disk is looked at this often.
const TICK: Duration = Duration::from_secs(600);
/// After a job ended; its successor may come at once.
const SETTLE: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("could not look at or remove an image")]
    Docker(#[from] DockerError),
}

/// There is no room, and pruning would not make enough.
#[derive(Debug)]
pub struct NoRoom {
    pub disk: Disk,
    /// Bytes that keeping only what serves would free.
    pub would_free: u64,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Pruner(Arc<Inner>);

struct Inner {
    store: Store,
    docker: Docker,
    registry: Registry,
    data: PathBuf,
    turn: Mutex<()>,
}

impl Pruner {
    pub fn new(store: Store, docker: Docker, registry: Registry, data: PathBuf) -> Self {
        Self(Arc::new(Inner { store, docker, registry, data, turn: Mutex::default() }))
    }

    /// Prunes after each job and when the disk runs low, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            // Given up wherever it is: what is half done is done the next time.
            () = self.for_ever() => {}
        }
    }

    async fn for_ever(&self) {
        let mut changes = self.0.store.changes();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    tokio::time::sleep(SETTLE).await;
                    changes.mark_unchanged();
                    self.by_itself(false).await;
                }
                _ = tick.tick() => self.by_itself(self.is_low().await).await,
            }
        }
    }

    /// What failed is tried again the next time.
    async fn by_itself(&self, disk_is_low: bool) {
        let surplus = self.0.store.held_images(None).await.map(|(_, surplus)| !surplus.is_empty());
        if !disk_is_low && !surplus.unwrap_or_default() {
            return;
        }
        match self.prune(None, false).await {
            Ok(report) if report.items.is_empty() => {}
            Ok(report) => tracing::info!(items = report.items.len(), freed = disk::size(report.bytes), "pruned what nothing needs"),
            Err(error) => tracing::warn!(error = chain(&error), "could not prune; trying again later"),
        }
    }

    /// Removes what is more than histories want, or more than `keep` versions of each app.
    pub async fn prune(&self, keep: Option<u16>, dry_run: bool) -> Result<PruneReport, PruneError> {
        let _turn = self.0.turn.lock().await;
        let mut items = self.images(keep, dry_run).await?;
        items.extend(self.0.registry.collect_garbage(dry_run).await?);
        let bytes = items.iter().map(|item| item.bytes).sum();
        let free_bytes = self.disks(0, 0).await.iter().map(|disk| disk.free).min().unwrap_or_default();
        Ok(PruneReport { dry_run, items, bytes, free_bytes })
    }

    /// Sees to it that so many bytes can be written below the data directory, and by the engine. Prunes when that
    /// helps; the bytes that are free then, and that were pruned.
    pub async fn make_room(&self, data: u64, engine: u64) -> Result<(u64, u64), NoRoom> {
        let free = |disks: &[Disk]| disks.iter().map(|disk| disk.free).min().unwrap_or(u64::MAX);
        let disks = self.disks(data, engine).await;
        if disks.iter().all(Disk::has_room) {
            return Ok((free(&disks), 0));
        }
        let pruned = self.prune(None, false).await.map(|report| report.bytes);
        let pruned = pruned.unwrap_or_else(|error| {
            tracing::warn!(error = chain(&error), "could not prune although room is needed");
            0
        });
        let disks = self.disks(data, engine).await;
        match disks.iter().find(|disk| !disk.has_room()) {
            None => Ok((free(&disks), pruned)),
            Some(disk) => {
                let would_free = self.prune(Some(1), true).await.map(|report| report.bytes).unwrap_or_default();
                Err(NoRoom { disk: disk.clone(), would_free })
            }
        }
    }

    async fn is_low(&self) -> bool {
        self.disks(0, 0).await.iter().any(Disk::is_low)
    }

    async fn disks(&self, data: u64, engine: u64) -> Vec<Disk> {
        let root = self.0.docker.root_dir().await.ok().flatten();
        let engine = root.as_deref().map(|root| (root, engine));
        let needs: Vec<_> = std::iter::once((self.0.data.as_path(), data)).chain(engine).collect();
        disk::disks(&needs)
    }

    async fn images(&self, keep: Option<u16>, dry_run: bool) -> Result<Vec<Pruned>, PruneError> {
        let (held, surplus) = self.0.store.held_images(keep).await?;
        let (going, staying): (Vec<_>, Vec<_>) = held.into_iter().partition(|image| surplus.contains(&image.deployment));
        let mut gone: BTreeSet<&str> = BTreeSet::new();
        let mut items = Vec::new();
        let mut failure = None;
        for image in &going {
            // Of an image that stays, or that was told of already, only a name goes.
            let is_last = staying.iter().all(|kept| kept.image_id != image.image_id) && gone.insert(&image.image_id);
            let name = staying.iter().all(|kept| kept.pulled != image.pulled).then_some(image.pulled.as_deref()).flatten();
            match self.image(image, name, keep, dry_run).await {
                Ok(Some(details)) if is_last && will_go(&details, &going, name) => items.push(Pruned {
                    kind: PrunedKind::Image,
                    app: Some(image.app.clone()),
                    name: image.tag.clone(),
                    bytes: details.size_bytes,
                }),
                Ok(_) => {}
                // The others are not to blame for it.
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if items.is_empty() => Err(error),
            Some(error) => {
                tracing::warn!(error = chain(&error), "an image could not be pruned; trying again later");
                Ok(items)
            }
            None => Ok(items),
        }
    }

    /// What the image was, once it is, or would be, without our names.
    async fn image(
        &self,
        image: &HeldImage,
        pulled: Option<&str>,
        keep: Option<u16>,
        dry_run: bool,
    ) -> Result<Option<crate::docker::Image>, PruneError> {
        let details = self.0.docker.image(&image.image_id).await?;
        if dry_run {
            return Ok(details);
        }
        // A rollback to it may have been accepted since.
        let is_surplus = self.0.store.held_images(keep).await?.1.contains(&image.deployment);
        Ok(if is_surplus && self.remove(image, pulled).await? { details } else { None })
    }

    /// Takes our names away; false when a container still needs the image.
    async fn remove(&self, image: &HeldImage, pulled: Option<&str>) -> Result<bool, PruneError> {
        let docker = &self.0.docker;
        // The name may mean another image by now, which is not ours.
        if let Some(pulled) = pulled
            && docker.image(pulled).await?.is_some_and(|named| named.id == image.image_id)
            && docker.remove_reference(pulled).await? == Removal::InUse
        {
            return Ok(false);
        }
        if docker.remove_reference(&image.tag).await? == Removal::InUse {
            return Ok(false);
        }
        self.release(image.deployment).await?;
        Ok(true)
    }

    async fn release(&self, deployment: DeployId) -> Result<(), StoreError> {
        self.0.store.release_image(deployment).await
    }
}

/// Whether nobody else has named the image.
fn will_go(image: &crate::docker::Image, going: &[HeldImage], pulled: Option<&str>) -> bool {
    let ours = |tag: &String| going.iter().any(|held| held.tag == *tag) || pulled == Some(tag.as_str());
    image.tags.iter().all(ours)
}
