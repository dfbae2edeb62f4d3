//! A whole haloy installation in a temporary folder: a daemon in user mode on free ports, and a client that knows it.
//!
//! It is what the demo and the idle bench look at. Nothing outside its folder is touched but the Docker Engine,
//! and there only what carries the label of one of its apps.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::command;
use crate::failure::{Attempt as _, Failure, Outcome};
use crate::http;
use crate::process::{self, Background};

const START_LIMIT: Duration = Duration::from_secs(30);

pub struct Installation {
    haloy: PathBuf,
    folder: PathBuf,
    daemon: Option<Background>,
    apps: Vec<App>,
    token: String,
    pub ports: Ports,
    /// Nothing is left to clean up, or somebody wants it kept.
    settled: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct Ports {
    pub http: u16,
    pub https: u16,
    pub api: u16,
}

/// An app of this installation.
#[derive(Debug, Clone)]
pub struct App {
    pub name: String,
    pub domain: String,
    /// Built from the Dockerfile beside the configuration when absent.
    pub image: Option<String>,
    pub replicas: u16,
}

impl Installation {
    /// Sets up a server and a client below `folder`, which is removed again at the end.
    pub fn start(haloy: &Path, folder: PathBuf) -> Outcome<Self> {
        let [http, https, api] = process::free_ports()?;
        let ports = Ports { http, https, api };
        let mut installation =
            Self { haloy: haloy.to_owned(), folder, daemon: None, apps: Vec::new(), token: String::new(), ports, settled: false };
        for name in ["config", "data", "client"] {
            let path = installation.folder.join(name);
            fs::create_dir_all(&path).attempt(|| format!("create {}", path.display()))?;
        }
        let token = command::output(&mut installation.server(&["admin", "init", "--local-install"]))?;
        if token.is_empty() || token.contains(char::is_whitespace) {
            return Err(Failure::new(format!("`haloy admin init` should print the token alone to stdout, and printed {token:?}")));
        }
        installation.token = token;
        installation.start_daemon()?;
        installation.add_server(api)?;
        Ok(installation)
    }

    /// Makes the server known to the client as the one on this port of loopback.
    pub fn add_server(&self, port: u16) -> Outcome {
        let address = format!("127.0.0.1:{port}");
        command::output(self.client().args(["server", "add", &address, &self.token])).map(drop)
    }

    fn start_daemon(&mut self) -> Outcome {
        let addresses = [("--http-addr", self.ports.http), ("--https-addr", self.ports.https), ("--api-addr", self.ports.api)];
        let mut command = self.server(&["daemon"]);
        for (flag, port) in addresses {
            command.arg(flag).arg(format!("127.0.0.1:{port}"));
        }
        let daemon = self.daemon.insert(Background::start("haloyd", &mut command, &self.folder.join("haloyd.log"))?);
        let api = self.ports.api;
        let mut ended = Ok(());
        let answers = process::wait_until(START_LIMIT, || {
            ended = daemon.check();
            ended.is_err() || healthy(api)
        });
        let outcome = if answers { ended } else { Err(Failure::new("haloyd does not answer /v1/health")) };
        outcome.map_err(|failure| Failure::new(format!("{failure}\n{}", self.daemon_log())))
    }

    /// A server-side command of this installation, with its directories.
    fn server(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.haloy);
        command.args(words).arg("--config-dir").arg(self.folder.join("config")).arg("--data-dir").arg(self.folder.join("data"));
        command
    }

    /// The client, with a configuration of its own.
    pub fn client(&self) -> Command {
        let mut command = Command::new(&self.haloy);
        command.env("HALOY_CONFIG_DIR", self.folder.join("client")).current_dir(&self.folder);
        command
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.api)
    }

    /// Writes the app's haloy.yaml, in a directory of the app's own, and returns its path.
    pub fn configure(&mut self, app: &App) -> Outcome<PathBuf> {
        let folder = self.folder.join("apps").join(&app.name);
        fs::create_dir_all(&folder).attempt(|| format!("create {}", folder.display()))?;
        let path = folder.join("haloy.yaml");
        let image = app.image.as_ref().map(|image| format!("image: {image}\n")).unwrap_or_default();
        let text = format!(
            "name: {}\nserver: {}\n{image}replicas: {}\nhealth_check_path: /health\ndomains:\n  - domain: {}\n",
            app.name,
            self.address(),
            app.replicas,
            app.domain
        );
        fs::write(&path, text).attempt(|| format!("write {}", path.display()))?;
        if !self.apps.iter().any(|known| known.name == app.name) {
            self.apps.push(app.clone());
        }
        Ok(path)
    }

    /// An app whose configuration is somewhere else: it is removed at the end like the others.
    pub fn adopt(&mut self, app: App) {
        self.apps.push(app);
    }

    pub fn daemon_pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Background::pid)
    }

    /// The last lines that the daemon wrote.
    pub fn daemon_log(&self) -> String {
        let log = fs::read_to_string(self.folder.join("haloyd.log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Leaves everything running and says how to end it.
    pub fn keep(mut self) {
        self.settled = true;
        if let Some(daemon) = self.daemon.take() {
            println!("haloyd runs on as process {}; its folder is {}", daemon.pid(), self.folder.display());
            daemon.release();
        }
    }

    /// Removes apps, daemon and folder; complains about what did not go.
    pub fn remove(mut self) -> Outcome {
        self.clear()
    }

    fn clear(&mut self) -> Outcome {
        if std::mem::replace(&mut self.settled, true) {
            return Ok(());
        }
        let mut outcome = Ok(());
        for app in std::mem::take(&mut self.apps) {
            let words = ["stop", &app.name, "--server", &self.address(), "--remove-containers", "--yes"];
            let stopped = command::output(self.client().args(words));
            outcome = outcome.and(stopped.map(drop));
            remove_containers(&app.name);
            remove_images(&app.name);
        }
        let outcome = outcome.and(self.daemon.as_mut().map_or(Ok(()), Background::stop));
        fs::remove_dir_all(&self.folder).attempt(|| format!("remove {}", self.folder.display())).and(outcome)
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if let Err(failure) = self.clear() {
            eprintln!("while cleaning up: {failure}");
        }
    }
}

/// Removes what is left of an app when the daemon could not.
fn remove_containers(app: &str) {
    let filter = format!("label=dev.haloy.appName={app}");
    let Ok(ids) = command::output(Command::new("docker").args(["ps", "--all", "--quiet", "--filter", &filter])) else { return };
    if !ids.is_empty() {
        command::succeeds(Command::new("docker").args(["rm", "--force"]).args(ids.lines()));
    }
}

/// Takes away the names under which the daemon held an app's images.
fn remove_images(app: &str) {
    let list = |name: &str, format: &str| {
        let listed = command::output(Command::new("docker").args(["image", "ls", "--format", format, name])).unwrap_or_default();
        listed.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let tags = list(&format!("haloy/{app}"), "{{.Repository}}:{{.Tag}}");
    let built = list(&format!("127.0.0.1:*/{app}"), "{{.ID}}");
    for (force, names) in [(false, tags), (true, built)] {
        if !names.is_empty() {
            let force: &[&str] = if force { &["--force"] } else { &[] };
            command::succeeds(Command::new("docker").args(["image", "rm"]).args(force).args(names));
        }
    }
}

fn healthy(api: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, api));
    let answer = TcpStream::connect(address).and_then(|stream| http::Line::new(stream, "localhost").get("/v1/health"));
    answer.is_ok_and(|answer| answer.status == 200)
}
