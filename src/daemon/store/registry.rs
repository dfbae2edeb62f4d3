//! The index of the server's own registry: blobs, manifests, tags, and what of them is garbage.
//!
//! Files that belong to rows are renamed and removed here, in the writer's turn, by functions that the registry hands
//! in: a file is there before its row is, and its row is gone before it is.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

use super::deployments::now;
use super::{Store, StoreError, ask, damaged, query};
use crate::names::Digest;

/// A content that lies in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobRow {
    /// Of the content, in bytes.
    pub size: u64,
    /// `identity` or `zstd`.
    pub encoding: String,
}

pub struct NewBlob {
    pub digest: Digest,
    pub size: u64,
    /// Of the file, in bytes.
    pub stored: u64,
    pub encoding: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestRow {
    pub media_type: String,
    pub body: Vec<u8>,
    pub artifact_type: Option<String>,
}

pub struct NewManifest {
    pub repository: String,
    pub digest: Digest,
    pub media_type: String,
    pub body: Vec<u8>,
    pub blobs: Vec<Digest>,
    pub manifests: Vec<Digest>,
    pub subject: Option<Digest>,
    pub artifact_type: Option<String>,
    pub tag: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum BlobDeletion {
    Deleted,
    Unknown,
    Needed { manifest: Digest },
}

/// What was removed, or would be: digests with their bytes on disk.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Garbage {
    pub manifests: Vec<(Digest, u64)>,
    pub blobs: Vec<(Digest, u64)>,
}

impl Store {
    pub async fn blob(&self, digest: Digest) -> Result<Option<BlobRow>, StoreError> {
        self.read(move |db| {
            let sql = "SELECT size, encoding FROM blobs WHERE digest = ?1";
            let row = |row: &Row<'_>| Ok(BlobRow { size: row.get(0)?, encoding: row.get(1)? });
            db.query_row(sql, [digest.as_str()], row).optional().map_err(query("look for a blob"))
        })
        .await
    }

