//! An app of a test: a project folder with a haloy.yaml, the client run in it, and what Docker shows of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::haloyd::{Haloyd, unique};

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Said {
    /// 128 and the signal's number for a process that a signal ended.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Said {
    /// Complains unless it succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self}");
        self
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON ({error}): {self}"))
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {} after {:?}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.took, self.stdout, self.stderr)
    }
}

impl From<(std::process::Output, Duration)> for Said {
    fn from((output, took): (std::process::Output, Duration)) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code, stdout: text(output.stdout), stderr: text(output.stderr), took }
    }
}

/// One app on one server.
pub struct App<'a> {
    haloyd: &'a Haloyd,
    pub name: String,
    pub domain: String,
    folder: PathBuf,
}

/// One container as `docker ps` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub id: String,
    pub name: String,
    pub running: bool,
    pub deployment: String,
}

impl<'a> App<'a> {
    /// An app with a name and a domain that no other test has.
    pub fn new(haloyd: &'a Haloyd, name: &str) -> Self {
        let name = unique(&format!("{name}-"));
        let folder = haloyd.folder().join("projects").join(&name);
        fs::create_dir_all(&folder).expect("create the project's folder");
        Self { haloyd, domain: format!("{name}.localhost"), name, folder }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes haloy.yaml: name, server, and `rest`.
    pub fn configure(&self, rest: &str) -> &Self {
        let text = format!("name: {}\nserver: {}\n{rest}\n", self.name, self.haloyd.api_addr());
        fs::write(self.folder.join("haloy.yaml"), text).expect("write haloy.yaml");
        self
    }

    /// The same with the app's domain and its health check.
    pub fn configure_web(&self, rest: &str) -> &Self {
        self.configure(&format!("domains:\n  - domain: {}\nhealth_check_path: /health\n{rest}", self.domain))
    }

    /// Runs the client in the project's folder.
    pub fn haloy(&self, words: &[&str]) -> Said {
        let began = Instant::now();
        let output = self.command(words).output().expect("run the client");
        (output, began.elapsed()).into()
    }

    /// The client in the project's folder, not started yet.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.haloyd.client_command(words);
        command.current_dir(&self.folder);
        command
    }

    /// `haloy status --json`.
    pub fn status(&self) -> serde_json::Value {
        self.haloy(&["status", "--json"]).ok().json()
    }

    /// All containers of the app, stopped ones too.
    pub fn containers(&self) -> Vec<Container> {
        let filter = format!("label=dev.haloy.appName={}", self.name);
        let format = "{{.ID}}\t{{.Names}}\t{{.State}}\t{{.Label \"dev.haloy.deployment-id\"}}";
        let output = self.haloyd.docker(&["ps", "--all", "--no-trunc", "--filter", &filter, "--format", format]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let container = |line: &str| {
            let mut fields = line.split('\t').map(str::to_owned);
            let mut next = || fields.next().unwrap_or_default();
            let (id, name, state, deployment) = (next(), next(), next(), next());
            Container { id, name, running: state == "running", deployment }
        };
        let mut containers: Vec<Container> = text.lines().map(container).collect();
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        containers
    }
}

/// The test app's image of this tag; built by `cargo xtask test` and `cargo xtask app-image TAG`.
pub fn image(tag: &str) -> String {
    let image = format!("haloy-test-app:{tag}");
    let found = Command::new("docker").args(["image", "inspect", "--format", "{{.Id}}", &image]).output().expect("run docker");
    assert!(found.status.success(), "the image `{image}` is missing: run `cargo xtask app-image {tag}`");
    image
}

/// Waits until `look` sees it; complains with `what` after `limit`.
#[track_caller]
pub fn wait_for<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
