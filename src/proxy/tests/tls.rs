//! TLS and HTTP/2 in front.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Version};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};
use tokio::net::TcpStream;

use super::super::*;
use super::support::*;

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

fn certificates(names: &[&str]) -> (Certificates, RootCertStore) {
    let mut certificates = Certificates::default();
    let mut roots = RootCertStore::empty();
    for name in names {
        let made = self_signed(&[name]).expect("certificate");
        roots.add(made.key.cert[0].clone()).expect("root");
        certificates.by_name.insert(domain(name), made.key);
    }
    let default = self_signed(&["default.example"]).expect("certificate");
    roots.add(default.key.cert[0].clone()).expect("root");
    certificates.default = Some(default.key);
    (certificates, roots)
}

fn client_config(roots: RootCertStore, alpn: &[&str]) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Arc::new(config)
}

fn secure_shop(backends: &[std::net::SocketAddr]) -> (Snapshot, RootCertStore) {
    let (certificates, roots) = certificates(&["shop.example", "other.example"]);
    let mut snapshot = shop(backends);
    snapshot.routes[0].policy.redirect_to_https = true;
    snapshot.certificates = certificates;
    (snapshot, roots)
}

fn handshake(running: &Running, config: &Arc<ClientConfig>, name: &str) -> Wire<StreamOwned<ClientConnection, std::net::TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).expect("name");
    let socket = std::net::TcpStream::connect(running.https).expect("connect");
    socket.set_read_timeout(Some(SOON)).expect("timeout");
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(config), name).expect("client"), socket);
    stream.flush().expect("handshake");
    Wire::new(stream)
}

#[test]
fn sni_chooses_the_certificate_and_the_default_serves_the_rest() {
    let app = App::named("shop");
    let (snapshot, roots) = secure_shop(&[app.address]);
    let running = Running::start(snapshot.clone());
    let config = client_config(roots, &["http/1.1"]);
    // The client verifies: each of these names needs its own certificate.
    for (name, status) in [("shop.example", 200), ("other.example", 404), ("default.example", 404)] {
        assert_eq!(handshake(&running, &config, name).get(name, "/").status(), status, "{name}");
    }
    assert_eq!(app.last().all("x-forwarded-proto"), ["https"]);
    // A new snapshot brings new certificates at once.
    let (fresh, fresh_roots) = certificates(&["shop.example"]);
    running.publish(Snapshot { certificates: fresh, ..snapshot });
    assert_eq!(handshake(&running, &client_config(fresh_roots, &[]), "shop.example").get("shop.example", "/").status(), 200);
}

#[test]
fn a_wildcard_stands_for_one_label_and_an_exact_name_wins() {
    let (mut certificates, mut roots) = certificates(&["exact.wild.example"]);
    let wild = self_signed(&["*.wild.example"]).expect("certificate");
    roots.add(wild.key.cert[0].clone()).expect("root");
    certificates.wildcards.insert(domain("wild.example"), wild.key);
    let running = Running::start(Snapshot { certificates, ..shop(&[]) });
    let config = client_config(roots, &[]);
    for name in ["a.wild.example", "exact.wild.example"] {
        assert_eq!(handshake(&running, &config, name).get(name, "/").status(), 404, "{name}");
    }
    for name in ["a.b.wild.example", "wild.example"] {
        let name = ServerName::try_from(name).expect("name");
        let socket = std::net::TcpStream::connect(running.https).expect("connect");
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(&config), name).expect("client"), socket);
        let refused = stream.flush().and_then(|()| stream.conn.complete_io(&mut stream.sock).map(|_| ()));
        assert!(refused.is_err_and(|error| error.to_string().contains("not valid for name")));
    }
}

#[test]
fn a_connection_made_for_one_app_reaches_no_other() {
    let (one, two) = (App::named("one"), App::named("two"));
    let (certificates, roots) = certificates(&["one.example", "www.one.example", "two.example"]);
    let mut snapshot = routes(vec![plain_route("one", "one.example", &[one.address]), plain_route("two", "two.example", &[two.address])]);
    snapshot.redirects.insert(domain("www.one.example"), domain("one.example"));
    let running = Running::start(Snapshot { certificates, ..snapshot });
    let config = client_config(roots, &["http/1.1"]);
    let cases = [
        ("one.example", "one.example", 200),
        ("one.example", "ONE.example", 200),
        ("one.example", "www.one.example", 301),
        ("www.one.example", "one.example", 200),
        ("one.example", "two.example", 421),
        ("one.example", "nobody.example", 404),
        ("default.example", "one.example", 421),
    ];
    for (name, host, status) in cases {
        assert_eq!(handshake(&running, &config, name).get(host, "/").status(), status, "{name} {host}");
    }
}