    /// Every blob with its encoding.
    pub async fn blobs(&self) -> Result<BTreeMap<Digest, String>, StoreError> {
        self.read(|db| {
            let failed = query("list the blobs");
            let mut statement = db.prepare("SELECT digest, encoding FROM blobs").map_err(failed)?;
            let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?))).map_err(failed)?;
            rows.map(|row| row.map_err(failed).and_then(|(digest, encoding)| Ok((parse(&digest)?, encoding)))).collect()
        })
        .await
    }

    /// Notes a blob. `adopt` gets the encoding in which it is known already, if it is, and says whether the new file is the
    /// blob's from now on.
    pub async fn add_blob(
        &self,
        new: NewBlob,
        adopt: impl FnOnce(Option<&str>) -> io::Result<bool> + Send + 'static,
    ) -> Result<(), StoreError> {
        self.write("note a blob", move |db| {
            let failed = query("note a blob");
            let sql = "SELECT encoding FROM blobs WHERE digest = ?1";
            let known: Option<String> = db.query_row(sql, [new.digest.as_str()], |row| row.get(0)).optional().map_err(failed)?;
            let is_new = adopt(known.as_deref()).map_err(|source| StoreError::File { action: "give a blob its name", source })?;
            let noted = match is_new {
                false => db.execute("UPDATE blobs SET used_at = ?2 WHERE digest = ?1", params![new.digest.as_str(), now()]),
                true => db.execute(
                    "INSERT INTO blobs (digest, size, stored, encoding, used_at) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (digest) DO UPDATE SET stored = ?3, encoding = ?4, used_at = ?5",
                    params![new.digest.as_str(), new.size, new.stored, new.encoding, now()],
                ),
            };
            noted.map(|_| ()).map_err(failed)
        })
        .await
    }

    /// Blobs that are no more, whoever needs them.
    pub async fn forget_blobs(&self, digests: Vec<Digest>) -> Result<(), StoreError> {
        self.write("forget blobs", move |db| {
            let failed = query("forget blobs");
            let mut statement = db.prepare("DELETE FROM blobs WHERE digest = ?1").map_err(failed)?;
            digests.iter().try_for_each(|digest| statement.execute([digest.as_str()]).map(|_| ()).map_err(failed))
        })
        .await
    }

    /// Removes a blob that no manifest needs; `remove` gets its encoding and removes its file.
    pub async fn delete_blob(
        &self,
        digest: Digest,
        remove: impl FnOnce(&str) -> io::Result<()> + Send + 'static,
    ) -> Result<BlobDeletion, StoreError> {
        ask(&self.writer, move |db| {
            let failed = query("delete a blob");
            let sql = "SELECT manifest FROM manifest_parts WHERE part = ?1";
            let needed: Option<String> = db.query_row(sql, [digest.as_str()], |row| row.get(0)).optional().map_err(failed)?;
            if let Some(manifest) = needed {
                return Ok(BlobDeletion::Needed { manifest: parse(&manifest)? });
            }
            let sql = "DELETE FROM blobs WHERE digest = ?1 RETURNING encoding";
            let encoding: Option<String> = db.query_row(sql, [digest.as_str()], |row| row.get(0)).optional().map_err(failed)?;
            let Some(encoding) = encoding else { return Ok(BlobDeletion::Unknown) };
            remove(&encoding).map_err(|source| StoreError::File { action: "remove a blob", source })?;
            Ok(BlobDeletion::Deleted)
        })
        .await
    }

    pub async fn manifest(&self, repository: String, digest: Digest) -> Result<Option<ManifestRow>, StoreError> {
        self.read(move |db| {
            let sql = "SELECT media_type, body, artifact_type FROM manifests WHERE repository = ?1 AND digest = ?2";
            db.query_row(sql, params![repository, digest.as_str()], manifest_row).optional().map_err(query("look for a manifest"))
        })
        .await
    }

    /// Bytes of all that a manifest names, unpacked where it lies compressed here.
    pub async fn image_size(&self, repository: String, digest: Digest) -> Result<u64, StoreError> {
        self.read(move |db| {
            let sql = "SELECT COALESCE(SUM(b.size), 0) FROM manifest_parts p JOIN blobs b ON b.digest = p.part
                       WHERE p.repository = ?1 AND p.manifest = ?2";
            db.query_row(sql, params![repository, digest.as_str()], |row| row.get(0)).map_err(query("add an image up"))
        })
        .await
    }

    /// What a tag means.
    pub async fn tagged(&self, repository: String, tag: String) -> Result<Option<Digest>, StoreError> {
        self.read(move |db| {
            let sql = "SELECT manifest FROM tags WHERE repository = ?1 AND tag = ?2";
            let digest: Option<String> =
                db.query_row(sql, params![repository, tag], |row| row.get(0)).optional().map_err(query("look for a tag"))?;
            digest.as_deref().map(parse).transpose()
        })
        .await
    }

    /// Keeps a manifest, and its tag if it has one. The first part that it names and that is not there, if any:
    /// nothing is kept then.
    pub async fn add_manifest(&self, new: NewManifest) -> Result<Option<Digest>, StoreError> {
        self.write("keep a manifest", move |db| {
            let failed = query("keep a manifest");
            if let Some(missing) = missing(db, &new)? {
                return Ok(Some(missing));
            }
            db.execute(
                "INSERT INTO manifests (repository, digest, media_type, body, subject, artifact_type, used_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (repository, digest) DO UPDATE SET used_at = ?7",
                params![
                    new.repository,
                    new.digest.as_str(),
                    new.media_type,
                    new.body,
                    new.subject.as_ref().map(Digest::as_str),
                    new.artifact_type,
                    now()
                ],
            )
            .map_err(failed)?;
            for part in new.blobs.iter().chain(&new.manifests) {
                let sql = "INSERT OR IGNORE INTO manifest_parts (repository, manifest, part) VALUES (?1, ?2, ?3)";
                db.execute(sql, params![new.repository, new.digest.as_str(), part.as_str()]).map_err(failed)?;
            }
            if let Some(tag) = &new.tag {
                let sql = "INSERT INTO tags (repository, tag, manifest, updated_at) VALUES (?1, ?2, ?3, ?4)
                           ON CONFLICT (repository, tag) DO UPDATE SET manifest = ?3, updated_at = ?4";
                db.execute(sql, params![new.repository, tag, new.digest.as_str(), now()]).map_err(failed)?;
            }
            Ok(None)
        })
        .await
    }

    /// Whether there was such a tag.
    pub async fn delete_tag(&self, repository: String, tag: String) -> Result<bool, StoreError> {
        self.write("delete a tag", move |db| {
            let sql = "DELETE FROM tags WHERE repository = ?1 AND tag = ?2";
            db.execute(sql, params![repository, tag]).map(|rows| rows > 0).map_err(query("delete a tag"))
        })
        .await
    }

    /// Deletes a manifest with its tags; whether there was one.
    pub async fn delete_manifest(&self, repository: String, digest: Digest) -> Result<bool, StoreError> {
        self.write("delete a manifest", move |db| {
            let sql = "DELETE FROM manifests WHERE repository = ?1 AND digest = ?2";
            db.execute(sql, params![repository, digest.as_str()]).map(|rows| rows > 0).map_err(query("delete a manifest"))
        })
        .await
    }

    /// Up to `limit` tags behind `last`, in lexical order; none when there is no such repository.
    pub async fn tags(&self, repository: String, last: String, limit: u32) -> Result<Option<Vec<String>>, StoreError> {
        self.read(move |db| {
            let failed = query("list the tags");
            let sql = "SELECT EXISTS (SELECT 1 FROM manifests WHERE repository = ?1)";
            if !db.query_row(sql, [&repository], |row| row.get(0)).map_err(failed)? {
                return Ok(None);
            }
            let sql = "SELECT tag FROM tags WHERE repository = ?1 AND tag > ?2 ORDER BY tag LIMIT ?3";
            let mut statement = db.prepare_cached(sql).map_err(failed)?;
            let rows = statement.query_map(params![repository, last, limit], |row| row.get(0)).map_err(failed)?;
            rows.collect::<Result<_, _>>().map(Some).map_err(failed)
        })
        .await
    }

    /// The manifests whose subject this is.
    pub async fn referrers(&self, repository: String, subject: Digest) -> Result<Vec<(Digest, ManifestRow)>, StoreError> {
        self.read(move |db| {
            let failed = query("list the referrers");
            let sql =
                "SELECT media_type, body, artifact_type, digest FROM manifests WHERE repository = ?1 AND subject = ?2 ORDER BY digest";
            let mut statement = db.prepare_cached(sql).map_err(failed)?;
            let read = |row: &Row<'_>| Ok((row.get::<_, String>(3)?, manifest_row(row)?));
            let rows = statement.query_map(params![repository, subject.as_str()], read).map_err(failed)?;
            rows.map(|row| row.map_err(failed).and_then(|(digest, manifest)| Ok((parse(&digest)?, manifest)))).collect()
        })
        .await
    }

    /// Removes manifests and blobs that nothing needs. `spared` is asked in the turn that removes them: blobs that are to
    /// stay, and how old garbage is at least.
    pub async fn collect_garbage(
        &self,
        spared: impl FnOnce() -> (BTreeSet<Digest>, Duration) + Send + 'static,
        dry_run: bool,
        remove: impl Fn(&Digest, &str) -> io::Result<()> + Send + 'static,
    ) -> Result<Garbage, StoreError> {
        ask(&self.writer, move |db| {
            let failed = query("collect what the registry does not need");
            let (spared, age) = spared();
            let since = now().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
            let kept = kept_manifests(&transaction, since)?;
            let mut garbage = Garbage::default();
            for (repository, digest, bytes) in manifests(&transaction)? {
                if !kept.contains(&(repository.clone(), digest.clone())) {
                    let sql = "DELETE FROM manifests WHERE repository = ?1 AND digest = ?2";
                    transaction.execute(sql, params![repository, digest.as_str()]).map_err(failed)?;
                    garbage.manifests.push((digest, bytes));
                }
            }
            let blobs: Vec<_> = unneeded_blobs(&transaction, since)?.into_iter().filter(|blob| !spared.contains(&blob.0)).collect();
            for (digest, _, _) in &blobs {
                transaction.execute("DELETE FROM blobs WHERE digest = ?1", [digest.as_str()]).map_err(failed)?;
            }
            if !dry_run {
                transaction.commit().map_err(failed)?;
                for (digest, encoding, _) in &blobs {
                    if let Err(error) = remove(digest, encoding) {
                        // The next start sweeps it.
                        tracing::warn!(%digest, %error, "a blob's file stays behind");
                    }
                }
            }
            garbage.blobs = blobs.into_iter().map(|(digest, _, stored)| (digest, stored)).collect();
            Ok(garbage)
        })
        .await
    }
}

