//! Pipelines: where one request ends and the next begins is one thing for the proxy and the backend.

use super::front::{Attack, Expected, Front, attack};

const GOOD: &str = "GET /@/first HTTP/1.1\r\nHost: plain.example\r\n\r\n";
const LAST: &str = "GET /@/last HTTP/1.1\r\nHost: plain.example\r\nConnection: close\r\n\r\n";
const SMUGGLED: &str = "GET /@/smuggled HTTP/1.1\r\nHost: plain.example\r\n\r\n";

fn post(lines: &str, body: &str) -> String {
    format!("POST /@/post HTTP/1.1\r\nHost: plain.example\r\n{lines}\r\n\r\n{body}")
}

fn answered(statuses: &[u16], requests: &[&str]) -> Expected {
    Expected::Answered(statuses.to_vec(), requests.iter().map(|&request| request.to_owned()).collect())
}

/// A good request, then a bad one, then what must be none.
fn after_good(bad: String) -> Attack {
    attack(GOOD.to_owned() + &bad + SMUGGLED, answered(&[200, 400], &["GET /@/first"]))
}

#[test]
fn what_follows_a_refused_head_is_no_request() {
    Front::start().volley(vec![
        after_good(post("Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\n")),
        after_good(post("Transfer-Encoding: chunked\r\nContent-Length: 999", "0\r\n\r\n")),
        after_good(post("Content-Length: 5\r\nContent-Length: 0", "hello")),
        after_good(post("Content-Length: 0, 5", "hello")),
        after_good(post("Transfer-Encoding: xchunked", "0\r\n\r\n")),
        after_good(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", "0\r\n\r\n")),
        after_good(post("X: y\r\n folded", "")),
        after_good(post("X: y\nX: z", "")),
        after_good(post("X\0: y", "")),
        after_good(post("X : y", "")),
        after_good("GET /@/bad HTTP/1.1\r\n\r\n".to_owned()),
        after_good("GET /@/bad HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned()),
        after_good("GET /@/bad\r\n\r\n".to_owned()),
        after_good("GET /@/bad HTTP/9.9\r\nHost: plain.example\r\n\r\n".to_owned()),
        after_good("\0".to_owned()),
        after_good(" ".to_owned()),
    ]);
}

#[test]
fn what_lies_in_a_body_is_no_request() {
    let chunk = |data: &str| format!("{:x}\r\n{data}\r\n0\r\n\r\n", data.len());
    let inner = "GET /smuggled HTTP/1.1\r\nHost: plain.example\r\n\r\n";
    let both = answered(&[200, 200], &["POST /@/post", "GET /@/last"]);
    Front::start().volley(vec![
        attack(post(&format!("Content-Length: {}", inner.len()), inner) + LAST, both.clone()),
        attack(post("Transfer-Encoding: chunked", &chunk(inner)) + LAST, both.clone()),
        attack(post("Transfer-Encoding: chunked", "2;GET /smuggled HTTP/1.1\r\nok\r\n0\r\n\r\n") + LAST, both.clone()),
        attack(post("Content-Length: 0", "") + LAST, both.clone()),
        attack(post("X: y", "") + LAST, both.clone()),
        attack(post("Content-Length: 3", "0\r\n") + LAST, both.clone()),
        attack(post("Content-Length: 2\r\nConnection: content-length", "ok") + LAST, both.clone()),
        attack(post("Transfer-Encoding: chunked\r\nConnection: transfer-encoding", "0\r\n\r\n") + LAST, both.clone()),
        attack(post("Transfer_Encoding: chunked\r\nContent-Length: 2", "ok") + LAST, both.clone()),
        attack(post("Content_Length: 99\r\nContent-Length: 2", "ok") + LAST, both.clone()),
        attack(
            post("Upgrade: h2c\r\nConnection: upgrade, http2-settings\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 2", "ok") + LAST,
            both,
        ),
        attack(post("Content-Length: 500", SMUGGLED), Expected::BrokenOff(400)).and_hangs_up(),
    ]);
}

#[test]
fn a_body_on_a_get_is_a_body() {
    let get = |lines: &str, body: &str| format!("GET /@/get HTTP/1.1\r\nHost: plain.example\r\n{lines}\r\n\r\n{body}");
    let both = answered(&[200, 200], &["GET /@/get", "GET /@/last"]);
    Front::start().volley(vec![
        attack(get("Content-Length: 4", "GET ") + LAST, both.clone()),
        attack(get("Transfer-Encoding: chunked", "4\r\nGET \r\n0\r\n\r\n") + LAST, both.clone()),
        attack(
            get("Content-Length: 4", "GET ").replace("GET /@/get", "HEAD /@/get") + LAST,
            answered(&[200, 200], &["HEAD /@/get", "GET /@/last"]),
        ),
    ]);
}

#[test]
fn what_follows_a_refused_body_is_no_request() {
    let bad = |body: &str| {
        attack(GOOD.to_owned() + &post("Transfer-Encoding: chunked", body) + SMUGGLED, answered(&[200, 400], &["GET /@/first"]))
    };
    Front::start().volley(vec![
        bad("5\r\nhelloworld\r\n0\r\n\r\n"),
        bad("zz\r\n0\r\n\r\n"),
        bad("0\n\n"),
        bad("0\r\n \r\n\r\n"),
        bad("1\nx\n0\n\n"),
        bad("ffffffffffffffff\r\n"),
        bad("0;\n\r\n\r\n"),
    ]);
}

#[test]
fn many_requests_at_once_are_answered_in_order() {
    let requests: Vec<String> = (0..200).map(|n| format!("GET /@/{n}")).collect();
    let bytes = requests.iter().map(|request| format!("{request} HTTP/1.1\r\nHost: plain.example\r\n\r\n")).collect::<String>() + LAST;
    let seen = requests.into_iter().chain(["GET /@/last".to_owned()]).collect();
    Front::start().volley(vec![attack(bytes, Expected::Answered(vec![200; 201], seen))]);
}