#[test]
fn a_route_without_hosts_is_for_those_that_nobody_has_and_over_tls_alone() {
    let (app, api) = (App::named("shop"), App::named("api"));
    let (mut snapshot, roots) = secure_shop(&[app.address]);
    snapshot.routes[0].path_prefix = "/shop".to_owned();
    snapshot.routes.push(Route { hosts: Vec::new(), path_prefix: "/v1".to_owned(), ..plain_route("api", "api.example", &[api.address]) });
    let running = Running::start(snapshot);
    let config = client_config(roots, &[]);
    let ask = |name: &str, host: &str, path: &str| handshake(&running, &config, name).get(host, path).status();
    assert_eq!(ask("default.example", "192.0.2.7", "/v1/version"), 200);
    assert_eq!(ask("default.example", "default.example:8443", "/v1"), 200);
    assert_eq!(ask("default.example", "192.0.2.7", "/v10"), 404, "only below its path");
    assert_eq!(ask("shop.example", "shop.example", "/v1"), 404, "an app's host is the app's alone");
    assert_eq!(ask("shop.example", "192.0.2.7", "/v1"), 404, "and so is a connection for it");
    assert_eq!(running.get("192.0.2.7", "/v1").status(), 404, "never without TLS");
    assert_eq!(api.requests().len(), 2);
}

#[test]
fn browsers_are_told_to_come_over_https_only() {
    let app = App::answering(|request| {
        let own = if request.path() == "/own" { "Strict-Transport-Security: max-age=1\r\n" } else { "" };
        format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{own}\r\n").into_bytes()
    });
    let (mut snapshot, roots) = secure_shop(&[app.address]);
    snapshot.routes[0].policy.strict_transport = Some("max-age=31536000".to_owned());
    snapshot.routes.push(plain_route("other", "other.example", &[app.address]));
    snapshot.redirects.insert(domain("www.shop.example"), domain("shop.example"));
    let running = Running::start(snapshot.clone());
    let config = client_config(roots, &["http/1.1"]);
    let said = |running: &Running, name: &str, host: &str, path: &str| {
        let answer = handshake(running, &config, name).get(host, path);
        (answer.status(), answer.all("strict-transport-security").join(" and "))
    };
    let year = "max-age=31536000".to_owned();
    assert_eq!(said(&running, "shop.example", "shop.example", "/"), (200, year.clone()));
    assert_eq!(said(&running, "shop.example", "shop.example", "/own"), (200, "max-age=1".to_owned()), "the app's own");
    assert_eq!(said(&running, "shop.example", "www.shop.example", "/"), (301, year.clone()));
    assert_eq!(said(&running, "other.example", "other.example", "/"), (200, String::new()), "an app that did not ask");
    snapshot.routes[0].groups.clear();
    running.publish(snapshot.clone());
    assert_eq!(said(&running, "shop.example", "shop.example", "/"), (503, year), "an error page");

    snapshot.routes[0].policy.redirect_to_https = false;
    snapshot.routes[0].groups = plain_route("shop", "shop.example", &[app.address]).groups;
    running.publish(snapshot);
    for (host, status) in [("shop.example", 200), ("www.shop.example", 301)] {
        let plain = Wire::connect(running.http).get(host, "/");
        assert_eq!((plain.status(), plain.header("strict-transport-security")), (status, None), "never over plain HTTP: {host}");
    }
}

#[test]
fn challenges_are_answered_in_both_ways_and_nothing_else_is() {
    let app = App::named("shop");
    let (mut snapshot, _) = secure_shop(&[app.address]);
    snapshot.challenges.http.insert("token".to_owned(), "token.thumbprint".to_owned());
    let proof = self_signed(&["shop.example"]).expect("certificate");
    snapshot.challenges.tls.insert(domain("shop.example"), Arc::clone(&proof.key));
    let running = Running::start(snapshot);
    // Whatever the host: an authority that follows an alias asks under that name.
    for host in ["shop.example", "nobody.example"] {
        let answer = running.get(host, "/.well-known/acme-challenge/token");
        assert_eq!((answer.status(), answer.text()), (200, "token.thumbprint".to_owned()), "{host}");
    }
    assert_eq!(running.get("shop.example", "/.well-known/acme-challenge/other").status(), 301, "others are the app's");

    let mut roots = RootCertStore::empty();
    roots.add(proof.key.cert[0].clone()).expect("root");
    let wire = handshake(&running, &client_config(roots.clone(), &["acme-tls/1"]), "shop.example");
    assert_eq!(wire.reader.get_ref().conn.peer_certificates(), Some(&proof.key.cert[..]));
    // Who offers more than that is a browser.
    let config = client_config(roots, &["acme-tls/1", "http/1.1"]);
    let name = ServerName::try_from("shop.example").expect("name");
    let socket = std::net::TcpStream::connect(running.https).expect("connect");
    let mut stream = StreamOwned::new(ClientConnection::new(config, name).expect("client"), socket);
    let refused = stream.flush().and_then(|()| stream.conn.complete_io(&mut stream.sock).map(|_| ()));
    assert!(refused.is_err(), "it gets the certificate of the app");
}

