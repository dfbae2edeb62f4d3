//! HTTP/2: what HTTP/1.1 could be made to misunderstand never leaves the proxy.

use super::front::Front;
use super::http2_frames::*;

const PROTOCOL_ERROR: u32 = 1;

/// The pseudo-headers of a request, then `more`.
fn request<'a>(method: &'a str, path: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let pseudo = [(":method", method), (":scheme", "https"), (":authority", "plain.example"), (":path", path)];
    pseudo.into_iter().chain(more.iter().copied()).collect()
}

/// Whether the stream was answered or reset, or the connection is over.
fn settled(stream: u32) -> impl Fn(&Reply) -> bool {
    move |reply| reply.statuses.iter().any(|(at, _)| *at == stream) || reply.resets.iter().any(|(at, _)| *at == stream)
}

/// What one stream's frames came to on a connection of their own.
fn stream_one(front: &Front, frames: &[u8]) -> Reply {
    let mut peer = Peer::connect(front.haloyd.https);
    peer.says(frames);
    peer.hears(settled(1))
}

/// The stream is refused by a status or a reset, or the connection by GOAWAY; nothing is accepted.
fn is_refused(reply: &Reply) -> bool {
    let refused = reply.statuses.iter().all(|(_, status)| (400..500).contains(status));
    refused && (!reply.statuses.is_empty() || !reply.resets.is_empty() || reply.goaway.is_some() || reply.closed)
}

