//! The registry's protocol as a client speaks it (OCI Distribution 1.1), one connection for one worker.
//!
//! Chunks that are compressed say so in `Content-Encoding`, and count in `Content-Range` as what they unpack to; haloyd
//! takes that. A connection that breaks is made anew, and the upload goes on where the server says that it is.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::SendRequest;
use tokio::time::timeout;

use super::manifest::{MEDIA_TYPE, Manifest};
use super::progress::{self, Progress};
use super::spool::{Chunk, Spool};
use crate::client::api::{Api, StreamedBody};
use crate::client::error::ClientError;
use crate::client::patience::Patience;
use crate::names::Digest;

type Body = StreamedBody;

/// A server that has neither taken a piece nor answered for so long is not there any more. It may have to write to a
/// slow disk.
const SILENCE: Duration = Duration::from_secs(120);
/// Read and sent at once, in bytes.
const PIECE: usize = 256 * 1024;
const MAX_ANSWER: usize = 64 * 1024;

/// A worker's connection to a server's registry.
pub struct Line<'a> {
    api: &'a Api,
    sender: Option<SendRequest<Body>>,
    /// Counts the pieces that the connection took.
    pieces: Arc<AtomicU64>,
}

/// The head of an answer, and what a refusal says.
struct Answer {
    status: StatusCode,
    location: Option<String>,
    range: Option<String>,
    length: Option<u64>,
    body: Bytes,
}

impl<'a> Line<'a> {
    pub fn new(api: &'a Api) -> Self {
        Self { api, sender: None, pieces: Arc::default() }
    }

    /// The size of a content in bytes, when the server has it.
    pub async fn size(&mut self, repository: &str, digest: &Digest) -> Result<Option<u64>, ClientError> {
        let path = format!("/v2/{repository}/blobs/{digest}");
        let answer = self.patiently(async |line| line.send(Method::HEAD, &path, &[], empty()).await).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(answer.length.unwrap_or_default())),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(self.refused("HEAD", &path, answer)),
        }
    }

    /// Sends a small content whole.
    pub async fn small(&mut self, repository: &str, digest: &Digest, content: &Bytes) -> Result<(), ClientError> {
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let answer = self.patiently(async |line| line.send(Method::POST, &path, &[], full(content.clone())).await).await?;
        if answer.status == StatusCode::CREATED { Ok(()) } else { Err(self.refused("POST", &path, answer)) }
    }

    pub async fn manifest(&mut self, repository: &str, manifest: &Manifest) -> Result<(), ClientError> {
        let path = format!("/v2/{repository}/manifests/{}", manifest.digest);
        let headers = [(CONTENT_TYPE, MEDIA_TYPE.to_owned())];
        let body = Bytes::from(manifest.body.clone());
        let answer = self.patiently(async |line| line.send(Method::PUT, &path, &headers, full(body.clone())).await).await?;
        if answer.status == StatusCode::CREATED { Ok(()) } else { Err(self.refused("PUT", &path, answer)) }
    }

    /// Sends a layer chunk by chunk, through broken connections.
    pub async fn layer(&mut self, repository: &str, layer: &Arc<Spool>, progress: &Progress) -> Result<(), ClientError> {
        let mut upload = Upload { repository, layer, progress, location: None, arrived: 0 };
        let mut patience = Patience::new();
        let mut before = 0;
        loop {
            match upload.go_on(self).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_passing() => {
                    // A connection that brings something each time may break as often as it likes.
                    if upload.arrived > before {
                        patience.heard();
                    }
                    before = upload.arrived;
                    self.wait(error, &mut patience).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A request that may be made again.
    async fn patiently(&mut self, request: impl AsyncFn(&mut Self) -> Result<Answer, ClientError>) -> Result<Answer, ClientError> {
        let mut patience = Patience::new();
        loop {
            match request(self).await {
                Err(error) if error.is_passing() => self.wait(error, &mut patience).await?,
                answer => return answer,
            }
        }
    }

    /// Until it is time for another attempt; the error when there is none.
    async fn wait(&mut self, error: ClientError, patience: &mut Patience) -> Result<(), ClientError> {
        self.sender = None;
        let Some(delay) = patience.next() else { return Err(error) };
        progress::interrupted(&error, delay);
        tokio::time::sleep(delay).await;
        Ok(())
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(http::HeaderName, String)],
        (body, length): (Body, u64),
    ) -> Result<Answer, ClientError> {
        let name = || format!("{method} {}", path.split('?').next().unwrap_or_default());
        let mut request = self.api.request(&method, path)?;
        if method != Method::HEAD && method != Method::GET {
            request = request.header(CONTENT_LENGTH, length);
        }
        for (header, value) in headers {
            request = request.header(header, value);
        }
        let request = request.body(body).map_err(|error| self.api.broken(name(), error))?;
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => self.api.open().await?,
        };
        if let Err(error) = sender.ready().await {
            return Err(self.api.broken(name(), error));
        }
        let answer = self.answer(sender.send_request(request)).await;
        let answer = answer.ok_or_else(|| self.api.no_answer(name(), SILENCE))?.map_err(|error| self.api.broken(name(), error))?;
        let answer = read(answer).await.map_err(|error| self.api.broken(name(), error))?;
        self.sender = Some(sender);
        Ok(answer)
    }

    /// Waits as long as the body of the request is on its way, however slow the way is.
    async fn answer<A>(&self, answer: impl Future<Output = A>) -> Option<A> {
        let mut answer = pin!(answer);
        loop {
            let before = self.pieces.load(Ordering::Relaxed);
            match timeout(SILENCE, &mut answer).await {
                Ok(answer) => return Some(answer),
                Err(_) if self.pieces.load(Ordering::Relaxed) > before => {}
                Err(_) => return None,
            }
        }
    }

    fn refused(&self, method: &str, path: &str, answer: Answer) -> ClientError {
        let path = path.split('?').next().unwrap_or_default();
        self.api.refused_by_registry(format!("{method} {path}"), answer.status, &answer.body)
    }
}

