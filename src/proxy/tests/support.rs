//! Backends, raw clients and a running proxy for the tests.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(super) use super::super::settings::{Limits, Timeouts};
use super::super::*;
use crate::names::Domain;

/// Longer than anything here may take.
pub const SOON: Duration = Duration::from_secs(10);

pub fn domain(name: &str) -> Domain {
    name.parse().expect("domain")
}

pub fn id(name: &str) -> BackendId {
    BackendId(name.into())
}

/// Waits until the value is what is expected, or fails with what it was at last.
pub fn eventually<T: PartialEq + std::fmt::Debug>(expected: T, mut value: impl FnMut() -> T) {
    let deadline = Instant::now() + SOON;
    loop {
        let now = value();
        if now == expected {
            return;
        }
        assert!(Instant::now() < deadline, "expected {expected:?}, is {now:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A backend that answers each connection by a function on a thread of its own, with whatever bytes it likes.
pub struct App {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Message>>>,
}

/// One HTTP/1.1 message as it was on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub first_line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Message {
    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub fn status(&self) -> u16 {
        self.first_line.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_default()
    }

    pub fn path(&self) -> &str {
        self.first_line.split(' ').nth(1).unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection that HTTP/1.1 messages are read from.
pub struct Wire<S> {
    pub reader: BufReader<S>,
}

impl Wire<TcpStream> {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connect");
        stream.set_read_timeout(Some(SOON)).expect("timeout");
        Self::new(stream)
    }
}

impl<S: Read + Write> Wire<S> {
    pub fn new(stream: S) -> Self {
        Self { reader: BufReader::new(stream) }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.reader.get_mut().write_all(bytes.as_ref()).expect("write");
        self.reader.get_mut().flush().expect("flush");
    }

    /// A request with an empty body or whatever `rest` says after the first line.
    pub fn get(&mut self, host: &str, path: &str) -> Message {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        self.message().expect("response")
    }

    pub fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        line.ends_with('\n').then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }

    pub fn head(&mut self) -> Option<Message> {
        let first_line = self.line()?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(Message { first_line, headers, body: Vec::new() });
            }
            let (name, value) = line.split_once(':')?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// A whole message; `None` when the connection ends before it does. Trailers are added to the headers.
    pub fn message(&mut self) -> Option<Message> {
        let mut message = self.head()?;
        if message.header("transfer-encoding") == Some("chunked") {
            loop {
                let line = self.line()?;
                let size = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16).ok()?;
                if size == 0 {
                    break;
                }
                message.body.extend(self.bytes(size)?);
                self.line()?;
            }
            loop {
                let line = self.line()?;
                if line.is_empty() {
                    break;
                }
                let (name, value) = line.split_once(':')?;
                message.headers.push((name.to_owned(), value.trim().to_owned()));
            }
        } else if let Some(length) = message.header("content-length").and_then(|l| l.parse().ok()) {
            message.body = self.bytes(length)?;
        }
        Some(message)
    }

    pub fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Everything until the peer closes; fails when it does not.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.reader.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the peer does not close: {error}"),
        }
        bytes
    }
}

impl App {
    /// Each connection is given to `serve` with its number.
    pub fn raw(serve: impl Fn(Wire<TcpStream>, usize) + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("bind"), serve)
    }

    pub fn on(listener: TcpListener, serve: impl Fn(Wire<TcpStream>, usize) + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().expect("address");
        let connections = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&connections);
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (serve, number) = (Arc::clone(&serve), counter.fetch_add(1, Ordering::SeqCst));
                std::thread::spawn(move || {
                    stream.set_nodelay(true).expect("nodelay");
                    serve(Wire::new(stream), number);
                });
            }
        });
        Self { address, connections, requests: Arc::default() }
    }

    /// Answers every request with what the function makes of it; keeps connections.
    pub fn answering(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let requests = Arc::<Mutex<Vec<Message>>>::default();
        let seen = Arc::clone(&requests);
        let backend = Self::raw(move |mut wire, _| {
            while let Some(request) = wire.message() {
                seen.lock().expect("requests").push(request.clone());
                let answer = answer(&request);
                if wire.reader.get_mut().write_all(&answer).is_err() {
                    return;
                }
            }
        });
        Self { requests, ..backend }
    }

    /// Answers with its name.
    pub fn named(name: &'static str) -> Self {
        Self::answering(move |_| ok(name))
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> Vec<Message> {
        self.requests.lock().expect("requests").clone()
    }

    pub fn last(&self) -> Message {
        self.requests().pop().expect("a request")
    }
}

pub fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nServer: app\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// An address where nobody listens.
pub fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.local_addr().expect("address")
}

/// A running proxy on free ports.
pub struct Running {
    pub proxy: Option<Proxy>,
    pub http: SocketAddr,
    pub https: SocketAddr,
}

impl Running {
    pub fn start(snapshot: Snapshot) -> Self {
        Self::with(Settings { workers: 1, ..Settings::default() }, snapshot)
    }

    pub fn with(settings: Settings, snapshot: Snapshot) -> Self {
        crate::crypto::install_provider();
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let listeners = Listeners::bind(&[any], &[any], settings.worker_count()).expect("bind");
        let (http, https) = (listeners.http_addrs()[0], listeners.https_addrs()[0]);
        let proxy = Proxy::start(listeners, settings, Arc::new(snapshot)).expect("start");
        eventually(1, || proxy.adopted());
        Self { proxy: Some(proxy), http, https }
    }

    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("running")
    }

    pub fn publish(&self, snapshot: Snapshot) {
        let generation = self.proxy().publish(Arc::new(snapshot));
        eventually(generation, || self.proxy().adopted());
    }

    pub fn connect(&self) -> Wire<TcpStream> {
        Wire::connect(self.http)
    }

    /// A fresh connection, one request.
    pub fn get(&self, host: &str, path: &str) -> Message {
        self.connect().get(host, path)
    }

    pub fn in_flight(&self, backend: &str) -> u64 {
        self.proxy().in_flight(&id(backend))
    }

    /// The value of a metric's line.
    pub fn metric(&self, line: &str) -> Option<f64> {
        self.proxy().metrics().lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(' ')?.parse().ok())
    }
}

/// A route of plain HTTP with these backends, named by the app's name and number: `shop-0`, `shop-1`, …
pub fn plain_route(name: &str, host: &str, backends: &[SocketAddr]) -> Route {
    let backends = backends.iter().enumerate().map(|(n, &address)| Backend { id: id(&format!("{name}-{n}")), address }).collect();
    Route {
        name: name.to_owned(),
        hosts: vec![domain(host)],
        path_prefix: "/".to_owned(),
        policy: Policy { redirect_to_https: false, response_timeout: SOON, ..Policy::default() },
        groups: vec![Group { weight: 1, backends }],
    }
}

pub fn routes(routes: Vec<Route>) -> Snapshot {
    Snapshot { routes, ..Snapshot::default() }
}

/// The usual: the app `shop` under `shop.example`.
pub fn shop(backends: &[SocketAddr]) -> Snapshot {
    routes(vec![plain_route("shop", "shop.example", backends)])
}
