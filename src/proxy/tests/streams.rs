//! Upgrades, interim answers, and bodies larger than any buffer.

use std::net::Shutdown;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::super::*;
use super::support::*;

const UPGRADE: &str =
    "GET /ws HTTP/1.1\r\nHost: shop.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n";

#[test]
fn an_upgraded_connection_carries_bytes_both_ways_and_counts_as_in_flight() {
    let app = App::raw(|mut wire, _| {
        let request = wire.message().expect("request");
        assert_eq!((request.all("upgrade"), request.all("connection")), (vec!["websocket"], vec!["upgrade"]));
        wire.send(SWITCHING.to_owned() + "hello at once");
        while let Some(line) = wire.line() {
            wire.send(format!("echo {line}\n"));
        }
    });
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    client.send(UPGRADE);
    let answer = client.head().expect("head");
    assert_eq!((answer.status(), answer.header("upgrade"), answer.header("sec-websocket-accept")), (101, Some("websocket"), Some("y")));
    assert_eq!(client.bytes(13).expect("bytes"), b"hello at once");
    for text in ["one", "\u{1}two\u{ff}"] {
        client.send(format!("{text}\n"));
        assert_eq!(client.line(), Some(format!("echo {text}")));
    }
    running.publish(shop(&[]));
    assert_eq!(running.in_flight("shop-0"), 1, "it lives on when its backend leaves the table");
    client.send("three\n");
    assert_eq!(client.line().as_deref(), Some("echo three"));
    client.reader.get_mut().shutdown(Shutdown::Write).expect("shutdown");
    assert_eq!(client.rest(), b"");
    eventually(0, || running.in_flight("shop-0"));
}

#[test]
fn a_refused_upgrade_is_an_ordinary_answer() {
    let app = App::named("no");
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    client.send(UPGRADE);
    assert_eq!(client.message().expect("response").text(), "no");
    assert_eq!(client.get("shop.example", "/").text(), "no");
}

#[test]
fn a_silent_tunnel_ends() {
    let app = App::raw(|mut wire, _| {
        wire.message();
        wire.send(SWITCHING);
        wire.rest();
    });
    let timeouts = Timeouts { tunnel: Duration::from_millis(200), ..Timeouts::default() };
    let running = Running::with(Settings { workers: 1, timeouts, ..Settings::default() }, shop(&[app.address]));
    let mut client = running.connect();
    client.send(UPGRADE);
    assert_eq!(client.head().expect("head").status(), 101);
    assert_eq!(client.rest(), b"");
    eventually(0, || running.in_flight("shop-0"));
}

