//! The API under abuse: every refusal is a problem document with its status, and the daemon lives on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::site::{Answer, Haloyd, SOON, Site};

pub fn deploy_body(app: &str, image: &str, domain: &str) -> String {
    json!({ "spec": { "name": app, "image": image, "replicas": 1, "domains": [{ "domain": domain }] } }).to_string()
}

fn start() -> (Site, String, Haloyd) {
    let site = Site::new();
    let token = site.token();
    let haloyd = site.start();
    (site, token, haloyd)
}

/// It is refused as RFC 9457 says, and nothing was written down.
#[track_caller]
fn refused(haloyd: &Haloyd, token: &str, answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.head.to_ascii_lowercase().contains("content-type: application/problem+json"), "{answer:?}");
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{problem}");
    assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()) && problem["code"].is_string(), "{problem}");
    let apps = haloyd.ask("GET", "/v1/apps", Some(token), "");
    assert_eq!((apps.status, apps.body.as_str()), (200, "[]"));
}

#[test]
fn bodies_that_are_too_large() {
    let (_site, token, haloyd) = start();
    for size in [1024 * 1024 + 1, 4 * 1024 * 1024, 64 * 1024 * 1024] {
        let body = format!("{{\"spec\":\"{}\"}}", "a".repeat(size));
        let answer = haloyd.ask("POST", "/v1/apps/shop/deploy", Some(&token), &body);
        refused(&haloyd, &token, &answer, 413);
    }
    // One whose length is not said is measured as it comes.
    let mut stream = TcpStream::connect(haloyd.api).expect("the API accepts");
    stream.set_read_timeout(Some(SOON)).expect("timeout");
    write!(stream, "POST /v1/apps/shop/deploy HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\n").expect("write");
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x1_0000));
    for _ in 0..20 {
        // It may be refused before all is written.
        let _ = stream.write_all(chunk.as_bytes());
    }
    let _ = stream.write_all(b"0\r\n\r\n");
    refused(&haloyd, &token, &Answer::read(stream), 413);
    assert!(haloyd.resident() < 200 * 1024, "{} KiB", haloyd.resident());
    haloyd.stops();
}

#[test]
fn bodies_that_are_no_deploy() {
    let (_site, token, haloyd) = start();
    let good = deploy_body("shop", "shop:1", "shop.example");
    let deep = "[".repeat(100_000);
    let nul = good.replace("shop:1", "shop\\u0000");
    let wrong_port = good.replace("\"replicas\":1", "\"replicas\":1,\"port\":70000");
    let no_port = good.replace("\"replicas\":1", "\"replicas\":1,\"port\":0");
    let no_replicas = good.replace("\"replicas\":1", "\"replicas\":0");
    let too_many = good.replace("\"replicas\":1", "\"replicas\":60000");
    let other = good.replace("\"name\":\"shop\"", "\"name\":\"blog\"");
    let bodies = [
        "",
        "{",
        "}",
        "null",
        "[]",
        "7",
        "\"shop\"",
        "{}",
        "{\"spec\":{}}",
        "{\"spec\":null}",
        "\0",
        "\u{feff}{}",
        "<xml/>",
        "{\"spec\":{\"name\":\"shop\"}}",
        &good[..good.len() - 1],
        &format!("{good}{good}"),
        &format!("{good} x"),
        &deep,
        &nul,
        &wrong_port,
        &no_port,
        &no_replicas,
        &too_many,
        &other,
        &good.replace("shop.example", "no spaces"),
        &good.replace("shop.example", "*"),
        &good.replace("shop.example", "127.0.0.1"),
        &good.replace("shop.example", "../../etc"),
        &good.replace("shop:1", "Shop:1"),
        &good.replace("shop:1", ""),
        &good.replace("shop:1", "a b"),
    ];
    for body in bodies {
        let answer = haloyd.ask("POST", "/v1/apps/shop/deploy", Some(&token), body);
        assert!(matches!(answer.status, 400 | 422), "{}: {answer:?}", &body[..body.len().min(200)]);
        refused(&haloyd, &token, &answer, answer.status);
    }
    haloyd.stops();
}

#[test]
fn routes_and_methods() {
    let (_site, token, haloyd) = start();
    let ask = |method: &str, path: &str| haloyd.ask(method, path, Some(&token), "");
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v0/apps",
        "/v1/apps/",
        "/v1/apps/shop/nonsense",
        "/v1/jobs/1/x",
        "//v1/apps",
        "/v1/../v1/apps",
        "/v1/apps/shop/deploy/x",
        "/%00",
    ] {
        refused(&haloyd, &token, &ask("GET", path), 404);
    }
    for (method, path) in [
        ("DELETE", "/v1/health"),
        ("POST", "/v1/apps"),
        ("GET", "/v1/apps/shop/deploy"),
        ("PUT", "/v1/apps/shop/deploy"),
        ("BREW", "/v1/apps"),
        ("TRACE", "/v1/health"),
    ] {
        let answer = ask(method, path);
        refused(&haloyd, &token, &answer, 405);
        assert!(answer.head.to_ascii_lowercase().contains("\r\nallow: "), "{answer:?}");
    }
    for path in [
        "/v1/apps/shop",
        "/v1/jobs/1",
        "/v1/jobs/18446744073709551615",
        "/v1/apps/shop/deployments",
        "/v1/jobs/1/events",
        "/v1/jobs/9223372036854775808/events",
    ] {
        refused(&haloyd, &token, &ask("GET", path), 404);
    }
    for path in [
        "/v1/apps/Shop",
        "/v1/apps/..%2f..%2fetc",
        "/v1/apps/%00",
        "/v1/apps/%ff",
        "/v1/jobs/x",
        "/v1/jobs/-1",
        "/v1/jobs/18446744073709551616",
    ] {
        let answer = ask("GET", path);
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
        refused(&haloyd, &token, &answer, answer.status);
    }
    haloyd.stops();
}

