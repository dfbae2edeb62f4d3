//! Heads: every byte in every place, line ends, folding, lengths.

use super::front::{Attack, BAD, Expected, Front, attack, passed};

/// A GET with these lines after its Host. The connection ends with it.
fn with(lines: &[u8]) -> Vec<u8> {
    [&b"GET /@ HTTP/1.1\r\nHost: plain.example\r\nConnection: close\r\n"[..], lines, b"\r\n\r\n"].concat()
}

fn token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// One attack for every byte but the placeholder.
fn every_byte(make: impl Fn(u8) -> Attack) -> Vec<Attack> {
    (0..=u8::MAX).filter(|&byte| byte != b'@').map(make).collect()
}

#[test]
fn every_byte_in_a_header_name() {
    Front::start().volley(every_byte(|byte| {
        let bytes = with(&[b"X-", &[byte][..], b"A: v"].concat());
        attack(bytes, if token(byte) || byte == b':' { passed("GET /@") } else { BAD })
    }));
}

#[test]
fn every_byte_alone_as_a_header_name() {
    Front::start().volley(every_byte(|byte| {
        let bytes = with(&[byte, b':', b' ', b'v']);
        attack(bytes, if token(byte) { passed("GET /@") } else { BAD })
    }));
}

#[test]
fn every_byte_in_a_header_value() {
    Front::start().volley(every_byte(|byte| {
        let bytes = with(&[b"X-A: b", &[byte][..], b"c"].concat());
        let valid = byte == b'\t' || (0x20..0x7f).contains(&byte) || byte >= 0x80;
        attack(bytes, if valid { passed("GET /@") } else { BAD })
    }));
}

#[test]
fn every_byte_at_the_edges_of_a_header_value() {
    let edge = |byte: u8| byte == b'\t' || (0x20..0x7f).contains(&byte) || byte >= 0x80;
    // A CR at the end is a bare one before the line's own; an LF there begins an empty line.
    Front::start().volley(every_byte(|byte| {
        let bytes = with(&[b"X-A:", &[byte][..], b"b"].concat());
        attack(bytes, if edge(byte) { passed("GET /@") } else { BAD })
    }));
    Front::start().volley(every_byte(|byte| {
        let bytes = with(&[b"X-A: b", &[byte][..], b"\r\nX-B: c"].concat());
        attack(bytes, if edge(byte) { passed("GET /@") } else { BAD })
    }));
}

#[test]
fn every_byte_in_a_method() {
    Front::start().volley(every_byte(|byte| {
        let bytes = [b"GE", &[byte][..], b"T /@ HTTP/1.1\r\nHost: plain.example\r\nConnection: close\r\n\r\n"].concat();
        attack(bytes, if token(byte) { passed(&format!("GE{}T /@", char::from(byte))) } else { BAD })
    }));
}

#[test]
fn every_byte_before_a_request() {
    // Empty lines are skipped (RFC 9112 §2.2) when they end as lines do.
    Front::start().volley(
        every_byte(|byte| {
            let expected = if token(byte) { passed(&format!("{}GET /@", char::from(byte))) } else { BAD };
            attack([&[byte], &with(b"X-A: b")[..]].concat(), expected)
        })
        .into_iter()
        .filter(|attack| !attack.begins_with(b"\n"))
        .collect(),
    );
}

#[test]
fn every_byte_in_the_version() {
    let request = |version: &[u8]| [b"GET /@ ", version, b"\r\nHost: plain.example\r\nConnection: close\r\n\r\n"].concat();
    let mut attacks = every_byte(|byte| {
        let expected = if matches!(byte, b'0' | b'1') { passed("GET /@") } else { BAD };
        attack(request(&[b"HTTP/1.", &[byte][..]].concat()), expected)
    });
    let versions = [
        "HTTP/0.9",
        "HTTP/2.0",
        "HTTP/2",
        "HTTP/3.0",
        "HTTP/1.1.1",
        "HTTP/1.10",
        "HTTP/01.1",
        "http/1.1",
        "HTTP/1,1",
        "HTTPS/1.1",
        "HTTP/",
        "",
    ];
    attacks.extend(versions.map(|version| attack(request(version.as_bytes()), BAD)));
    attacks.extend(
        [" HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1\t", "HTTP/1.1 x", "\tHTTP/1.1"].map(|version| attack(request(version.as_bytes()), BAD)),
    );
    Front::start().volley(attacks);
}