/// Each of these is refused, and the backend saw none of it.
#[track_caller]
fn all_refused(cases: Vec<(String, Vec<u8>)>) {
    let front = Front::start();
    let wrong: Vec<_> =
        cases.into_iter().map(|(what, frames)| (what, stream_one(&front, &frames))).filter(|(_, reply)| !is_refused(reply)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let seen = front.survives();
    assert_eq!(seen.requests, ["GET /before", "GET /after"]);
    assert_eq!(seen.nonsense, Vec::<String>::new());
}

#[test]
fn a_good_request_is_answered() {
    let front = Front::start();
    let reply = stream_one(
        &front,
        &headers(
            1,
            END_STREAM,
            &request("GET", "/h2", &[("host", "plain.example"), ("te", "trailers"), ("cookie", "a=1"), ("cookie", "b=2")]),
        ),
    );
    assert_eq!(reply.statuses, [(1, 200)], "{reply:?}");
    let reply = stream_one(
        &front,
        &[headers(1, 0, &request("POST", "/h2", &[("content-length", "2")])), frame(DATA, END_STREAM, 1, b"ok")].concat(),
    );
    assert_eq!(reply.statuses, [(1, 200)], "{reply:?}");
    assert_eq!(front.survives().requests, ["GET /before", "GET /h2", "POST /h2", "GET /after"]);
}

#[test]
fn fields_that_http1_would_take_for_framing() {
    let mut cases = Vec::new();
    for (name, value) in [
        ("connection", "close"),
        ("connection", "keep-alive, te"),
        ("proxy-connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "chunked, trailers"),
    ] {
        cases.push((format!("{name}: {value}"), headers(1, END_STREAM, &request("GET", "/smuggled", &[(name, value)]))));
    }
    all_refused(cases);
}

#[test]
fn names_and_values_that_http1_would_take_for_lines() {
    let mut cases = Vec::new();
    for name in ["X-Upper", "Host", "x\r\ny", "x\ny", "x\0y", "x y", "x:y", ":x", "", " ", "x\u{e9}", "x\r\ntransfer-encoding"] {
        cases.push((format!("name {name:?}"), headers(1, END_STREAM, &request("GET", "/smuggled", &[(name, "v")]))));
    }
    for value in ["a\r\nb: c", "a\nb", "a\rb", "a\0b", "a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: plain.example\r\n\r\n", "\x7f", "\x1b[31m"]
    {
        cases.push((format!("value {value:?}"), headers(1, END_STREAM, &request("GET", "/smuggled", &[("x-a", value)]))));
    }
    for path in ["", "smuggled", "/smuggled HTTP/1.1\r\nx: y", "/a b", "/a\tb", "/a\nb", "/a\0b", "/\x7f", "http://plain.example/smuggled"]
    {
        cases.push((format!("path {path:?}"), headers(1, END_STREAM, &request("GET", path, &[]))));
    }
    for method in ["", "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", "GE T", "GET\n", "G\0T", "GET\u{e9}"] {
        cases.push((format!("method {method:?}"), headers(1, END_STREAM, &request(method, "/smuggled", &[]))));
    }
    all_refused(cases);
}

#[test]
fn pseudo_headers() {
    let of = |fields: &[(&str, &str)]| headers(1, END_STREAM, fields);
    let (method, scheme, authority, path) =
        ((":method", "GET"), (":scheme", "https"), (":authority", "plain.example"), (":path", "/smuggled"));
    all_refused(vec![
        ("no method".into(), of(&[scheme, authority, path])),
        ("no scheme".into(), of(&[method, authority, path])),
        ("no path".into(), of(&[method, scheme, authority])),
        ("no authority and no host".into(), of(&[method, scheme, path])),
        ("two methods".into(), of(&[method, method, scheme, authority, path])),
        ("two paths".into(), of(&[method, scheme, authority, path, (":path", "/other")])),
        ("two authorities".into(), of(&[method, scheme, authority, (":authority", "evil.example"), path])),
        ("after a field".into(), of(&[method, scheme, authority, ("x-a", "b"), path])),
        ("an unknown one".into(), of(&[method, scheme, authority, path, (":evil", "1")])),
        ("one of an answer".into(), of(&[method, scheme, authority, path, (":status", "200")])),
        (
            "extended CONNECT that was not offered".into(),
            of(&[(":method", "CONNECT"), (":protocol", "websocket"), scheme, authority, path]),
        ),
        ("CONNECT".into(), of(&[(":method", "CONNECT"), (":authority", "plain.example:443")])),
        ("CONNECT with a path".into(), of(&[(":method", "CONNECT"), scheme, authority, path])),
        ("another host".into(), of(&[method, scheme, authority, path, ("host", "evil.example")])),
        ("two hosts".into(), of(&[method, scheme, authority, path, ("host", "plain.example"), ("host", "plain.example")])),
        ("a user in the authority".into(), of(&[method, scheme, (":authority", "user@plain.example"), path])),
        ("an empty authority".into(), of(&[method, scheme, (":authority", ""), path])),
        ("a path in the authority".into(), of(&[method, scheme, (":authority", "plain.example/x"), path])),
        ("a line end in the authority".into(), of(&[method, scheme, (":authority", "plain.example\r\nx: y"), path])),
        ("brackets around no address".into(), of(&[method, scheme, (":authority", "[]"), path])),
        ("another scheme".into(), of(&[method, (":scheme", "ftp"), authority, path])),
        ("a target for OPTIONS alone".into(), of(&[method, scheme, authority, (":path", "*")])),
        ("a path that begins with the query".into(), of(&[method, scheme, authority, (":path", "?smuggled")])),
        ("an unknown host".into(), of(&[method, scheme, (":authority", "evil.example"), path])),
    ]);
}

#[test]
fn lengths_that_do_not_match() {
    let post = |length: &str, data: &[u8]| {
        let path = format!("/{length}");
        [headers(1, 0, &request("POST", &path, &[("content-length", length)])), frame(DATA, END_STREAM, 1, data)].concat()
    };
    let front = Front::start();
    for (what, frames) in [
        ("too short", post("10", b"short")),
        ("too long", post("2", b"longer")),
        ("none at all", headers(1, END_STREAM, &request("POST", "/broken", &[("content-length", "5")]))),
        ("negative", post("-1", b"x")),
        ("signed", post("+1", b"x")),
        ("a word", post("x", b"x")),
        ("too large", post("18446744073709551616", b"x")),
        (
            "two that differ",
            [
                headers(1, 0, &request("POST", "/broken", &[("content-length", "1"), ("content-length", "2")])),
                frame(DATA, END_STREAM, 1, b"x"),
            ]
            .concat(),
        ),
        ("a list", post("1, 1", b"x")),
        ("zero", post("0", b"GET /smuggled HTTP/1.1\r\nHost: plain.example\r\n\r\n")),
    ] {
        let reply = stream_one(&front, &frames);
        assert!(is_refused(&reply), "{what}: {reply:?}");
    }
    let mut seen = front.survives();
    // A head that announces no body is whole by itself, whatever follows it: the backend may have it, never the body.
    seen.requests.retain(|request| request != "POST /0");
    assert_eq!(seen.requests, ["GET /before", "GET /after"], "no request was whole");
    assert_eq!(seen.nonsense, Vec::<String>::new());
}

#[test]
fn trailers_are_no_headers() {
    let post = |trailers: &[(&str, &str)]| {
        [headers(1, 0, &request("POST", "/trailed", &[])), frame(DATA, 0, 1, b"x"), headers(1, END_STREAM, trailers)].concat()
    };
    let front = Front::start();
    assert_eq!(stream_one(&front, &post(&[("x-checksum", "1")])).statuses, [(1, 200)]);
    for (name, value) in [("X-Upper", "1"), ("connection", "close"), ("transfer-encoding", "chunked"), ("x-a", "b\r\nc: d")] {
        let reply = stream_one(&front, &post(&[(name, value)]));
        assert!(is_refused(&reply), "{name}: {reply:?}");
    }
    let seen = front.survives();
    assert_eq!(seen.requests, ["GET /before", "POST /trailed", "GET /after"]);
    assert_eq!(seen.nonsense, Vec::<String>::new());
}

#[test]
fn frames_that_break_the_protocol_end_the_connection() {
    let get = |stream| headers(stream, END_STREAM, &request("GET", "/smuggled", &[]));
    let cases = [
        ("DATA on no stream", frame(DATA, 0, 0, b"x")),
        ("DATA on an idle stream", frame(DATA, END_STREAM, 1, b"x")),
        ("HEADERS on no stream", frame(HEADERS, END_HEADERS | END_STREAM, 0, &block(&request("GET", "/smuggled", &[])))),
        ("HEADERS on an even stream", get(2)),
        ("CONTINUATION from nowhere", frame(CONTINUATION, END_HEADERS, 1, &block(&request("GET", "/smuggled", &[])))),
        (
            "a frame between HEADERS and CONTINUATION",
            [frame(HEADERS, END_STREAM, 1, &block(&request("GET", "/smuggled", &[]))), frame(PING, 0, 0, &[0; 8])].concat(),
        ),
        ("a header block that is none", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 32])),
        ("an index beyond the table", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xfe])),
        ("padding longer than the frame", frame(HEADERS, END_HEADERS | END_STREAM | 8, 1, &[255, 0x82])),
        ("a frame beyond the limit", frame(DATA, 0, 1, &vec![0; 20_000])),
        ("PUSH_PROMISE from a client", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82])),
        ("SETTINGS on a stream", frame(SETTINGS, 0, 1, &[])),
        ("SETTINGS of a wrong length", frame(SETTINGS, 0, 0, &[0; 5])),
        ("a PING of a wrong length", frame(PING, 0, 0, &[0; 7])),
        ("WINDOW_UPDATE by nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("WINDOW_UPDATE beyond the end", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])),
        ("RST_STREAM on an idle stream", frame(RST_STREAM, 0, 1, &[0; 4])),
        ("PRIORITY of a wrong length", frame(PRIORITY, 0, 0, &[0; 5])),
    ];
    let front = Front::start();
    let mut wrong = Vec::new();
    for (what, frames) in cases {
        let mut peer = Peer::connect(front.haloyd.https);
        peer.says(&frames);
        let reply = peer.hears(|reply| reply.goaway.is_some());
        if !(reply.closed || reply.goaway.is_some_and(|code| code != 0)) || !reply.statuses.is_empty() {
            wrong.push((what, reply));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(front.survives().requests, ["GET /before", "GET /after"]);
}

#[test]
fn header_floods() {
    let front = Front::start();
    // More fields than a head may have, and a head that never ends.
    let many: Vec<(String, String)> = (0..3000).map(|n| (format!("x-{n}"), "a".repeat(20))).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let block = block(&request("GET", "/smuggled", &many));
    let mut frames = Vec::new();
    for (at, part) in block.chunks(16_000).enumerate() {
        frames.extend(frame(if at == 0 { HEADERS } else { CONTINUATION }, if at == 0 { END_STREAM } else { 0 }, 1, part));
    }
    let unended = frames.clone();
    frames.extend(frame(CONTINUATION, END_HEADERS, 1, &[]));
    let reply = stream_one(&front, &frames);
    assert!(is_refused(&reply), "{reply:?}");

    let mut peer = Peer::connect(front.haloyd.https);
    peer.says(&unended);
    for _ in 0..20_000 {
        peer.sends(&frame(CONTINUATION, 0, 1, &[]));
    }
    let reply = peer.hears(|reply| reply.goaway.is_some());
    assert!(is_refused(&reply), "{reply:?}");
    assert_eq!(front.survives().requests, ["GET /before", "GET /after"]);
}

#[test]
fn rapid_resets_are_ended() {
    let front = Front::start();
    let mut peer = Peer::connect(front.haloyd.https);
    peer.says(&[]);
    let flood: Vec<u8> = (0..20_000_u32)
        .flat_map(|n| {
            [headers(2 * n + 1, END_STREAM, &request("GET", "/reset", &[])), frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8])].concat()
        })
        .collect();
    peer.sends(&flood);
    let reply = peer.hears(|reply| reply.goaway.is_some());
    assert!(reply.goaway.is_some_and(|code| code != 0) || reply.closed, "{reply:?}");
    let seen = front.survives();
    assert!(seen.requests.len() < 5_000, "{} requests reached the backend", seen.requests.len());
}

