//! The real binary as a server of its own: directories, ports, a log, and nothing left at the end.
//!
//! Every test starts its own; they share the machine's Docker Engine, where a label says whose a
//! container is. What a killed test left behind, the next one removes.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const HALOY: &str = env!("CARGO_BIN_EXE_haloy");
const FOLDER: &str = "haloy-test-";
const START_LIMIT: Duration = Duration::from_secs(30);
/// The daemon drains for up to 30 s when it is told to stop.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// A running daemon with directories and ports of its own. Dropping it removes everything.
pub struct Haloyd {
    docker_host: Option<String>,
    folder: PathBuf,
    ports: [u16; 3],
    token: String,
    instance: String,
    /// None while it is down. Behind a lock so that apps can hold the server while it is killed.
    child: Mutex<Option<Child>>,
}

impl Haloyd {
    /// A server on the machine's Docker Engine.
    pub fn start() -> Self {
        Self::start_on(None)
    }

    /// A server whose Docker Engine does not answer.
    pub fn start_without_docker() -> Self {
        Self::start_on(Some("unix:///nonexistent/docker.sock"))
    }

    /// A server on the engine at `docker_host`; on the machine's own when that is absent.
    pub fn start_on(docker_host: Option<&str>) -> Self {
        sweep();
        let folder = std::env::temp_dir().join(format!("{FOLDER}{}", unique("")));
        for name in ["home", "client"] {
            fs::create_dir_all(folder.join(name)).expect("create the test's folder");
        }
        let mut haloyd = Self {
            docker_host: docker_host.map(str::to_owned).or_else(|| std::env::var("DOCKER_HOST").ok()),
            folder,
            ports: free_ports(),
            token: String::new(),
            instance: String::new(),
            child: Mutex::default(),
        };
        haloyd.token = haloyd.init();
        haloyd.start_on_free_ports();
        haloyd.instance = haloyd.read_instance();
        // For whoever sweeps after a test that was killed.
        fs::write(haloyd.folder.join("instance"), &haloyd.instance).expect("write the instance");
        let added = haloyd.client(&["server", "add", &haloyd.api_addr().to_string(), &haloyd.token]);
        assert!(added.status.success(), "haloy server add: {}", String::from_utf8_lossy(&added.stderr));
        haloyd
    }

