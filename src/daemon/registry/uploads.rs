//! Pushing blobs: sessions that grow by pieces, whole blobs in one request, and blobs of other repositories.
//!
//! A session belongs to one request at a time: whoever works on it has taken it out of the table. The work goes on
//! in a task of its own, so that a client which vanishes leaves a session with all that arrived.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_ENCODING, CONTENT_RANGE, LOCATION, RANGE};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

use super::Registry;
use super::bodies::Pieces;
use super::error::{Refused, is_full, versioned};
use super::files::Encoding;
use super::route::{Repository, UploadId, parse_digest, parse_repository, unknown_upload};
use super::upload::{PieceError, Upload};
use crate::daemon::store::NewBlob;
use crate::names::Digest;
use crate::wire::{Pruned, PrunedKind};

/// A session that nobody touched for so long is dropped.
pub const IDLE: Duration = Duration::from_secs(24 * 3600);

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");
pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The sessions that no request works on now. Those of an earlier process are files alone.
pub struct Uploads {
    folder: PathBuf,
    idle: Mutex<HashMap<UploadId, Session>>,
}

enum Session {
    Here(Box<Upload>),
    /// A request has it.
    Taken,
}

impl Uploads {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, idle: Mutex::default() }
    }

    fn idle(&self) -> MutexGuard<'_, HashMap<UploadId, Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, id: &UploadId) -> PathBuf {
        self.folder.join(id.as_str())
    }

    fn give_back(&self, id: UploadId, upload: Upload) {
        self.idle().insert(id, Session::Here(Box::new(upload)));
    }

    fn forget(&self, id: &UploadId) {
        self.idle().remove(id);
    }

    /// Files of sessions that were touched last before `before`, with their sizes; sessions at work are left out.
    pub fn stale(&self, before: SystemTime) -> Vec<(PathBuf, Pruned)> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let stale = entries.filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            let name = entry.file_name().into_string().ok()?;
            let id = UploadId::parse(name.trim_end_matches(".zst"))?;
            let is_old = metadata.modified().is_ok_and(|modified| modified < before);
            let taken = matches!(self.idle().get(&id), Some(Session::Taken));
            let pruned = Pruned { kind: PrunedKind::Upload, app: None, name: id.as_str().to_owned(), bytes: metadata.len() };
            (is_old && !taken).then(|| (entry.path(), pruned))
        });
        stale.collect()
    }

    /// Drops a session whose file is about to go.
    pub fn drop_stale(&self, name: &str) {
        if let Some(id) = UploadId::parse(name) {
            self.forget(&id);
        }
    }
}

/// `POST …/blobs/uploads/`: a new session, a whole blob (`?digest=`), or one that is here already (`?mount=`).
pub async fn begin(registry: &Registry, repository: &Repository, request: Request) -> Result<Response, Refused> {
    let query = Query::of(request.uri())?;
    if let Some(digest) = &query.mount {
        if let Some(from) = &query.from {
            parse_repository(from)?;
        }
        if registry.counted_blob(digest).await?.is_some() {
            return Ok(created(repository, digest));
        }
    }
    let (headers, body) = (request.headers().clone(), request.into_body());
    let (registry, repository) = (registry.clone(), repository.clone());
    // In a task of its own: a client that leaves ends none of this in the middle.
    let begun = tokio::spawn(async move {
        let id = UploadId::random();
        let path = registry.0.uploads.path(&id);
        let upload = tokio::task::spawn_blocking(move || Upload::create(path)).await?.map_err(disk)?;
        Work::new(registry, repository, id, headers).begin(upload, query.digest, body).await
    });
    begun.await?
}

/// Every other request to a session.
pub async fn serve(registry: &Registry, repository: &Repository, id: &UploadId, request: Request) -> Result<Response, Refused> {
    let query = Query::of(request.uri())?;
    let method = request.method().clone();
    let (headers, body) = (request.headers().clone(), request.into_body());
    let (registry, repository, id) = (registry.clone(), repository.clone(), id.clone());
    let done = tokio::spawn(async move {
        let upload = take(&registry, &id).await?;
        Work::new(registry, repository, id, headers).carry_out(method, upload, query.digest, body).await
    });
    done.await?
}

