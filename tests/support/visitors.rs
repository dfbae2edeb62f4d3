//! The kinds of visitors of an app: HTTP/1.1 and HTTP/2, short and long, and WebSockets.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;

use crate::load::{Book, Visit};

/// A visit that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes that go down and up in one piece.
const DOWNLOAD: usize = 3_000_000;
const UPLOAD: usize = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Many requests on one connection.
    KeepAlive,
    /// A connection for each request.
    Fresh,
    Http2,
    WebSocket,
    /// Ten server-sent events in a second, over HTTP/1.1.
    Events,
    /// An answer that takes 0.8 s, over HTTP/2.
    Slow,
    Download,
    /// A body that is echoed while it still goes up.
    Upload,
}

impl Kind {
    pub const ALL: [Self; 8] =
        [Self::KeepAlive, Self::Fresh, Self::Http2, Self::WebSocket, Self::Events, Self::Slow, Self::Download, Self::Upload];
}

/// Who answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub version: String,
    pub replica: String,
    pub deployment: String,
}

impl Answer {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Some(Self { version: text("x-version")?, replica: text("x-replica")?, deployment: text("x-deployment")? })
    }
}

type Failed = Box<dyn Error + Send + Sync>;

/// Visits until the book closes.
pub fn run(book: Book) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("make a runtime");
    runtime.block_on(async move {
        let mut visitors = JoinSet::new();
        for kind in [Kind::KeepAlive, Kind::KeepAlive, Kind::Fresh, Kind::Events, Kind::Upload] {
            visitors.spawn(visit_http1(Door::new(&book, b"http/1.1"), kind));
        }
        for kind in [Kind::Http2, Kind::Http2, Kind::Slow, Kind::Download] {
            visitors.spawn(visit_http2(Door::new(&book, b"h2"), kind));
        }
        for _ in 0..2 {
            visitors.spawn(talk(Door::new(&book, b"http/1.1")));
        }
        while let Some(visitor) = visitors.join_next().await {
            visitor.expect("a visitor does not panic");
        }
    });
}

/// The way to the app.
struct Door {
    book: Book,
    tls: TlsConnector,
}

impl Door {
    fn new(book: &Book, protocol: &[u8]) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("configure TLS");
        let mut config = config.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate)).with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        Self { book: book.clone(), tls: TlsConnector::from(Arc::new(config)) }
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, Failed> {
        let stream = TcpStream::connect(self.book.https).await?;
        stream.set_nodelay(true)?;
        Ok(self.tls.connect(ServerName::try_from(self.book.domain.clone())?, stream).await?)
    }

    fn request(&self, kind: Kind) -> Request<Full<Bytes>> {
        let (method, path, body) = match kind {
            Kind::Events => ("GET", "/sse?n=10&ms=100".to_owned(), Bytes::new()),
            Kind::Slow => ("GET", "/slow?ms=800".to_owned(), Bytes::new()),
            Kind::Download => ("GET", format!("/bytes?n={DOWNLOAD}"), Bytes::new()),
            Kind::Upload => ("POST", "/echo".to_owned(), Bytes::from(vec![b'u'; UPLOAD])),
            Kind::KeepAlive | Kind::Fresh | Kind::Http2 | Kind::WebSocket => ("GET", "/".to_owned(), Bytes::new()),
        };
        let uri = format!("https://{}{path}", self.book.domain);
        let request = Request::builder().method(method).uri(uri).header("host", &self.book.domain);
        request.body(Full::new(body)).expect("a valid request")
    }
}

fn pause(kind: Kind) -> Duration {
    Duration::from_millis(match kind {
        Kind::KeepAlive | Kind::Http2 => 10,
        Kind::Fresh => 40,
        Kind::WebSocket => 20,
        Kind::Events | Kind::Slow | Kind::Download | Kind::Upload => 100,
    })
}

async fn visit_http1(door: Door, kind: Kind) {
    let mut open: Option<http1::SendRequest<Full<Bytes>>> = None;
    while !door.book.is_closing() {
        // A connection that the server announced to close is no failure; it is not used again.
        let reusable = open.take().filter(|sender| kind != Kind::Fresh && !sender.is_closed());
        let visit = async {
            let mut sender = match reusable {
                Some(sender) => sender,
                None => {
                    let (sender, connection) = http1::handshake(TokioIo::new(door.connect().await?)).await?;
                    tokio::spawn(connection);
                    sender
                }
            };
            // The path alone, as HTTP/1.1 wants it.
            let mut request = door.request(kind);
            *request.uri_mut() = request.uri().path_and_query().expect("it has a path").as_str().parse()?;
            let response = sender.send_request(request).await?;
            let close = response.headers().get("connection").is_some_and(|value| value == "close");
            Ok::<_, Failed>((response, (!close).then_some(sender)))
        };
        open = door.keep(kind, visit).await;
        tokio::time::sleep(pause(kind)).await;
    }
}

