//! The server's API as the client calls it: typed answers, the server's own words when it refuses.
//!
//! Never repeats a request: whoever calls knows whether that is safe.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use rustls_pki_types::CertificateDer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::pin::Pin;
use crate::secret::Secret;
use crate::wire::{EngineStatus, Health, Problem, routes};

use super::address::Address;
use super::connection;
use super::error::ClientError;
use super::origin;
use super::sse::{Event, Parser};

/// From the request's last byte to the response's head, and for a whole answer that is no stream.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A stream says something at least every 15 s, if only a comment.
const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// For an answer that nobody should wait for long, connection and all.
const GLANCE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes.
const MAX_ANSWER: usize = 32 << 20;

/// A body that is made while it is sent.
pub type StreamedBody = UnsyncBoxBody<Bytes, std::io::Error>;

/// A token and where it came from: an error about it names the place.
pub struct Credential {
    token: Secret,
    /// The server's own key, by which it is known without a certificate authority.
    pin: Option<Pin>,
    origin: Origin,
}

impl Credential {
    /// The token as it was given, with or without the server's pin behind it.
    pub fn new(given: &Secret, origin: Origin) -> Self {
        let (token, pin) = Pin::split(given.expose());
        Self { token: Secret::new(token), pin, origin }
    }
}

/// Where a token came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `api_token` of this configuration.
    Configuration(PathBuf),
    /// This variable, of the environment or of the client's `.env`.
    Added(String),
    /// The command line or standard input.
    Typed,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(path) => write!(f, "`api_token` in `{}`", path.display()),
            Self::Typed => f.write_str("you"),
            Self::Added(variable) => write!(f, "`{variable}` (`haloy server add`)"),
        }
    }
}

/// One server's API.
pub struct Api {
    address: Address,
    credential: Option<Credential>,
    tls: Option<TlsConnector>,
}

impl Api {
    pub fn new(address: Address, credential: Option<Credential>) -> Self {
        let tls = address.uses_tls().then(|| connection::tls(credential.as_ref().and_then(|credential| credential.pin)));
        Self { address, credential, tls }
    }

    /// Whether it is the same server for the same user.
    pub fn is_same(&self, other: &Self) -> bool {
        self.address == other.address && self.token() == other.token()
    }

    fn token(&self) -> Option<&str> {
        self.credential.as_ref().map(|credential| credential.token.expose())
    }

    /// The server's name for people.
    pub fn server(&self) -> String {
        self.address.to_string()
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let call = self.call(Method::GET, path);
        let response = call.send(Bytes::new(), None).await?;
        call.read_json(response).await
    }

