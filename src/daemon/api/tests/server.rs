//! A served API with its store, and a client that speaks plain HTTP.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::tokens::{self, TokenRecord};
use crate::crypto;
use crate::daemon::api::serve::{Limits, Listener, serve};
use crate::daemon::api::{Api, RateLimits, Tokens};
use crate::daemon::certs::Desk;
use crate::daemon::front::Front;
use crate::daemon::overview::Overview;
use crate::daemon::prune::Pruner;
use crate::daemon::registry::{Access, Registry};
use crate::daemon::store::{Prepared, Store};
use crate::docker::Docker;
use crate::names::{AppName, DeployId};
use crate::secret::Secret;
use crate::wire::{Accepted, EngineStatus, Problem};

pub const TOKEN: &str = "haloy_0123456789";

/// Whatever a test waits for has to come within this time.
pub const SOON: Duration = Duration::from_secs(20);

pub struct Server {
    pub dir: tempfile::TempDir,
    pub store: Store,
    pub nudge: Arc<Notify>,
    pub identity: crypto::Identity,
    pub overview: watch::Sender<Arc<Overview>>,
    pub address: std::net::SocketAddr,
    pub stop: CancellationToken,
    pub served: Vec<JoinHandle<()>>,
}

impl Server {
    /// With no engine behind it.
    pub async fn start() -> Self {
        Self::start_with("unix:///no/such/docker.sock", Limits::DEFAULT).await
    }

    pub async fn start_with(docker_host: &str, limits: Limits) -> Self {
        crypto::install_provider();
        let dir = tempfile::tempdir().expect("temporary directory");
        let store = Store::open(&dir.path().join("db/haloy.db")).expect("store");
        tokens::Tokens::add(dir.path(), TokenRecord::new("test", &Secret::new(TOKEN))).expect("token");
        let overview = Overview { engine: EngineStatus::Down, engine_version: None, platform: None, replicas: Default::default() };
        let overview = watch::channel(Arc::new(overview)).0;
        let (nudge, identity, stop) = (Arc::new(Notify::new()), crypto::Identity::generate(), CancellationToken::new());
        let registry =
            Registry::open(store.clone(), dir.path().join("blobs"), Arc::new(|token: &str| (token == TOKEN).then_some(Access::EVERYTHING)))
                .expect("registry");
        let docker = Docker::new(Some(docker_host), store.instance()).expect("docker");
        let api = Arc::new(Api {
            pruner: Pruner::new(store.clone(), docker.clone(), registry.clone(), dir.path().to_owned()),
            docker,
            store: store.clone(),
            overview: overview.subscribe(),
            nudge: nudge.clone(),
            identity: identity.clone(),
            metrics: Arc::new(|| "haloy_up 1\n".to_owned()),
            in_flight: Arc::new(|container| if container.0 == "c1" { 7 } else { 0 }),
            registry,
            tokens: Arc::new(Tokens::new(dir.path(), Arc::default())),
            limits: RateLimits::default(),
            introduction: Secret::new(INTRODUCTION),
            certificates: Desk::new(dir.path().join("certificates"), store.clone(), watch::channel(Arc::default()).1, Arc::default()),
            front: watch::channel(Front::default()).1,
            builds: tokio::sync::Semaphore::new(1),
            http_port: Some(80),
            https_port: Some(443),
        });
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = tcp.local_addr().expect("address");
        let unix = UnixListener::bind(dir.path().join("api.sock")).expect("bind");
        let served = vec![
            tokio::spawn(serve(Listener::Tcp(tcp), api.clone(), stop.clone(), limits)),
            tokio::spawn(serve(Listener::Unix(unix), api, stop.clone(), limits)),
        ];
        Self { dir, store, nudge, identity, overview, address, stop, served }
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("api.sock")
    }