#[test]
fn line_ends_and_folding() {
    let bad: [&[u8]; 22] = [
        b"X-A: b\r\n folded",
        b"X-A: b\r\n\tfolded",
        b"X-A: b\r\n \r\nX-B: c",
        b"X-A:\r\n b",
        b" X-A: b",
        b"\tX-A: b",
        b"X-A: b\nX-B: c",
        b"X-A: b\n",
        b"X-A: b\r",
        b"X-A: b\r\r\nX-B: c",
        b"X-A: b\rX-B: c",
        b"X-A: b\n\r\nX-B: c",
        b"X-A: b\0",
        b"X-A : b",
        b"X-A\t: b",
        b"X A: b",
        b"X-A",
        b"X-A\r\nX-B: c",
        b": b",
        b":",
        b"X-A: b\r\n\x0bX-B: c",
        b"X-A: b\x1b[31m",
    ];
    let mut attacks: Vec<_> = bad.iter().map(|lines| attack(with(lines), BAD)).collect();
    let whole: [&[u8]; 9] = [
        b"GET /@ HTTP/1.1\nHost: plain.example\n\n",
        b"GET /@ HTTP/1.1\r\nHost: plain.example\n\n",
        b"GET /@ HTTP/1.1\nHost: plain.example\r\n\r\n",
        b"GET /@ HTTP/1.1\r\nHost: plain.example\r\n\n",
        b"GET /@ HTTP/1.1\rHost: plain.example\r\r",
        b"GET /@ HTTP/1.1\r\r\nHost: plain.example\r\n\r\n",
        b"GET /@ HTTP/1.1\r\n Host: plain.example\r\n\r\n",
        b"GET /@ HTTP/1.1\r\n\tX: y\r\nHost: plain.example\r\n\r\n",
        b"GET /@ HTTP/1.1\r\nHost: plain.example\r\n\r\r\n\r\n",
    ];
    // Some of these are heads without an end: they are refused for their line ends, or when their time is up.
    attacks.extend(whole.iter().map(|bytes| attack(*bytes, BAD)));
    Front::start().volley(attacks);
}

#[test]
fn what_is_no_request_at_all() {
    let bad: [&[u8]; 16] = [
        b"GET /@\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /@ \r\n\r\n",
        b" /@ HTTP/1.1\r\n\r\n",
        b"/@ HTTP/1.1\r\n\r\n",
        b"GET  /@ HTTP/1.1\r\nHost: plain.example\r\n\r\n",
        b"GET\t/@ HTTP/1.1\r\nHost: plain.example\r\n\r\n",
        b"GET /@ /x HTTP/1.1\r\nHost: plain.example\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 tls on the plain port\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET /@ HTTP/1.1\r\nHost: plain.example\r\n\r\n",
        b"\r\n\r\n\r\nGET /@\r\n\r\n",
        b"EHLO mail.example\r\n\r\n",
        b"{\"json\": true}\r\n\r\n",
    ];
    let mut attacks: Vec<_> = bad.iter().map(|bytes| attack(*bytes, BAD)).collect();
    // The preface of HTTP/2 with prior knowledge, which is spoken over TLS alone.
    attacks.push(attack(*b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", Expected::Cut));
    Front::start().volley(attacks);
}

#[test]
fn heads_beyond_the_limits() {
    const HUGE: Expected = Expected::Refused(431);
    let many = |count: usize| (0..count).map(|n| format!("X-{n}: v\r\n")).collect::<String>().into_bytes();
    let long = |count: usize| vec![b'a'; count];
    let trimmed = |lines: Vec<u8>| lines[..lines.len() - 2].to_vec();
    Front::start().volley(vec![
        attack(with(&trimmed(many(90))), passed("GET /@")),
        attack(with(&trimmed(many(1000))), HUGE),
        attack(with(&trimmed(many(101))), HUGE),
        attack(with(&[b"X-A: ", &long(32 * 1024)[..]].concat()), passed("GET /@")),
        attack(with(&[b"X-A: ", &long(70 * 1024)[..]].concat()), HUGE),
        attack(with(&[b"X-A: ", &long(2 * 1024 * 1024)[..]].concat()), HUGE),
        attack(with(&[&long(70 * 1024)[..], b": v"].concat()), HUGE),
        attack([b"GET /@", &long(70 * 1024)[..], b" HTTP/1.1\r\nHost: plain.example\r\n\r\n"].concat(), HUGE),
        attack([b"GET /@", &long(4 * 1024 * 1024)[..]].concat(), HUGE),
        attack([&long(4 * 1024 * 1024)[..], b" /@ HTTP/1.1\r\n\r\n"].concat(), HUGE),
        attack([with(b"X-A: b"), vec![]].concat(), passed("GET /@")),
        attack(vec![b'\r'; 300 * 1024], BAD),
    ]);
}
