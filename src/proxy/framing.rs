//! Where each HTTP/1 request in a byte stream begins and ends, strictly.
//!
//! hyper is lenient where RFC 9112 lets a server be (a message with both Content-Length and
//! Transfer-Encoding is read by the latter, and nothing of it can be seen afterwards). A proxy that
//! passes such a message on helps request smuggling, so every byte is followed here first, and
//! what two parsers could read differently is refused. This must never be more lenient than hyper.

use memchr::{memchr, memchr_iter};

/// Follows one connection's request bytes. Knows nothing of sockets.
#[derive(Debug)]
pub(super) struct Framing {
    state: State,
    /// The begin of a head that is not complete yet.
    head: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// Bytes of a sized body, or of a chunk with its CRLF, that are still to come.
    Sized(u64),
    Chunked(Chunk),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    /// In the line with the size; digits seen.
    Size {
        size: u64,
        digits: u8,
    },
    /// In the line with the size, past its digits.
    Extension {
        size: u64,
    },
    SizeLf {
        size: u64,
    },
    Data(u64),
    DataCr,
    DataLf,
    /// In the trailer section: at the begin of a line, inside one, after a line's CR, after the last CR.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
}

/// A message that two parsers could read differently, or that is none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ambiguous {
    /// How many of the fed bytes come before it: before its head, or before the byte of its body that is wrong.
    pub after: usize,
    pub in_head: bool,
}

/// What a feed saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// A head is begun and not complete: its deadline runs.
    pub in_head: bool,
}

impl Framing {
    /// A head that does not end is kept as long as hyper reads on, which its own limit bounds.
    pub(super) fn new() -> Self {
        Self { state: State::Head, head: Vec::new() }
    }

    /// Follows `bytes`, which continue what was fed before.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Progress, Ambiguous> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            at += match self.state {
                State::Head => self.feed_head(rest).map_err(|()| Ambiguous { after: at, in_head: true })?,
                State::Sized(left) => {
                    let taken = left.min(rest.len() as u64);
                    self.state = if left == taken { State::Head } else { State::Sized(left - taken) };
                    taken as usize
                }
                State::Chunked(chunk) => {
                    let (next, taken) = chunk.feed(rest).ok_or(Ambiguous { after: at, in_head: false })?;
                    self.state = next;
                    taken
                }
            };
        }
        Ok(Progress { in_head: !self.head.is_empty() })
    }

    /// Whether no message is begun and not complete.
    pub(super) fn is_between(&self) -> bool {
        self.state == State::Head && self.head.is_empty()
    }

    /// Takes bytes of a head; returns how many.
    fn feed_head(&mut self, bytes: &[u8]) -> Result<usize, ()> {
        if self.head.is_empty() {
            if matches!(bytes[0], b'\r' | b'\n') {
                // Empty lines before a request line are skipped (RFC 9112 §2.2).
                return Ok(1);
            }
            return match Head::parse(bytes)? {
                Some(head) => {
                    self.state = head.body;
                    Ok(head.length)
                }
                None => {
                    self.head.extend_from_slice(bytes);
                    Ok(bytes.len())
                }
            };
        }
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        if !completes(&self.head, before)? {
            return Ok(bytes.len());
        }
        let Some(head) = Head::parse(&self.head)? else { return Ok(bytes.len()) };
        self.state = head.body;
        self.head.clear();
        Ok(head.length - before)
    }
}

/// Whether the empty line is in `head`, of which only the part from `from` on is new: a head that
/// drips in byte by byte is not parsed anew each time.
fn completes(head: &[u8], from: usize) -> Result<bool, ()> {
    for lf in memchr_iter(b'\n', &head[from..]) {
        let line = head[..from + lf].strip_suffix(b"\r").ok_or(())?;
        if line.ends_with(b"\r\n") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A complete head: its length with the empty line, and how its body is framed.
struct Head {
    length: usize,
    body: State,
}

impl Head {
    /// `None` while the empty line is missing.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, ()> {
        let mut length = None;
        let mut chunked = false;
        let mut at = 0;
        loop {
            let Some(lf) = memchr(b'\n', &bytes[at..]) else { return Ok(None) };
            let line = bytes[at..at + lf].strip_suffix(b"\r").ok_or(())?;
            let first = at == 0;
            at += lf + 1;
            if line.is_empty() {
                break;
            }
            if first {
                continue;
            }
            match line[0] {
                // A folded line (RFC 9112 §5.2) hides what the line above it says.
                b' ' | b'\t' => return Err(()),
                b'c' | b'C' => {
                    if let Some(value) = field(line, b"content-length") {
                        let value = digits(value).ok_or(())?;
                        if length.replace(value).is_some_and(|before| before != value) {
                            return Err(());
                        }
                    }
                }
                b't' | b'T' => {
                    if let Some(value) = field(line, b"transfer-encoding") {
                        if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                            return Err(());
                        }
                        chunked = true;
                    }
                }
                _ => {}
            }
        }
        let body = match (chunked, length) {
            (true, Some(_)) => return Err(()),
            (true, None) => State::Chunked(Chunk::Size { size: 0, digits: 0 }),
            (false, Some(0) | None) => State::Head,
            (false, Some(length)) => State::Sized(length),
        };
        Ok(Some(Self { length: at, body }))
    }
}

/// The line's value when it is the field `name` (lower case). White space before the colon, which
/// some parsers skip and some do not, counts as the field, so that the value is looked at.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (begin, rest) = line.split_at_checked(name.len())?;
    if !begin.eq_ignore_ascii_case(name) {
        return None;
    }
    rest.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii)
}

fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

impl Chunk {
    /// Takes some bytes; `None` when they are no chunked coding (RFC 9112 §7.1).
    fn feed(self, bytes: &[u8]) -> Option<(State, usize)> {
        let byte = bytes[0];
        let next = match self {
            Self::Size { size, digits } => match (char::from(byte).to_digit(16), byte) {
                (Some(digit), _) if digits < 15 => Self::Size { size: size * 16 + u64::from(digit), digits: digits + 1 },
                (None, b'\r') if digits > 0 => Self::SizeLf { size },
                (None, b';' | b' ' | b'\t') if digits > 0 => Self::Extension { size },
                _ => return None,
            },
            Self::Extension { size } => match byte {
                b'\r' => Self::SizeLf { size },
                b'\n' | 0 => return None,
                _ => self,
            },
            Self::SizeLf { size } if byte == b'\n' => match size {
                0 => Self::TrailerStart,
                size => Self::Data(size),
            },
            Self::Data(left) => {
                let taken = left.min(bytes.len() as u64);
                let next = if left == taken { Self::DataCr } else { Self::Data(left - taken) };
                return Some((State::Chunked(next), taken as usize));
            }
            Self::DataCr if byte == b'\r' => Self::DataLf,
            Self::DataLf if byte == b'\n' => Self::Size { size: 0, digits: 0 },
            Self::TrailerStart => match byte {
                b'\r' => Self::EndLf,
                b'\n' | b' ' | b'\t' | 0 => return None,
                _ => Self::Trailer,
            },
            Self::Trailer => match byte {
                b'\r' => Self::TrailerLf,
                b'\n' | 0 => return None,
                _ => self,
            },
            Self::TrailerLf if byte == b'\n' => Self::TrailerStart,
            Self::EndLf if byte == b'\n' => return Some((State::Head, 1)),
            _ => return None,
        };
        Some((State::Chunked(next), 1))
    }
}

#[cfg(test)]
#[path = "framing/tests.rs"]
mod tests;
