//! What people asked for and what became of it: intent, deployments, jobs, events.
//!
//! SQLite in WAL mode with `synchronous=FULL`: what was acknowledged survives a power cut. One
//! thread writes, one reads, each owns its connection; callers send closures and await the answer.
//! Dropping such a future does not undo the work: a write that was sent is carried out.
//!
//! Resolved environment values come in sealed (see `crypto::Identity`) and stay so. The only folder
//! that names `rusqlite`.

mod audit;
mod certificates;
mod deployments;
mod ids;
mod images;
mod intents;
mod jobs;
mod registries;
mod registry;
mod schema;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::mpsc;
use std::thread;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::{oneshot, watch};

use crate::error::Report;
use crate::files;
use crate::names::{AppName, DeployId, Domain};
use crate::wire::JobId;

pub use audit::NewAuditEntry;
pub use certificates::CertificateRecord;
pub use deployments::{NewDeployment, Prepared, Release};
pub use images::HeldImage;
pub use intents::{ActiveJob, AppIntent, RunState};
pub use registry::{BlobDeletion, BlobRow, Garbage, ManifestRow, NewBlob, NewManifest};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("could not open the database `{path}`")]
    Open { path: String, source: rusqlite::Error },
    #[error("could not prepare the folder of the database")]
    Folder(#[source] files::FileError),
    #[error("the database was written by a newer haloyd (schema {found}, this build knows {known})")]
    Newer { found: i64, known: i64 },
    #[error("could not {action}")]
    Query { action: &'static str, source: rusqlite::Error },
    #[error("could not {action}")]
    File { action: &'static str, source: std::io::Error },
    #[error("a stored {what} is damaged")]
    Damaged { what: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the age identity of this server is not the one that sealed what the database holds")]
    WrongIdentity,
    #[error("the database is closed: the daemon is stopping")]
    Closed,
    #[error("there is no app `{0}` on this server")]
    UnknownApp(AppName),
    #[error("there is no job {0}")]
    UnknownJob(JobId),
    #[error("app `{app}` has no deployment {deployment} to go back to")]
    UnknownDeployment { app: AppName, deployment: DeployId },
    #[error("app `{0}` has no earlier deployment to go back to")]
    NothingToRollBackTo(AppName),
    #[error("app `{0}` keeps no history: `history.strategy` is `none`")]
    NoHistory(AppName),
    #[error("the image of deployment {deployment} of app `{app}` is not kept any more")]
    ImageNotKept { app: AppName, deployment: DeployId },
    #[error("app `{app}` cannot go to the tag `{tag}`: its history is not in the registry, or the tag is not one of its versions")]
    NoSuchTag { app: AppName, tag: String },
    #[error("app `{0}` has never been deployed successfully")]
    NeverDeployed(AppName),
    #[error("domain `{domain}` already belongs to app `{app}`")]
    DomainTaken { domain: Domain, app: AppName },
    #[error("app `{0}` is protected: its containers and volumes are not removed by accident")]
    Protected(AppName),
}

impl Report for StoreError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Open { path, source } if is_damaged(source) => {
                Some(format!("move `{path}` and the files beside it away, and put a backup in their place"))
            }
            Self::Open { source, .. } if is_full(source) => Some(FREE_SPACE.to_owned()),
            Self::Open { .. } | Self::Folder(_) => {
                Some("check that the data directory exists and belongs to the user that runs haloyd".to_owned())
            }
            Self::Newer { .. } => Some("start the newer haloyd again, or restore the backup beside the database".to_owned()),
            Self::Query { source, .. } if is_full(source) => Some(FREE_SPACE.to_owned()),
            Self::UnknownApp(_) => Some("run `haloy deploy` first, or look at `haloy status`".to_owned()),
            Self::UnknownDeployment { .. } | Self::NothingToRollBackTo(_) => {
                Some("run `haloy rollback-targets` to see what is there".to_owned())
            }
            Self::NoHistory(_) => {
                Some("write `history: {strategy: local, count: 5}` below `image:` in haloy.yaml and deploy again".to_owned())
            }
            Self::ImageNotKept { .. } => {
                Some("`haloy rollback-targets` shows what is kept; `history.count` in haloy.yaml says how many".to_owned())
            }
            Self::NoSuchTag { .. } => Some("`haloy rollback-targets` shows the tags that there are".to_owned()),
            Self::NeverDeployed(_) => Some("run `haloy deploy`".to_owned()),
            Self::DomainTaken { app, .. } => {
                Some(format!("remove the domain from `{app}` first, or run `haloy stop --remove-containers` for it"))
            }
            Self::Protected(_) => Some("add `--include-protected` if that is what you want".to_owned()),
            Self::WrongIdentity => {
                Some("restore age_identity.txt from a backup (or HALOY_AGE_IDENTITY): without it no app can be started again".to_owned())
            }
            Self::Query { .. } | Self::File { .. } | Self::Damaged { .. } | Self::Closed | Self::UnknownJob(_) => None,
        }
    }
}

