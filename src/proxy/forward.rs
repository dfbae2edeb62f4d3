//! The way of one request: which route, which backend, and what happens when that one fails.

use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use hyper::body::Incoming;

use super::authority::Authority;
use super::body::{RequestBody, ResponseBody};
use super::client::Client;
use super::exchange::Exchange;
use super::fault::Fault;
use super::headers::{self, Forwarded};
use super::link::{Link, Unanswered};
use super::table::{Found, Route};
use super::tunnel::Tunnel;
use super::upstream::Upstream;
use super::worker::Worker;

/// Answers one request. When the returned future or the response's body is dropped, the backend's
/// connection is closed with it.
pub(super) async fn serve(client: Rc<Client>, request: Request<Incoming>) -> Result<Response<ResponseBody>, Infallible> {
    #[cfg(test)]
    assert!(!request.headers().contains_key("x-test-panic"), "a test asked for this");
    let exchange = Exchange::begin(&client, &request);
    Ok(match direct(&exchange, &request) {
        Ok(Way::Forward(route, forwarded)) => forward(exchange, route, forwarded, request).await,
        Ok(Way::Challenge(answer)) => challenge(&exchange, answer),
        Ok(Way::Redirect(redirection)) => redirect(&exchange, request.method(), &redirection),
        Err(fault) => exchange.refuse(fault),
    })
}

enum Way {
    Forward(Rc<Route>, Rc<Forwarded>),
    Redirect(Redirection),
    Challenge(Bytes),
}

struct Redirection {
    location: String,
    /// That of the route which it leads to.
    strict_transport: Option<HeaderValue>,
}

/// Where the request goes. Awaits nothing, so the table is borrowed for a moment only.
fn direct(exchange: &Exchange, request: &Request<Incoming>) -> Result<Way, Fault> {
    if request.method() == Method::CONNECT {
        return Err(Fault::ConnectMethod);
    }
    let client = &exchange.client;
    let authority = Authority::of(request)?;
    let uri = request.uri();
    if uri.path() == "*" && request.method() != Method::OPTIONS {
        return Err(Fault::Malformed("The target * is for OPTIONS alone."));
    }
    if uri.scheme().is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Err(Fault::Malformed("The target's scheme is neither http nor https."));
    }
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    if target.starts_with('?') && request.version() == Version::HTTP_2 {
        // RFC 9113 §8.3.1; in HTTP/1 it is the rest of an absolute target, which may have no path.
        return Err(Fault::Malformed("The path does not begin with a slash."));
    }
    let table = client.worker.table();
    let host = authority.map_or("", |authority| authority.host);
    match client.sni() {
        None if !client.secure => {
            if let Some(answer) = table.challenge(uri.path()) {
                return Ok(Way::Challenge(answer.clone()));
            }
        }
        Some(name) if !table.agree(name, host) => return Err(Fault::Misdirected),
        _ => {}
    }
    let wants_https = |route: &Route| route.policy.redirect_to_https && client.worker.https_port.is_some();
    match table.find(host, uri.path()) {
        Found::Unknown => {
            let nameless = client.secure.then(|| table.nameless(client.sni(), host, uri.path())).flatten();
            nameless.map(|route| Way::Forward(Rc::clone(route), client.forwarded(authority))).ok_or(Fault::UnknownHost)
        }
        Found::Route(route) if !client.secure && wants_https(route) => {
            // The table's hosts are in lower case, so this is the route's own.
            let location = client.worker.location(true, &host.to_ascii_lowercase(), target);
            Ok(Way::Redirect(Redirection { location, strict_transport: None }))
        }
        Found::Route(route) => Ok(Way::Forward(Rc::clone(route), client.forwarded(authority))),
        Found::Alias(canonical, route) => {
            let https_available = client.worker.https_port.is_some();
            let secure = client.secure || route.map_or(https_available, |route| wants_https(route));
            let location = client.worker.location(secure, canonical, target);
            Ok(Way::Redirect(Redirection { location, strict_transport: route.and_then(|route| route.strict_transport.clone()) }))
        }
    }
}