fn manifest_row(row: &Row<'_>) -> rusqlite::Result<ManifestRow> {
    Ok(ManifestRow { media_type: row.get(0)?, body: row.get(1)?, artifact_type: row.get(2)? })
}

fn parse(digest: &str) -> Result<Digest, StoreError> {
    digest.parse().map_err(damaged("digest"))
}

fn missing(db: &Connection, new: &NewManifest) -> Result<Option<Digest>, StoreError> {
    let failed = query("look for what a manifest names");
    for blob in &new.blobs {
        let sql = "SELECT EXISTS (SELECT 1 FROM blobs WHERE digest = ?1)";
        if !db.query_row(sql, [blob.as_str()], |row| row.get(0)).map_err(failed)? {
            return Ok(Some(blob.clone()));
        }
    }
    for manifest in &new.manifests {
        let sql = "SELECT EXISTS (SELECT 1 FROM manifests WHERE repository = ?1 AND digest = ?2)";
        if !db.query_row(sql, params![new.repository, manifest.as_str()], |row| row.get(0)).map_err(failed)? {
            return Ok(Some(manifest.clone()));
        }
    }
    Ok(None)
}

type Key = (String, Digest);

fn manifests(db: &Connection) -> Result<Vec<(String, Digest, u64)>, StoreError> {
    let failed = query("list the manifests");
    let mut statement = db.prepare("SELECT repository, digest, length(body) FROM manifests").map_err(failed)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?))).map_err(failed)?;
    rows.map(|row| row.map_err(failed).and_then(|(repository, digest, bytes)| Ok((repository, parse(&digest)?, bytes)))).collect()
}

