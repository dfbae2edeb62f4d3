//! HTTP/2 written by hand (RFC 9113), because a well-behaved client refuses to send what is tested here.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::tls;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// A frame of any type, right or wrong.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a length").to_be_bytes();
    [&length[1..], &[kind, flags][..], &stream.to_be_bytes()[..], payload].concat()
}

/// HEADERS with END_HEADERS and whatever `flags` adds.
pub fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &block(fields))
}

/// A header block of literals that enter no table (RFC 7541 §6.2.2), without Huffman coding.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| [&[0][..], &text(name.as_bytes()), &text(value.as_bytes())].concat()).collect()
}

/// A string literal (RFC 7541 §5.2).
fn text(bytes: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    match bytes.len() {
        short @ 0..127 => coded.push(short as u8),
        long => {
            coded.push(127);
            let mut rest = long - 127;
            while rest >= 128 {
                coded.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            coded.push(rest as u8);
        }
    }
    coded.extend_from_slice(bytes);
    coded
}

/// What came back on one connection.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Streams and their status.
    pub statuses: Vec<(u32, u16)>,
    /// Streams that were reset, with the error code.
    pub resets: Vec<(u32, u32)>,
    /// The error code of the last GOAWAY.
    pub goaway: Option<u32>,
    pub closed: bool,
}

/// A connection over TLS that negotiated HTTP/2.
pub struct Peer {
    stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
}

impl Peer {
    /// Connects; nothing of HTTP/2 is said yet.
    pub fn connect(address: SocketAddr) -> Self {
        let mut config = tls::trusting_config();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self::with(address, config)
    }

    fn with(address: SocketAddr, config: ClientConfig) -> Self {
        let socket = TcpStream::connect(address).expect("the proxy accepts");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
        let name = "plain.example".try_into().expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
        Self { stream: StreamOwned::new(connection, socket), buffer: Vec::new() }
    }

    /// Preface and empty settings, then these bytes.
    pub fn says(&mut self, bytes: &[u8]) {
        let begin = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])].concat();
        self.sends(&[&begin, bytes].concat());
    }

    /// The proxy may have closed before all is written.
    pub fn sends(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
    }

    /// Reads until `done`, the end, or nothing comes for a while. Acknowledges settings.
    pub fn hears(&mut self, done: impl Fn(&Reply) -> bool) -> Reply {
        let mut reply = Reply::default();
        while !done(&reply) {
            match self.frame() {
                Ok(frame) => self.note(&mut reply, frame),
                Err(error) => {
                    reply.closed = !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
                    break;
                }
            }
        }
        reply
    }

    fn note(&mut self, reply: &mut Reply, (kind, flags, stream, payload): (u8, u8, u32, Vec<u8>)) {
        let code = |at: usize| payload.get(at..at + 4).map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        match kind {
            HEADERS => reply.statuses.extend(status(&payload).map(|status| (stream, status))),
            RST_STREAM => reply.resets.extend(code(0).map(|code| (stream, code))),
            GOAWAY => reply.goaway = code(4),
            SETTINGS if flags & ACK == 0 => self.sends(&frame(SETTINGS, ACK, 0, &[])),
            _ => {}
        }
    }

    fn frame(&mut self) -> std::io::Result<(u8, u8, u32, Vec<u8>)> {
        self.fill(9)?;
        let head = self.buffer[..9].to_vec();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        self.fill(9 + length)?;
        let payload = self.buffer[9..9 + length].to_vec();
        self.buffer.drain(..9 + length);
        Ok((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
    }

    fn fill(&mut self, length: usize) -> std::io::Result<()> {
        let mut bytes = [0; 4096];
        while self.buffer.len() < length {
            match self.stream.read(&mut bytes)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                count => self.buffer.extend_from_slice(&bytes[..count]),
            }
        }
        Ok(())
    }
}

/// `:status`, which comes first: from the static table (RFC 7541 appendix A), or as three digits.
fn status(block: &[u8]) -> Option<u16> {
    // A change of the table's size may precede it.
    let block = &block[block.iter().position(|&byte| byte & 0xe0 != 0x20)?..];
    match *block.first()? {
        byte @ 0x88..=0x8e => Some([200, 204, 206, 304, 400, 404, 500][usize::from(byte - 0x88)]),
        0x08 | 0x18 | 0x48 => digits(block.get(1..)?),
        // Known from an answer before: the tests use a connection for one such status at most.
        _ => None,
    }
}

fn digits(literal: &[u8]) -> Option<u16> {
    let length = usize::from(literal.first()? & 0x7f);
    let bytes = literal.get(1..=length)?;
    if literal[0] & 0x80 == 0 {
        return std::str::from_utf8(bytes).ok()?.parse().ok();
    }
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let mut rest = bits.as_str();
    let mut number = 0;
    for _ in 0..3 {
        // RFC 7541 appendix B: 0 to 2 have five bits, the other digits six.
        let code = |length: usize| rest.get(..length).and_then(|bits| u16::from_str_radix(bits, 2).ok());
        let (digit, length) = match (code(5)?, code(6)?) {
            (short @ 0..=2, _) => (short, 5),
            (_, long @ 0x19..=0x1f) => (long - 0x19 + 3, 6),
            _ => return None,
        };
        (number, rest) = (number * 10 + digit, &rest[length..]);
    }
    Some(number)
}