/// The key authorization as the authority reads it (RFC 8555 §8.3).
fn challenge(exchange: &Rc<Exchange>, answer: Bytes) -> Response<ResponseBody> {
    let mut response = Response::new(());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    exchange.own(response, answer)
}

/// 301 where every client keeps the method anyway, 308 where it must not be changed (RFC 9110 §15.4).
fn redirect(exchange: &Rc<Exchange>, method: &Method, redirection: &Redirection) -> Response<ResponseBody> {
    let safe = method == Method::GET || method == Method::HEAD;
    let mut response = Response::new(());
    *response.status_mut() = if safe { StatusCode::MOVED_PERMANENTLY } else { StatusCode::PERMANENT_REDIRECT };
    match HeaderValue::from_str(&redirection.location) {
        Ok(location) => response.headers_mut().insert(header::LOCATION, location),
        Err(_) => return exchange.refuse(Fault::Malformed("The request's target is not valid.")),
    };
    if let Some(value) = &redirection.strict_transport {
        exchange.demand_https(response.headers_mut(), value);
    }
    exchange.own(response, Bytes::new())
}

/// Sends the request to one backend after the other until one answers. Requests are large and futures keep a
/// place for each time they are passed on, so this one function has it and the others do not.
async fn forward(exchange: Rc<Exchange>, route: Rc<Route>, forwarded: Rc<Forwarded>, request: Request<Incoming>) -> Response<ResponseBody> {
    exchange.routed(&route);
    let (mut request, copy) = prepare(&exchange, &forwarded, request);
    let mut attempts = Attempts { route, avoid: Vec::new(), again: None, fault: Fault::NoBackend };
    loop {
        let Some((upstream, only_fresh)) = attempts.next(exchange.client.worker.deadlines.now()) else {
            return exchange.refuse(attempts.fault);
        };
        exchange.flies_to(&upstream);
        let idle = if only_fresh { None } else { upstream.take_idle(exchange.client.worker.deadlines.now(), copy.is_some()) };
        let connected = match idle {
            Some(link) => Some(link),
            // Large, and rare while connections are kept.
            None => Box::pin(connect(&exchange, &upstream)).await,
        };
        let Some(mut link) = connected else {
            attempts.failed(&exchange, upstream, Fault::Unreachable);
            continue;
        };
        exchange.await_response();
        let unanswered = match link.send(request, |cx| exchange.is_lost(cx)).await {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                upstream.succeeded();
                return Box::pin(upgrade(exchange, response, link)).await;
            }
            Ok(response) => {
                upstream.succeeded();
                return answer(exchange, response, link);
            }
            Err(unanswered) => unanswered,
        };
        request = match unanswered {
            Unanswered::Unsent(unsent) => {
                attempts.unsent(&exchange, upstream, link.reused);
                unsent
            }
            Unanswered::Lost(error) => match attempts.lost(&exchange, upstream, link.reused, &error, copy.as_ref()) {
                Ok(copied) => copied,
                Err(fault) => return exchange.refuse(fault),
            },
            Unanswered::GivenUp if upstream.successor().is_some() => match attempts.moved(upstream, copy.as_ref()) {
                Ok(copied) => copied,
                Err(fault) => return exchange.refuse(fault),
            },
            Unanswered::GivenUp if !exchange.is_body_in_ended() => return exchange.refuse(Fault::BodyStalled),
            Unanswered::GivenUp => {
                upstream.counters().errors.add(1);
                return exchange.refuse(Fault::TimedOut);
            }
        };
    }
}

/// Which backend is next, and what is said when none is.
struct Attempts {
    route: Rc<Route>,
    /// Those that failed this request.
    avoid: Vec<Rc<Upstream>>,
    /// The one to be asked again, over a fresh connection.
    again: Option<Rc<Upstream>>,
    fault: Fault,
}

impl Attempts {
    /// The backend, and whether it must be a fresh connection.
    fn next(&mut self, now: u64) -> Option<(Rc<Upstream>, bool)> {
        let (mut upstream, only_fresh) = match self.again.take() {
            Some(upstream) => (upstream, true),
            None => (self.route.pick(now, &self.avoid)?, false),
        };
        // The request's route may be of an older table than the backend's address.
        while let Some(successor) = upstream.successor().map(Rc::clone) {
            self.avoid.push(std::mem::replace(&mut upstream, successor));
        }
        Some((upstream, only_fresh))
    }