    /// The same for what a command can do without: waits 5 s at most.
    pub async fn glance<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let late = |_| ClientError::NoAnswer { server: self.server(), request: format!("GET {path}"), seconds: GLANCE_TIMEOUT.as_secs() };
        timeout(GLANCE_TIMEOUT, self.get(path)).await.map_err(late)?
    }

    /// The certificate that the server shows and whether it was trusted for its pinned key; None without TLS.
    pub async fn certificate(&self) -> Result<Option<(CertificateDer<'static>, bool)>, ClientError> {
        let (Address::Tcp(name), Some(tls), Some(port)) = (&self.address, &self.tls, self.address.port()) else { return Ok(None) };
        let shown = timeout(GLANCE_TIMEOUT, connection::certificate(name, port, tls)).await;
        let late =
            || ClientError::NoAnswer { server: self.server(), request: "TLS handshake".to_owned(), seconds: GLANCE_TIMEOUT.as_secs() };
        let shown = shown.map_err(|_| late())?.map_err(|source| ClientError::Connect { address: self.address.clone(), source })?;
        let pin = self.credential.as_ref().and_then(|credential| credential.pin);
        let is_pinned = pin.is_some() && Pin::of(&shown) == pin;
        Ok(Some((shown, is_pinned)))
    }

    /// A warning for people when the server's Docker Engine does not answer: what it shows is then old.
    pub async fn engine_warning(&self) -> Option<String> {
        let health: Health = self.glance(routes::HEALTH).await.ok()?;
        let server = self.server();
        let text =
            format!("warning: the Docker Engine of `{server}` does not answer; its apps are shown and served as they were last seen");
        (health.engine == EngineStatus::Down).then_some(text)
    }

    /// Sends `body` as JSON.
    pub async fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, ClientError> {
        self.post_patiently(path, body, ANSWER_TIMEOUT).await
    }

    /// The same for what may take the server `patience`.
    pub async fn post_patiently<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        patience: Duration,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).expect("invariant: our own types serialise");
        let call = Call { patience, ..self.call(Method::POST, path) };
        let response = call.send(body.into(), None).await?;
        call.read_json(response).await
    }

    /// The same where the answer is that it was done.
    pub async fn post_for_nothing<B: Serialize>(&self, path: &str, body: &B) -> Result<(), ClientError> {
        let body = serde_json::to_vec(body).expect("invariant: our own types serialise");
        self.call(Method::POST, path).send(body.into(), None).await.map(|_| ())
    }

    /// Puts something in its place; it may be secret.
    pub async fn put<B: Serialize>(&self, path: &str, body: &B) -> Result<(), ClientError> {
        let body = serde_json::to_vec(body).expect("invariant: our own types serialise");
        self.call(Method::PUT, path).send(body.into(), None).await.map(|_| ())
    }

    pub async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.call(Method::DELETE, path).send(Bytes::new(), None).await.map(|_| ())
    }

    /// A change that needs no details.
    pub async fn post_empty<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let call = self.call(Method::POST, path);
        let response = call.send(Bytes::new(), None).await?;
        call.read_json(response).await
    }

    /// Opens an event stream, behind the event `last` when there is one.
    pub async fn events(&self, path: &str, last: Option<u64>) -> Result<EventStream<'_>, ClientError> {
        let call = self.call(Method::GET, path);
        let response = call.send(Bytes::new(), last).await?;
        Ok(EventStream { call, body: response.into_body(), parser: Parser::default(), ready: Vec::new().into_iter() })
    }

    /// Sends a body that comes by and by; the answer is an event stream. `header` is one more, and may be secret.
    pub async fn stream(&self, path: &str, header: (&'static str, &str), body: StreamedBody) -> Result<EventStream<'_>, ClientError> {
        let call = self.call(Method::POST, path);
        let mut value = HeaderValue::from_str(header.1).map_err(|error| call.broken(error))?;
        value.set_sensitive(true);
        let request = self.request(&Method::POST, path)?.header(header.0, value).header(CONTENT_TYPE, "application/x-tar");
        let request = request.body(body).map_err(|error| call.broken(error))?;
        let mut sender = self.open().await?;
        let answer = timeout(ANSWER_TIMEOUT, sender.send_request(request)).await;
        let response = answer.map_err(|_| call.no_answer(ANSWER_TIMEOUT))?.map_err(|error| call.broken(error))?;
        if !response.status().is_success() {
            return Err(call.refusal(response).await);
        }
        Ok(EventStream { call, body: response.into_body(), parser: Parser::default(), ready: Vec::new().into_iter() })
    }

    /// A connection of one's own.
    pub async fn open<B: connection::Sendable>(&self) -> Result<SendRequest<B>, ClientError> {
        let connect = |source| ClientError::Connect { address: self.address.clone(), source };
        connection::open(&self.address, self.tls.as_ref()).await.map_err(connect)
    }

    /// The head of a request: whom it is for, who asks.
    pub fn request(&self, method: &Method, path: &str) -> Result<http::request::Builder, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.authority())
            .header(USER_AGENT, concat!("haloy/", env!("CARGO_PKG_VERSION")));
        let Some(Credential { token, origin, .. }) = &self.credential else { return Ok(request) };
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
            .map_err(|_| ClientError::TokenCharacters { origin: origin.clone() })?;
        value.set_sensitive(true);
        Ok(request.header(AUTHORIZATION, value))
    }

    pub fn broken(&self, request: String, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
        ClientError::Broken { server: self.server(), request, source: error.into() }
    }

    pub fn no_answer(&self, request: String, after: Duration) -> ClientError {
        ClientError::NoAnswer { server: self.server(), request, seconds: after.as_secs() }
    }

    /// What the server's registry says when it refuses.
    pub fn refused_by_registry(&self, request: String, status: http::StatusCode, body: &[u8]) -> ClientError {
        let said: Option<serde_json::Value> = serde_json::from_slice(body).ok();
        let message = said.as_ref().and_then(|said| said["errors"][0]["message"].as_str());
        match message {
            Some(message) => ClientError::Registry { server: self.server(), message: message.to_owned() },
            None => ClientError::Status {
                server: self.server(),
                request,
                status: status.as_u16(),
                body: String::from_utf8_lossy(body).into_owned(),
            },
        }
    }

    fn call(&self, method: Method, path: &str) -> Call<'_> {
        Call { api: self, method, path: path.to_owned(), patience: ANSWER_TIMEOUT }
    }
}

