//! What the control plane sees and does: tables, stopping, counting, logging, limits.

use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::super::*;
use super::support::*;

#[test]
fn a_new_table_is_served_by_all_workers_and_no_request_is_lost_on_the_way() {
    let (old, new) = (App::named("old"), App::named("new"));
    let settings = Settings { workers: 3, ..Settings::default() };
    let running = Running::with(settings, shop(&[old.address]));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = running.connect();
                    let mut answers = Vec::new();
                    while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                        answers.push(client.get("shop.example", "/").text());
                    }
                    answers
                })
            })
            .collect();
        for _ in 0..20 {
            running.publish(shop(&[new.address]));
            running.publish(shop(&[old.address]));
        }
        running.publish(routes(vec![plain_route("shop", "shop.example", &[new.address])]));
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        for client in clients {
            let answers = client.join().expect("client");
            assert!(!answers.is_empty() && answers.iter().all(|answer| answer == "old" || answer == "new"));
        }
    });
    // Once adopted, nobody is sent to the old one.
    let before = old.requests().len();
    for _ in 0..12 {
        assert_eq!(running.get("shop.example", "/").text(), "new");
    }
    assert_eq!(old.requests().len(), before);
}

#[test]
fn stopping_finishes_what_is_in_flight_and_refuses_the_rest() {
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let app = App::raw(move |mut wire, _| {
        while let Some(request) = wire.message() {
            if request.path() == "/slow" {
                wait.lock().expect("lock").recv().expect("go");
            }
            wire.send(ok("done"));
        }
    });
    let mut running = Running::start(shop(&[app.address]));
    let mut idle = running.connect();
    assert_eq!(idle.get("shop.example", "/").status(), 200);
    let mut slow = running.connect();
    slow.send("GET /slow HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    eventually(1, || running.in_flight("shop-0"));
    let proxy = running.proxy.take().expect("running");
    let stopping = std::thread::spawn(move || proxy.stop(SOON));
    eventually(false, || TcpStream::connect(running.http).is_ok());
    // Who was connected is still heard once, and told to go.
    let last = idle.get("shop.example", "/");
    assert_eq!((last.status(), last.header("connection")), (200, Some("close")));
    assert_eq!(idle.rest(), b"");
    go.send(()).expect("go");
    let answer = slow.message().expect("response");
    assert_eq!((answer.text(), answer.header("connection")), ("done".to_owned(), Some("close")));
    stopping.join().expect("stopped");
}

#[test]
fn stopping_cuts_what_does_not_end_in_time() {
    let app = App::raw(|mut wire, _| {
        wire.message();
        wire.rest();
    });
    let dir = tempfile::tempdir().expect("temporary directory");
    let log = dir.path().join("access.log");
    let settings = Settings { workers: 1, access_log: Some(log.clone()), ..Settings::default() };
    let mut running = Running::with(settings, shop(&[app.address]));
    let mut client = running.connect();
    client.send("GET /cut HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    eventually(1, || running.in_flight("shop-0"));
    let begun = Instant::now();
    running.proxy.take().expect("running").stop(Duration::from_millis(200));
    assert!(begun.elapsed() < SOON / 2);
    assert_eq!(client.rest(), b"");
    assert!(std::fs::read_to_string(log).expect("log").contains("\"path\":\"/cut\""), "the log knows of it");
}

#[test]
fn idle_clients_do_not_keep_a_stopping_proxy_for_long() {
    let app = App::named("shop");
    let mut running = Running::start(shop(&[app.address]));
    let mut idle = running.connect();
    idle.get("shop.example", "/");
    let begun = Instant::now();
    running.proxy.take().expect("running").stop(SOON * 6);
    assert!(begun.elapsed() < SOON);
}

#[test]
fn every_request_is_a_line_of_json_and_a_count() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("logs/access.log");
    let app = App::named("shop!");
    let settings = Settings { workers: 2, access_log: Some(path.clone()), ..Settings::default() };
    let mut running = Running::with(settings, shop(&[app.address]));
    let mut client = running.connect();
    client.send("POST /a?b={c} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: test \"quoted\" \\\r\nReferer: https://a.example/\r\nContent-Length: 3\r\n\r\nabc");
    let answer = client.message().expect("response");
    assert_eq!(answer.status(), 200, "{answer:?}");
    let id = answer.header("x-request-id").map(str::to_owned);
    assert_eq!(running.get("unknown.example", "/x").status(), 404);
    eventually(Some(1.0), || running.metric("haloy_proxy_requests_total{route=\"shop\",status=\"2xx\",version=\"1.1\"}"));
    eventually(Some(1.0), || running.metric("haloy_proxy_requests_total{route=\"-\",status=\"4xx\",version=\"1.1\"}"));
    assert_eq!(running.metric("haloy_proxy_request_bytes_total{route=\"shop\"}"), Some(3.0));
    assert_eq!(running.metric("haloy_proxy_response_bytes_total{route=\"shop\"}"), Some(5.0));
    assert_eq!(running.metric("haloy_proxy_request_duration_seconds_count{route=\"shop\"}"), Some(1.0));
    assert_eq!(running.metric("haloy_proxy_requests_in_flight{route=\"shop\"}"), Some(0.0));
    // The line is there within about a second, without anybody asking for it.
    eventually(2, || std::fs::read_to_string(&path).unwrap_or_default().lines().count());
    running.proxy.take().expect("running").stop(SOON);
    let text = std::fs::read_to_string(&path).expect("log");
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let line = lines.iter().find(|line| line["host"] == "shop.example").expect("line");
    for (key, value) in [
        ("client", serde_json::Value::from("127.0.0.1")),
        ("method", "POST".into()),
        ("path", "/a?b={c}".into()),
        ("protocol", "http/1.1".into()),
        ("user_agent", "test \"quoted\" \\".into()),
        ("referer", "https://a.example/".into()),
        ("status", 200.into()),
        ("bytes_in", 3.into()),
        ("bytes_out", 5.into()),
        ("route", "shop".into()),
        ("upstream", app.address.to_string().into()),
        ("request_id", id.clone().into()),
    ] {
        assert_eq!(line[key], value, "{key} in {line}");
    }
    let time: jiff::Timestamp = line["time"].as_str().expect("time").parse().expect("RFC 3339");
    assert!(time.duration_until(jiff::Timestamp::now()).as_secs() < 30);
    assert!(line["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0));
    assert!(lines.iter().any(|line| line["status"] == 404 && line.get("route").is_none()));
}

#[test]
fn clients_beyond_the_limit_wait() {
    let app = App::named("shop");
    let limits = Limits { connections: 2, ..Limits::default() };
    let running = Running::with(Settings { workers: 1, limits, ..Settings::default() }, shop(&[app.address]));
    let mut first = running.connect();
    let mut second = running.connect();
    first.get("shop.example", "/");
    second.get("shop.example", "/");
    let mut third = running.connect();
    third.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    third.reader.get_ref().set_read_timeout(Some(Duration::from_millis(300))).expect("timeout");
    assert!(third.line().is_none(), "nobody answers yet");
    third.reader.get_ref().set_read_timeout(Some(SOON)).expect("timeout");
    drop(first);
    assert_eq!(third.message().expect("response").status(), 200);
}

#[test]
fn a_free_place_is_for_whoever_wants_it() {
    let app = App::named("shop");
    let limits = Limits { connections: 1, ..Limits::default() };
    let timeouts = Timeouts { keep_alive: Duration::from_millis(100), ..Timeouts::default() };
    crate::crypto::install_provider();
    let any = [([127, 0, 0, 1], 0).into(), ([127, 0, 0, 1], 0).into()];
    let listeners = Listeners::bind(&any, &[], 1).expect("bind");
    let ports = listeners.http_addrs();
    let settings = Settings { workers: 1, limits, timeouts, ..Settings::default() };
    let proxy = Proxy::start(listeners, settings, std::sync::Arc::new(shop(&[app.address]))).expect("start");
    // While the one client is served both listeners wait; then it is always the first's turn.
    for port in [0, 0, 0, 1, 1, 1] {
        assert_eq!(Wire::connect(ports[port]).get("shop.example", "/").status(), 200);
    }
    proxy.stop(Duration::ZERO);
}

#[test]
fn clients_of_both_families_are_served_and_named() {
    let app = App::named("shop");
    let any: std::net::SocketAddr = (std::net::Ipv6Addr::UNSPECIFIED, 0).into();
    let Ok(listeners) = Listeners::bind(&[any], &[], 1) else {
        assert!(std::net::TcpListener::bind("[::1]:0").is_err(), "this machine has IPv6");
        return;
    };
    let port = listeners.http_addrs()[0].port();
    let settings = Settings { workers: 1, ..Settings::default() };
    let snapshot = shop(&[app.address]);
    let proxy = Proxy::start(listeners, settings, std::sync::Arc::new(snapshot)).expect("start");
    let v6 = std::net::SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
    for (address, name, forwarded) in [
        (v6, "::1", "for=\"[::1]\";host=\"shop.example\";proto=http"),
        // Over the same socket: it is an IPv4 client for everybody who is told.
        (([127, 0, 0, 1], port).into(), "127.0.0.1", "for=127.0.0.1;host=\"shop.example\";proto=http"),
    ] {
        assert_eq!(Wire::connect(address).get("shop.example", "/").text(), "shop");
        let seen = app.last();
        assert_eq!((seen.all("x-forwarded-for"), seen.all("x-real-ip"), seen.all("forwarded")), (vec![name], vec![name], vec![forwarded]));
    }
    let literal = Wire::connect(v6).get(&format!("[::1]:{port}"), "/");
    assert_eq!(literal.status(), 404, "an address is a host like another, which nobody has");
    proxy.stop(Duration::ZERO);
}

#[test]
fn a_taken_port_is_an_error_with_a_hint() {
    use crate::error::Report as _;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let error = Listeners::bind(&[taken.local_addr().expect("address")], &[], 1).expect_err("taken");
    assert!(error.hint().is_some_and(|hint| hint.contains("ss -ltnp")), "{error}");
}

#[test]
fn sockets_can_be_handed_to_another_number_of_workers() {
    let app = App::named("shop");
    for (sets, workers) in [(3, 1), (1, 3), (2, 3)] {
        let listeners = Listeners::bind(&[([127, 0, 0, 1], 0).into()], &[], sets).expect("bind");
        let http = listeners.http_addrs()[0];
        let settings = Settings { workers, ..Settings::default() };
        let proxy = Proxy::start(listeners, settings, std::sync::Arc::new(shop(&[app.address]))).expect("start");
        for _ in 0..20 {
            assert_eq!(Wire::connect(http).get("shop.example", "/").status(), 200, "{sets} sets, {workers} workers");
        }
        proxy.stop(Duration::ZERO);
    }
}