#[test]
fn sessions_resume_on_every_worker() {
    let app = App::named("shop");
    let (snapshot, roots) = secure_shop(&[app.address]);
    let running = Running::with(Settings { workers: 4, ..Settings::default() }, snapshot);
    let config = client_config(roots, &["http/1.1"]);
    assert_eq!(handshake(&running, &config, "shop.example").get("shop.example", "/").status(), 200);
    for _ in 0..8 {
        let mut wire = handshake(&running, &config, "shop.example");
        assert_eq!(wire.get("shop.example", "/").status(), 200);
        assert_eq!(wire.reader.get_ref().conn.handshake_kind(), Some(HandshakeKind::Resumed));
    }
}

#[test]
fn a_failed_handshake_is_counted() {
    let running = Running::start(shop(&[]));
    let mut wire = Wire::connect(running.https);
    wire.send("GET / HTTP/1.1\r\n\r\n");
    wire.rest();
    eventually(Some(1.0), || running.metric("haloy_proxy_tls_handshakes_failed_total"));
}

async fn http2(running: &Running, config: Arc<ClientConfig>) -> SendRequest<Body> {
    let socket = TcpStream::connect(running.https).await.expect("connect");
    let name = ServerName::try_from("shop.example").expect("name");
    let stream = tokio_rustls::TlsConnector::from(config).connect(name, socket).await.expect("handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("http2");
    tokio::spawn(connection);
    sender
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).version(Version::HTTP_2).uri(format!("https://shop.example{path}"))
}

async fn text(response: http::Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.expect("body").to_bytes().to_vec()).expect("text")
}

/// Waits until the value is what is expected, without holding up the client.
async fn until<T: PartialEq>(expected: T, mut value: impl FnMut() -> T) {
    while value() != expected {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Runs a test's client on a small runtime.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async { tokio::time::timeout(SOON, test).await.expect("in time") });
}

#[test]
fn http2_in_front_is_http1_behind() {
    let app = App::answering(|request| ok(&format!("{} {}", request.first_line, request.text())));
    let (snapshot, roots) = secure_shop(&[app.address]);
    let running = Running::start(snapshot);
    run(async {
        let mut client = http2(&running, client_config(roots, &["h2", "http/1.1"])).await;
        let get = request("GET", "/a%20b?c=d").header("cookie", "a=1").header("cookie", "b=2").body(empty()).expect("request");
        let response = client.send_request(get).await.expect("response");
        assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
        assert!(response.headers().contains_key("x-request-id"));
        assert_eq!(text(response).await, "GET /a%20b?c=d HTTP/1.1 ");
        let seen = app.last();
        assert_eq!((seen.all("host"), seen.all("cookie")), (vec!["shop.example"], vec!["a=1; b=2"]));
        assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (None, None));

        // A sized body keeps its size, one without becomes chunked.
        let sized = Full::new(Bytes::from_static(b"hello")).map_err(|never| match never {}).boxed_unsync();
        let response = client.send_request(request("POST", "/").body(sized).expect("request")).await.expect("response");
        assert_eq!(text(response).await, "POST / HTTP/1.1 hello");
        assert_eq!(app.last().header("content-length"), Some("5"));
        let parts = ["a", "b"].map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes()))));
        let streamed = StreamBody::new(futures_util::stream::iter(parts)).boxed_unsync();
        let response = client.send_request(request("POST", "/").body(streamed).expect("request")).await.expect("response");
        assert_eq!(text(response).await, "POST / HTTP/1.1 ab");
        assert_eq!(app.last().header("transfer-encoding"), Some("chunked"));
    });
}

#[test]
fn many_streams_share_one_connection() {
    let app = App::answering(|request| ok(request.path()));
    let (snapshot, roots) = secure_shop(&[app.address]);
    let running = Running::start(snapshot);
    run(async {
        let client = http2(&running, client_config(roots, &["h2"])).await;
        let requests = (0..50).map(|number| {
            let mut client = client.clone();
            async move {
                let get = request("GET", &format!("/{number}")).body(empty()).expect("request");
                assert_eq!(text(client.send_request(get).await.expect("response")).await, format!("/{number}"));
            }
        });
        futures_util::future::join_all(requests).await;
    });
    assert_eq!(running.metric("haloy_proxy_requests_total{route=\"shop\",status=\"2xx\",version=\"2\"}"), Some(50.0));
    assert_eq!(running.metric("haloy_proxy_connections_total"), Some(1.0));
}

