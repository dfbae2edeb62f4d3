//! Backends that die, hang and come back: what the client notices of it, which should be nothing.

use std::net::{Shutdown, TcpListener};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::super::*;
use super::support::*;

fn quick(timeouts: Timeouts) -> Settings {
    Settings { workers: 1, timeouts, ..Settings::default() }
}

/// Answers one request per connection and closes it at once, without saying so: every reuse is the race.
fn closing_after_each() -> App {
    App::raw(|mut wire, _| {
        if wire.message().is_some() {
            wire.send(ok("shop"));
        }
    })
}

#[test]
fn a_backend_that_closes_idle_connections_costs_no_request() {
    let app = closing_after_each();
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    for _ in 0..300 {
        assert_eq!(client.get("shop.example", "/").status(), 200);
        client.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 2\r\n\r\nhi");
        // A body that was sent into a closing connection cannot be sent again, but here the close comes first.
        assert!(matches!(client.message().expect("response").status(), 200 | 502));
    }
}

#[test]
fn a_request_without_effect_is_sent_again_when_the_connection_dies_as_it_is_used() {
    // The first connection takes a second request and closes without a word of answer.
    let app = App::raw(|mut wire, number| {
        wire.message();
        wire.send(ok("shop"));
        if number == 0 {
            wire.message();
            return;
        }
        wire.rest();
    });
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    assert_eq!(client.get("shop.example", "/").status(), 200);
    assert_eq!(client.get("shop.example", "/").status(), 200);
    assert_eq!(app.connections(), 2);
    assert_eq!(running.metric("haloy_proxy_backend_retries_total{backend=\"shop-0\"}"), Some(1.0));
}