    pub fn http_addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[0]))
    }

    pub fn https_addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[1]))
    }

    pub fn api_addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[2]))
    }

    /// The API token that `haloy admin init` gave out.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The value of the label `dev.haloy.instance` on everything that this server makes.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Everything of this server lies below: `config`, `data`, `client`, `home`, projects.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn config_dir(&self) -> PathBuf {
        self.folder.join("config")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn log_file(&self) -> PathBuf {
        self.folder.join("haloyd.log")
    }

    /// What the daemon has written so far, over all its lives.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Adds lines to haloyd.yaml; the next start reads them.
    pub fn configure(&self, lines: &str) {
        let path = self.config_dir().join("haloyd.yaml");
        let text = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, format!("{text}\n{lines}\n")).expect("write haloyd.yaml");
    }

    /// SIGKILL: nothing is finished, nothing is said.
    pub fn kill9(&self) {
        let child = self.child().take();
        if let Some(mut child) = child {
            child.kill().expect("kill the daemon");
            child.wait().expect("wait for the daemon");
        }
    }

    /// SIGTERM; answers with the exit code.
    pub fn stop(&self) -> Option<i32> {
        let mut child = self.child().take().expect("the daemon runs");
        signal(child.id(), "TERM");
        let deadline = Instant::now() + STOP_LIMIT;
        loop {
            if let Some(status) = child.try_wait().expect("watch the daemon") {
                return status.code();
            }
            if Instant::now() > deadline {
                *self.child() = Some(child);
                panic!("haloyd did not end within {STOP_LIMIT:?}\n{}", self.log());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts it again with the same directories and ports, after ending it when it runs.
    pub fn restart(&self) {
        if self.child().is_some() {
            self.stop();
        }
        self.spawn();
        if let Err(reason) = self.wait_until_it_answers() {
            panic!("haloyd does not start again: {reason}\n{}", self.log());
        }
    }

    /// Runs the client in the test's folder, with a configuration of its own that knows this server.
    pub fn client(&self, words: &[&str]) -> Output {
        self.client_command(words).current_dir(&self.folder).output().expect("run the client")
    }

    /// The client as a command: the caller gives it a working directory.
    pub fn client_command(&self, words: &[&str]) -> Command {
        let mut command = self.command(words);
        command.env("HALOY_CONFIG_DIR", self.folder.join("client")).stdin(Stdio::null());
        command
    }

    /// The admin tool about this server.
    pub fn admin(&self, words: &[&str]) -> crate::app::Said {
        let began = Instant::now();
        let mut command = self.command(&[&["admin"], words].concat());
        let output = self.directories(&mut command).output().expect("run the admin tool");
        (output, began.elapsed()).into()
    }

    /// `GET` on the API with the token.
    pub fn get(&self, path: &str) -> Answer {
        let token = format!("Bearer {}", self.token);
        get(self.api_addr(), path, &[("authorization", &token)]).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// `POST` of JSON to the API with the token.
    pub fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        let (token, body) = (format!("Bearer {}", self.token), body.to_string());
        let length = body.len().to_string();
        let headers = [("authorization", token.as_str()), ("content-type", "application/json"), ("content-length", &length)];
        request(self.api_addr(), "POST", path, &headers, &body).unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    fn init(&self) -> String {
        let mut command = self.command(&["admin", "init", "--local-install", "--json"]);
        let output = self.directories(&mut command).output().expect("run `haloy admin init`");
        assert!(output.status.success(), "haloy admin init: {}", String::from_utf8_lossy(&output.stderr));
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("`haloy admin init --json` prints JSON");
        said["token"].as_str().expect("the answer has a token").to_owned()
    }

    fn start_on_free_ports(&mut self) {
        for _ in 0..10 {
            self.spawn();
            match self.wait_until_it_answers() {
                Ok(()) => return,
                // Somebody took a port between our look and the daemon's bind.
                Err(_) if self.log().contains("Address already in use") => {
                    self.ports = free_ports();
                    fs::remove_file(self.log_file()).expect("remove the log");
                }
                Err(reason) => panic!("haloyd does not start: {reason}\n{}", self.log()),
            }
        }
        panic!("no free ports found");
    }

    fn spawn(&self) {
        let mut command = self.command(&["daemon"]);
        self.directories(&mut command);
        for (flag, address) in [("--http-addr", self.http_addr()), ("--https-addr", self.https_addr()), ("--api-addr", self.api_addr())] {
            command.arg(flag).arg(address.to_string());
        }
        let log = File::options().create(true).append(true).open(self.log_file()).expect("open the log");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("open the log")).stderr(log);
        let child = command.spawn().expect("start haloyd");
        // For whoever sweeps after a test that was killed.
        fs::write(self.folder.join("pid"), child.id().to_string()).expect("write the process id");
        *self.child() = Some(child);
    }

    fn wait_until_it_answers(&self) -> Result<(), String> {
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            let ended = self.child().as_mut().expect("it was started").try_wait().expect("watch the daemon");
            if let Some(status) = ended {
                *self.child() = None;
                return Err(format!("it ended ({status})"));
            }
            if self.answers() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(format!("no answer within {START_LIMIT:?}"))
    }

    fn answers(&self) -> bool {
        get(self.api_addr(), "/v1/health", &[]).is_ok_and(|answer| answer.status == 200)
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(HALOY);
        command.args(words).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.folder.join("home")).env("USER", "tester").current_dir(&self.folder);
        if let Some(host) = &self.docker_host {
            command.env("DOCKER_HOST", host);
        }
        command
    }

    fn directories<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.arg("--config-dir").arg(self.config_dir()).arg("--data-dir").arg(self.data_dir())
    }

    fn read_instance(&self) -> String {
        let database = rusqlite::Connection::open(self.data_dir().join("db").join("haloy.db")).expect("open the database");
        database.query_row("SELECT value FROM meta WHERE key = 'instance'", [], |row| row.get(0)).expect("read the instance")
    }

    /// Runs `docker` on this server's engine.
    pub fn docker(&self, words: &[&str]) -> Output {
        docker(self.docker_host.as_deref(), words)
    }
}

impl Drop for Haloyd {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the daemon's log ---\n{}", self.log());
        }
        let child = self.child().take();
        if let Some(mut child) = child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if !self.instance.is_empty() {
            remove_things_of(self.docker_host.as_deref(), &self.instance);
        }
        remove_images_of(self.docker_host.as_deref(), &self.folder);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A name that no other test has: `prefix`, the process and a number.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Sends a signal to one process.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "cannot send SIG{name} to process {pid}");
}

/// An answer over plain HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Status line and headers as they came.
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.map(|(key, value)| (key, value.trim())).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// `GET` in plain HTTP with these headers beside or instead of `Host: localhost`.
pub fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> std::io::Result<Answer> {
    request(address, "GET", path, headers, "")
}

