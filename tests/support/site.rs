//! A server of a test: its directories, and the daemon that runs on them as a process of its own.

use std::borrow::BorrowMut;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Nothing of these tests takes so long unless it hangs.
pub const SOON: Duration = Duration::from_secs(30);

/// Directories of a server, gone at the end of the test.
pub struct Site {
    directory: tempfile::TempDir,
}

impl Site {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("temporary directory") }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn config(&self) -> PathBuf {
        self.path().join("config")
    }

    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Writes a file below the site, with its folders.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("create folder");
        std::fs::write(&path, contents).expect("write file");
        path
    }

    /// Keeps a last-known-good table with these routes.
    pub fn routes(&self, routes: &[Value]) {
        self.write("data/proxy.json", json!({ "routes": routes, "redirects": {} }).to_string());
    }

    /// One of the binary's programs in an environment that knows nothing of this machine.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_haloy"));
        command.arg0(name).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path()).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// `haloyd` without a word about where things are.
    pub fn bare(&self) -> Command {
        let mut command = self.program("haloyd");
        command.env("DOCKER_HOST", format!("unix://{}", self.path().join("no.sock").display()));
        command
    }

    /// `haloyd` on this site and on free ports.
    pub fn haloyd(&self) -> Command {
        self.haloyd_with(&[])
    }

    /// `haloyd` on this site with some addresses of its own and the rest on free ports.
    pub fn haloyd_with(&self, flags: &[&str]) -> Command {
        let mut command = self.bare();
        command.arg("--config-dir").arg(self.config()).arg("--data-dir").arg(self.data());
        for address in ["--http-addr", "--https-addr", "--api-addr"] {
            if !flags.contains(&address) {
                command.args([address, "127.0.0.1:0"]);
            }
        }
        command.args(flags);
        command
    }

    /// `haloyd` on this site, started by a shell that runs `script` first.
    pub fn haloyd_after(&self, script: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", &format!("{script}\nexec \"$@\""), "sh", env!("CARGO_BIN_EXE_haloy"), "daemon"]);
        let haloyd = self.haloyd();
        command.args(haloyd.get_args()).current_dir(self.path()).stdin(Stdio::null());
        command.env_clear().envs(haloyd.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }

    pub fn start(&self) -> Haloyd {
        Haloyd::start(&mut self.haloyd())
    }

    /// A new API token.
    pub fn token(&self) -> String {
        // The sign of a machine that is set up.
        if !self.config().join("haloyd.yaml").exists() {
            self.write("config/haloyd.yaml", "");
        }
        let mut command = self.program("haloyadm");
        command.args(["api", "token", "--json", "--config-dir"]).arg(self.config()).arg("--data-dir").arg(self.data());
        let output = command.output().expect("the binary starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        printed["token"].as_str().expect("a token").to_owned()
    }
}

/// A route of the last-known-good table.
pub fn route(host: &str, backend: SocketAddr, redirect_to_https: bool) -> Value {
    json!({
        "name": host.split('.').next(),
        "hosts": [host],
        "path_prefix": "/",
        "policy": { "redirect_to_https": redirect_to_https, "response_timeout": { "secs": 60, "nanos": 0 } },
        "groups": [{ "weight": 1, "backends": [{ "id": format!("{host}-1"), "address": backend }] }],
    })
}

/// A daemon that runs; killed when it is dropped.
pub struct Haloyd {
    child: Child,
    log: Arc<Log>,
    reader: Option<JoinHandle<()>>,
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub api: SocketAddr,
}

/// What a daemon has said so far.
#[derive(Default)]
struct Log {
    text: Mutex<(String, bool)>,
    grew: Condvar,
}

/// How a daemon ended.
#[derive(Debug)]
pub struct End {
    pub code: Option<i32>,
    pub log: String,
}

impl Haloyd {
    /// Starts it and waits until it serves.
    pub fn start(command: &mut Command) -> Self {
        let haloyd = Self::spawn(command);
        haloyd.says("haloyd serves");
        haloyd.with_addresses()
    }

    /// Starts it and waits for nothing.
    pub fn spawn(mut command: impl BorrowMut<Command>) -> Self {
        let command = command.borrow_mut();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let log = Arc::<Log>::default();
        let reader = thread::spawn({
            let (pipe, log) = (child.stderr.take().expect("piped"), Arc::clone(&log));
            move || log.follow(pipe)
        });
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Self { child, log, reader: Some(reader), http: nowhere, https: nowhere, api: nowhere }
    }

