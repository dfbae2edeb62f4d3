//! Plain HTTP/1.1 through, streaming, pooling, publishing, draining.

use super::support::*;

#[test]
fn a_request_goes_through_and_the_connection_is_kept_on_both_sides() {
    let app = App::answering(|request| ok(&request.text()));
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    for number in 0..3 {
        client.send(format!("POST /p?q={number} HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n\r\nbody{number}"));
        let answer = client.message().expect("response");
        assert_eq!((answer.status(), answer.text(), answer.header("server")), (200, format!("body{number}"), Some("app")));
        assert_eq!(app.last().first_line, format!("POST /p?q={number} HTTP/1.1"));
    }
    assert_eq!(app.connections(), 1);
    eventually(0, || running.in_flight("shop-0"));
}

#[test]
fn the_request_in_flight_is_counted_until_the_response_ends() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let app = App::raw(move |mut wire, _| {
        wire.message().expect("request");
        wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        wait.lock().expect("lock").recv().expect("go");
        wire.send("4\r\nlast\r\n0\r\n\r\n");
        wire.rest();
    });
    let running = Running::start(shop(&[app.address]));
    let mut client = running.connect();
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert_eq!(client.head().expect("head").status(), 200);
    assert_eq!((client.line().as_deref(), client.line().as_deref()), (Some("5"), Some("first")), "the first part is not held back");
    assert_eq!(running.in_flight("shop-0"), 1);
    // It leaves the table and is still counted, and the request is finished.
    running.publish(shop(&[]));
    assert_eq!(running.in_flight("shop-0"), 1);
    assert_eq!(running.get("shop.example", "/").status(), 503);
    go.send(()).expect("go");
    assert_eq!((client.line().as_deref(), client.line().as_deref()), (Some("4"), Some("last")));
    eventually(0, || running.in_flight("shop-0"));
}