async fn read(answer: Response<Incoming>) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let (parts, body) = answer.into_parts();
    let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
    let length = text(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    Ok(Answer { status: parts.status, location: text(LOCATION), range: text(RANGE), length, body })
}

/// One layer on its way into one repository.
struct Upload<'u> {
    repository: &'u str,
    layer: &'u Arc<Spool>,
    progress: &'u Progress,
    /// Of the session, once there is one.
    location: Option<String>,
    /// Bytes of the content that the server is known to have.
    arrived: u64,
}

impl Upload<'_> {
    /// From where the server is to the end.
    async fn go_on(&mut self, line: &mut Line<'_>) -> Result<(), ClientError> {
        let arrived = match self.location.clone() {
            None => {
                self.begin(line).await?;
                0
            }
            Some(location) => match self.arrived(line, &location).await? {
                Some(arrived) => arrived,
                // The session is gone, and perhaps because it was finished.
                None if line.size(self.repository, &self.layer.digest).await?.is_some() => return Ok(()),
                None => {
                    self.begin(line).await?;
                    0
                }
            },
        };
        let location = self.location.clone().unwrap_or_default();
        self.arrived = arrived;
        for chunk in self.layer.rest(arrived) {
            self.chunk(line, &location, chunk).await?;
            self.arrived = chunk.first + chunk.length;
        }
        let path = format!("{location}?digest={}", self.layer.digest);
        let answer = line.send(Method::PUT, &path, &[], empty()).await?;
        match answer.status {
            StatusCode::CREATED => Ok(()),
            StatusCode::CONFLICT => Err(line.api.broken(format!("PUT {location}"), "another request has the upload")),
            _ => Err(line.refused("PUT", &path, answer)),
        }
    }

    async fn begin(&mut self, line: &mut Line<'_>) -> Result<(), ClientError> {
        let path = format!("/v2/{}/blobs/uploads/", self.repository);
        let answer = line.send(Method::POST, &path, &[], empty()).await?;
        match answer.location.clone().filter(|location| answer.status == StatusCode::ACCEPTED && location.starts_with('/')) {
            Some(location) => {
                self.location = Some(location);
                Ok(())
            }
            None => Err(line.refused("POST", &path, answer)),
        }
    }

    /// Bytes of the content that the server has; none when it does not know the session.
    async fn arrived(&self, line: &mut Line<'_>, location: &str) -> Result<Option<u64>, ClientError> {
        let answer = line.send(Method::GET, location, &[], empty()).await?;
        match answer.status {
            StatusCode::NO_CONTENT => {
                let last = answer.range.as_deref().and_then(|range| range.split_once('-')?.1.parse::<u64>().ok());
                // Nothing and one byte look the same; nobody stops behind one.
                Ok(Some(last.filter(|last| *last > 0).map_or(0, |last| last + 1)))
            }
            StatusCode::NOT_FOUND => Ok(None),
            // The connection that broke is not noticed there yet.
            StatusCode::CONFLICT => Err(line.api.broken(format!("GET {location}"), "another request has the upload")),
            _ => Err(line.refused("GET", location, answer)),
        }
    }

    async fn chunk(&self, line: &mut Line<'_>, location: &str, chunk: Chunk) -> Result<(), ClientError> {
        let mut headers = vec![(CONTENT_RANGE, format!("{}-{}", chunk.first, chunk.first + chunk.length - 1))];
        headers.push((CONTENT_TYPE, "application/octet-stream".to_owned()));
        if self.layer.is_compressed() {
            headers.push((CONTENT_ENCODING, "zstd".to_owned()));
        }
        let pieces = pieces(Arc::clone(self.layer), chunk, self.progress.clone(), Arc::clone(&line.pieces));
        let body = StreamBody::new(pieces).boxed_unsync();
        let answer = line.send(Method::PATCH, location, &headers, (body, chunk.stored)).await?;
        match answer.status {
            StatusCode::ACCEPTED => Ok(()),
            StatusCode::CONFLICT | StatusCode::RANGE_NOT_SATISFIABLE => {
                Err(line.api.broken(format!("PATCH {location}"), "the upload is somewhere else"))
            }
            _ => Err(line.refused("PATCH", location, answer)),
        }
    }
}

fn pieces(
    layer: Arc<Spool>,
    chunk: Chunk,
    progress: Progress,
    taken: Arc<AtomicU64>,
) -> impl Stream<Item = io::Result<Frame<Bytes>>> + Send {
    let ends = (chunk.offset, chunk.offset + chunk.stored);
    stream::unfold(ends, move |(at, end)| {
        let length = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
        let read = (length > 0).then(|| layer.bytes(at, length));
        if read.is_some() {
            progress.sent(length as u64);
            taken.fetch_add(1, Ordering::Relaxed);
        }
        std::future::ready(read.map(|read| (read.map(|bytes| Frame::data(Bytes::from(bytes))), (at + length as u64, end))))
    })
}

fn empty() -> (Body, u64) {
    full(Bytes::new())
}

fn full(bytes: Bytes) -> (Body, u64) {
    let length = bytes.len() as u64;
    (Full::new(bytes).map_err(|never| match never {}).boxed_unsync(), length)
}