    fn failed(&mut self, exchange: &Exchange, upstream: Rc<Upstream>, fault: Fault) {
        upstream.counters().retries.add(1);
        self.fault = fault;
        if upstream.successor().is_some() {
            self.again = Some(upstream);
        } else {
            upstream.failed(exchange.client.worker.deadlines.now());
            self.avoid.push(upstream);
        }
    }

    /// Its address went away, and the answer with it.
    fn moved(&mut self, upstream: Rc<Upstream>, copy: Option<&Copy>) -> Result<Request<RequestBody>, Fault> {
        let copy = copy.ok_or(Fault::Broken)?;
        upstream.counters().retries.add(1);
        self.fault = Fault::Broken;
        self.again = Some(upstream);
        Ok(copy.request())
    }

    /// An idle connection that the backend closed says nothing about the backend.
    fn stale(&mut self, upstream: Rc<Upstream>) {
        upstream.counters().retries.add(1);
        self.fault = Fault::Broken;
        self.again = Some(upstream);
    }

    fn unsent(&mut self, exchange: &Exchange, upstream: Rc<Upstream>, reused: bool) {
        if reused { self.stale(upstream) } else { self.failed(exchange, upstream, Fault::Broken) }
    }

    /// The request was sent and there was no answer: it is sent again only when that cannot do anything twice.
    fn lost(
        &mut self,
        exchange: &Exchange,
        upstream: Rc<Upstream>,
        reused: bool,
        error: &hyper::Error,
        copy: Option<&Copy>,
    ) -> Result<Request<RequestBody>, Fault> {
        if exchange.is_body_in_failed() {
            return Err(Fault::Malformed("The request's body is malformed or incomplete."));
        }
        tracing::debug!(backend = %upstream.id.0, %error, "the backend gave no answer");
        let Some(copy) = copy else {
            if !reused {
                upstream.failed(exchange.client.worker.deadlines.now());
            }
            return Err(Fault::Broken);
        };
        if reused {
            self.stale(upstream)
        } else {
            self.failed(exchange, upstream, Fault::Broken)
        }
        Ok(copy.request())
    }
}

