//! A server that answers the API as a test tells it to, on a real socket.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// The token that [`FakeApi`] accepts.
pub const TOKEN: &str = "haloy_0123456789abcdef";

/// One request as it came in.
#[derive(Debug, Clone)]
pub struct Received {
    /// `POST /v1/apps/shop/deploy?x=y`.
    pub line: String,
    pub headers: HashMap<String, String>,
    pub body: Value,
}

/// How a stream of events ends.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// As it should.
    Close,
    /// The connection breaks.
    Break,
    /// It stays open and silent.
    Hang,
}

#[derive(Debug, Clone)]
pub enum Answer {
    Json(u16, Value),
    Text(u16, &'static str),
    Events(Vec<String>, End),
}

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    received: Vec<Received>,
    /// By `METHOD /path`; the last answer of each is given again and again.
    answers: HashMap<String, VecDeque<Answer>>,
}

/// Runs until it is dropped.
pub struct FakeApi {
    /// `127.0.0.1:port`.
    pub address: String,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeApi {
    /// On a free port of the loopback interface.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address").to_string();
        listener.set_nonblocking(true).expect("nonblocking");
        Self::run(address, move |router| async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("listener");
            axum::serve(listener, router).await.expect("serve");
        })
    }

    /// On a Unix socket.
    pub fn on_socket(path: &Path) -> Self {
        let listener = std::os::unix::net::UnixListener::bind(path).expect("bind");
        listener.set_nonblocking(true).expect("nonblocking");
        Self::run(path.display().to_string(), move |router| async move {
            let listener = tokio::net::UnixListener::from_std(listener).expect("listener");
            axum::serve(listener, router).await.expect("serve");
        })
    }

    fn run<F: Future<Output = ()>>(address: String, serve: impl FnOnce(Router) -> F + Send + 'static) -> Self {
        let shared = Arc::<Shared>::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
            runtime.block_on(async {
                tokio::select! {
                    () = serve(router) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Gives these answers to `METHOD /path` one after the other, the last one for ever.
    pub fn on(&self, line: &str, answers: impl IntoIterator<Item = Answer>) -> &Self {
        let mut inner = self.shared.inner.lock().expect("lock");
        inner.answers.insert(line.to_owned(), answers.into_iter().collect());
        self
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.inner.lock().expect("lock").received.clone()
    }

    /// The requests of one kind so far.
    pub fn received_on(&self, line: &str) -> Vec<Received> {
        let mut received = self.received();
        received.retain(|request| request.line.split('?').next() == Some(line));
        received
    }
}

impl Drop for FakeApi {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the fake server did not panic");
        }
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = format!("{} {}", parts.method, parts.uri.path());
    let line = format!("{} {}", parts.method, parts.uri);
    let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("?").to_owned()));
    let headers: HashMap<String, String> = headers.collect();
    let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
    let authorised = headers.get("authorization").is_none_or(|value| *value == format!("Bearer {TOKEN}"));
    let received = Received { line, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) };

    let mut inner = shared.inner.lock().expect("lock");
    inner.received.push(received);
    if !authorised {
        return respond(problem(401, "unauthorized", "the token is not known", None));
    }
    let Some(answers) = inner.answers.get_mut(&path) else {
        return respond(problem(404, "not_found", &format!("nothing at `{path}`"), None));
    };
    let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
    respond(next.expect("a test gives at least one answer"))
}

fn respond(answer: Answer) -> Response {
    let (status, kind, body) = match answer {
        Answer::Json(status, value) => {
            let kind = if status >= 400 { "application/problem+json" } else { "application/json" };
            (status, kind, Body::from(value.to_string()))
        }
        Answer::Text(status, text) => (status, "text/plain", Body::from(text)),
        Answer::Events(frames, end) => (200, "text/event-stream", events(frames, end)),
    };
    Response::builder().status(status).header("content-type", kind).body(body).expect("valid response")
}

fn events(frames: Vec<String>, end: End) -> Body {
    let frames = stream::iter(frames).map(|frame| Ok::<_, std::io::Error>(Bytes::from(frame)));
    match end {
        End::Close => Body::from_stream(frames),
        End::Break => Body::from_stream(frames.chain(stream::once(async {
            // The frames before are flushed when the body has nothing ready.
            tokio::task::yield_now().await;
            Err(std::io::Error::other("broken on purpose"))
        }))),
        End::Hang => Body::from_stream(frames.chain(stream::pending())),
    }
}

/// Problem details as the server sends them.
pub fn problem(status: u16, code: &str, title: &str, hint: Option<&str>) -> Answer {
    let mut body = json!({ "type": "about:blank", "title": title, "status": status, "code": code });
    if let Some(hint) = hint {
        body["hint"] = json!(hint);
    }
    Answer::Json(status, body)
}

/// A stored event of a job, at so many milliseconds after its beginning.
pub fn event(seq: u64, millis: u64, fields: Value) -> String {
    let at = format!("2026-11-21T09:30:{:02}.{:03}Z", millis / 1000, millis % 1000);
    let mut event = json!({ "seq": seq, "at": at });
    let Value::Object(fields) = fields else { panic!("an event's fields are an object") };
    event.as_object_mut().expect("an object").extend(fields);
    format!("id: {seq}\ndata: {event}\n\n")
}

pub fn phase(seq: u64, millis: u64, phase: &str) -> String {
    event(seq, millis, json!({ "type": "phase", "phase": phase }))
}

/// A line of a container's output as the log stream carries it.
pub fn log_line(replica: u16, text: &str) -> String {
    let line = json!({
        "at": "2026-11-21T09:30:00Z", "container": format!("shop-20261121093000-{replica}"), "deployment": "20261121093000",
        "replica": replica, "stderr": false, "line": text,
    });
    format!("event: line\ndata: {line}\n\n")
}

/// The answer to a change.
pub fn accepted(job: u64, queued_behind: u32) -> Answer {
    Answer::Json(202, json!({ "job": job, "deployment": "20261121093000", "queued_behind": queued_behind }))
}

/// A job as the server describes it.
pub fn job(id: u64, kind: &str, phase: &str) -> Value {
    let done = phase == "done" || phase == "failed";
    json!({
        "id": id, "app": "shop", "kind": kind, "phase": phase, "deployment": "20261121093000",
        "created_at": "2026-11-21T09:30:00Z", "finished_at": done.then_some("2026-11-21T09:30:02.500Z"),
        "failure": (phase == "failed").then(|| json!({ "reason": "the image is missing", "hint": null, "container": null })),
    })
}
