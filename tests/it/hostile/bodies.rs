//! Bodies: lengths, codings and chunks that two parsers could read differently.

use super::front::{Attack, BAD, Expected, Front, attack, passed};

const BROKEN: Expected = Expected::BrokenOff(400);

fn post(lines: &str, body: &str) -> String {
    format!("POST /@ HTTP/1.1\r\nHost: plain.example\r\nConnection: close\r\n{lines}\r\n\r\n{body}")
}

/// The backend must never be sent a request that it could take for whole.
fn chunked(body: impl AsRef<[u8]>, expected: Expected) -> Attack {
    attack([post("Transfer-Encoding: chunked", "").as_bytes(), body.as_ref()].concat(), expected)
}

fn refused(lines: &[&str], body: &str) -> Vec<Attack> {
    lines.iter().map(|lines| attack(post(lines, body), BAD)).collect()
}

#[test]
fn lengths() {
    let mut attacks = refused(
        &[
            "Content-Length:",
            "Content-Length: ",
            "Content-Length: +5",
            "Content-Length: -5",
            "Content-Length: -0",
            "Content-Length: 5.0",
            "Content-Length: 5e0",
            "Content-Length: 0x5",
            "Content-Length: 5 5",
            "Content-Length: 5\t5",
            "Content-Length: 5,5",
            "Content-Length: 5, 5",
            "Content-Length: 5, 6",
            "Content-Length: 5,",
            "Content-Length: ,5",
            "Content-Length: 5;",
            "Content-Length: \"5\"",
            "Content-Length: '5'",
            "Content-Length: five",
            "Content-Length: 5a",
            "Content-Length: 5\x0b",
            "Content-Length: \x0c5",
            "Content-Length: \u{a0}5",
            "Content-Length: \u{ff15}",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: 6\r\nContent-Length: 5",
            "Content-Length: 5\r\ncontent-length: 0",
            "Content-Length: 0\r\nContent-Length: 5",
            "Content-Length : 5",
            "Content-Length\t: 5",
            " Content-Length: 5",
            "Content-Length: 18446744073709551616",
            "Content-Length: 18446744073709551621",
            "Content-Length: 99999999999999999999999999999999",
            "Content-Length:\r\n 5",
            "Content-Length: \r\n\t5",
        ],
        "hello",
    );
    attacks.extend([
        // Larger than anything that could be counted.
        attack(post("Content-Length: 18446744073709551615", "hello"), Expected::Refused(431)),
        attack(post("Content-Length: 5", "hello"), passed("POST /@")),
        attack(post("CONTENT-LENGTH:5", "hello"), passed("POST /@")),
        attack(post("Content-Length:\t5\t", "hello"), passed("POST /@")),
        attack(post("Content-Length: 0000000005", "hello"), passed("POST /@")),
        attack(post("Content-Length: 0", ""), passed("POST /@")),
        // One value said twice is one value (RFC 9110 §8.6 lets a recipient choose); it is passed on once.
        attack(post("Content-Length: 5\r\nContent-Length: 5", "hello"), passed("POST /@")),
        // A body that ends early never becomes a whole request.
        attack(post("Content-Length: 50", "hello"), BROKEN).and_hangs_up(),
    ]);
    Front::start().volley(attacks);
}

#[test]
fn lengths_and_codings_together() {
    let body = "0\r\n\r\nGET /@/smuggled HTTP/1.1\r\nHost: plain.example\r\n\r\n";
    let lines = [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
        "content-length:4\r\ntransfer-encoding:chunked",
        "Content-Length: 4\r\nX-A: b\r\nTransfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 4\r\nTransfer-Encoding: identity",
        "Content-Length: 4\r\nTransfer-Encoding: xchunked",
        "Content-Length: 4\r\nTransfer-Encoding:",
        "Content-Length: 4\r\nTransfer-Encoding : chunked",
        "Content-Length: 4\r\nTransfer-Encoding\t:chunked",
        "Content-Length: 4\r\n Transfer-Encoding: chunked",
        "Content-Length: 4\r\nX-A: b\r\n Transfer-Encoding: chunked",
        "Content-Length: 4\r\nX-A: b\nTransfer-Encoding: chunked",
        "Content-Length: 4\r\nX-A: b\rTransfer-Encoding: chunked",
        "Content-Length: 4\r\nX-A: b\0\r\nTransfer-Encoding: chunked",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    ];
    Front::start().volley(refused(&lines, body));
}