/// By tags, by kept deployments, by their age; then their parts and what refers to them.
fn kept_manifests(db: &Connection, since: i64) -> Result<BTreeSet<Key>, StoreError> {
    let failed = query("look for manifests that are needed");
    let sql = "
        WITH RECURSIVE named (digest) AS (
            SELECT json_extract(d.spec, '$.pin.uploaded') FROM deployments d WHERE
                d.id IN (SELECT serving FROM apps) OR d.id IN (SELECT rollout FROM apps)
                OR d.id IN (SELECT deployment FROM jobs WHERE finished_at IS NULL)
                OR d.id IN (SELECT deployment FROM images)
        ),
        kept (repository, digest) AS (
            SELECT repository, digest FROM manifests WHERE used_at > ?1 OR digest IN (SELECT digest FROM named)
            UNION SELECT repository, manifest FROM tags
            UNION SELECT p.repository, p.part FROM manifest_parts p JOIN kept k ON p.repository = k.repository AND p.manifest = k.digest
            UNION SELECT m.repository, m.digest FROM manifests m JOIN kept k ON m.repository = k.repository AND m.subject = k.digest
        )
        SELECT repository, digest FROM kept";
    let mut statement = db.prepare(sql).map_err(failed)?;
    let rows = statement.query_map([since], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).map_err(failed)?;
    rows.map(|row| row.map_err(failed).and_then(|(repository, digest)| Ok((repository, parse(&digest)?)))).collect()
}

/// Digest, encoding and bytes on disk of the blobs that no manifest names.
fn unneeded_blobs(db: &Connection, since: i64) -> Result<Vec<(Digest, String, u64)>, StoreError> {
    let failed = query("look for blobs that are not needed");
    let sql = "SELECT digest, encoding, stored FROM blobs WHERE used_at <= ?1 AND digest NOT IN (SELECT part FROM manifest_parts)";
    let mut statement = db.prepare(sql).map_err(failed)?;
    let rows = statement.query_map([since], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))).map_err(failed)?;
    rows.map(|row| row.map_err(failed).and_then(|(digest, encoding, stored)| Ok((parse(&digest)?, encoding, stored)))).collect()
}