/// `POST` of JSON in plain HTTP.
pub fn post(address: SocketAddr, path: &str, body: &serde_json::Value) -> std::io::Result<Answer> {
    let body = body.to_string();
    let length = body.len().to_string();
    request(address, "POST", path, &[("content-type", "application/json"), ("content-length", &length)], &body)
}

fn request(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let host = headers.iter().find(|(name, _)| *name == "host").map_or("localhost", |(_, value)| value);
    let others: String = headers.iter().filter(|(name, _)| *name != "host").map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    // HTTP/1.0: the answer has no chunks.
    write!(stream, "{method} {path} HTTP/1.0\r\nhost: {host}\r\n{others}\r\n{body}")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("no status in `{head}`")))?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// Three ports on which nobody listens, below those that the system gives to outgoing connections:
/// they are still free after a restart.
fn free_ports() -> [u16; 3] {
    const FIRST: u16 = 15_000;
    const COUNT: u16 = 17_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = (std::process::id().wrapping_mul(101) % u32::from(COUNT)) as u16;
    let mut found = Vec::new();
    while found.len() < 3 {
        let port = FIRST + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            found.push(port);
        }
    }
    [found[0], found[1], found[2]]
}

fn docker(host: Option<&str>, words: &[&str]) -> Output {
    let mut command = Command::new("docker");
    if let Some(host) = host {
        command.env("DOCKER_HOST", host);
    }
    command.args(words).stdin(Stdio::null()).output().expect("run docker")
}

/// Containers and volumes with the label of an instance.
fn remove_things_of(host: Option<&str>, instance: &str) {
    let filter = format!("label=dev.haloy.instance={instance}");
    let listings: [(&[&str], &[&str]); 2] =
        [(&["ps", "--all", "--quiet"], &["rm", "--force", "--volumes"]), (&["volume", "ls", "--quiet"], &["volume", "rm", "--force"])];
    for (list, remove) in listings {
        let found = docker(host, &[list, &["--filter", &filter]].concat());
        let found = String::from_utf8_lossy(&found.stdout).into_owned();
        let found: Vec<&str> = found.lines().collect();
        if !found.is_empty() {
            docker(host, &[remove, &found].concat());
        }
    }
}

/// Removes what tests left behind that were killed: their folders are named after their process.
fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(pid) = name.strip_prefix(FOLDER).and_then(|rest| rest.split('-').next()) else { continue };
        if pid.parse::<u32>().is_err() || Path::new("/proc").join(pid).exists() {
            continue;
        }
        let folder = entry.path();
        end_process_of(&folder);
        if let Ok(instance) = fs::read_to_string(folder.join("instance")) {
            remove_things_of(None, &instance);
        }
        remove_images_of(None, &folder);
        let _ = fs::remove_dir_all(&folder);
    }
}

/// Takes away the names under which a daemon held images, and the images that were built for its test alone.
fn remove_images_of(docker_host: Option<&str>, folder: &Path) {
    let Ok(database) = rusqlite::Connection::open(folder.join("data").join("db").join("haloy.db")) else { return };
    let list = |sql: &str| -> Vec<String> {
        let Ok(mut statement) = database.prepare(sql) else { return Vec::new() };
        let rows = statement.query_map([], |row| row.get(0));
        rows.into_iter().flatten().flatten().collect()
    };
    let names = list("SELECT tag FROM images UNION SELECT pulled FROM images WHERE pulled LIKE '127.0.0.1:%'");
    if !names.is_empty() {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        docker(docker_host, &[&["image", "rm"], names.as_slice()].concat());
    }
    for id in list("SELECT DISTINCT image_id FROM images") {
        let tags = docker(docker_host, &["image", "inspect", "--format", "{{.RepoTags}}", &id]);
        if tags.status.success() && !String::from_utf8_lossy(&tags.stdout).contains("haloy-test-app:") {
            docker(docker_host, &["image", "rm", "--force", &id]);
        }
    }
}

/// The process in the file `pid`, when it is still the daemon of this folder.
fn end_process_of(folder: &Path) {
    let Ok(pid) = fs::read_to_string(folder.join("pid")) else { return };
    let mut line = String::new();
    let read = File::open(format!("/proc/{pid}/cmdline")).and_then(|mut file| file.read_to_string(&mut line));
    if read.is_ok() && line.contains(&*folder.to_string_lossy()) {
        let _ = Command::new("kill").args(["-KILL", &pid]).status();
    }
}
