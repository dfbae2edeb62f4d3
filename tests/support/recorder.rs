//! A backend that keeps every byte it receives, so that tests can tell what the proxy let through.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

#[derive(Clone)]
pub struct Recorder {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    open: Arc<AtomicUsize>,
}

/// What came in since it was last asked.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `METHOD target` of every request that came in whole.
    pub requests: Vec<String>,
    /// Every head, also of requests whose body broke off.
    pub heads: Vec<String>,
    /// Everything that no strict parser understands.
    pub nonsense: Vec<String>,
}

impl Recorder {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let recorder = Self { address: listener.local_addr().expect("address"), seen: Arc::default(), open: Arc::default() };
        let accepting = recorder.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let recorder = accepting.clone();
                recorder.open.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    let open = Arc::clone(&recorder.open);
                    Connection { stream, recorder, buffer: Vec::new() }.serve();
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        recorder
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("seen")
    }

    /// Connections of which not all was read.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// What came in, and forgets it.
    pub fn take(&self) -> Seen {
        std::mem::take(&mut self.seen())
    }
}

struct Connection {
    stream: TcpStream,
    recorder: Recorder,
    buffer: Vec<u8>,
}

impl Connection {
    /// Answers until the peer leaves or says what cannot be understood.
    fn serve(mut self) {
        while let Some(end) = self.head_end() {
            let head: Vec<u8> = self.buffer.drain(..end).collect();
            let shown = head.escape_ascii().to_string();
            self.recorder.seen().heads.push(shown.clone());
            let Some(head) = Head::parse(&head) else {
                self.recorder.seen().nonsense.push(shown);
                return;
            };
            let whole = match head.body {
                Body::Sized(length) => self.fill(length).map(|()| drop(self.buffer.drain(..length))),
                Body::Chunked => self.chunks(),
            };
            if whole.is_none() {
                return;
            }
            let body = if head.request.starts_with("HEAD ") { "" } else { "ok" };
            self.recorder.seen().requests.push(head.request);
            if write!(self.stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).is_err() {
                return;
            }
        }
        if !self.buffer.is_empty() {
            self.recorder.seen().nonsense.push(self.buffer.escape_ascii().to_string());
        }
    }

    fn more(&mut self) -> Option<()> {
        let mut bytes = [0; 16 * 1024];
        let count = self.stream.read(&mut bytes).ok().filter(|&count| count > 0)?;
        self.buffer.extend_from_slice(&bytes[..count]);
        Some(())
    }

    fn fill(&mut self, length: usize) -> Option<()> {
        while self.buffer.len() < length {
            self.more()?;
        }
        Some(())
    }

    /// The length of the head at the begin of the buffer. Any empty line ends it, however it is spelt.
    fn head_end(&mut self) -> Option<usize> {
        loop {
            let ends = |end: &[u8]| self.buffer.windows(end.len()).position(|bytes| bytes == end).map(|at| at + end.len());
            if let Some(end) = [ends(b"\r\n\r\n"), ends(b"\n\n"), ends(b"\n\r\n")].into_iter().flatten().min() {
                return Some(end);
            }
            self.more()?;
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=at).collect();
                return Some(line.strip_suffix(b"\r\n")?.escape_ascii().to_string());
            }
            self.more()?;
        }
    }

    /// `None` when the coding breaks off; what is wrong in it is noted.
    fn chunks(&mut self) -> Option<()> {
        loop {
            let line = self.line()?;
            let Ok(size) = usize::from_str_radix(&line, 16) else {
                self.recorder.seen().nonsense.push(line);
                return None;
            };
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Some(());
            }
            self.fill(size + 2)?;
            let data: Vec<u8> = self.buffer.drain(..size + 2).collect();
            if !data.ends_with(b"\r\n") {
                self.recorder.seen().nonsense.push(data.escape_ascii().to_string());
                return None;
            }
        }
    }
}

enum Body {
    Sized(usize),
    Chunked,
}

struct Head {
    request: String,
    body: Body,
}

impl Head {
    /// `None` when it is not as strict as a proxy must write it: RFC 9112 without any of its tolerance.
    fn parse(head: &[u8]) -> Option<Self> {
        let control = |&byte: &u8| byte < 0x20 && byte != b'\t' || byte == 0x7f;
        let mut lines = Vec::new();
        for line in head.strip_suffix(b"\r\n\r\n")?.split(|&byte| byte == b'\n') {
            lines.push(line.strip_suffix(b"\r").unwrap_or(line));
        }
        if head.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r') || lines.iter().copied().flatten().any(control) {
            return None;
        }
        let first = std::str::from_utf8(lines.first()?).ok()?;
        let words: Vec<&str> = first.split(' ').collect();
        let (length, chunked, hosts) = fields(&lines[1..])?;
        let body = match (length, chunked) {
            (Some(_), true) => return None,
            (_, true) => Body::Chunked,
            (length, false) => Body::Sized(length.unwrap_or(0)),
        };
        let proper = words.len() == 3 && words[2] == "HTTP/1.1" && hosts == 1;
        proper.then(|| Self { request: format!("{} {}", words[0], words[1]), body })
    }
}

/// Content-Length, whether it is chunked, and how many Hosts there are.
fn fields(lines: &[&[u8]]) -> Option<(Option<usize>, bool, usize)> {
    let (mut length, mut chunked, mut hosts) = (None, false, 0);
    for line in lines {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let name = std::str::from_utf8(&line[..colon]).ok()?.to_ascii_lowercase();
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            return None;
        }
        let value = String::from_utf8_lossy(line[colon + 1..].trim_ascii()).into_owned();
        match name.as_str() {
            "host" => hosts += 1,
            "content-length" if length.replace(value.parse::<usize>().ok()?).is_some() => return None,
            "transfer-encoding" if value != "chunked" || std::mem::replace(&mut chunked, true) => return None,
            _ => {}
        }
    }
    Some((length, chunked, hosts))
}