#[test]
fn codings() {
    let mut attacks = refused(
        &[
            "Transfer-Encoding:",
            "Transfer-Encoding: ,",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked, gzip",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: identity, chunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: chunkedx",
            "Transfer-Encoding: chunked;q=1",
            "Transfer-Encoding: chunked,",
            "Transfer-Encoding: ,chunked",
            "Transfer-Encoding: \"chunked\"",
            "Transfer-Encoding: 'chunked'",
            "Transfer-Encoding: chun ked",
            "Transfer-Encoding: \x0bchunked",
            "Transfer-Encoding: \x0cchunked",
            "Transfer-Encoding: chunked\x0b",
            "Transfer-Encoding: \u{a0}chunked",
            "Transfer-Encoding: chunked\0",
            "Transfer-Encoding : chunked",
            "Transfer-Encoding\t: chunked",
            " Transfer-Encoding: chunked",
            "Transfer-Encoding:\r\n chunked",
            "Transfer-Encoding: chunked\r\n , identity",
        ],
        "0\r\n\r\n",
    );
    let old = "POST /@ HTTP/1.0\r\nHost: plain.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    attacks.extend([
        attack(old, BAD),
        attack(post("Transfer-Encoding: chunked", "0\r\n\r\n"), passed("POST /@")),
        attack(post("transfer-encoding:CHUNKED", "0\r\n\r\n"), passed("POST /@")),
        attack(post("Transfer-Encoding:\tchunked\t", "0\r\n\r\n"), passed("POST /@")),
        // Not the field, however alike: it frames nothing, and what looks like a body is the next request.
        attack(post("Transfer_Encoding: chunked", ""), passed("POST /@")),
        attack(post("X-Transfer-Encoding: chunked", ""), passed("POST /@")),
    ]);
    Front::start().volley(attacks);
}

#[test]
fn chunk_sizes() {
    let refused = [
        "-1\r\nx\r\n0\r\n\r\n",
        "+1\r\nx\r\n0\r\n\r\n",
        "0x1\r\nx\r\n0\r\n\r\n",
        "x\r\n\r\n",
        "1g\r\nx\r\n0\r\n\r\n",
        " 1\r\nx\r\n0\r\n\r\n",
        "\t1\r\nx\r\n0\r\n\r\n",
        "\r\n1\r\nx\r\n0\r\n\r\n",
        ";a\r\nx\r\n0\r\n\r\n",
        "1\nx\r\n0\r\n\r\n",
        "1\rx\r\n0\r\n\r\n",
        "1\r\r\nx\r\n0\r\n\r\n",
        "1\0\r\nx\r\n0\r\n\r\n",
        "1\r\nx\n0\r\n\r\n",
        "1\r\nx\r0\r\n\r\n",
        "1\r\nx0\r\n\r\n",
        "1\r\nxy\r\n0\r\n\r\n",
        "2\r\nx\r\n0\r\n\r\n",
        "5\r\nhelloworld\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nx\r\n0\r\n\r\n",
        "10000000000000000\r\nx\r\n0\r\n\r\n",
        "fffffffffffffffffffffffff1\r\nx\r\n0\r\n\r\n",
        "0000000000000000000000001\r\nx\r\n0\r\n\r\n",
        "1;a\nb\r\nx\r\n0\r\n\r\n",
        "1;a\0b\r\nx\r\n0\r\n\r\n",
        "1;a\rb\r\nx\r\n0\r\n\r\n",
        "1,2\r\nx\r\n0\r\n\r\n",
        "1.0\r\nx\r\n0\r\n\r\n",
    ];
    let mut attacks: Vec<_> = refused.iter().map(|body| chunked(body, BROKEN)).collect();
    attacks.extend(
        [
            "1\r\nx\r\n0\r\n\r\n",
            "00001\r\nx\r\n000\r\n\r\n",
            "1;a=b\r\nx\r\n0;c\r\n\r\n",
            "A\r\n0123456789\r\n0\r\n\r\n",
            "1 ;a\r\nx\r\n0\r\n\r\n",
        ]
        .map(|body| chunked(body, passed("POST /@"))),
    );
    // Extensions are read and dropped, but not without end.
    attacks.push(chunked(format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(64 * 1024)), BROKEN));
    attacks.push(chunked(format!("1;{}", "a".repeat(4 * 1024 * 1024)), BROKEN));
    attacks.push(chunked("1;aaaaaaaa\r\nx\r\n".repeat(64 * 1024) + "0\r\n\r\n", BROKEN));
    attacks.extend(
        ["", "5", "5\r\n", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "5\r\nhello\r\n0\r\nX-A: b\r\n"]
            .map(|body| chunked(body, BROKEN).and_hangs_up()),
    );
    Front::start().volley(attacks);
}

#[test]
fn trailers() {
    let trailed = |trailer: &str| format!("1\r\nx\r\n0\r\n{trailer}\r\n\r\n");
    let bad =
        [" X-A: b", "\tX-A: b", "X-A: b\r\n folded", "X-A: b\nX-B: c", "X-A: b\rX-B: c", "X-A: b\0", "X-A", "X A: b", "X-A : b", ": b"];
    let mut attacks: Vec<_> = bad.iter().map(|trailer| chunked(trailed(trailer), BROKEN)).collect();
    attacks.push(chunked(trailed("X-Checksum: abc"), passed("POST /@")));
    attacks.push(chunked(trailed(&format!("X-A: {}", "a".repeat(256 * 1024))), BROKEN));
    attacks.push(chunked(trailed(&format!("{}X-B: c", "X-A: b\r\n".repeat(5000))), BROKEN));
    // Fields that frame, route or authenticate a message have no business in a trailer (RFC 9110 §6.5.1).
    attacks.extend(
        ["Content-Length: 50", "Transfer-Encoding: chunked", "Host: evil.example"]
            .map(|trailer| chunked(trailed(trailer), passed("POST /@"))),
    );
    Front::start().volley(attacks);
}
