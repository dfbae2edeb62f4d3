//! Connections: limits, deadlines, and the end of the daemon.

use std::time::{Duration, Instant};

use http::{Method, Request};
use http_body_util::Full;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::server::{Answer, SOON, Server, TOKEN};
use crate::daemon::api::serve::Limits;
use crate::wire::Code;

const QUICK: Limits = Limits {
    connections: 3,
    header_timeout: Duration::from_millis(300),
    body_timeout: Duration::from_millis(300),
    grace: Duration::from_millis(300),
};

async fn quick() -> Server {
    Server::start_with("unix:///no/such/docker.sock", QUICK).await
}

/// Everything that the server sends until it closes.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset is a way to close, too.
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut text)).await.expect("closed in time");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let server = Server::start().await;
    for size in [1024 * 1024 + 1, 4 * 1024 * 1024] {
        let request = Request::post("/v1/apps/shop/deploy").header("authorization", format!("Bearer {TOKEN}"));
        let request = request.body(Full::from(vec![b' '; size])).expect("request");
        let problem = Answer::read(server.send(request).await).await.problem(413);
        assert_eq!(problem.code, Code::TooLarge, "{size}");
    }
    // As large as allowed, it is read: it is not JSON.
    let request = Request::post("/v1/apps/shop/deploy").header("authorization", format!("Bearer {TOKEN}"));
    let request = request.body(Full::from(vec![b' '; 1024 * 1024])).expect("request");
    Answer::read(server.send(request).await).await.problem(400);
}

#[tokio::test]
async fn a_body_that_claims_to_be_huge_is_not_awaited() {
    let server = Server::start().await;
    let mut stream = server.tcp().await;
    let head =
        format!("POST /v1/apps/shop/deploy HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 99999999999\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("write");
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("too_large"), "{answer}");
}

#[tokio::test]
async fn slow_heads_and_idle_connections_are_closed() {
    let server = quick().await;
    let began = Instant::now();
    let mut silent = server.tcp().await;
    let mut slow = server.tcp().await;
    slow.write_all(b"GET /v1/health HTTP/1.1\r\nhost:").await.expect("write");
    let mut idle = server.tcp().await;
    idle.write_all(b"GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("write");
    assert_eq!(until_closed(&mut silent).await, "");
    assert!(!until_closed(&mut slow).await.contains("200 OK"));
    assert!(until_closed(&mut idle).await.starts_with("HTTP/1.1 200 OK"));
    assert!(began.elapsed() >= QUICK.header_timeout);
}

#[tokio::test]
async fn a_slow_body_is_told_so() {
    let server = quick().await;
    let mut stream = server.tcp().await;
    let head = format!("POST /v1/apps/shop/deploy HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 100\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await.expect("write");
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("application/problem+json"), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let server = quick().await;
    let mut held = Vec::new();
    for _ in 0..QUICK.connections {
        held.push(server.tcp().await);
    }
    // The places become free when the silent ones run into their deadline.
    assert_eq!(server.get("/v1/health").await.status, 200);
    assert_eq!(until_closed(&mut held[0]).await, "");
}

#[tokio::test]
async fn stopping_closes_idle_connections_and_lets_requests_finish() {
    let mut server = Server::start().await;
    let mut idle = server.tcp().await;
    idle.write_all(b"GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("write");
    let mut first = [0; 15];
    idle.read_exact(&mut first).await.expect("answer");
    let mut busy = server.tcp().await;
    let body = super::server::deploy_request("shop").to_string();
    let (half, rest) = body.split_at(40);
    let length = body.len();
    let head = format!(
        "POST /v1/apps/shop/deploy HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n"
    );
    busy.write_all(head.as_bytes()).await.expect("write");
    let mut proceed = [0; 25];
    busy.read_exact(&mut proceed).await.expect("100 Continue");
    busy.write_all(half.as_bytes()).await.expect("write");

    let began = Instant::now();
    server.stop.cancel();
    until_closed(&mut idle).await;
    busy.write_all(rest.as_bytes()).await.expect("write");
    let answer = until_closed(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 202 Accepted"), "{answer}");
    for served in server.served.drain(..) {
        tokio::time::timeout(SOON, served).await.expect("stopped in time").expect("no panic");
    }
    assert!(began.elapsed() < Limits::DEFAULT.grace, "nobody had to be cut off");
    assert!(TcpStream::connect(server.address).await.is_err(), "the listener is closed");
}

#[tokio::test]
async fn a_request_that_does_not_finish_is_cut_off_after_the_grace() {
    let mut server = Server::start_with("unix:///no/such/docker.sock", Limits { body_timeout: SOON, ..QUICK }).await;
    let mut stream = server.tcp().await;
    let head = format!(
        "POST /v1/apps/shop/stop HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("write");
    let mut proceed = [0; 25];
    stream.read_exact(&mut proceed).await.expect("100 Continue");
    server.stop.cancel();
    for served in server.served.drain(..) {
        tokio::time::timeout(SOON / 2, served).await.expect("stopped in time").expect("no panic");
    }
    assert_eq!(until_closed(&mut stream).await, "");
}

#[tokio::test]
async fn broken_requests_close_their_connection_only() {
    let server = Server::start().await;
    for bad in ["NONSENSE\r\n\r\n", "GET / HTTP/1.1\r\nbad header\r\n\r\n", "GET / HTTP/1.1\r\na: \0\r\n\r\n"] {
        let mut stream = server.tcp().await;
        stream.write_all(bad.as_bytes()).await.expect("write");
        assert!(until_closed(&mut stream).await.starts_with("HTTP/1.1 400 "), "{bad:?}");
    }
    let mut stream = server.tcp().await;
    let huge = format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(200 * 1024));
    let _ = stream.write_all(huge.as_bytes()).await;
    // The 431 itself may be lost: it is sent while more of the head is still arriving.
    assert!(!until_closed(&mut stream).await.contains("200 OK"));
    let answer = Answer::read(server.send(super::server::request(Method::GET, "/v1/health", "")).await).await;
    assert_eq!(answer.status, 200);
}
