//! The server's own registry: OCI Distribution 1.1 in front of a store of blobs.
//!
//! Clients push here what their images consist of, only what is missing; the server's engine pulls from here over
//! loopback. A content is known by its digest alone, checked while it streams in, and shared by all repositories.
//!
//! ```text
//! route ── which of the protocol's requests it is       access ── who may
//! uploads ─► upload (a file that grows, hashed as it grows) ─► files (by digest)
//! manifests ─► manifest (what it names)                 listing (tags, referrers)
//! blobs (reading)                                       garbage (what nobody needs)
//! ```
//!
//! Rows and files change together on the store's writer thread, so that a blob which is being counted on is never
//! one that is being removed. Nothing is ever kept whole in memory but manifests, which have a limit.
//! What must never happen here: a file named by anything but a digest or an id of ours; content served that was
//! not verified; a blocking thread that waits for the network.

mod access;
mod blobs;
mod bodies;
mod counted;
mod error;
mod files;
mod garbage;
mod listing;
mod manifest;
mod manifests;
mod route;
#[cfg(test)]
mod tests;
mod upload;
mod uploads;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;

pub use self::access::{Access, login};
use self::counted::Counted;
use self::error::Refused;
use self::files::Files;
use self::route::Route;
use self::uploads::Uploads;
use crate::crypto;
use crate::daemon::store::{BlobRow, Store, StoreError};
use crate::files::FileError;
use crate::names::Digest;
use crate::secret::Secret;

pub use self::error::RegistryError;

/// The user name that the engine pulls with.
const ENGINE: &str = "haloyd";
/// Cheap to clone.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    store: Store,
    files: Files,
    uploads: Uploads,
    allows: Arc<Allows>,
    engine: Secret,
    counted: Mutex<Counted>,
}

/// What an API token may do here; nothing when it is none.
pub type Allows = dyn Fn(&str) -> Option<Access> + Send + Sync;

/// A registry and the door through which it is spoken to.
#[derive(Clone)]
struct Door {
    registry: Registry,
    /// Whoever comes in needs no token.
    trusted: bool,
}

impl Registry {
    /// Opens the blobs below `root`; what a crash left there is removed. `allows` knows the API's tokens.
    pub fn open(store: Store, root: PathBuf, allows: Arc<Allows>) -> Result<Self, FileError> {
        let files = Files::open(root)?;
        let engine = Secret::new(crypto::hex(&crypto::random::<32>()));
        let uploads = Uploads::new(files.uploads());
        Ok(Self(Arc::new(Inner { store, files, uploads, allows, engine, counted: Mutex::default() })))
    }

    /// Everything below `/v2/`.
    pub fn router(&self, trusted: bool) -> Router {
        let door = Door { registry: self.clone(), trusted };
        Router::new().route("/v2", any(serve)).route("/v2/", any(serve)).route("/v2/{*rest}", any(serve)).with_state(door)
    }

    /// With this the engine may pull, and nothing else; it is another one after each start.
    pub fn engine_login(&self) -> (String, Secret) {
        (ENGINE.to_owned(), self.0.engine.clone())
    }

    /// Whether a repository has this manifest, so that it can be deployed.
    pub async fn manifest_exists(&self, repository: &str, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.0.store.manifest(repository.to_owned(), digest.clone()).await?.is_some())
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A blob that is here, and stays: it is counted on before it is looked for, so that it cannot be collected in between.
    async fn counted_blob(&self, digest: &Digest) -> Result<Option<BlobRow>, StoreError> {
        self.counted().ask(digest);
        self.0.store.blob(digest.clone()).await
    }
}

async fn serve(State(door): State<Door>, request: Request) -> Response {
    match answer(door, request).await {
        Ok(response) => response,
        Err(refused) => {
            tracing::debug!(code = refused.code(), message = refused.message(), "the registry refused a request");
            refused.into_response()
        }
    }
}

async fn answer(door: Door, request: Request) -> Result<Response, Refused> {
    let route = Route::parse(request.method(), request.uri());
    let registry = door.registry;
    let access = if door.trusted { Access::EVERYTHING } else { access::of(&registry, request.headers())? };
    let route = route?;
    access.check(&route)?;
    match route {
        Route::Base => Ok(error::versioned(axum::http::StatusCode::OK.into_response())),
        Route::Blob { digest, .. } => blobs::serve(&registry, &digest, request).await,
        Route::DeleteBlob { digest, .. } => blobs::delete(&registry, &digest).await,
        Route::BeginUpload { repository } => uploads::begin(&registry, &repository, request).await,
        Route::Upload { repository, id } => uploads::serve(&registry, &repository, &id, request).await,
        Route::Manifest { repository, reference, .. } => manifests::serve(&registry, &repository, reference, request).await,
        Route::Tags { repository } => listing::tags(&registry, &repository, request.uri()).await,
        Route::Referrers { repository, subject } => listing::referrers(&registry, &repository, &subject, request.uri()).await,
    }
}