/// Takes a session out of the table, or reads one of an earlier process again.
async fn take(registry: &Registry, id: &UploadId) -> Result<Upload, Refused> {
    let uploads = &registry.0.uploads;
    let before = uploads.idle().insert(id.clone(), Session::Taken);
    match before {
        Some(Session::Here(upload)) => Ok(*upload),
        Some(Session::Taken) => Err(Refused::new(
            StatusCode::CONFLICT,
            "BLOB_UPLOAD_INVALID",
            "another request is working on this upload: try again in a moment",
        )),
        None => {
            let plain = uploads.path(id);
            let found = tokio::task::spawn_blocking(move || {
                let zstd = plain.with_extension("zst");
                [zstd, plain].into_iter().find(|path| path.is_file()).map(Upload::resume).transpose()
            });
            match found.await?.map_err(disk) {
                Ok(Some(upload)) => Ok(upload),
                other => {
                    uploads.forget(id);
                    Err(other.err().unwrap_or_else(unknown_upload))
                }
            }
        }
    }
}

/// A request that has a session to itself. When it breaks off, the session is what its file says.
struct Work {
    registry: Registry,
    repository: Repository,
    id: UploadId,
    headers: HeaderMap,
    has_ended: AtomicBool,
}

impl Drop for Work {
    fn drop(&mut self) {
        if !self.has_ended.load(Ordering::Relaxed) {
            self.registry.0.uploads.forget(&self.id);
        }
    }
}

impl Work {
    fn new(registry: Registry, repository: Repository, id: UploadId, headers: HeaderMap) -> Self {
        registry.0.uploads.idle().insert(id.clone(), Session::Taken);
        Self { registry, repository, id, headers, has_ended: AtomicBool::new(false) }
    }

    async fn begin(self, upload: Upload, digest: Option<Digest>, body: Body) -> Result<Response, Refused> {
        match digest {
            None => Ok(self.keep(StatusCode::ACCEPTED, upload)),
            Some(digest) => {
                let (upload, took) = self.append(upload, &mut Pieces::of(body)).await?;
                match took {
                    Ok(()) => self.finish(upload, &digest).await,
                    // Nobody was told the session's address.
                    Err(refused) => {
                        self.discard(upload).await?;
                        Err(refused)
                    }
                }
            }
        }
    }

    async fn carry_out(self, method: Method, upload: Upload, digest: Option<Digest>, body: Body) -> Result<Response, Refused> {
        match method {
            Method::GET => Ok(self.keep(StatusCode::NO_CONTENT, upload)),
            Method::DELETE => {
                self.discard(upload).await?;
                Ok(versioned(StatusCode::NO_CONTENT.into_response()))
            }
            Method::PATCH => {
                let (upload, took) = self.append(upload, &mut Pieces::of(body)).await?;
                match took {
                    Ok(()) => Ok(self.keep(StatusCode::ACCEPTED, upload)),
                    Err(refused) => Err(self.refuse(upload, refused).await?),
                }
            }
            _ => {
                let Some(digest) = digest else {
                    self.keep(StatusCode::ACCEPTED, upload);
                    return Err(Refused::digest("the last request of an upload names its digest: `?digest=sha256:…`"));
                };
                let (upload, took) = self.append(upload, &mut Pieces::of(body)).await?;
                match took {
                    Ok(()) => self.finish(upload, &digest).await,
                    Err(refused) => Err(self.refuse(upload, refused).await?),
                }
            }
        }
    }

    /// What came before a refusal may be gone on with, except where there is no room for it.
    async fn refuse(&self, upload: Upload, refused: Refused) -> Result<Refused, Refused> {
        if refused.is_no_room() {
            self.discard(upload).await?;
        } else {
            self.keep(StatusCode::ACCEPTED, upload);
        }
        Ok(refused)
    }