/// The request as the backend gets it, and a copy when sending it twice does no harm (RFC 9110 §9.2.2).
fn prepare(exchange: &Rc<Exchange>, forwarded: &Forwarded, request: Request<Incoming>) -> (Request<RequestBody>, Option<Copy>) {
    let (mut parts, incoming) = request.into_parts();
    let mut body = RequestBody::new(incoming, exchange);
    let from_http2 = parts.version == Version::HTTP_2;
    let upgrade = headers::to_backend(&mut parts.headers, forwarded, &exchange.id);
    if let Some(introduction) = exchange.introduction() {
        parts.headers.insert(headers::INTRODUCTION, introduction);
    }
    let upgrades = upgrade.is_some() && !from_http2;
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    if parts.uri.authority().is_some() {
        // Origin form; the authority is in Host now.
        let target = parts.uri.into_parts().path_and_query;
        parts.uri = target.map_or_else(|| Uri::from_static("/"), origin_form);
    }
    let expects = parts.headers.get(header::EXPECT).is_some_and(|e| e.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let consent = if expects { body.hold(exchange.client.worker.settings.timeouts.expect_continue) } else { None };
    let mut request = Request::from_parts(parts, body);
    if let Some(consent) = consent {
        hyper::ext::on_informational(&mut request, move |response| {
            if response.status() == StatusCode::CONTINUE {
                consent.give();
            }
        });
    }
    let replayable = request.body().is_empty() && request.method().is_idempotent() && !upgrades;
    let copy = replayable.then(|| Copy::of(&exchange.client.worker, &request));
    (request, copy)
}

/// An absolute target's empty path is `/` in origin form, also before a query (RFC 9112 §3.2.1).
fn origin_form(target: PathAndQuery) -> Uri {
    if !target.as_str().starts_with('?') {
        return Uri::from(target);
    }
    PathAndQuery::try_from(format!("/{}", target.as_str())).map_or_else(|_| Uri::from_static("/"), Uri::from)
}

/// What is needed to send a request without a body once more. Every such request pays for this and nearly
/// none needs it, so it is text in a buffer that is used again and again.
struct Copy {
    worker: Rc<Worker>,
    method: Method,
    /// The target's line, then one line per field. None of them can contain a line feed.
    text: Vec<u8>,
}

impl Copy {
    fn of(worker: &Rc<Worker>, request: &Request<RequestBody>) -> Self {
        let mut text = worker.spare_buffer();
        text.extend_from_slice(request.uri().path_and_query().map_or("/", PathAndQuery::as_str).as_bytes());
        text.push(b'\n');
        for (name, value) in request.headers() {
            text.extend_from_slice(name.as_str().as_bytes());
            text.push(b':');
            text.extend_from_slice(value.as_bytes());
            text.push(b'\n');
        }
        Self { worker: Rc::clone(worker), method: request.method().clone(), text }
    }

    fn request(&self) -> Request<RequestBody> {
        const OWN: &str = "invariant: it was taken from a valid request";
        let mut lines = self.text.split(|&byte| byte == b'\n');
        let mut request = Request::new(RequestBody::Empty);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::try_from(lines.next().unwrap_or(b"/")).expect(OWN);
        for line in lines.filter(|line| !line.is_empty()) {
            let colon = memchr::memchr(b':', line).expect(OWN);
            let name = HeaderName::from_bytes(&line[..colon]).expect(OWN);
            request.headers_mut().append(name, HeaderValue::from_bytes(&line[colon + 1..]).expect(OWN));
        }
        request
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.worker.give_buffer(std::mem::take(&mut self.text));
    }
}

async fn connect(exchange: &Rc<Exchange>, upstream: &Rc<Upstream>) -> Option<Box<Link>> {
    let timeouts = &exchange.client.worker.settings.timeouts;
    upstream.counters().connects.add(1);
    exchange.deadline.set(timeouts.connect);
    let mut opening = std::pin::pin!(Link::open(upstream.address, timeouts.upstream_idle));
    std::future::poll_fn(|cx| match opening.as_mut().poll(cx) {
        std::task::Poll::Ready(opened) => std::task::Poll::Ready(opened.ok()),
        std::task::Poll::Pending if exchange.is_lost(cx) => std::task::Poll::Ready(None),
        std::task::Poll::Pending => std::task::Poll::Pending,
    })
    .await
}

fn answer(exchange: Rc<Exchange>, response: Response<Incoming>, mut link: Box<Link>) -> Response<ResponseBody> {
    let (mut parts, incoming) = response.into_parts();
    parts.extensions.clear();
    if let Some(seconds) = headers::to_client(&mut parts.headers, &exchange.id) {
        // One second earlier than the backend, so that it is not the one who closes.
        link.idle_limit = link.idle_limit.min(std::time::Duration::from_secs(seconds.saturating_sub(1)));
    }
    parts.version = Version::HTTP_11;
    let mut response = Response::from_parts(parts, ());
    exchange.answered(&mut response);
    response.map(|()| ResponseBody::backend(incoming, link, exchange))
}

async fn upgrade(exchange: Rc<Exchange>, response: Response<Incoming>, link: Box<Link>) -> Response<ResponseBody> {
    if exchange.client.is_http2() {
        return exchange.refuse(Fault::Broken);
    }
    let Some((socket, said)) = link.into_tunnel().await else { return exchange.refuse(Fault::Broken) };
    let (mut parts, _) = response.into_parts();
    parts.extensions.clear();
    headers::to_client_upgraded(&mut parts.headers, &exchange.id);
    exchange.client.upgrade(Tunnel::new(socket, said, Rc::clone(&exchange)));
    let mut response = Response::from_parts(parts, ());
    exchange.answered(&mut response);
    response.map(|()| ResponseBody::fixed(Bytes::new(), exchange))
}
