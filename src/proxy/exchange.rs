//! One request and its response: what is known, counted and logged about them. It ends when the
//! last part of it (request body, response body, tunnel) is dropped, however that comes about.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::task::Context;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version, header};

use super::body::ResponseBody;
use super::client::Client;
use super::counters::RouteCounters;
use super::deadline::Deadline;
use super::fault::{Fault, Reader};
use super::headers;
use super::link::Link;
use super::log_line::Line;
use super::table::Route;
use super::upstream::{Flight, Upstream};

/// Logged in place of a status when the client went away before there was one.
const CLIENT_GONE: u16 = 499;

pub(super) struct Exchange {
    pub client: Rc<Client>,
    pub id: HeaderValue,
    /// The connect's, the first byte's, then the response body's.
    pub deadline: Deadline,
    /// What the asker likes to read, should there be an error page.
    accept: Option<HeaderValue>,
    started: Instant,
    is_head: bool,
    version: usize,
    /// The begun line of the access log; empty when there is none.
    line: RefCell<Vec<u8>>,
    route: OnceCell<Rc<Route>>,
    flight: RefCell<Option<Flight>>,
    status: Cell<u16>,
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
    request_body: Cell<RequestBodyState>,
    broken: Cell<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestBodyState {
    Coming,
    Ended,
    Failed,
}

impl Exchange {
    pub(super) fn begin<B: hyper::body::Body>(client: &Rc<Client>, request: &Request<B>) -> Rc<Self> {
        let worker = &client.worker;
        client.request_begins();
        let id = worker.request_id();
        let mut line = Vec::new();
        if worker.logs() {
            line = worker.spare_buffer();
            begin_line(&mut line, client, request, &id);
        }
        let ended = request.body().is_end_stream();
        Rc::new(Self {
            client: Rc::clone(client),
            id,
            deadline: worker.deadlines.deadline(),
            accept: request.headers().get(header::ACCEPT).cloned(),
            started: Instant::now(),
            is_head: request.method() == Method::HEAD,
            version: match request.version() {
                Version::HTTP_10 => 0,
                Version::HTTP_2 => 2,
                _ => 1,
            },
            line: RefCell::new(line),
            route: OnceCell::new(),
            flight: RefCell::default(),
            status: Cell::new(CLIENT_GONE),
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
            request_body: Cell::new(if ended { RequestBodyState::Ended } else { RequestBodyState::Coming }),
            broken: Cell::new(false),
        })
    }

    fn counters(&self) -> &RouteCounters {
        self.route.get().map_or(&self.client.worker.counters().unrouted, |route| route.counters())
    }

    /// The route is chosen: from here it is the one that counts.
    pub(super) fn routed(&self, route: &Rc<Route>) {
        if self.route.set(Rc::clone(route)).is_ok() {
            self.counters().in_flight.add(1);
        }
    }

    /// Whether waiting for the backend has no point any more: it took too long, or it has moved to another address.
    pub(super) fn is_lost(&self, cx: &Context<'_>) -> bool {
        self.deadline.expired(cx) || self.flight.borrow().as_ref().is_some_and(|flight| flight.0.successor().is_some())
    }

    /// The request is in flight at this backend and no other.
    pub(super) fn flies_to(&self, upstream: &Rc<Upstream>) {
        *self.flight.borrow_mut() = Some(Flight::begin(Rc::clone(upstream)));
    }

    /// An exchange with the backend ended well; its connection may carry another.
    pub(super) fn give_back(&self, link: Box<Link>) {
        if self.request_body.get() != RequestBodyState::Ended {
            // It answered before it had read everything: the rest would be taken for the next request.
            return;
        }
        if let Some(flight) = &*self.flight.borrow() {
            flight.0.give_back(link, self.client.worker.deadlines.now());
        }
    }

    /// From here on the backend has this long to begin its answer, not counting the time the client takes to send.
    pub(super) fn await_response(&self) {
        let timeout = match self.request_body.get() {
            RequestBodyState::Coming => self.client.worker.settings.timeouts.body,
            _ => self.response_timeout(),
        };
        self.deadline.set(timeout);
    }

    fn response_timeout(&self) -> Duration {
        self.route.get().map_or(Duration::ZERO, |route| route.policy.response_timeout)
    }

    pub(super) fn body_in(&self, bytes: usize) {
        self.bytes_in.set(self.bytes_in.get() + bytes as u64);
        self.deadline.set(self.client.worker.settings.timeouts.body);
    }

    pub(super) fn body_in_ended(&self) {
        if self.request_body.replace(RequestBodyState::Ended) != RequestBodyState::Ended && self.status.get() == CLIENT_GONE {
            self.deadline.set(self.response_timeout());
        }
    }

    pub(super) fn body_in_failed(&self) {
        self.request_body.set(RequestBodyState::Failed);
    }

    /// Whether the client's body is to blame for what went wrong.
    pub(super) fn is_body_in_failed(&self) -> bool {
        self.request_body.get() == RequestBodyState::Failed
    }