    /// Puts the session back and says how far it is.
    fn keep(&self, status: StatusCode, upload: Upload) -> Response {
        let range = format!("0-{}", upload.size().saturating_sub(1));
        let location = format!("/v2/{}/blobs/uploads/{}", self.repository.as_str(), self.id.as_str());
        self.has_ended.store(true, Ordering::Relaxed);
        self.registry.0.uploads.give_back(self.id.clone(), upload);
        let id = self.id.as_str().to_owned();
        versioned((status, [(LOCATION, location), (RANGE, range), (UPLOAD_ID, id)]).into_response())
    }

    async fn discard(&self, upload: Upload) -> Result<(), Refused> {
        let path = upload.path().to_owned();
        drop(upload);
        let removed = tokio::task::spawn_blocking(move || fs::remove_file(path)).await?.map_err(disk);
        self.end();
        removed
    }

    /// The session is over.
    fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
        self.registry.0.uploads.forget(&self.id);
    }

    /// Takes a body in. The upload always comes back, with all of the body that counts.
    async fn append(&self, upload: Upload, body: &mut Pieces) -> Result<(Upload, Result<(), Refused>), Refused> {
        let expected = match self.expected(&upload) {
            Ok(expected) => expected,
            Err(refused) => {
                body.discard().await;
                return Ok((upload, Err(refused)));
            }
        };
        let mut first = match body.next().await {
            Ok(Some(first)) => Some(first),
            Ok(None) => return Ok((upload, Ok(()))),
            Err(broken) => return Ok((upload, Err(broken.into()))),
        };
        let encoding = encoding(&self.headers);
        let (mut upload, begun) = blocking(upload, move |upload| upload.begin(encoding)).await?;
        match begun {
            Ok(true) => {}
            Ok(false) => return Ok((upload, Err(Refused::upload("the pieces of one upload are all compressed, or none is")))),
            Err(error) => return Ok((upload, Err(disk(error)))),
        }
        let took = loop {
            let piece = match first.take() {
                Some(first) => Ok(Some(first)),
                None => body.next().await,
            };
            let piece = match piece {
                Ok(Some(piece)) => piece,
                Ok(None) => break Ok(()),
                Err(broken) => break Err(broken.into()),
            };
            if self.registry.0.files.room() < piece.len() as u64 {
                break Err(Refused::no_room("the server's disk has no room for this blob"));
            }
            self.registry.counted().upload();
            let taken;
            (upload, taken) = blocking(upload, move |upload| upload.take(&piece)).await?;
            if let Err(error) = taken {
                break Err(refusal(&error));
            }
        };
        if took.is_err() {
            body.discard().await;
        }
        let (upload, took) = blocking(upload, move |upload| {
            let took = took.and_then(|()| upload.end().map_err(|error| refusal(&error)));
            if took.is_err()
                && let Err(error) = upload.go_back()
            {
                tracing::warn!(error = crate::error::chain(&error), "a broken piece of an upload stays in its file");
            }
            took
        })
        .await?;
        let took = took.and_then(|()| match expected {
            Some(end) if end != upload.size() => Err(Refused::upload(format!(
                "`Content-Range` ends at byte {}, the content at {}",
                end - 1,
                upload.size().saturating_sub(1)
            ))),
            _ => Ok(()),
        });
        Ok((upload, took))
    }

    /// Where the content ends after this piece, when `Content-Range: FIRST-LAST` says so.
    fn expected(&self, upload: &Upload) -> Result<Option<u64>, Refused> {
        let Some(range) = self.headers.get(CONTENT_RANGE) else { return Ok(None) };
        let text = range.to_str().unwrap_or_default().trim_start_matches("bytes").trim().trim_start_matches('=');
        let text = text.split('/').next().unwrap_or_default();
        let ends = text.split_once('-').and_then(|(first, last)| Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?)));
        let out_of_order = |message: String| {
            Refused::new(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", message)
                .with(RANGE, format!("0-{}", upload.size().saturating_sub(1)))
        };
        match ends {
            Some((first, last)) if first == upload.size() && last >= first => Ok(Some(last + 1)),
            Some((first, _)) => Err(out_of_order(format!("the next byte is {}, not {first}", upload.size()))),
            None => Err(out_of_order("`Content-Range` is `FIRST-LAST`, both counted from 0".to_owned())),
        }
    }

    /// Compares the digest and gives the content its place.
    async fn finish(self, upload: Upload, digest: &Digest) -> Result<Response, Refused> {
        let found = upload.digest();
        if found != *digest {
            self.discard(upload).await?;
            return Err(Refused::digest(format!("the content's digest is {found}, not {digest}: it was damaged on its way")));
        }
        let finished = tokio::task::spawn_blocking(move || upload.finish()).await?;
        let finished = match finished {
            Ok(finished) => finished,
            Err(error) => {
                self.clear_away().await?;
                return Err(disk(error));
            }
        };
        let (files, blob) = (self.registry.0.files.clone(), finished.digest.clone());
        let new = NewBlob { digest: blob.clone(), size: finished.size, stored: finished.stored, encoding: finished.encoding.as_str() };
        let (path, encoding) = (finished.path.clone(), finished.encoding);
        self.registry.counted().ask(digest);
        let stored = self.registry.0.store.add_blob(new, move |known| files.take_in(known, &path, &blob, encoding)).await;
        if let Err(error) = stored {
            self.clear_away().await?;
            return Err(error.into());
        }
        self.end();
        Ok(created(&self.repository, digest))
    }

    /// Removes what is left of a session that could not be finished.
    async fn clear_away(&self) -> Result<(), Refused> {
        let path = self.registry.0.uploads.path(&self.id);
        let gone = tokio::task::spawn_blocking(move || [path.with_extension("zst"), path].map(fs::remove_file));
        let gone = gone.await.map(|_| ()).map_err(Into::into);
        self.end();
        gone
    }
}