/// One request: what errors about it need to know.
struct Call<'a> {
    api: &'a Api,
    method: Method,
    path: String,
    /// Up to the head of the answer.
    patience: Duration,
}

impl Call<'_> {
    async fn send(&self, body: Bytes, last_event: Option<u64>) -> Result<Response<Incoming>, ClientError> {
        let mut sender = self.api.open().await?;
        let answer = timeout(self.patience, sender.send_request(self.request(body, last_event)?)).await;
        let response = answer.map_err(|_| self.no_answer(self.patience))?.map_err(|error| self.broken(error))?;
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response).await) }
    }

    fn request(&self, body: Bytes, last_event: Option<u64>) -> Result<Request<Full<Bytes>>, ClientError> {
        let request = self.api.request(&self.method, &self.path)?;
        let mut request = request.header(ACCEPT, "application/json, text/event-stream, application/problem+json");
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let (&Method::POST, Some(performer)) = (&self.method, origin::performer()) {
            request = request.header(routes::PERFORMER, performer);
        }
        if let Some(seq) = last_event {
            request = request.header("last-event-id", seq);
        }
        request.body(Full::new(body)).map_err(|error| self.broken(error))
    }

    async fn read_json<T: DeserializeOwned>(&self, response: Response<Incoming>) -> Result<T, ClientError> {
        let bytes = self.read(response).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.misunderstood(error))
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        let body = timeout(ANSWER_TIMEOUT, Limited::new(response.into_body(), MAX_ANSWER).collect()).await;
        let body = body.map_err(|_| self.no_answer(ANSWER_TIMEOUT))?;
        let body = body.map_err(|source| ClientError::Broken { server: self.api.server(), request: self.name(), source })?;
        Ok(body.to_bytes())
    }

    async fn refusal(&self, response: Response<Incoming>) -> ClientError {
        let status = response.status().as_u16();
        let body = match self.read(response).await {
            Ok(body) => body,
            Err(error) => return error,
        };
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => ClientError::refused(self.api.server(), self.api.credential.as_ref().map(|c| c.origin.clone()), problem),
            Err(_) => {
                let body = String::from_utf8_lossy(&body).into_owned();
                ClientError::Status { server: self.api.server(), request: self.name(), status, body }
            }
        }
    }

    /// The request for people, without its query.
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path.split('?').next().unwrap_or_default())
    }

    fn no_answer(&self, after: Duration) -> ClientError {
        ClientError::NoAnswer { server: self.api.server(), request: self.name(), seconds: after.as_secs() }
    }

    fn misunderstood(&self, source: serde_json::Error) -> ClientError {
        ClientError::Answer { server: self.api.server(), request: self.name(), source }
    }

    fn broken(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
        ClientError::Broken { server: self.api.server(), request: self.name(), source: error.into() }
    }
}

/// Events as they come in.
pub struct EventStream<'a> {
    call: Call<'a>,
    body: Incoming,
    parser: Parser,
    ready: std::vec::IntoIter<Event>,
}

impl EventStream<'_> {
    /// The data of the next event that is a `T`; `None` when the server ended the stream. Others are
    /// passed over: a newer server may have more to say than this client understands.
    pub async fn next_of<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        while let Some(event) = self.next().await? {
            if let Ok(value) = serde_json::from_str(&event.data) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// The next event; `None` when the server ended the stream. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.ready.next() {
                return Ok(Some(event));
            }
            let frame = timeout(STREAM_IDLE_TIMEOUT, self.body.frame()).await;
            let Some(frame) = frame.map_err(|_| self.call.no_answer(STREAM_IDLE_TIMEOUT))? else { return Ok(None) };
            if let Ok(data) = frame.map_err(|error| self.call.broken(error))?.into_data() {
                let server = || self.call.api.server();
                let events = self.parser.push(&data).map_err(|source| ClientError::Stream { server: server(), source })?;
                self.ready = events.into_iter();
            }
        }
    }
}