async fn visit_http2(door: Door, kind: Kind) {
    let mut open: Option<http2::SendRequest<Full<Bytes>>> = None;
    while !door.book.is_closing() {
        let reusable = open.take().filter(|sender| !sender.is_closed());
        let visit = async {
            let mut sender = match reusable {
                Some(sender) => sender,
                None => {
                    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(door.connect().await?));
                    let (sender, connection) = handshake.await?;
                    tokio::spawn(connection);
                    sender
                }
            };
            let mut request = door.request(kind);
            request.headers_mut().remove("host");
            let response = sender.send_request(request).await?;
            Ok::<_, Failed>((response, Some(sender)))
        };
        open = door.keep(kind, visit).await;
        tokio::time::sleep(pause(kind)).await;
    }
}

impl Door {
    /// Makes one visit, writes it down, and gives back the connection when it can be used again.
    async fn keep<S>(&self, kind: Kind, visit: impl Future<Output = Result<(Response<Incoming>, Option<S>), Failed>>) -> Option<S> {
        let began = Instant::now();
        let mut answer = None;
        let whole = async {
            let (response, sender) = visit.await?;
            answer = Answer::of(response.headers());
            read(kind, response).await?;
            Ok::<_, Failed>(sender)
        };
        let outcome = match tokio::time::timeout(PATIENCE, whole).await {
            Ok(outcome) => outcome.map_err(|error| words(error.as_ref())),
            Err(_) => Err(format!("not done within {PATIENCE:?}")),
        };
        let (sender, failure) = match outcome {
            Ok(sender) => (sender, None),
            Err(failure) => (None, Some(failure)),
        };
        self.book.note(Visit { kind, began, ended: Instant::now(), answer, failure });
        sender
    }
}

/// Reads the answer to its end and compares it with what was asked for.
async fn read(kind: Kind, response: Response<Incoming>) -> Result<(), Failed> {
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if status != StatusCode::OK {
        return Err(format!("status {status}: {}", String::from_utf8_lossy(&body).trim()).into());
    }
    let whole = match kind {
        Kind::Download => body.len() == DOWNLOAD,
        Kind::Upload => body.len() == UPLOAD && body.iter().all(|byte| *byte == b'u'),
        Kind::Events => body.starts_with(b"id: 1\n") && body.windows(7).any(|line| line == b"id: 10\n"),
        Kind::KeepAlive | Kind::Fresh | Kind::Http2 | Kind::Slow | Kind::WebSocket => body.starts_with(b"version "),
    };
    if whole { Ok(()) } else { Err(format!("{} bytes, not what was asked for", body.len()).into()) }
}

/// A WebSocket that echoes all the time; a new one when it is closed. Whether it may be closed is
/// judged at the end.
async fn talk(door: Door) {
    while !door.book.is_closing() {
        let (began, mut answer) = (Instant::now(), None);
        let failure = converse(&door, &mut answer).await.err().map(|error| words(error.as_ref()));
        door.book.note(Visit { kind: Kind::WebSocket, began, ended: Instant::now(), answer, failure });
        tokio::time::sleep(pause(Kind::WebSocket)).await;
    }
}

async fn converse(door: &Door, answer: &mut Option<Answer>) -> Result<(), Failed> {
    let late = |_| format!("no answer within {PATIENCE:?}");
    let stream = tokio::time::timeout(PATIENCE, door.connect()).await.map_err(late)??;
    let handshake = tokio_tungstenite::client_async(format!("wss://{}/ws", door.book.domain), stream);
    let (mut socket, response) = tokio::time::timeout(PATIENCE, handshake).await.map_err(late)??;
    *answer = Answer::of(response.headers());
    let mut number = 0_u64;
    while !door.book.is_closing() {
        number += 1;
        let said = format!("message {number}");
        socket.send(Message::text(said.clone())).await?;
        match tokio::time::timeout(PATIENCE, socket.next()).await.map_err(late)? {
            Some(Ok(Message::Text(echo))) if echo.as_str() == said => {}
            Some(Ok(other)) => return Err(format!("instead of the echo of `{said}`: {other:?}").into()),
            Some(Err(error)) => return Err(error.into()),
            None => return Err("the connection was closed".into()),
        }
        tokio::time::sleep(pause(Kind::WebSocket)).await;
    }
    let _ = socket.close(None).await;
    Ok(())
}

fn words(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Takes every certificate: these tests are not about trust.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
