//! One line of the access log. It is written in two halves, because the request is long gone to
//! the backend when the response ends, and without the formatting machinery: it is paid by every request.

use std::time::Duration;

use http::{HeaderMap, header};

/// Writes JSON members into a byte buffer.
pub(super) struct Line<'a>(pub &'a mut Vec<u8>);

impl Line<'_> {
    pub(super) fn text(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.0.push(b'"');
        self.escaped(value);
        self.0.push(b'"');
    }

    pub(super) fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        self.decimal(value);
    }

    /// Milliseconds with three decimals.
    pub(super) fn milliseconds(&mut self, name: &str, value: Duration) {
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        self.name(name);
        self.decimal(micros / 1000);
        let rest = (micros % 1000) as u16;
        self.0.extend_from_slice(&[b'.', digit(rest / 100), digit(rest / 10 % 10), digit(rest % 10)]);
    }

    /// The header's value, if the request has it.
    pub(super) fn header(&mut self, name: &str, headers: &HeaderMap, header: header::HeaderName) {
        if let Some(value) = headers.get(header) {
            self.text(name, value.as_bytes());
        }
    }

    fn name(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn decimal(&mut self, mut value: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = digit((value % 10) as u16);
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.0.extend_from_slice(&digits[at..]);
    }

    /// JSON needs escapes for quotes, backslashes and controls; bytes past ASCII are taken as Latin-1,
    /// as header values are (RFC 9110 §5.5), so that the line is always valid JSON.
    fn escaped(&mut self, value: &[u8]) {
        // Without a branch per byte this is a few vector instructions.
        let odd = value.iter().fold(false, |odd, &b| odd | !(b' '..0x7f).contains(&b) | (b == b'"') | (b == b'\\'));
        if !odd {
            self.0.extend_from_slice(value);
            return;
        }
        const HEX: &[u8; 16] = b"0123456789abcdef";
        for &byte in value {
            match byte {
                b'"' | b'\\' => self.0.extend_from_slice(&[b'\\', byte]),
                b' '..0x7f => self.0.push(byte),
                _ => {
                    self.0.extend_from_slice(b"\\u00");
                    self.0.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                }
            }
        }
    }
}

fn digit(value: u16) -> u8 {
    b'0' + value as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_logged_is_json() {
        let mut buffer = Vec::new();
        let mut line = Line(&mut buffer);
        line.text("path", b"/a\"b\\c\x01\xe4");
        line.number("status", 0);
        line.number("bytes", u64::MAX);
        line.milliseconds("duration_ms", Duration::from_micros(12_034));
        buffer.push(b'}');
        let value: serde_json::Value = serde_json::from_slice(&buffer).expect("valid JSON");
        assert_eq!(value, serde_json::json!({"path": "/a\"b\\c\u{1}ä", "status": 0, "bytes": u64::MAX, "duration_ms": 12.034}));
    }
}