#[test]
fn upgrades_to_cleartext_http2_do_not_reach_the_backend() {
    let app = App::named("shop");
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    client.send(
        "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    );
    assert_eq!(client.message().expect("response").status(), 200);
    for gone in ["upgrade", "http2-settings", "connection"] {
        assert!(app.last().all(gone).is_empty(), "{gone}");
    }
}

#[test]
fn the_backend_decides_whether_a_body_is_sent() {
    // By path: asks for the body, refuses it, or says nothing until it comes.
    let app = App::raw(|mut wire, _| {
        while let Some(head) = wire.head() {
            assert_eq!(head.header("expect"), Some("100-continue"));
            match head.path() {
                "/refuse" => return wire.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
                "/ask" => wire.send("HTTP/1.1 100 Continue\r\n\r\n"),
                _ => {}
            }
            let body = wire.bytes(4).expect("body");
            wire.send(ok(&String::from_utf8_lossy(&body)));
        }
    });
    let timeouts = Timeouts { expect_continue: Duration::from_millis(100), ..Timeouts::default() };
    let running = Running::with(Settings { workers: 1, timeouts, ..Settings::default() }, shop(&[app.address]));
    let ask = |path: &str| {
        let mut client = running.connect();
        client.send(format!("POST {path} HTTP/1.1\r\nHost: shop.example\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"));
        let head = client.message().expect("answer");
        (client, head.status())
    };
    assert_eq!(ask("/refuse").1, 413);
    for path in ["/ask", "/silent"] {
        let (mut client, status) = ask(path);
        assert_eq!(status, 100, "{path}");
        client.send("body");
        assert_eq!(client.message().expect("response").text(), "body", "{path}");
    }
}

#[test]
fn interim_answers_do_not_confuse_the_final_one() {
    let app = App::answering(|_| [&b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"[..], &ok("final")].concat());
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        let mut answer = client.message().expect("answer");
        while answer.status() < 200 {
            answer = client.message().expect("answer");
        }
        assert_eq!(answer.text(), "final");
    }
}

#[test]
fn events_arrive_as_they_are_sent() {
    let (next, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let app = App::raw(move |mut wire, _| {
        wire.message();
        wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        for number in 0..3 {
            wait.lock().expect("lock").recv().expect("next");
            wire.send(format!("data: {number}\n\n"));
        }
    });
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert_eq!(client.head().expect("head").header("transfer-encoding"), Some("chunked"), "its end is the connection's end");
    for number in 0..3 {
        next.send(()).expect("next");
        let event = format!("data: {number}\n\n");
        assert_eq!(client.line(), Some(format!("{:X}", event.len())));
        assert_eq!(client.bytes(event.len() + 2).expect("event"), format!("{event}\r\n").into_bytes());
    }
    assert_eq!(client.line().as_deref(), Some("0"));
}

#[test]
fn large_bodies_pass_whole_in_both_directions() {
    let app = App::raw(|mut wire, _| {
        while let Some(request) = wire.message() {
            let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()).into_bytes();
            answer.extend(request.body);
            wire.send(answer);
        }
    });
    let running = Running::start(shop(&[app.address]));
    let body: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut client = running.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: {}\r\n\r\n", body.len()));
    client.send(&body);
    assert!(client.message().expect("response").body == body);
    client.send("POST / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in body.chunks(100_000) {
        client.send(format!("{:x}\r\n", chunk.len()));
        client.send(chunk);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert!(client.message().expect("response").body == body);
    assert_eq!(running.metric("haloy_proxy_response_bytes_total{route=\"shop\"}").map(|bytes| bytes >= 20_000_000.0), Some(true));
}

#[test]
fn a_client_that_does_not_read_holds_the_backend_back() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    const SIZE: usize = 200_000_000;
    let written = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&written);
    let app = App::raw(move |mut wire, _| {
        wire.message();
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"));
        let part = vec![0; 100_000];
        while std::io::Write::write_all(wire.reader.get_mut(), &part).is_ok() {
            counter.fetch_add(part.len(), Ordering::SeqCst);
        }
    });
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert_eq!(client.head().expect("head").status(), 200);
    // It stands still when the sockets' buffers are full, far from the body's end.
    let mut before = 0;
    eventually(true, || {
        std::thread::sleep(Duration::from_millis(100));
        let now = written.load(Ordering::SeqCst);
        std::mem::replace(&mut before, now) == now && now > 0
    });
    assert!(before < SIZE / 4, "{before} bytes were taken from the backend");
}

#[test]
fn a_client_may_send_everything_before_it_reads_anything() {
    const SIZE: usize = 30_000_000;
    // It answers while it still reads, with as much as it gets.
    let app = App::raw(|mut wire, _| {
        wire.head().expect("head");
        let mut answering = wire.reader.get_ref().try_clone().expect("clone");
        let answers = std::thread::spawn(move || {
            use std::io::Write as _;
            answering.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes()).expect("head");
            answering.write_all(&vec![b'a'; SIZE]).expect("body");
        });
        wire.bytes(SIZE).expect("request body");
        answers.join().expect("answered");
    });
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    client.reader.get_ref().set_write_timeout(Some(SOON)).expect("timeout");
    client.send(format!("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: {SIZE}\r\n\r\n"));
    client.send(vec![b'b'; SIZE]);
    let answer = client.message().expect("response");
    assert!(answer.body.len() == SIZE && answer.body.iter().all(|&byte| byte == b'a'));
    eventually(0, || running.in_flight("shop-0"));
}

#[test]
fn chunked_answers_keep_the_connection_too() {
    let app = App::answering(|_| b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_vec());
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    for _ in 0..5 {
        assert_eq!(client.get("shop.example", "/").text(), "ok");
    }
    assert_eq!(app.connections(), 1);
}