    /// Knows where it listens, which it has said.
    pub fn with_addresses(mut self) -> Self {
        let log = self.log();
        let address = |key: &str| {
            let (_, after) = log.split_once(key).unwrap_or_else(|| panic!("{key} is missing in:\n{log}"));
            let end = after.find([']', ',', '\n', ' ']).unwrap_or(after.len());
            after[..end].parse().unwrap_or_else(|_| panic!("{key} is no address in:\n{log}"))
        };
        (self.http, self.https, self.api) = (address(" http=["), address(" https=["), address(" api="));
        self
    }

    pub fn log(&self) -> String {
        self.log.text.lock().expect("log").0.clone()
    }

    /// Waits until the log has this text.
    #[track_caller]
    pub fn says(&self, text: &str) {
        let log = self.log.text.lock().expect("log");
        let waits = |log: &mut (String, bool)| !log.0.contains(text) && !log.1;
        let (log, _) = self.log.grew.wait_timeout_while(log, SOON, waits).expect("log");
        assert!(log.0.contains(text), "`{text}` was never said, only:\n{}", log.0);
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is there");
    }

    /// Whether it has not ended.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_none()
    }

    /// Waits for the end.
    #[track_caller]
    pub fn ends(mut self) -> End {
        let deadline = Instant::now() + SOON;
        let status = loop {
            match self.child.try_wait().expect("wait") {
                Some(status) => break status,
                None if Instant::now() > deadline => panic!("it does not end:\n{}", self.log()),
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the log is text");
        }
        End { code: status.code(), log: self.log() }
    }

    /// Tells it to stop; it must do so without complaint.
    #[track_caller]
    pub fn stops(self) {
        self.signal(Signal::TERM);
        let end = self.ends();
        assert_eq!(end.code, Some(0), "{}", end.log);
        assert!(!end.log.contains("panicked"), "{}", end.log);
    }

    /// Resident memory in KiB.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process is there");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Asks the API, with or without a token.
    pub fn ask(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> Answer {
        let stream = TcpStream::connect(self.api).expect("the API accepts");
        stream.set_read_timeout(Some(SOON)).expect("timeout");
        ask(stream, method, path, token, body)
    }

    /// Asks the API on its Unix socket, which needs no token.
    pub fn ask_socket(&self, site: &Site, method: &str, path: &str) -> Answer {
        let stream = UnixStream::connect(site.data().join("api.sock")).expect("the API accepts");
        stream.set_read_timeout(Some(SOON)).expect("timeout");
        ask(stream, method, path, None, "")
    }

    /// What `/v1/health` says of the engine.
    pub fn engine(&self) -> String {
        let answer = self.ask("GET", "/v1/health", None, "");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["engine"].as_str().expect("a word").to_owned()
    }

    /// A plain GET through the proxy.
    pub fn get(&self, host: &str, path: &str) -> Answer {
        let mut stream = TcpStream::connect(self.http).expect("the proxy accepts");
        stream.set_read_timeout(Some(SOON)).expect("timeout");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("write");
        Answer::read(stream)
    }
}

impl Drop for Haloyd {
    fn drop(&mut self) {
        // Fails only when it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Log {
    fn follow(&self, pipe: impl Read) {
        let mut reader = BufReader::new(pipe);
        let mut line = String::new();
        while reader.read_line(&mut line).expect("the log is text") > 0 {
            self.text.lock().expect("log").0.push_str(&line);
            self.grew.notify_all();
            line.clear();
        }
        self.text.lock().expect("log").1 = true;
        self.grew.notify_all();
    }
}

/// An answer, read until the peer closed.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// One request to the API over any stream.
pub fn ask(mut stream: impl Read + Write, method: &str, path: &str, token: Option<&str>, body: &str) -> Answer {
    let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{token}Connection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    // It may be refused before all is written.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    Answer::read(stream)
}

impl Answer {
    pub fn read(mut stream: impl Read) -> Self {
        let mut bytes = Vec::new();
        // A reset after the answer is an answer.
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Waits until the value is what is expected, or fails with what it was at last.
#[track_caller]
pub fn eventually<T: PartialEq + std::fmt::Debug>(expected: T, mut value: impl FnMut() -> T) {
    let deadline = Instant::now() + SOON;
    loop {
        let now = value();
        if now == expected {
            return;
        }
        assert!(Instant::now() < deadline, "expected {expected:?}, is {now:?}");
        thread::sleep(Duration::from_millis(10));
    }
}