#[test]
fn a_daemon_that_stops_says_goaway() {
    let front = Front::start();
    let mut peer = Peer::connect(front.haloyd.https);
    peer.says(&headers(1, END_STREAM, &request("GET", "/good", &[])));
    assert_eq!(peer.hears(settled(1)).statuses, [(1, 200)]);
    let stopping = std::thread::spawn(|| front.survives());
    let reply = peer.hears(|reply| reply.goaway.is_some());
    assert_eq!((reply.goaway, reply.closed), (Some(0), false), "{reply:?}");
    let reply = peer.hears(|reply| reply.closed);
    assert!(reply.closed, "{reply:?}");
    assert_eq!(stopping.join().expect("stopped").requests, ["GET /before", "GET /good", "GET /after"]);
}

#[test]
fn a_refused_stream_costs_no_other_one() {
    let front = Front::start();
    let mut peer = Peer::connect(front.haloyd.https);
    let bad = headers(1, END_STREAM, &request("GET", "/smuggled", &[("connection", "close")]));
    peer.says(&[bad, headers(3, END_STREAM, &request("GET", "/good", &[]))].concat());
    let reply = peer.hears(settled(3));
    assert_eq!((reply.resets, reply.statuses), (vec![(1, PROTOCOL_ERROR)], vec![(3, 200)]));
    assert_eq!(front.survives().requests, ["GET /before", "GET /good", "GET /after"]);
}
