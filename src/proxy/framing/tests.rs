//! Message framing, byte by byte.

use super::*;

fn feed(bytes: &[u8]) -> Result<Progress, Ambiguous> {
    Framing::new().feed(bytes)
}

/// The verdict must not depend on how the bytes were cut.
fn feed_cut(bytes: &[u8], size: usize) -> Result<Progress, Ambiguous> {
    let mut framing = Framing::new();
    let mut last = Ok(Progress { in_head: false });
    for piece in bytes.chunks(size) {
        last = framing.feed(piece);
        last?;
    }
    last
}

#[test]
fn clear_messages_pass_however_they_are_cut() {
    let clear: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 5\r\nContent-Length: 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\nDigest: x\r\n\r\n",
        // Text in a body is no header.
        b"POST / HTTP/1.1\r\nContent-Length: 48\r\n\r\n\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n",
    ];
    for message in clear {
        for size in [1, 2, 3, 7, message.len()] {
            assert_eq!(feed_cut(message, size), Ok(Progress { in_head: false }), "{} cut by {size}", message.escape_ascii());
        }
    }
}

#[test]
fn ambiguous_messages_are_refused_however_they_are_cut() {
    let ambiguous: &[&[u8]] = &[
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n Transfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0123456789abcdef\r\n",
    ];
    for message in ambiguous {
        for size in [1, 2, 3, 7, message.len()] {
            assert!(feed_cut(message, size).is_err(), "{} cut by {size}", message.escape_ascii());
        }
    }
}

#[test]
fn a_refusal_says_where_the_message_begins() {
    let bytes = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nokGET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let begin = bytes.len() - b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n".len();
    assert_eq!(feed(bytes), Err(Ambiguous { after: begin, in_head: true }));
    let bytes = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokX";
    assert_eq!(feed(bytes), Err(Ambiguous { after: bytes.len() - 1, in_head: false }));
}

#[test]
fn an_unfinished_head_is_known_as_such() {
    let mut framing = Framing::new();
    assert_eq!(framing.feed(b"GET / HT"), Ok(Progress { in_head: true }));
    assert_eq!(framing.feed(b"TP/1.1\r\n\r\n"), Ok(Progress { in_head: false }));
}
