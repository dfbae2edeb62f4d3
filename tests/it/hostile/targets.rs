//! Request targets and hosts: where a request goes must not depend on who reads it.

use super::front::{Attack, BAD, Expected, Front, attack, passed};

const UNKNOWN: Expected = Expected::Refused(404);

fn to(target: &[u8], lines: &[u8]) -> Vec<u8> {
    [b"GET ", target, b" HTTP/1.1\r\n", lines, b"Connection: close\r\n\r\n"].concat()
}

fn host(host: &str, expected: Expected) -> Attack {
    attack(to(b"/@", format!("Host: {host}\r\n").as_bytes()), expected)
}

/// An answer of the proxy that leaves the connection open, on which the client asked to close it.
fn answered(status: u16) -> Expected {
    Expected::Refused(status)
}

#[test]
fn every_byte_in_a_target() {
    let attacks = (0..=u8::MAX).filter(|&byte| byte != b'@').map(|byte| {
        let target = [b"/@/a", &[byte][..], b"b"].concat();
        let expected = match byte {
            // What is not ASCII must come encoded, and so must what never stands in a path.
            0..=0x20 | 0x7f.. | b'<' | b'>' | b'`' => BAD,
            // A fragment is never sent (RFC 9112 §3.2); the backend does not get to see one.
            b'#' => passed("GET /@/a"),
            _ => passed(&format!("GET /@/a{}b", char::from(byte))),
        };
        attack(to(&target, b"Host: plain.example\r\n"), expected)
    });
    Front::start().volley(attacks.collect());
}

#[test]
fn every_byte_in_a_query() {
    let attacks = (0..=u8::MAX).filter(|&byte| byte != b'@').map(|byte| {
        let target = [b"/@?a", &[byte][..], b"b"].concat();
        let expected = match byte {
            0..=0x20 | 0x7f.. | b'"' | b'<' | b'>' => BAD,
            b'#' => passed("GET /@?a"),
            _ => passed(&format!("GET /@?a{}b", char::from(byte))),
        };
        attack(to(&target, b"Host: plain.example\r\n"), expected)
    });
    Front::start().volley(attacks.collect());
}

#[test]
fn every_byte_in_a_host() {
    let attacks = (0..=u8::MAX).filter(|&byte| byte != b'@').map(|byte| {
        let lines = [b"Host: pl", &[byte][..], b"ain.example\r\n"].concat();
        let named = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        attack(to(b"/@", &lines), if named { UNKNOWN } else { BAD })
    });
    Front::start().volley(attacks.collect());
}

#[test]
fn hosts() {
    let mut attacks = Vec::new();
    for bad in [
        "",
        " ",
        ":",
        ":80",
        "plain.example:",
        "plain.example:x",
        "plain.example:-1",
        "plain.example:999999",
        "plain.example:80:80",
        "plain.example, evil.example",
        "plain.example evil.example",
        "plain.example/",
        "plain.example/x",
        "plain.example?x",
        "plain.example#x",
        "http://plain.example",
        "user:pw:plain.example",
        "[::1",
        "::1]",
        "[",
        "[]",
        "[]:80",
        "[plain.example]",
        "[127.0.0.1]",
        "pl[ain.example",
        "plain.example]",
        "[plain.example]x",
        "plain.example\\evil",
        "plain.example\t",
        "*",
        "<script>",
    ] {
        let expected = match bad {
            // An empty port is the scheme's (RFC 3986 §3.2.3), white space at the end is none of the value.
            "plain.example:" | "plain.example\t" => passed("GET /@"),
            _ => BAD,
        };
        attacks.push(host(bad, expected));
    }
    for good in ["plain.example", "PLAIN.example", "plain.example.", "plain.example:80", "plain.example:9999"] {
        attacks.push(host(good, passed("GET /@")));
    }
    for unknown in [
        "evil.example",
        "plain.example.evil.example",
        "xplain.example",
        "127.0.0.1",
        "[::1]",
        "[::1]:80",
        "localhost",
        "plain..example",
        "plain.example..",
        ".plain.example",
        "-",
        "%70lain.example",
    ] {
        attacks.push(host(unknown, if unknown.contains('%') { BAD } else { UNKNOWN }));
    }
    attacks.push(host(&"a".repeat(300), BAD));
    attacks.push(host(&format!("{}.example", "a".repeat(240)), UNKNOWN));
    let lines: [&[u8]; 9] = [
        b"",
        b"Host: plain.example\r\nHost: plain.example\r\n",
        b"Host: plain.example\r\nHost: evil.example\r\n",
        b"Host: evil.example\r\nhost: plain.example\r\n",
        b"Host: plain.example\r\nHost:\r\n",
        b"Host : plain.example\r\n",
        b" Host: plain.example\r\n",
        b"X-Forwarded-Host: plain.example\r\n",
        b"Host:\r\n plain.example\r\n",
    ];
    attacks.extend(lines.map(|lines| attack(to(b"/@", lines), BAD)));
    Front::start().volley(attacks);
}

