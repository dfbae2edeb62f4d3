//! What each path answers. Every answer says which version, replica and deployment gave it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::{Connection, Framing, Request};
use crate::settings::Settings;
use crate::{say, websocket};

#[derive(Clone)]
pub struct App {
    pub settings: Arc<Settings>,
    pub stop: Arc<AtomicBool>,
    pub born: Instant,
}

impl App {
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn healthy(&self) -> bool {
        self.settings.healthy && self.born.elapsed() >= self.settings.health_delay
    }
}

/// What happens to the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    Keep,
    Close,
}

/// One answer under way.
struct Answer<'a> {
    connection: &'a mut Connection,
    request: &'a Request,
    app: &'a App,
    after: After,
}

/// Answers one request.
pub fn answer(connection: &mut Connection, request: &Request, app: &App) -> io::Result<After> {
    let after = if request.keep_alive() && !app.stopping() { After::Keep } else { After::Close };
    let mut answer = Answer { connection, request, app, after };
    match request.path.as_str() {
        "/" => answer.text("200 OK", &format!("version {}\n", app.settings.version)),
        "/health" => answer.health(),
        "/slow" => answer.slow(),
        "/bytes" => answer.bytes(),
        "/chunks" => answer.chunks(),
        "/sse" => answer.events(),
        "/echo" => answer.echo(),
        "/headers" => answer.text("200 OK", &request.head),
        "/ws" => return websocket::echo(answer.connection, request, app).map(|()| After::Close),
        "/exit" => answer.exit(),
        "/big-header" => answer.big_header(),
        "/early-hints" => answer.early_hints(),
        "/trailers" => answer.trailers(),
        _ => answer.text("404 Not Found", "no such path\n"),
    }?;
    Ok(answer.after)
}

impl Answer<'_> {
    /// Writes the head. The body follows unless this says that nobody wants it (HEAD).
    fn head(&mut self, status: &str, extra: &[String], framing: Framing) -> io::Result<bool> {
        let settings = &self.app.settings;
        let mut headers = vec![
            format!("X-Version: {}", settings.version),
            format!("X-Replica: {}", settings.replica),
            format!("X-Deployment: {}", settings.deployment),
        ];
        if self.after == After::Close {
            headers.push("Connection: close".to_owned());
        }
        headers.extend_from_slice(extra);
        self.connection.head(status, &headers, framing)?;
        Ok(self.request.method != "HEAD")
    }

    fn text(&mut self, status: &str, body: &str) -> io::Result<()> {
        let kind = ["Content-Type: text/plain".to_owned()];
        if self.head(status, &kind, Framing::Length(body.len() as u64))? {
            self.connection.write(body.as_bytes())?;
        }
        Ok(())
    }

    fn health(&mut self) -> io::Result<()> {
        if self.app.healthy() { self.text("200 OK", "ok\n") } else { self.text("503 Service Unavailable", "not ready yet\n") }
    }

    /// `?ms=`: answers after that long.
    fn slow(&mut self) -> io::Result<()> {
        thread::sleep(Duration::from_millis(self.request.number("ms", 1000)));
        self.text("200 OK", &format!("version {}\n", self.app.settings.version))
    }

    /// `?n=`: that many bytes, with a length.
    fn bytes(&mut self) -> io::Result<()> {
        const BLOCK: [u8; 16 * 1024] = [b'x'; 16 * 1024];
        let mut left = self.request.number("n", 1024);
        let kind = ["Content-Type: application/octet-stream".to_owned()];
        if !self.head("200 OK", &kind, Framing::Length(left))? {
            return Ok(());
        }
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK.len());
            self.connection.write(&BLOCK[..piece])?;
            left -= piece as u64;
        }
        Ok(())
    }

    /// `?n=&ms=`: n chunks, one each ms.
    fn chunks(&mut self) -> io::Result<()> {
        self.stream("text/plain", |number| format!("chunk {number}\n"))
    }

    /// `?n=&ms=`: n server-sent events, one each ms.
    fn events(&mut self) -> io::Result<()> {
        let version = self.app.settings.version.clone();
        self.stream("text/event-stream", |number| format!("id: {number}\ndata: {version}\n\n"))
    }

    fn stream(&mut self, kind: &str, piece: impl Fn(u64) -> String) -> io::Result<()> {
        let pause = Duration::from_millis(self.request.number("ms", 100));
        let headers = [format!("Content-Type: {kind}"), "Cache-Control: no-cache".to_owned()];
        if !self.head("200 OK", &headers, Framing::Chunked)? {
            return Ok(());
        }
        for number in 1..=self.request.number("n", 10) {
            self.connection.chunk(piece(number).as_bytes())?;
            thread::sleep(pause);
        }
        self.connection.last_chunk(&[])
    }

    /// Sends the request's body back while it still comes in, framed as it came.
    fn echo(&mut self) -> io::Result<()> {
        let framing = self.connection.body_length().map_or(Framing::Chunked, Framing::Length);
        let kind = self.request.header("content-type").unwrap_or("application/octet-stream");
        let wanted = self.head("200 OK", &[format!("Content-Type: {kind}")], framing)?;
        let mut piece = vec![0; 16 * 1024];
        loop {
            match self.connection.read_body(&mut piece)? {
                0 => break,
                _ if !wanted => {}
                read if framing == Framing::Chunked => self.connection.chunk(&piece[..read])?,
                read => self.connection.write(&piece[..read])?,
            }
        }
        if wanted && framing == Framing::Chunked { self.connection.last_chunk(&[]) } else { Ok(()) }
    }

    /// `?code=`: the process leaves with this code, without an answer.
    fn exit(&mut self) -> io::Result<()> {
        let code = i32::try_from(self.request.number("code", 1)).unwrap_or(1);
        say(&format!("exiting with code {code} as asked"));
        std::process::exit(code);
    }

    /// `?n=`: one header with a value of that many bytes.
    fn big_header(&mut self) -> io::Result<()> {
        let size = usize::try_from(self.request.number("n", 8192)).unwrap_or(8192);
        if self.head("200 OK", &[format!("X-Big: {}", "b".repeat(size))], Framing::Length(4))? {
            self.connection.write(b"big\n")?;
        }
        Ok(())
    }

    /// An informational answer (RFC 8297) before the final one.
    fn early_hints(&mut self) -> io::Result<()> {
        self.connection.bare_head("103 Early Hints", &["Link: </style.css>; rel=preload; as=style".to_owned()])?;
        self.text("200 OK", "hinted\n")
    }

    fn trailers(&mut self) -> io::Result<()> {
        if self.head("200 OK", &["Trailer: X-Checksum".to_owned()], Framing::Chunked)? {
            self.connection.chunk(b"with trailers\n")?;
            self.connection.last_chunk(&["X-Checksum: 14-bytes"])?;
        }
        Ok(())
    }
}