#[cfg(test)]
impl StoreError {
    /// What a write meets on a full disk, for the tests of those who show it.
    pub fn disk_full(action: &'static str) -> Self {
        Self::Query { action, source: rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None) }
    }
}

const FREE_SPACE: &str = "free some disk space: `docker system df` shows what images take";

fn is_damaged(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt))
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// The handle; clones share the two threads, which end when the last one is dropped.
#[derive(Clone)]
pub struct Store {
    writer: mpsc::Sender<Work>,
    reader: mpsc::Sender<Work>,
    /// Grows with every commit that adds job events; streams wait on it.
    changed: watch::Sender<u64>,
    instance: String,
    recipient: Option<String>,
}

impl Store {
    /// Opens or creates the database, migrates it and takes a backup before migrating.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent() {
            files::private_dir(folder).map_err(StoreError::Folder)?;
        }
        let failed = |source| StoreError::Open { path: path.display().to_string(), source };
        let mut connection = Connection::open(path).map_err(failed)?;
        configure(&connection).map_err(failed)?;
        schema::migrate(&mut connection, path)?;
        let instance = schema::instance(&connection)?;
        let recipient = schema::recipient(&connection)?;
        let read_only = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
        configure(&read_only).map_err(failed)?;
        Ok(Self {
            writer: serve("store-writer", connection),
            reader: serve("store-reader", read_only),
            changed: watch::channel(0).0,
            instance,
            recipient,
        })
    }

    /// This installation's random id: several daemons on one engine tell their containers apart by it.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Whose values the database holds: the public half of the age identity that sealed them.
    pub fn recipient(&self) -> Option<&str> {
        self.recipient.as_deref()
    }

    /// Notes whose values the database will hold; refuses another than the one noted before. Blocks:
    /// for the start only.
    pub fn claim(&self, recipient: &str) -> Result<(), StoreError> {
        match &self.recipient {
            Some(known) if known != recipient => return Err(StoreError::WrongIdentity),
            Some(_) => return Ok(()),
            None => {}
        }
        let (recipient, (reply, answer)) = (recipient.to_owned(), oneshot::channel());
        let work: Work = Box::new(move |db| {
            // Nobody but the start waits for this, and it does.
            let _ = reply.send(schema::set_recipient(db, &recipient));
        });
        self.writer.send(work).map_err(|_| StoreError::Closed)?;
        answer.blocking_recv().map_err(|_| StoreError::Closed)?
    }

    /// Changes whenever job events were stored.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Runs `work` in a write transaction; commits when it returns `Ok`.
    async fn write<T, F>(&self, action: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let result = ask(&self.writer, move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(query(action))?;
            let value = work(&transaction)?;
            transaction.commit().map_err(query(action))?;
            Ok(value)
        })
        .await;
        self.changed.send_modify(|count| *count += 1);
        result
    }

    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        ask(&self.reader, move |connection| work(connection)).await
    }
}

/// Maps a database error to the attempt it broke.
fn query(action: &'static str) -> impl Fn(rusqlite::Error) -> StoreError + Copy {
    move |source| StoreError::Query { action, source }
}

fn damaged<E: std::error::Error + Send + Sync + 'static>(what: &'static str) -> impl Fn(E) -> StoreError + Copy {
    move |source| StoreError::Damaged { what, source: Box::new(source) }
}

/// Serialises one of our own wire types for a column.
fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("invariant: our own types serialise")
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL").or_else(ignore_read_only)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -512)
}

/// The reader finds the journal mode set by the writer and may not set it itself.
fn ignore_read_only(error: rusqlite::Error) -> rusqlite::Result<()> {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ReadOnly) => Ok(()),
        _ => Err(error),
    }
}

fn serve(name: &str, mut connection: Connection) -> mpsc::Sender<Work> {
    let (sender, receiver) = mpsc::channel::<Work>();
    let run = move || {
        while let Ok(work) = receiver.recv() {
            work(&mut connection);
        }
    };
    thread::Builder::new().name(name.to_owned()).spawn(run).expect("invariant: a thread can be started at boot");
    sender
}

async fn ask<T, F>(thread: &mpsc::Sender<Work>, work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let work: Work = Box::new(move |connection| {
        // The caller may have gone; the work is done all the same.
        let _ = reply.send(work(connection));
    });
    thread.send(work).map_err(|_| StoreError::Closed)?;
    answer.await.map_err(|_| StoreError::Closed)?
}