#[test]
fn forms_of_the_target() {
    let good: &[u8] = b"Host: plain.example\r\n";
    let evil: &[u8] = b"Host: evil.example\r\n";
    let target = |target: &str, lines: &[u8], expected| attack(to(target.as_bytes(), lines), expected);
    Front::start().volley(vec![
        target("http://plain.example/@", good, passed("GET /@")),
        target("http://PLAIN.example/@", good, passed("GET /@")),
        target("http://plain.example/@", b"", BAD),
        target("https://plain.example/@", good, passed("GET /@")),
        target("ftp://plain.example/@", good, BAD),
        target("ws://plain.example/@", good, BAD),
        target("http://plain.example?@", good, passed("GET /?@")),
        target("http://plain.example/@", evil, BAD),
        target("http://evil.example/@", good, BAD),
        target("http://plain.example@evil.example/", good, BAD),
        target("http://evil.example:80/@", good, BAD),
        target("http://plain.example\\@evil.example/@", good, BAD),
        target("http:///@", good, BAD),
        target("http://", good, BAD),
        target("//plain.example/@", evil, UNKNOWN),
        target("//evil.example/@", good, passed("GET //evil.example/@")),
        target("/@/../../etc/passwd", good, passed("GET /@/../../etc/passwd")),
        target("/@/%2e%2e/%00%0d%0a", good, passed("GET /@/%2e%2e/%00%0d%0a")),
        target("/@/%zz", good, passed("GET /@/%zz")),
        target("/@?a=http://evil.example/", good, passed("GET /@?a=http://evil.example/")),
        target("plain.example/@", good, BAD),
        target("plain.example:80", good, BAD),
        target("@", good, BAD),
        target("../@", good, BAD),
        target("?@", good, BAD),
        target("/@/\u{fc}", good, passed("GET /@/\u{fc}")),
        target("/@?\u{fc}", good, passed("GET /@?\u{fc}")),
        target("file:///etc/@", good, BAD),
        target("javascript:alert(@)", good, BAD),
    ]);
}

#[test]
fn methods_with_a_meaning_for_proxies() {
    let request = |method: &str, target: &str, expected| {
        attack(format!("{method} {target} HTTP/1.1\r\nHost: plain.example\r\nConnection: close\r\n\r\n"), expected)
    };
    Front::start().volley(vec![
        request("CONNECT", "plain.example:443", answered(405)),
        request("CONNECT", "/@", answered(405)),
        request("OPTIONS", "*", Expected::Answered(vec![200], vec![])),
        request("GET", "*", BAD),
        request("POST", "*", BAD),
        request("options", "*", BAD),
        request("OPTIONS", "/@", passed("OPTIONS /@")),
        request("TRACE", "/@", passed("TRACE /@")),
        request("HEAD", "/@", passed("HEAD /@")),
        request("get", "/@", passed("get /@")),
        request("PRI", "/@", passed("PRI /@")),
        request("BREW", "/@", passed("BREW /@")),
    ]);
}

#[test]
fn old_versions() {
    let old = |lines: &str, expected| attack(format!("GET /@ HTTP/1.0\r\n{lines}\r\n"), expected);
    Front::start().volley(vec![
        old("Host: plain.example\r\n", passed("GET /@")),
        old("", UNKNOWN),
        attack("GET http://plain.example/@ HTTP/1.0\r\n\r\n", passed("GET /@")),
        old(
            "Host: plain.example\r\nConnection: keep-alive\r\n\r\nGET /@/2 HTTP/1.0\r\nHost: plain.example\r\n",
            Expected::Answered(vec![200, 200], vec!["GET /@".to_owned(), "GET /@/2".to_owned()]),
        ),
        old("Host: plain.example\r\nHost: evil.example\r\n", BAD),
        old("Host: plain.example\r\nUpgrade: websocket\r\nConnection: upgrade\r\n", passed("GET /@")),
    ]);
}
