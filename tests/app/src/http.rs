//! Just enough HTTP/1.1 (RFC 9112) to serve: heads, bodies with a length or in chunks, trailers.

use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write};
use std::net::TcpStream;

const HEAD_LIMIT: u64 = 256 * 1024;

pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    /// The head as it came.
    pub head: String,
    keep_alive: bool,
}

impl Request {
    fn parse(head: String) -> io::Result<Self> {
        let mut lines = head.lines();
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
            return Err(invalid("request line"));
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let connection = find(&headers, "connection").unwrap_or_default().to_ascii_lowercase();
        let keep_alive = if version == "HTTP/1.1" { !connection.contains("close") } else { connection.contains("keep-alive") };
        let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
        Ok(Self { method, path, query, headers, head, keep_alive })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The whole number that the query gives to `key`.
    pub fn number(&self, key: &str, default: u64) -> u64 {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(name, _)| *name == key).find_map(|(_, value)| value.parse().ok()).unwrap_or(default)
    }

    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }
}

/// How a response's body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
}

/// What is left of the present request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remaining {
    Length(u64),
    /// Bytes left in the present chunk.
    Chunked(u64),
    Done,
}

pub struct Connection {
    reader: BufReader<TcpStream>,
    writer: BufWriter<TcpStream>,
    body: Remaining,
    /// The client waits for `100 Continue` before it sends the body.
    expects_continue: bool,
}

impl Connection {
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        let writer = BufWriter::with_capacity(64 * 1024, stream.try_clone()?);
        Ok(Self { reader: BufReader::with_capacity(64 * 1024, stream), writer, body: Remaining::Done, expects_continue: false })
    }

    /// The next request's head; none when the peer has closed between two requests.
    pub fn next_request(&mut self) -> io::Result<Option<Request>> {
        let mut head = String::new();
        loop {
            let read = (&mut self.reader).take(HEAD_LIMIT.saturating_sub(head.len() as u64)).read_line(&mut head)?;
            match read {
                0 if head.is_empty() => return Ok(None),
                0 => return Err(invalid("head")),
                _ if head == "\r\n" => head.clear(),
                _ if head.ends_with("\r\n\r\n") => break,
                _ => {}
            }
        }
        let request = Request::parse(head)?;
        self.body = if request.header("transfer-encoding").is_some() {
            Remaining::Chunked(0)
        } else {
            match request.header("content-length") {
                Some(length) => Remaining::Length(length.parse().map_err(|_| invalid("content-length"))?),
                None => Remaining::Done,
            }
        };
        self.expects_continue = request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
        Ok(Some(request))
    }

    /// The length of the request's body, when it is known beforehand.
    pub fn body_length(&self) -> Option<u64> {
        match self.body {
            Remaining::Length(length) => Some(length),
            Remaining::Done => Some(0),
            Remaining::Chunked(_) => None,
        }
    }

    /// The next piece of the request's body; 0 at its end.
    pub fn read_body(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.expects_continue && self.body != Remaining::Done {
            self.expects_continue = false;
            self.writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            self.writer.flush()?;
        }
        if self.body == Remaining::Chunked(0) {
            self.begin_chunk()?;
        }
        let (left, rest): (u64, fn(u64) -> Remaining) = match self.body {
            Remaining::Done | Remaining::Length(0) => return Ok(0),
            Remaining::Length(left) => (left, Remaining::Length),
            Remaining::Chunked(left) => (left, Remaining::Chunked),
        };
        let read = (&mut self.reader).take(left).read(buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let left = left - read as u64;
        self.body = rest(left);
        if left == 0 && self.body == Remaining::Chunked(0) {
            self.line()?;
        }
        Ok(read)
    }

    /// Reads a chunk's size line, and the trailers after the last chunk.
    fn begin_chunk(&mut self) -> io::Result<()> {
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| invalid("chunk size"))?;
        self.body = Remaining::Chunked(size);
        if size == 0 {
            while !self.line()?.is_empty() {}
            self.body = Remaining::Done;
        }
        Ok(())
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if (&mut self.reader).take(HEAD_LIMIT).read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Writes a response's head; `headers` are whole lines without their line ends.
    pub fn head(&mut self, status: &str, headers: &[String], framing: Framing) -> io::Result<()> {
        write!(self.writer, "HTTP/1.1 {status}\r\n")?;
        for line in headers {
            write!(self.writer, "{line}\r\n")?;
        }
        match framing {
            Framing::Length(length) => write!(self.writer, "Content-Length: {length}\r\n\r\n"),
            Framing::Chunked => write!(self.writer, "Transfer-Encoding: chunked\r\n\r\n"),
        }
    }

    /// Writes a head that has no body: 1xx, 101.
    pub fn bare_head(&mut self, status: &str, headers: &[String]) -> io::Result<()> {
        write!(self.writer, "HTTP/1.1 {status}\r\n")?;
        for line in headers {
            write!(self.writer, "{line}\r\n")?;
        }
        self.writer.write_all(b"\r\n")?;
        self.writer.flush()
    }

    pub fn chunk(&mut self, data: &[u8]) -> io::Result<()> {
        write!(self.writer, "{:x}\r\n", data.len())?;
        self.writer.write_all(data)?;
        self.writer.write_all(b"\r\n")?;
        self.writer.flush()
    }

    pub fn last_chunk(&mut self, trailers: &[&str]) -> io::Result<()> {
        self.writer.write_all(b"0\r\n")?;
        for line in trailers {
            write!(self.writer, "{line}\r\n")?;
        }
        self.writer.write_all(b"\r\n")
    }

    pub fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.writer.write_all(data)
    }

    /// Reads what the handler left of the body, so that the next request is found, and sends all that was written.
    pub fn finish(&mut self) -> io::Result<()> {
        self.writer.flush()?;
        // Who was never told to go on does not send the body.
        if self.expects_continue && self.body != Remaining::Done {
            return Err(invalid("body that was not waited for"));
        }
        let mut rest = [0; 8192];
        while self.read_body(&mut rest)? > 0 {}
        Ok(())
    }

    /// The connection as bytes, for protocols that take over after `101 Switching Protocols`.
    pub fn raw(&mut self) -> (&mut BufReader<TcpStream>, &mut impl Write) {
        (&mut self.reader, &mut self.writer)
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not a valid {what}"))
}