#[test]
fn tokens() {
    let (_site, token, haloyd) = start();
    let guarded = ["/v1/apps", "/v1/version", "/metrics", "/v1/jobs", "/v1/jobs/1", "/v1/apps/shop/logs"];
    let longer = format!("{token}x");
    let upper = token.to_ascii_uppercase();
    for wrong in ["", "nonsense", &token[..token.len() - 1], &longer, &upper, "haloy_", "' OR 1=1 --", &"a".repeat(10_000)] {
        for path in guarded {
            let answer = haloyd.ask("GET", path, Some(wrong), "");
            refused(&haloyd, &token, &answer, 401);
            assert!(answer.head.to_ascii_lowercase().contains("www-authenticate: bearer"), "{answer:?}");
            assert!(answer.json()["hint"].as_str().is_some_and(|hint| hint.contains("haloy admin api token")), "{answer:?}");
        }
    }
    for path in guarded {
        refused(&haloyd, &token, &haloyd.ask("GET", path, None, ""), 401);
    }
    // A change without a token is not looked at, however large.
    let answer = haloyd.ask("POST", "/v1/apps/shop/deploy", None, &deploy_body("shop", "shop:1", "shop.example"));
    refused(&haloyd, &token, &answer, 401);
    let answer = haloyd.ask("POST", "/v1/apps/shop/deploy", Some("wrong"), &"a".repeat(4 * 1024 * 1024));
    refused(&haloyd, &token, &answer, 401);
    // What needs none tells of no app.
    assert_eq!(haloyd.ask("GET", "/v1/health", None, "").status, 200);
    assert_eq!(haloyd.ask("GET", "/openapi.json", None, "").status, 200);
    haloyd.stops();
}

#[test]
fn requests_that_are_none() {
    let (_site, token, haloyd) = start();
    let auth = format!("Authorization: Bearer {token}");
    let many: String = (0..1000).map(|n| format!("X-{n}: v\r\n")).collect();
    let cases = [
        ("nonsense\r\n\r\n".to_owned(), 400),
        ("GET /v1/apps HTTP/9.9\r\n\r\n".to_owned(), 400),
        ("\x16\x03\x01\x02\0\x01\0\r\n\r\n".to_owned(), 400),
        (format!("GET /v1/apps HTTP/1.1\r\nHost: x\r\n{auth}\r\nX: a\0b\r\n\r\n"), 400),
        (format!("GET /v1/apps HTTP/1.1\r\nHost: x\r\n{auth}\r\nX: a\r\n b\r\n\r\n"), 400),
        (format!("GET /v1/apps HTTP/1.1\r\nHost: x\r\n{auth}\r\nContent-Length: -1\r\n\r\n"), 400),
        (format!("POST /v1/apps/a/start HTTP/1.1\r\nHost: x\r\n{auth}\r\nTransfer-Encoding: gzip\r\n\r\n"), 400),
        (format!("GET /v1/apps HTTP/1.1\r\nHost: x\r\n{many}\r\n"), 431),
        (format!("GET /v1/apps HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(2_000_000)), 431),
        (format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000)), 414),
    ];
    for (bytes, status) in cases {
        let mut stream = TcpStream::connect(haloyd.api).expect("the API accepts");
        stream.set_read_timeout(Some(SOON)).expect("timeout");
        // It may be refused before all is written.
        let _ = stream.write_all(bytes.as_bytes());
        let answer = Answer::read(stream);
        let fits = answer.status == status || (status == 414 && answer.status == 431);
        assert!(fits, "{} was answered with {answer:?}", &bytes[..bytes.len().min(100)].escape_debug());
    }
    haloyd.stops();
}

#[test]
fn slow_requests_are_cut() {
    let (_site, token, haloyd) = start();
    let begin = Instant::now();
    let head = format!("POST /v1/apps/shop/deploy HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 100\r\n\r\n{{");
    let starts = ["", "P", "POST /v1/apps/shop/deploy HTTP/1.1\r\nHost: x\r\n", head.as_str()];
    let streams = starts.map(|start| {
        let mut stream = TcpStream::connect(haloyd.api).expect("the API accepts");
        stream.set_read_timeout(Some(Duration::from_secs(45))).expect("timeout");
        stream.write_all(start.as_bytes()).expect("write");
        stream
    });
    for (mut stream, start) in streams.into_iter().zip(starts) {
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap_or_else(|error| panic!("`{}` is not cut: {error}", start.escape_debug()));
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 408"), "{}", said.escape_ascii());
    }
    assert!(begin.elapsed() < Duration::from_secs(45), "{:?}", begin.elapsed());
    haloyd.stops();
}

#[test]
fn a_thousand_connections() {
    let (site, token, haloyd) = start();
    let crowd: Vec<TcpStream> = (0..1000).map(|_| TcpStream::connect(haloyd.api).expect("the API accepts")).collect();
    // The Unix socket has places of its own, and over TCP one becomes free when the silent are cut.
    assert_eq!(haloyd.ask_socket(&site, "GET", "/v1/apps").status, 200);
    let begin = Instant::now();
    let answer = haloyd.ask("GET", "/v1/apps", Some(&token), "");
    assert_eq!(answer.status, 200, "after {:?}: {answer:?}", begin.elapsed());
    drop(crowd);
    assert_eq!(haloyd.ask("GET", "/v1/apps", Some(&token), "").status, 200);
    assert!(haloyd.resident() < 150 * 1024, "{} KiB", haloyd.resident());
    haloyd.stops();
}