#[test]
fn streams_beyond_the_limit_wait_for_those_before_them() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let app = App::raw(move |mut wire, _| {
        while wire.message().is_some() {
            wait.lock().expect("lock").recv().expect("go");
            wire.send(ok("done"));
        }
    });
    let (snapshot, roots) = secure_shop(&[app.address]);
    let limits = Limits { streams: 2, ..Limits::default() };
    let running = Running::with(Settings { workers: 1, limits, ..Settings::default() }, snapshot);
    run(async {
        let mut client = http2(&running, client_config(roots, &["h2"])).await;
        // The limit comes with the settings, which precede any answer.
        go.send(()).expect("go");
        let first = client.send_request(request("GET", "/").body(empty()).expect("request")).await.expect("response");
        assert_eq!(text(first).await, "done");
        let answers: Vec<_> = (0..4)
            .map(|_| {
                let mut client = client.clone();
                tokio::spawn(async move {
                    let get = request("GET", "/").body(empty()).expect("request");
                    text(client.send_request(get).await.expect("response")).await
                })
            })
            .collect();
        until(2, || running.in_flight("shop-0")).await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert_eq!(running.in_flight("shop-0"), 2, "the others are not sent");
        (0..4).for_each(|_| go.send(()).expect("go"));
        for answer in answers {
            assert_eq!(answer.await.expect("task"), "done");
        }
    });
}

#[test]
fn a_draining_proxy_serves_the_streams_that_are_under_way() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let app = App::raw(move |mut wire, _| {
        while wire.message().is_some() {
            wait.lock().expect("lock").recv().expect("go");
            wire.send(ok("done"));
        }
    });
    let (snapshot, roots) = secure_shop(&[app.address]);
    let mut running = Running::start(snapshot);
    run(async {
        let mut client = http2(&running, client_config(roots, &["h2"])).await;
        let slow = tokio::spawn(client.send_request(request("GET", "/").body(empty()).expect("request")));
        until(1, || running.in_flight("shop-0")).await;
        let proxy = running.proxy.take().expect("running");
        let stopping = std::thread::spawn(move || proxy.stop(SOON));
        until(false, || std::net::TcpStream::connect(running.https).is_ok()).await;
        assert!(!slow.is_finished());
        go.send(()).expect("go");
        assert_eq!(text(slow.await.expect("task").expect("response")).await, "done");
        until(true, || stopping.is_finished()).await;
        assert!(client.ready().await.is_err());
    });
}

#[test]
fn trailers_pass_in_both_directions() {
    let app = App::answering(|request| {
        let digest = request.header("x-digest").unwrap_or("none").to_owned();
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: {digest}\r\n\r\n")
            .into_bytes()
    });
    let (snapshot, roots) = secure_shop(&[app.address]);
    let running = Running::start(snapshot);
    run(async {
        let mut client = http2(&running, client_config(roots.clone(), &["h2"])).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-digest", HeaderValue::from_static("42"));
        let frames = [Ok(Frame::data(Bytes::from_static(b"x"))), Ok(Frame::trailers(trailers))];
        let body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
        let post = request("POST", "/").header("te", "trailers").header("trailer", "x-digest").body(body).expect("request");
        let collected = client.send_request(post).await.expect("response").into_body().collect().await.expect("body");
        assert_eq!(collected.trailers().and_then(|t| t.get("x-sum")), Some(&HeaderValue::from_static("42")));
    });
    let mut wire = handshake(&running, &client_config(roots, &["http/1.1"]), "shop.example");
    wire.send("POST / HTTP/1.1\r\nHost: shop.example\r\nTE: trailers\r\nTrailer: x-digest\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Digest: 7\r\n\r\n");
    assert_eq!(wire.message().expect("response").header("x-sum"), Some("7"));
    assert_eq!(app.last().header("x-digest"), Some("7"));
}

#[test]
fn a_panic_in_one_stream_costs_that_stream_only() {
    let app = App::named("shop");
    let (snapshot, roots) = secure_shop(&[app.address]);
    let running = Running::start(snapshot);
    run(async {
        let mut client = http2(&running, client_config(roots, &["h2"])).await;
        let bad = request("GET", "/").header("x-test-panic", "1").body(empty()).expect("request");
        assert!(client.send_request(bad).await.is_err());
        let good = request("GET", "/").body(empty()).expect("request");
        assert_eq!(client.send_request(good).await.expect("response").status(), 200);
    });
}