async fn blocking<T: Send + 'static>(
    mut upload: Upload,
    work: impl FnOnce(&mut Upload) -> T + Send + 'static,
) -> Result<(Upload, T), tokio::task::JoinError> {
    tokio::task::spawn_blocking(move || {
        let result = work(&mut upload);
        (upload, result)
    })
    .await
}

fn created(repository: &Repository, digest: &Digest) -> Response {
    let location = format!("/v2/{}/blobs/{digest}", repository.as_str());
    versioned((StatusCode::CREATED, [(LOCATION, location), (CONTENT_DIGEST, digest.to_string())]).into_response())
}

fn encoding(headers: &HeaderMap) -> Encoding {
    match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes()) {
        Some(b"zstd") => Encoding::Zstd,
        _ => Encoding::Identity,
    }
}

fn refusal(error: &PieceError) -> Refused {
    match error {
        PieceError::Disk(source) if is_full(source) => Refused::no_room("the server's disk is full"),
        PieceError::Disk(_) => Refused::internal("write to its disk", error),
        PieceError::Compression => Refused::upload(error.to_string()),
        PieceError::TooLarge => Refused::too_large(error.to_string()),
    }
}

fn disk(error: std::io::Error) -> Refused {
    if is_full(&error) { Refused::no_room("the server's disk is full") } else { Refused::internal("write to its disk", &error) }
}

/// The parameters of requests about uploads.
struct Query {
    digest: Option<Digest>,
    mount: Option<Digest>,
    from: Option<String>,
}

impl Query {
    fn of(uri: &Uri) -> Result<Self, Refused> {
        let (mut digest, mut mount, mut from) = (None, None, None);
        for pair in uri.query().unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = value.replace("%3A", ":").replace("%3a", ":").replace("%2F", "/").replace("%2f", "/");
            match name {
                "digest" => digest = Some(parse_digest(&value)?),
                "mount" => mount = Some(parse_digest(&value)?),
                "from" => from = Some(value),
                _ => {}
            }
        }
        Ok(Self { digest, mount, from })
    }
}
