//! A small HTTP/1.1 client over any stream: GET, a status, two headers, the body thrown away.

use std::io::{self, BufRead as _, BufReader, Read, Write};

/// One connection.
pub struct Line<S> {
    stream: BufReader<S>,
    host: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The `x-version` header of the test app.
    pub version: String,
    /// The server will not take another request on this connection.
    pub last: bool,
}

impl<S: Read + Write> Line<S> {
    pub fn new(stream: S, host: &str) -> Self {
        Self { stream: BufReader::new(stream), host: host.to_owned() }
    }

    /// Sends a GET and reads the whole answer.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.stream.get_mut().flush()?;
        let mut answer = Answer { status: self.status()?, ..Answer::default() };
        let mut length = None;
        let mut chunked = false;
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            match (name.to_ascii_lowercase().as_str(), value.trim()) {
                ("x-version", version) => answer.version = version.to_owned(),
                ("connection", value) => answer.last = value.eq_ignore_ascii_case("close"),
                ("content-length", value) => length = Some(value.parse().map_err(io::Error::other)?),
                ("transfer-encoding", _) => chunked = true,
                _ => {}
            }
        }
        match length {
            _ if chunked => self.skip_chunks()?,
            Some(length) => self.skip(length)?,
            None => {
                io::copy(&mut self.stream, &mut io::sink())?;
                answer.last = true;
            }
        }
        Ok(answer)
    }

    fn status(&mut self) -> io::Result<u16> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        status.ok_or_else(|| io::Error::other(format!("not a status line: {line:?}")))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed without an answer"));
        }
        Ok(line.trim_end().to_owned())
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        let read = io::copy(&mut (&mut self.stream).take(length), &mut io::sink())?;
        if read == length { Ok(()) } else { Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body was cut short")) }
    }

    fn skip_chunks(&mut self) -> io::Result<()> {
        loop {
            let size = u64::from_str_radix(self.line()?.trim(), 16).map_err(io::Error::other)?;
            self.skip(size)?;
            // The line end after a chunk, or the empty line after the last.
            self.line()?;
            if size == 0 {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that gives a fixed answer.
    struct Canned(io::Cursor<&'static str>);

    impl Read for Canned {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Canned {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn answers(text: &'static str) -> Vec<Result<(u16, String), String>> {
        let mut line = Line::new(Canned(io::Cursor::new(text)), "a.test");
        let mut get = || line.get("/").map(|answer| (answer.status, answer.version)).map_err(|error| error.to_string());
        vec![get(), get()]
    }

    #[test]
    fn answers_follow_each_other_on_one_connection() {
        let two = "HTTP/1.1 200 OK\r\nX-Version: v1\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        assert_eq!(answers(two), [Ok((200, "v1".to_owned())), Ok((503, String::new()))]);
    }

    #[test]
    fn a_cut_answer_is_an_error() {
        assert_eq!(answers("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")[0], Err("the body was cut short".to_owned()));
        assert_eq!(answers("")[0], Err("the connection was closed without an answer".to_owned()));
    }
}