    /// Whether all of the request is with the backend.
    pub(super) fn is_body_in_ended(&self) -> bool {
        self.request_body.get() == RequestBodyState::Ended
    }

    pub(super) fn body_out(&self, bytes: usize) {
        self.bytes_out.set(self.bytes_out.get() + bytes as u64);
        self.deadline.set(self.client.worker.settings.timeouts.body);
        self.client.takes_response();
    }

    pub(super) fn body_out_failed(&self) {
        self.broken.set(true);
        if let Some(flight) = &*self.flight.borrow() {
            flight.0.counters().errors.add(1);
        }
    }

    /// Bytes through a tunnel; `(from the client, to the client)`.
    pub(super) fn tunnelled(&self, bytes_in: usize, bytes_out: usize) {
        self.bytes_in.set(self.bytes_in.get() + bytes_in as u64);
        self.bytes_out.set(self.bytes_out.get() + bytes_out as u64);
        self.deadline.set(self.client.worker.settings.timeouts.tunnel);
    }

    /// A response that came from the backend, its headers already edited.
    pub(super) fn answered<B>(&self, response: &mut Response<B>) {
        self.status.set(response.status().as_u16());
        self.deadline.set(self.client.worker.settings.timeouts.body);
        self.client.takes_response();
        if let Some(value) = self.route.get().and_then(|route| route.strict_transport.as_ref()) {
            self.demand_https(response.headers_mut(), value);
        }
        if self.client.worker.draining.get() && !self.client.is_http2() && !self.client.is_tunnel() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// What the route's backends are told, so that they believe what is forwarded.
    pub(super) fn introduction(&self) -> Option<HeaderValue> {
        self.route.get().and_then(|route| route.introduction.clone())
    }

    /// Tells browsers to come over HTTPS only. Never over plain HTTP (RFC 6797 §7.2); an app's own word wins.
    pub(super) fn demand_https(&self, headers: &mut HeaderMap, value: &HeaderValue) {
        if self.client.secure {
            headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert_with(|| value.clone());
        }
    }

    /// Our own answer: the error page.
    pub(super) fn refuse(self: &Rc<Self>, fault: Fault) -> Response<ResponseBody> {
        if matches!(fault, Fault::Malformed(_)) {
            self.client.malformed();
        }
        let (response, body) = fault.answer(Reader::of(self.accept.as_ref()), &self.id, self.client.is_http2());
        self.own(response, body)
    }

    /// Our own answer.
    pub(super) fn own(self: &Rc<Self>, mut response: Response<()>, body: Bytes) -> Response<ResponseBody> {
        response.headers_mut().insert(headers::REQUEST_ID, self.id.clone());
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        self.answered(&mut response);
        let body = if self.is_head { Bytes::new() } else { body };
        response.map(|()| ResponseBody::fixed(body, Rc::clone(self)))
    }

    fn finish_line(&self, took: Duration) {
        let mut buffer = self.line.take();
        if buffer.is_empty() {
            return;
        }
        let mut line = Line(&mut buffer);
        line.number("status", self.status.get().into());
        line.number("bytes_in", self.bytes_in.get());
        line.number("bytes_out", self.bytes_out.get());
        line.milliseconds("duration_ms", took);
        if let Some(route) = self.route.get() {
            line.text("route", route.name.as_bytes());
        }
        if let Some(flight) = &*self.flight.borrow() {
            line.text("upstream", flight.0.name.as_bytes());
        }
        if self.broken.get() {
            line.text("error", b"incomplete");
        }
        buffer.extend_from_slice(b"}\n");
        self.client.worker.log(buffer);
    }
}

/// The request's half of the line.
fn begin_line<B>(buffer: &mut Vec<u8>, client: &Client, request: &Request<B>, id: &HeaderValue) {
    let headers = request.headers();
    let uri = request.uri();
    client.worker.write_time(buffer);
    let mut line = Line(buffer);
    line.text("client", client.name.as_bytes());
    match uri.authority() {
        Some(authority) => line.text("host", authority.as_str().as_bytes()),
        None => line.header("host", headers, header::HOST),
    }
    line.text("method", request.method().as_str().as_bytes());
    line.text("path", uri.path_and_query().map_or("", |path| path.as_str()).as_bytes());
    let protocol: &[u8] = match (request.version(), client.secure) {
        (Version::HTTP_2, _) => b"h2",
        (Version::HTTP_10, false) => b"http/1.0",
        (Version::HTTP_10, true) => b"https/1.0",
        (_, false) => b"http/1.1",
        (_, true) => b"https/1.1",
    };
    line.text("protocol", protocol);
    line.text("request_id", id.as_bytes());
    line.header("user_agent", headers, header::USER_AGENT);
    line.header("referer", headers, header::REFERER);
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        let counters = self.counters();
        let status = self.status.get();
        counters.finished(self.version, status, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        counters.bytes_in.add(self.bytes_in.get());
        counters.bytes_out.add(self.bytes_out.get());
        if self.route.get().is_some() {
            counters.in_flight.subtract(1);
        }
        self.finish_line(took);
        self.client.request_ended();
    }
}