#[test]
fn a_request_that_may_have_had_an_effect_is_not_sent_again() {
    let seen = std::sync::Arc::<AtomicUsize>::default();
    let counter = seen.clone();
    let app = App::raw(move |mut wire, _| {
        if wire.message().is_some() {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    let running = Running::start(shop(&[app.address, app.address]));
    let mut client = running.connect();
    client.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 2\r\n\r\nhi");
    let answer = client.message().expect("response");
    assert_eq!((answer.status(), seen.load(Ordering::SeqCst)), (502, 1));
    assert!(answer.text().contains("closed the connection"));
}

#[test]
fn a_dead_replica_costs_no_request_and_is_left_out() {
    let alive = App::named("alive");
    let running = Running::start(shop(&[nobody(), alive.address]));
    for _ in 0..20 {
        assert_eq!(running.get("shop.example", "/").text(), "alive");
        let mut client = running.connect();
        client.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(client.message().expect("response").text(), "alive", "nothing was written, so a body is no hindrance");
    }
    assert_eq!(running.metric("haloy_proxy_backend_ejections_total{backend=\"shop-0\"}"), Some(1.0));
    assert_eq!(running.metric("haloy_proxy_backend_connects_total{backend=\"shop-0\"}"), Some(3.0), "after three tries it is left alone");
}

#[test]
fn an_ejected_replica_comes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    drop(listener);
    let other = App::named("other");
    let running = Running::start(shop(&[address, other.address]));
    for _ in 0..8 {
        assert_eq!(running.get("shop.example", "/").text(), "other");
    }
    let _back = App::on(TcpListener::bind(address).expect("bind again"), |mut wire, _| {
        while wire.message().is_some() {
            wire.send(ok("back"));
        }
    });
    eventually("back".to_owned(), || running.get("shop.example", "/").text());
}

#[test]
fn a_replica_that_dies_in_the_middle_is_replaced_for_requests_without_effect() {
    let dying = App::raw(|mut wire, _| {
        wire.message();
    });
    let alive = App::named("alive");
    let running = Running::start(shop(&[dying.address, alive.address]));
    for _ in 0..6 {
        assert_eq!(running.get("shop.example", "/").text(), "alive");
    }
}

#[test]
fn the_last_backend_is_never_left_out() {
    let address = nobody();
    let running = Running::start(shop(&[address]));
    for _ in 0..5 {
        assert_eq!(running.get("shop.example", "/").status(), 502);
    }
    let _back = App::on(TcpListener::bind(address).expect("bind"), |mut wire, _| {
        wire.message();
        wire.send(ok("back"));
    });
    assert_eq!(running.get("shop.example", "/").text(), "back");
}

#[test]
fn a_truncated_answer_is_truncated_for_the_client_too() {
    let app = App::raw(|mut wire, _| {
        wire.message();
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    });
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert_eq!(client.message(), None);
    eventually(0, || running.in_flight("shop-0"));
}

#[test]
fn nonsense_from_a_backend_is_a_502() {
    let app = App::raw(|mut wire, _| {
        wire.message();
        wire.send("nonsense\r\n\r\n");
    });
    let running = Running::start(shop(&[app.address]));
    assert_eq!(running.get("shop.example", "/").status(), 502);
}

#[test]
fn a_slow_first_byte_is_a_504_and_the_connection_is_not_used_again() {
    let app = App::raw(|mut wire, number| {
        wire.message();
        if number > 0 {
            wire.send(ok("shop"));
        }
        wire.rest();
    });
    let mut snapshot = shop(&[app.address]);
    snapshot.routes[0].policy.response_timeout = Duration::from_millis(200);
    let running = Running::start(snapshot);
    let mut client = running.connect();
    let begun = Instant::now();
    let answer = client.get("shop.example", "/");
    assert_eq!(answer.status(), 504);
    assert!(answer.text().contains("in time") && begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(client.get("shop.example", "/").text(), "shop");
    assert_eq!(running.in_flight("shop-0"), 0);
}

#[test]
fn a_slow_upload_does_not_run_into_the_response_timeout() {
    let app = App::answering(|request| ok(&request.body.len().to_string()));
    let mut snapshot = shop(&[app.address]);
    snapshot.routes[0].policy.response_timeout = Duration::from_millis(200);
    let running = Running::start(snapshot);
    let mut client = running.connect();
    client.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 10\r\n\r\n");
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(60));
        client.send("x");
    }
    assert_eq!(client.message().expect("response").text(), "10");
}

#[test]
fn bodies_that_stand_still_are_cut() {
    let app = App::raw(|mut wire, _| {
        if wire.head().is_some_and(|head| head.first_line.starts_with("GET")) {
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        }
        wire.rest();
    });
    let running = Running::with(quick(Timeouts { body: Duration::from_millis(200), ..Timeouts::default() }), shop(&[app.address]));
    let mut download = running.connect();
    download.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert_eq!(download.message(), None);
    let mut upload = running.connect();
    upload.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 10\r\n\r\nhalf");
    assert_eq!(upload.message().expect("response").status(), 408);
    upload.rest();
    eventually(0, || running.in_flight("shop-0"));
}

#[test]
fn idle_connections_end_on_both_sides() {
    let (closed, wait) = channel();
    let closed = Mutex::new(closed);
    let app = App::raw(move |mut wire, _| {
        wire.message();
        wire.send(ok("shop"));
        wire.rest();
        closed.lock().expect("lock").send(()).expect("send");
    });
    let short = Duration::from_millis(200);
    let running = Running::with(quick(Timeouts { keep_alive: short, upstream_idle: short, ..Timeouts::default() }), shop(&[app.address]));
    let mut client = running.connect();
    client.get("shop.example", "/");
    assert_eq!(client.rest(), b"");
    wait.recv_timeout(SOON).expect("the backend's connection is closed");
}

#[test]
fn what_a_backend_says_about_keeping_connections_is_believed() {
    let app = App::answering(|_| b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n".to_vec());
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    client.get("shop.example", "/");
    client.get("shop.example", "/");
    assert_eq!(app.connections(), 2, "a second less than one second: it is not used again");
}

#[test]
fn a_backend_that_leaves_the_table_loses_its_idle_connections_at_once() {
    let (closed, wait) = channel();
    let closed = Mutex::new(closed);
    let app = App::raw(move |mut wire, _| {
        wire.message();
        wire.send(ok("shop"));
        wire.rest();
        closed.lock().expect("lock").send(()).expect("send");
    });
    let stays = App::named("stays");
    let both = routes(vec![plain_route("shop", "shop.example", &[app.address]), plain_route("stays", "stays.example", &[stays.address])]);
    let only = routes(vec![plain_route("stays", "stays.example", &[stays.address])]);
    let running = Running::start(both);
    let mut client = running.connect();
    client.get("shop.example", "/");
    client.get("stays.example", "/");
    running.publish(only);
    wait.recv_timeout(SOON).expect("closed");
    assert_eq!(client.get("stays.example", "/").status(), 200);
    assert_eq!(stays.connections(), 1, "who stays keeps the pool");
}

#[test]
fn who_waits_for_an_address_that_a_backend_has_left_does_not_wait_on() {
    let (old, new) = (silent(), App::named("new"));
    let leaving = silent();
    let table = |address, others: Vec<Route>| {
        let mut snapshot = shop(&[address]);
        snapshot.routes.extend(others);
        snapshot
    };
    let running = Running::start(table(old.address, vec![plain_route("other", "other.example", &[leaving.address])]));
    let ask = |host: &str, request: &str| {
        let mut client = running.connect();
        client.send(request.replace("HOST", host));
        client
    };
    let get = "GET / HTTP/1.1\r\nHost: HOST\r\n\r\n";
    let mut gets = [ask("shop.example", get), ask("shop.example", get)];
    let mut post = ask("shop.example", "POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 2\r\n\r\nhi");
    let mut tunnel = ask("shop.example", "GET /ws HTTP/1.1\r\nHost: HOST\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(tunnel.head().expect("head").status(), 101);
    let mut drains = ask("other.example", get);
    eventually((4, 1), || (running.in_flight("shop-0"), running.in_flight("other-0")));
    let begun = Instant::now();
    running.publish(table(new.address, Vec::new()));
    for client in &mut gets {
        assert_eq!(client.message().expect("answer").text(), "new");
    }
    assert_eq!(post.message().expect("answer").status(), 502);
    assert_eq!(tunnel.rest(), b"");
    eventually(0, || running.in_flight("shop-0"));
    assert!(begun.elapsed() < SOON / 2, "nobody waited for the response timeout");
    drains.reader.get_ref().set_read_timeout(Some(Duration::from_millis(100))).expect("timeout");
    assert!(drains.line().is_none());
    assert_eq!(running.in_flight("other-0"), 1, "who merely leaves the table finishes");
    assert_eq!(new.connections(), 2);
}

/// Takes requests and tunnels, and never says anything in them.
fn silent() -> App {
    App::raw(|mut wire, _| {
        if wire.message().is_some_and(|request| request.path() == "/ws") {
            wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
        }
        wire.rest();
    })
}

#[test]
fn a_client_that_goes_away_frees_the_backend() {
    let (gone, wait) = channel();
    let gone = Mutex::new(gone);
    let app = App::raw(move |mut wire, _| {
        wire.message();
        wire.rest();
        gone.lock().expect("lock").send(()).expect("send");
    });
    let timeouts = Timeouts { hung_up: Duration::from_millis(200), ..Timeouts::default() };
    let running = Running::with(quick(timeouts), shop(&[app.address]));
    let mut client = running.connect();
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    eventually(1, || running.in_flight("shop-0"));
    drop(client);
    wait.recv_timeout(SOON).expect("the backend sees it");
    eventually(0, || running.in_flight("shop-0"));
}

#[test]
fn a_client_that_only_ends_its_sending_side_gets_its_answers() {
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let app = App::raw(move |mut wire, _| {
        while let Some(request) = wire.message() {
            wait.lock().expect("lock").recv().expect("go");
            wire.send(ok(request.path()));
        }
    });
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    client.send("GET /1 HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    eventually(1, || running.in_flight("shop-0"));
    client.send("POST /2 HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 2\r\n\r\nhi");
    client.reader.get_ref().shutdown(Shutdown::Write).expect("shutdown");
    for path in ["/1", "/2"] {
        // Long enough for the end of the connection to arrive with nothing to answer yet.
        client.reader.get_ref().set_read_timeout(Some(Duration::from_millis(100))).expect("timeout");
        assert!(client.line().is_none());
        client.reader.get_ref().set_read_timeout(Some(SOON)).expect("timeout");
        go.send(()).expect("go");
        assert_eq!(client.message().expect("answer").text(), path);
    }
    assert_eq!(client.rest(), b"");
    let mut idle = running.connect();
    idle.reader.get_ref().shutdown(Shutdown::Write).expect("shutdown");
    let begun = Instant::now();
    assert_eq!(idle.rest(), b"");
    assert!(begun.elapsed() < Duration::from_secs(2), "who asked nothing is not kept");
}

#[test]
fn a_panic_costs_its_connection_only() {
    let app = App::named("shop");
    let running = Running::start(shop(&[app.address]));
    let mut other = running.connect();
    assert_eq!(other.get("shop.example", "/").status(), 200);
    let mut client = running.connect();
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\nX-Test-Panic: 1\r\n\r\n");
    assert_eq!(client.rest(), b"");
    assert_eq!(other.get("shop.example", "/").status(), 200);
    eventually(Some(1.0), || running.metric("haloy_proxy_connections_open"));
}
