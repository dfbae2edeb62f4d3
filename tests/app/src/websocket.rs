//! A WebSocket echo (RFC 6455): handshake, data frames sent back as they came, ping, close.

use std::io::{self, Read, Write};
use std::time::Duration;

use base64::Engine as _;
use sha1::{Digest as _, Sha1};

use crate::endpoints::App;
use crate::http::{Connection, Framing, Request};

/// RFC 6455, section 1.3.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Larger frames end the conversation: nobody tests with them.
const FRAME_LIMIT: u64 = 16 * 1024 * 1024;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
/// Close code 1001, "going away".
const GOING_AWAY: [u8; 2] = 1001_u16.to_be_bytes();

struct Frame {
    /// FIN, the reserved bits and the opcode, as they came.
    first: u8,
    payload: Vec<u8>,
}

impl Frame {
    fn opcode(&self) -> u8 {
        self.first & 0x0F
    }
}

/// Echoes until the client closes, or says "going away" when the app stops.
pub fn echo(connection: &mut Connection, request: &Request, app: &App) -> io::Result<()> {
    let Some(key) = request.header("sec-websocket-key") else {
        return connection.head("426 Upgrade Required", &["Upgrade: websocket".to_owned()], Framing::Length(0));
    };
    let headers = [
        "Upgrade: websocket".to_owned(),
        "Connection: Upgrade".to_owned(),
        format!("Sec-WebSocket-Accept: {}", accept_key(key)),
        format!("X-Version: {}", app.settings.version),
        format!("X-Replica: {}", app.settings.replica),
        format!("X-Deployment: {}", app.settings.deployment),
    ];
    connection.bare_head("101 Switching Protocols", &headers)?;
    let (reader, writer) = connection.raw();
    loop {
        // Between two frames a short timeout lets us look whether the app stops; within one the peer gets its time.
        reader.get_ref().set_read_timeout(Some(Duration::from_millis(100)))?;
        let mut first = [0];
        match reader.read(&mut first) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                if app.stopping() {
                    return write_frame(writer, 0x80 | CLOSE, &GOING_AWAY);
                }
                continue;
            }
            Err(error) => return Err(error),
        }
        reader.get_ref().set_read_timeout(Some(Duration::from_secs(30)))?;
        let frame = read_frame(first[0], reader)?;
        match frame.opcode() {
            CLOSE => return write_frame(writer, frame.first, &frame.payload),
            PING => write_frame(writer, 0x80 | PONG, &frame.payload)?,
            PONG => {}
            _ => write_frame(writer, frame.first, &frame.payload)?,
        }
    }
}

/// The value of `Sec-WebSocket-Accept` (RFC 6455, section 4.2.2).
fn accept_key(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(MAGIC.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(hash.finalize())
}

/// Reads the rest of a client's frame, which is always masked (RFC 6455, section 5.2).
fn read_frame(first: u8, reader: &mut impl Read) -> io::Result<Frame> {
    let second = bytes::<1>(reader)?[0];
    let length = match second & 0x7F {
        126 => u64::from(u16::from_be_bytes(bytes(reader)?)),
        127 => u64::from_be_bytes(bytes(reader)?),
        short => u64::from(short),
    };
    if length > FRAME_LIMIT || second & 0x80 == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a frame that a client may send"));
    }
    let mask: [u8; 4] = bytes(reader)?;
    let mut payload = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    reader.read_exact(&mut payload)?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok(Frame { first, payload })
}

fn write_frame(writer: &mut impl Write, first: u8, payload: &[u8]) -> io::Result<()> {
    writer.write_all(&[first])?;
    match payload.len() {
        short @ 0..126 => writer.write_all(&[u8::try_from(short).unwrap_or(0)])?,
        medium @ 126..=0xFFFF => {
            writer.write_all(&[126])?;
            writer.write_all(&u16::try_from(medium).unwrap_or(0).to_be_bytes())?;
        }
        long => {
            writer.write_all(&[127])?;
            writer.write_all(&(long as u64).to_be_bytes())?;
        }
    }
    writer.write_all(payload)?;
    writer.flush()
}

fn bytes<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_of_the_rfc() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_masked_frame_comes_back_unmasked() {
        // "Hello", masked: RFC 6455, section 5.7.
        let masked = [0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let frame = read_frame(0x81, &mut masked.as_slice()).unwrap();
        assert_eq!((frame.opcode(), frame.payload.as_slice()), (1, b"Hello".as_slice()));
        let mut out = Vec::new();
        write_frame(&mut out, frame.first, &frame.payload).unwrap();
        assert_eq!(out, [0x81, 0x05, b'H', b'e', b'l', b'l', b'o']);
    }

    #[test]
    fn long_frames_keep_their_length() {
        for size in [125_usize, 126, 65_535, 65_536] {
            let mut out = Vec::new();
            write_frame(&mut out, 0x82, &vec![7; size]).unwrap();
            let prefix = if size < 126 {
                2
            } else if size < 65_536 {
                4
            } else {
                10
            };
            assert_eq!(out.len(), size + prefix);
        }
    }
}
