//! Is there a Docker Engine that answers, and if not, can we start one?

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{is_root, systemd_runs};
use crate::command;
use crate::failure::{Attempt as _, Failure, Outcome};
use crate::process;

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
const LOG: &str = "/var/log/dockerd.log";
/// The engine's first start creates networks and its image store; on a slow disk that takes a while.
const START_LIMIT: Duration = Duration::from_secs(90);
const PING_LIMIT: Duration = Duration::from_secs(5);

/// Asks the engine that DOCKER_HOST names, else the one of this machine.
pub fn ping() -> io::Result<()> {
    match docker_host().as_deref() {
        None => ping_unix(DEFAULT_SOCKET),
        Some(host) => match host.split_once("://") {
            Some(("unix", path)) => ping_unix(path),
            Some(("tcp" | "http", address)) => ping_over(TcpStream::connect(address)?),
            _ if command::succeeds(Command::new("docker").arg("version")) => Ok(()),
            _ => Err(io::Error::other("`docker version` fails")),
        },
    }
}

fn docker_host() -> Option<String> {
    std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty())
}

fn ping_unix(path: &str) -> io::Result<()> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PING_LIMIT))?;
    ping_over(stream)
}

fn ping_over(mut stream: impl Read + Write) -> io::Result<()> {
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    if answer.ends_with(b" 200") { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&answer).into_owned())) }
}

/// Says what to do when the engine does not answer for a reason that starting one would not mend.
pub fn can_be_started(reason: &io::Error) -> Outcome {
    if let Some(host) = docker_host() {
        return Err(Failure::new(format!("the Docker Engine at DOCKER_HOST={host} does not answer: {reason}")));
    }
    if reason.kind() == io::ErrorKind::PermissionDenied {
        let hint = "run `sudo usermod -aG docker $USER` and log in again, or run this as root";
        return Err(Failure::new(format!("you may not talk to the Docker Engine at {DEFAULT_SOCKET}\n\nhint: {hint}")));
    }
    if command::exists("dockerd") && !is_root() {
        let how = if systemd_runs() { "sudo systemctl start docker" } else { "sudo dockerd" };
        return Err(Failure::new(format!("no Docker Engine answers at {DEFAULT_SOCKET}\n\nhint: start it with `{how}`")));
    }
    Ok(())
}

/// Starts this machine's engine and waits until it answers. It is left running for whoever comes next.
pub fn start() -> Outcome {
    if systemd_runs() {
        println!("setup: starting the Docker Engine (systemctl start docker)");
        command::output(Command::new("systemctl").args(["start", "docker"]))?;
        return wait(|| None);
    }
    println!("setup: starting the Docker Engine (dockerd, log in {LOG})");
    forget_stale_pid("/var/run/docker.pid", "dockerd");
    forget_stale_pid("/var/run/docker/containerd/containerd.pid", "containerd");
    let log = File::create(LOG).attempt(|| format!("write {LOG}"))?;
    let errors = log.try_clone().attempt(|| format!("write {LOG}"))?;
    // A session of its own: it outlives this terminal, and Ctrl-C here does not reach it.
    let mut dockerd = Command::new("setsid");
    dockerd.arg("dockerd").env("PATH", command::path_with_sbin()).current_dir("/");
    let mut child = dockerd.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().attempt(|| "start dockerd".to_owned())?;
    wait(move || child.try_wait().ok().flatten().map(|status| format!("dockerd ended ({status})")))
}

/// Waits for the first answer, or until `ended` knows why there will be none.
fn wait(mut ended: impl FnMut() -> Option<String>) -> Outcome {
    let mut reason = None;
    let answered = process::wait_until(START_LIMIT, || {
        reason = ended();
        reason.is_some() || ping().is_ok()
    });
    if answered && reason.is_none() {
        return Ok(());
    }
    let log = if systemd_runs() {
        "hint: see `journalctl -u docker`".to_owned()
    } else {
        let text = fs::read_to_string(LOG).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    };
    let reason = reason.unwrap_or_else(|| format!("it did not answer within {} s", START_LIMIT.as_secs()));
    Err(Failure::new(format!("the Docker Engine does not start: {reason}\n{log}")))
}

/// Removes a pid file whose process is another program by now, as after a crash of the machine, or has
/// ended and was not waited for; the engine would take it for itself and refuse to start.
fn forget_stale_pid(path: &str, program: &str) {
    let Ok(text) = fs::read_to_string(path) else { return };
    let process = Path::new("/proc").join(text.trim());
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    // Empty once a process has ended.
    let command = fs::read(process.join("cmdline")).unwrap_or_default();
    if name.trim() != program || command.is_empty() {
        let _ = fs::remove_file(path);
    }
}
