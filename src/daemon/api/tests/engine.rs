//! A Docker Engine of a few routes on a Unix socket, whose containers only talk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::watch;

use super::server::{Server, app};
use crate::daemon::overview::{Overview, Watched};
use crate::docker::{ContainerId, labels};
use crate::wire::{EngineStatus, Replica, ReplicaHealth};

/// The engine; clones are the same one.
#[derive(Clone)]
pub struct Engine {
    containers: Arc<Mutex<Vec<Talker>>>,
    changed: watch::Sender<u64>,
    lists: Arc<AtomicUsize>,
    socket: PathBuf,
}

struct Talker {
    id: String,
    deployment: u64,
    slot: u16,
    running: bool,
    lines: Vec<(Timestamp, bool, String)>,
}

impl Talker {
    fn watched(&self) -> Watched {
        let replica = Replica {
            container: format!("shop-{}", self.id),
            deployment: self.deployment.to_string().parse().expect("deployment"),
            number: self.slot,
            health: if self.running { ReplicaHealth::Healthy } else { ReplicaHealth::Exited },
            detail: None,
            routed: self.running,
            requests_in_flight: 0,
            restarts: 0,
            address: None,
            started_at: Some("2025-11-21T09:00:00Z".parse().expect("time")),
        };
        Watched { id: ContainerId(self.id.clone()), replica }
    }
}

/// The instance that the containers belong to is not known when the engine starts.
type Instance = Arc<Mutex<String>>;

impl Engine {
    pub fn start(folder: &std::path::Path) -> (Self, Instance) {
        let socket = folder.join("docker.sock");
        let listener = UnixListener::bind(&socket).expect("bind");
        let engine = Self { containers: Arc::default(), changed: watch::channel(0).0, lists: Arc::default(), socket };
        let instance = Instance::default();
        let router = Router::new()
            .route("/version", get(version))
            .route("/{api}/version", get(version))
            .route("/{api}/containers/json", get(list))
            .route("/{api}/containers/{id}/json", get(inspect))
            .route("/{api}/containers/{id}/logs", get(logs))
            .with_state((engine.clone(), instance.clone()));
        // Ends with the test's runtime.
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(router.clone());
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        (engine, instance)
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    pub fn add(&self, id: &str, deployment: u64, slot: u16) {
        self.change(|all| all.push(Talker { id: id.to_owned(), deployment, slot, running: true, lines: Vec::new() }));
    }

    pub fn say(&self, id: &str, at: &str, line: &str) {
        let at = at.parse().expect("time");
        self.with(id, |talker| talker.lines.push((at, line.starts_with('!'), line.to_owned())));
    }

    pub fn set_running(&self, id: &str, running: bool) {
        self.with(id, |talker| talker.running = running);
    }

    /// How often its containers were listed.
    pub fn lists(&self) -> usize {
        self.lists.load(Ordering::SeqCst)
    }

    /// Puts its containers into the overview, as the reconcile loop would.
    pub fn show(&self, server: &Server) {
        let watched = self.containers.lock().expect("lock").iter().map(Talker::watched).collect();
        let replicas = BTreeMap::from([(app("shop"), watched)]);
        server.overview.send_replace(Arc::new(Overview { engine: EngineStatus::Up, engine_version: None, platform: None, replicas }));
    }

    /// Returns when nobody waits for lines any more.
    pub async fn unread(&self) {
        self.changed.closed().await;
    }

    fn with(&self, id: &str, change: impl FnOnce(&mut Talker)) {
        self.change(|all| change(all.iter_mut().find(|talker| talker.id == id).expect("container")));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Talker>)) {
        change(&mut self.containers.lock().expect("lock"));
        self.changed.send_modify(|count| *count += 1);
    }

    /// What a reader who has had `done` lines gets next; none when there will be no more.
    fn after(&self, id: &str, done: usize) -> Option<Vec<(Timestamp, bool, String)>> {
        let containers = self.containers.lock().expect("lock");
        let talker = containers.iter().find(|talker| talker.id == id)?;
        let lines = talker.lines[done..].to_vec();
        (!lines.is_empty() || talker.running).then_some(lines)
    }
}

async fn version() -> Json<Value> {
    Json(json!({ "Version": "28.0", "ApiVersion": "1.48", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64" }))
}

type Shared = State<(Engine, Instance)>;

async fn list(State((engine, _)): Shared) -> Json<Value> {
    engine.lists.fetch_add(1, Ordering::SeqCst);
    let containers = engine.containers.lock().expect("lock");
    Json(containers.iter().map(|talker| json!({ "Id": talker.id, "State": "running" })).collect())
}

async fn inspect(State((engine, instance)): Shared, Path((_, id)): Path<(String, String)>) -> Response {
    let containers = engine.containers.lock().expect("lock");
    let Some(talker) = containers.iter().find(|talker| talker.id == id) else { return StatusCode::NOT_FOUND.into_response() };
    let labels = json!({
        labels::ROLE: labels::ROLE_APP, labels::APP: "shop", labels::DEPLOYMENT: talker.deployment.to_string(),
        labels::SLOT: talker.slot.to_string(), labels::INSTANCE: *instance.lock().expect("lock"),
    });
    let status = if talker.running { "running" } else { "exited" };
    Json(json!({ "Id": talker.id, "Name": format!("/shop-{}", talker.id), "State": { "Status": status }, "Config": { "Labels": labels } }))
        .into_response()
}

#[derive(Deserialize)]
struct LogsQuery {
    follow: bool,
    tail: String,
    since: i64,
}

async fn logs(State((engine, _)): Shared, Path((_, id)): Path<(String, String)>, Query(query): Query<LogsQuery>) -> Response {
    let total = engine.after(&id, 0).map_or(0, |lines| lines.len());
    let done = query.tail.parse().map_or(0, |tail| total.saturating_sub(tail));
    let reader = (engine.clone(), engine.changed.subscribe(), done);
    let frames = stream::unfold(reader, move |(engine, mut changed, mut done)| {
        let id = id.clone();
        async move {
            loop {
                let lines = engine.after(&id, done)?;
                done += lines.len();
                if !lines.is_empty() {
                    let frames: Vec<u8> = lines.iter().filter(|line| line.0.as_second() >= query.since).flat_map(frame).collect();
                    return Some((Ok::<_, std::convert::Infallible>(Bytes::from(frames)), (engine, changed, done)));
                }
                if !query.follow || changed.changed().await.is_err() {
                    return None;
                }
            }
        }
    });
    ([("content-type", "application/vnd.docker.multiplexed-stream")], Body::from_stream(frames)).into_response()
}

/// A line as the engine multiplexes it: stream, three zeros, length, text.
fn frame((at, stderr, text): &(Timestamp, bool, String)) -> Vec<u8> {
    let text = format!("{at} {text}\n");
    let length = u32::try_from(text.len()).expect("short").to_be_bytes();
    [&[if *stderr { 2 } else { 1 }, 0, 0, 0][..], &length, text.as_bytes()].concat()
}
