//! Garbage: manifests that no tag and no kept deployment names, blobs that no such manifest names, uploads that were
//! never finished, and files that a crash left without a row.
//!
//! What is garbage is decided where it is removed, in one turn of the store's writer: nothing can begin to be counted
//! on between the two.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, SystemTime};

use super::counted::GRACE;
use super::files::Encoding;
use super::{Registry, RegistryError, uploads};
use crate::daemon::store::Garbage;
use crate::names::Digest;
use crate::wire::{Pruned, PrunedKind};

impl Registry {
    /// Removes what nobody needs and nobody has counted on within the last hour; says what it was.
    pub async fn collect_garbage(&self, dry_run: bool) -> Result<Vec<Pruned>, RegistryError> {
        self.collect_older_than(GRACE, dry_run).await
    }

    /// The same with another hour.
    pub async fn collect_older_than(&self, grace: Duration, dry_run: bool) -> Result<Vec<Pruned>, RegistryError> {
        let registry = self.clone();
        let spared = move || registry.counted().spared(grace);
        let files = self.0.files.clone();
        let remove = move |digest: &Digest, encoding: &str| files.remove(digest, Encoding::from_stored(encoding));
        let garbage = self.0.store.collect_garbage(spared, dry_run, remove).await?;
        let registry = self.clone();
        let stale = tokio::task::spawn_blocking(move || registry.stale_files(grace, dry_run));
        let mut pruned = items(garbage);
        pruned.extend(stale.await?);
        Ok(pruned)
    }

    /// Uploads that were left, blocking.
    fn stale_files(&self, grace: Duration, dry_run: bool) -> Vec<Pruned> {
        let idle = if grace < GRACE { grace } else { uploads::IDLE };
        let stale = self.0.uploads.stale(SystemTime::now() - idle);
        for (path, pruned) in stale.iter().filter(|_| !dry_run) {
            self.0.uploads.drop_stale(&pruned.name);
            if let Err(error) = fs::remove_file(path) {
                tracing::warn!(%error, "an upload that was left stays behind");
            }
        }
        stale.into_iter().map(|(_, pruned)| pruned).collect()
    }

    /// Removes files whose rows are gone and forgets blobs whose files are: a crash or a damaged disk came between the
    /// two, and whoever needs such a blob pushes it again. For the start, before anybody uploads.
    pub async fn sweep(&self) -> Result<(), RegistryError> {
        let files = self.0.files.clone();
        let found = tokio::task::spawn_blocking(move || files.all()).await?;
        let known = self.0.store.blobs().await?;
        let there: BTreeSet<_> = found.iter().map(|(digest, encoding, _)| (digest.clone(), encoding.as_str())).collect();
        let lost: Vec<Digest> = known
            .iter()
            .filter(|(digest, encoding)| !there.contains(&((*digest).clone(), encoding.as_str())))
            .map(|(digest, _)| digest.clone())
            .collect();
        if !lost.is_empty() {
            tracing::warn!(count = lost.len(), "files of the registry are gone: what they held must be pushed again");
            self.0.store.forget_blobs(lost).await?;
        }
        let files = self.0.files.clone();
        let strays: Vec<_> =
            found.into_iter().filter(|(digest, encoding, _)| known.get(digest).map(String::as_str) != Some(encoding.as_str())).collect();
        if strays.is_empty() {
            return Ok(());
        }
        tracing::info!(count = strays.len(), "removing files of the registry that belong to nothing");
        let swept = tokio::task::spawn_blocking(move || {
            strays.iter().filter_map(|(digest, encoding, _)| files.remove(digest, *encoding).err()).collect::<Vec<_>>()
        });
        for error in swept.await? {
            tracing::warn!(%error, "a file of the registry stays behind");
        }
        Ok(())
    }
}

fn items(garbage: Garbage) -> Vec<Pruned> {
    let manifest = |(digest, bytes): (Digest, u64)| Pruned { kind: PrunedKind::Manifest, app: None, name: digest.to_string(), bytes };
    let blob = |(digest, bytes): (Digest, u64)| Pruned { kind: PrunedKind::Blob, app: None, name: digest.to_string(), bytes };
    garbage.manifests.into_iter().map(manifest).chain(garbage.blobs.into_iter().map(blob)).collect()
}
