//! Messages that are malformed or can be read in two ways never reach a backend, and end the connection.

use std::time::Duration;

use super::super::*;
use super::support::*;

/// What the client gets for these bytes, whether the connection was closed after it, and what the backend saw.
fn sent(bytes: &[u8]) -> (u16, Vec<Message>) {
    let app = App::named("shop");
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    // The proxy may close before all is written.
    let _ = std::io::Write::write_all(client.reader.get_mut(), bytes);
    let status = client.message().map_or(0, |answer| answer.status());
    let rest = client.rest();
    assert_eq!(rest, b"", "one answer, then the end");
    (status, app.requests())
}

#[track_caller]
fn refused(expected: u16, bytes: impl AsRef<[u8]>) {
    let bytes = bytes.as_ref();
    assert_eq!(sent(bytes), (expected, Vec::new()), "{}", bytes[..bytes.len().min(200)].escape_ascii());
}

/// A head with this line after Host.
fn with(line: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: shop.example\r\n{line}\r\n\r\n")
}

#[test]
fn length_and_chunked_together_are_refused_in_any_order() {
    refused(400, with("Content-Length: 5\r\nTransfer-Encoding: chunked") + "0\r\n\r\n");
    refused(400, with("Transfer-Encoding: chunked\r\nContent-Length: 5") + "0\r\n\r\n");
    refused(400, with("Content-Length: 0\r\nTransfer-Encoding: chunked") + "0\r\n\r\n");
    refused(400, with("transfer-encoding:\tchunked\r\ncontent-length:5") + "0\r\n\r\n");
}

#[test]
fn differing_or_odd_lengths_are_refused() {
    for line in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: 18446744073709551616",
    ] {
        refused(400, with(line) + "hello");
    }
}

#[test]
fn other_codings_than_chunked_are_refused() {
    for line in [
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding : chunked",
    ] {
        refused(400, with(line) + "0\r\n\r\n");
    }
    refused(400, "POST / HTTP/1.0\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
}

#[test]
fn folded_lines_nulls_and_bare_line_ends_are_refused() {
    refused(400, with("X-A: b\r\n folded"));
    refused(400, with("X-A: b\r\n\tTransfer-Encoding: chunked"));
    refused(400, with(" X-A: b"));
    refused(400, with("X-A: b\0c"));
    refused(400, with("X-\0A: b"));
    refused(400, with("X-A: b\rc"));
    refused(400, with("X-A: b\nX-B: c"));
    refused(400, with("X A: b"));
    refused(400, with("no colon"));
    refused(400, with(": no name"));
    refused(400, "GET /a\0b HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    refused(400, "GET / HTTP/1.1\nHost: shop.example\n\n");
    refused(400, "GET /a b HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    refused(400, "G\0T / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    refused(400, "GET / HTTP/9.9\r\nHost: shop.example\r\n\r\n");
    refused(400, "nonsense\r\n\r\n");
    refused(400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n");
}

#[test]
fn a_bad_host_is_refused() {
    refused(400, "GET / HTTP/1.1\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost:\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: shop.example\r\nHost: shop.example\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: shop.example\r\nHost: evil.example\r\n\r\n");
    refused(400, "GET http://shop.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    refused(400, "GET http://shop.example/ HTTP/1.1\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: []\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: sh[op.example\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: user@shop.example\r\n\r\n");
    refused(400, "GET / HTTP/1.1\r\nHost: shop.example/x\r\n\r\n");
    refused(405, "CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\n\r\n");
}

#[test]
fn a_target_that_is_not_ours_to_serve_is_refused() {
    refused(400, "GET * HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    for scheme in ["ftp", "ws", "httpx", "file"] {
        refused(400, format!("GET {scheme}://shop.example/ HTTP/1.1\r\nHost: shop.example\r\n\r\n"));
    }
}

#[test]
fn heads_beyond_the_limits_are_refused_with_431() {
    refused(431, with(&format!("X-Huge: {}", "a".repeat(70 * 1024))));
    refused(431, with(&"X-Many: 1\r\n".repeat(101)));
    // One that never ends is not read for ever.
    refused(431, format!("GET / HTTP/1.1\r\nHost: shop.example\r\nX-Huge: {}", "a".repeat(300 * 1024)));
    refused(431, format!("GET /{} HTTP/1.1\r\nHost: shop.example\r\n\r\n", "a".repeat(65_535)));
}

#[test]
fn a_bad_chunk_is_refused_and_the_backend_never_sees_a_whole_request() {
    for chunks in
        ["5\nhello\r\n0\r\n\r\n", "xyz\r\n", "5\r\nhelloworld\r\n", "-1\r\n", "ffffffffffffffffff\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n"]
    {
        let (status, requests) = sent((with("Transfer-Encoding: chunked") + chunks).as_bytes());
        assert_eq!((status, requests), (400, Vec::new()), "{}", chunks.escape_debug());
    }
}

#[test]
fn what_follows_in_a_refused_request_is_no_request() {
    let smuggled = "GET /admin HTTP/1.1\r\nHost: shop.example\r\n\r\n";
    refused(400, with("Content-Length: 4\r\nTransfer-Encoding: chunked") + "0\r\n\r\n" + smuggled);
    refused(400, with(&format!("Transfer-Encoding: chunked\r\nContent-Length: {}", 5 + smuggled.len())) + "0\r\n\r\n" + smuggled);
}

#[test]
fn a_good_request_before_a_bad_one_is_answered() {
    let app = App::named("shop");
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    let good = "POST /good HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 2\r\n\r\nok";
    client.send(good.to_owned() + &with("Content-Length: 4\r\nTransfer-Encoding: chunked") + "0\r\n\r\n");
    assert_eq!(client.message().expect("first").status(), 200);
    assert_eq!(client.message().expect("second").status(), 400);
    assert_eq!(client.rest(), b"");
    assert_eq!(app.requests().iter().map(|r| r.path().to_owned()).collect::<Vec<_>>(), ["/good"]);
    assert_eq!(running.metric("haloy_proxy_malformed_requests_total"), Some(1.0));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let app = App::answering(|request| ok(request.path()));
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    let chunked = "POST /2 HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    client.send(format!("GET /1 HTTP/1.1\r\nHost: shop.example\r\n\r\n{chunked}\r\nGET /3 HTTP/1.1\r\nHost: shop.example\r\n\r\n"));
    let bodies: Vec<_> = (0..3).map(|_| client.message().expect("response").text()).collect();
    assert_eq!(bodies, ["/1", "/2", "/3"]);
}

#[test]
fn a_client_that_does_not_finish_its_head_is_cut() {
    let timeouts = Timeouts { header: Duration::from_millis(200), ..Timeouts::default() };
    let running = Running::with(Settings { workers: 1, timeouts, ..Settings::default() }, shop(&[]));
    let mut silent = running.connect();
    assert_eq!(silent.rest(), b"");
    let mut slow = running.connect();
    slow.send("GET / HT");
    assert_eq!(slow.rest(), b"");
    // The second head on a connection has the same time, however it drips in.
    let mut client = running.connect();
    assert_eq!(client.get("shop.example", "/").status(), 503);
    let begun = std::time::Instant::now();
    while begun.elapsed() < SOON {
        if std::io::Write::write_all(client.reader.get_mut(), b"X").is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(begun.elapsed() < SOON / 2);
    eventually(Some(0.0), || running.metric("haloy_proxy_connections_open"));
}