    pub async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connect")
    }

    /// Sends a request over TCP as it is.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> http::Response<Incoming> {
        send(self.tcp().await, request).await
    }

    pub async fn send_unix(&self, request: Request<Full<Bytes>>) -> http::Response<Incoming> {
        send(UnixStream::connect(self.socket()).await.expect("connect"), request).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::read(self.send(request(Method::GET, path, "")).await).await
    }

    pub async fn post(&self, path: &str, body: impl ToString) -> Answer {
        Answer::read(self.send(request(Method::POST, path, &body.to_string())).await).await
    }

    pub async fn deploy(&self, name: &str) -> Accepted {
        self.post(&format!("/v1/apps/{name}/deploy"), deploy_request(name)).await.json(202)
    }

    /// Deploys and does what the reconcile loop would.
    pub async fn deploy_complete(&self, name: &str) -> DeployId {
        let accepted = self.deploy(name).await;
        self.complete(name, &accepted).await
    }

    pub async fn complete(&self, name: &str, accepted: &Accepted) -> DeployId {
        let (app, id) = (app(name), accepted.deployment.expect("deployment"));
        self.store.activate_jobs().await.expect("activate");
        let prepared = Prepared { image_id: format!("sha256:{name}"), port: 8080.try_into().expect("port"), digest: None };
        self.store.prepared(id, prepared).await.expect("prepared");
        self.store.promote(app.clone(), id, Some(accepted.job)).await.expect("promote");
        self.store.finish(app, accepted.job).await.expect("finish");
        id
    }
}

pub fn app(name: &str) -> AppName {
    name.parse().expect("app name")
}

/// How the proxy would introduce itself.
pub const INTRODUCTION: &str = "of this start";
pub const SECRET: &str = "hunter2-of-the-environment";

pub fn deploy_request(name: &str) -> Value {
    json!({
        "spec": {
            "name": name, "image": format!("{name}:1"), "replicas": 2,
            "domains": [{ "domain": format!("{name}.example.com") }],
            "env": [{ "name": "PASSWORD", "source": { "env": "PASSWORD" } }],
        },
        "env": [{ "name": "PASSWORD", "value": SECRET }],
        "performer": "kim",
        "git_commit": "abc123",
    })
}

/// A request with the right token.
pub fn request(method: Method, path: &str, body: &str) -> Request<Full<Bytes>> {
    let request =
        Request::builder().method(method).uri(path).header("host", "localhost").header("authorization", format!("Bearer {TOKEN}"));
    request.body(Full::new(Bytes::from(body.to_owned()))).expect("request")
}

async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> http::Response<Incoming>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("handshake");
    // Ends with the answer's body.
    tokio::spawn(connection);
    tokio::time::timeout(SOON, sender.send_request(request)).await.expect("an answer in time").expect("answer")
}

/// A whole answer.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub async fn read(response: http::Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = tokio::time::timeout(SOON, body.collect()).await.expect("a body in time").expect("body").to_bytes();
        assert!(!body.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "an environment value is in an answer");
        Self { status: head.status, headers: head.headers, text: String::from_utf8(body.to_vec()).expect("text") }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().expect("text")).unwrap_or_default()
    }

    pub fn json<T: DeserializeOwned>(&self, status: u16) -> T {
        assert_eq!(self.status, status, "{}", self.text);
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A refusal, which looks the same everywhere.
    pub fn problem(&self, status: u16) -> Problem {
        let problem: Problem = self.json(status);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!((problem.status, problem.kind.as_str()), (status, "about:blank"));
        assert!(!self.header("x-request-id").is_empty());
        problem
    }
}

/// One server-sent event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    pub id: Option<u64>,
    pub name: Option<String>,
    pub data: String,
}

/// Server-sent events as they arrive.
pub struct Events {
    body: Incoming,
    buffer: String,
}

impl Events {
    pub async fn open(server: &Server, path: &str, last_event_id: Option<u64>) -> Self {
        let mut request = request(Method::GET, path, "");
        if let Some(id) = last_event_id {
            request.headers_mut().insert("last-event-id", id.to_string().parse().expect("header"));
        }
        let response = server.send(request).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body(), buffer: String::new() }
    }

    /// The next event; none when the stream has ended in order.
    pub async fn next(&mut self) -> Option<Sent> {
        loop {
            while let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.buffer = rest;
                if let Some(event) = parse(&block) {
                    return Some(event);
                }
            }
            let frame = tokio::time::timeout(SOON, self.body.frame()).await.expect("an event in time")?;
            if let Ok(data) = frame.expect("frame").into_data() {
                self.buffer.push_str(std::str::from_utf8(&data).expect("text"));
            }
        }
    }

    pub async fn rest(mut self) -> Vec<Sent> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

fn parse(block: &str) -> Option<Sent> {
    let mut event = Sent::default();
    for line in block.lines() {
        match line.split_once(": ") {
            Some(("id", id)) => event.id = Some(id.parse().expect("number")),
            Some(("event", name)) => event.name = Some(name.to_owned()),
            Some(("data", data)) => event.data.push_str(data),
            _ => assert!(line.starts_with(':'), "unexpected line {line}"),
        }
    }
    (event != Sent::default()).then_some(event)
}
