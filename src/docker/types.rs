//! Our view of containers and images: no type of the Docker client library leaves this folder.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;

use crate::names::{AppName, DeployId, ImageRef};
use crate::secret::Secret;

/// A container's id as the engine gives it: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(pub String);

impl ContainerId {
    /// The first twelve digits, as `docker ps` shows them.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

/// Whose container it is: read from its labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    pub app: AppName,
    pub deployment: DeployId,
    /// Counts from 1 within the deployment.
    pub slot: u16,
}

/// One of our containers as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub id: ContainerId,
    pub name: String,
    pub owner: Owner,
    pub phase: ContainerPhase,
    /// The verdict of the check that the engine makes, the app's own command or the image's HEALTHCHECK;
    /// none when there is neither or it is switched off.
    pub health: Option<HealthCheck>,
    /// Its address in each network it is attached to, while it runs; 127.0.0.1 in the `host` network.
    pub addresses: BTreeMap<String, IpAddr>,
    /// How often the engine restarted it since it was created.
    pub restarts: u32,
    /// When its present process started; changes with every restart.
    pub started_at: Option<Timestamp>,
    /// Process id on the host, while it runs.
    pub pid: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerPhase {
    /// Never started.
    Created,
    Running,
    /// Between two attempts of the restart policy.
    Restarting {
        exit_code: i64,
        out_of_memory: bool,
    },
    /// Stopped, and nobody will start it again by itself.
    Exited {
        exit_code: i64,
        out_of_memory: bool,
    },
    /// Frozen by somebody: it holds its place and its address, and answers nobody.
    Paused,
    /// Dead, or in a state that this release does not know: nothing to work with.
    Other(String),
}

/// How a container's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    pub exit_code: i64,
    pub out_of_memory: bool,
}

impl ContainerPhase {
    /// None while it runs or has not run yet.
    pub fn end(&self) -> Option<End> {
        match *self {
            Self::Exited { exit_code, out_of_memory } | Self::Restarting { exit_code, out_of_memory } => {
                Some(End { exit_code, out_of_memory })
            }
            Self::Created | Self::Running | Self::Paused | Self::Other(_) => None,
        }
    }
}

/// A TCP port that something inside a container listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    pub port: u16,
    /// Nobody outside the container can reach it.
    pub loopback_only: bool,
}

/// State of the health check that the engine makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    pub status: HealthCheckStatus,
    /// What the last probe printed.
    pub output: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthCheckStatus {
    Starting,
    Healthy,
    Unhealthy,
}

impl Owner {
    /// What its container is called unless somebody wants another name: a retry collides instead of doubling.
    pub fn container_name(&self) -> String {
        format!("{}-{}-{}", self.app, self.deployment, self.slot)
    }
}

/// Everything needed to create one container.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    pub name: String,
    pub owner: Owner,
    pub purpose: Purpose,
    /// The image's id (`sha256:…`), so that a moved tag changes nothing.
    pub image: String,
    pub env: Vec<(String, Secret)>,
    /// Beside those that say whose it is.
    pub labels: BTreeMap<String, String>,
    pub network: String,
    /// Further names under which a user-defined network finds it.
    pub aliases: Vec<String>,
    pub mounts: Vec<VolumeMount>,
    pub stop_timeout: Duration,
    pub check: EngineCheck,
    pub options: ContainerOptions,
}

/// What a container of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It serves, and the engine starts it again when it ends.
    Replica,
    /// It runs once, to its end.
    Release,
}

/// The health check that the engine itself makes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum EngineCheck {
    /// The image's HEALTHCHECK, if it has one, with what is set here in place of the image's own.
    Image(CheckPace),
    /// None, whatever the image says.
    #[default]
    Off,
    /// A program inside the container.
    Command { words: Vec<String>, pace: CheckPace },
}

/// How often and how patiently a health check is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckPace {
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    /// Failures in a row that make a container unhealthy.
    pub retries: Option<u16>,
}

/// What is asked of the engine beyond the basics. What is absent is the image's or the engine's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerOptions {
    pub command: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    pub user: Option<String>,
    pub working_dir: Option<String>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Thousandths of a processor.
    pub cpus: Option<u32>,
    pub pids: Option<u32>,
    pub stop_signal: Option<String>,
    /// Bytes.
    pub shm_size: Option<u64>,
    pub ulimits: Vec<Ulimit>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub read_only: bool,
    /// Mount options by path.
    pub tmpfs: BTreeMap<String, String>,
    /// Names and their addresses.
    pub extra_hosts: Vec<(String, String)>,
    /// Driver and options; JSON files of 3 × 10 MB when absent.
    pub logging: Option<(String, BTreeMap<String, String>)>,
}

/// A limit of setrlimit(2); -1 is unlimited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ulimit {
    pub name: String,
    pub soft: i64,
    pub hard: i64,
}

/// A container that runs once: how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOff {
    pub id: ContainerId,
    pub deployment: DeployId,
    /// The id of its image.
    pub image: String,
    pub phase: ContainerPhase,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

/// `source:target[:options]` with a valid source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeMount {
    /// A volume's name or an absolute host path.
    pub source: String,
    pub target: String,
    pub options: Option<String>,
}

/// An image that is on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its config digest, `sha256:…`.
    pub id: String,
    /// TCP ports that it EXPOSEs, ascending.
    pub exposed_ports: Vec<u16>,
    pub has_healthcheck: bool,
    /// It came from a registry or was pushed to one; an image that was only built here was not. The
    /// containerd image store does not tell the two apart: there it is always true.
    pub pulled: bool,
    pub size_bytes: u64,
    /// `repository:tag`, for each tag.
    pub tags: Vec<String>,
    /// `repository@sha256:…`, for each registry that it was pulled from or pushed to.
    pub digests: Vec<String>,
}

/// The engine, as it introduced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    pub version: String,
    pub api_version: String,
    pub os: String,
    pub architecture: String,
}

impl Engine {
    /// What images must be built for, as `docker build --platform` takes it.
    pub fn platform(&self) -> String {
        format!("{}/{}", self.os, self.architecture)
    }
}

/// What is built of a context.
#[derive(Debug, Clone)]
pub struct BuildSpec {
    /// `repository:tag` that the image gets.
    pub tag: String,
    /// The Dockerfile's path in the context.
    pub dockerfile: String,
    /// As `docker build --platform` takes it; the engine's own when absent.
    pub platform: Option<String>,
    /// The stage; the last when absent.
    pub target: Option<String>,
    pub args: Vec<(String, Secret)>,
}

/// A login to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Host, with a port perhaps; `docker.io` for Docker Hub.
    pub server: String,
    pub username: Secret,
    pub password: Secret,
}

impl Login {
    /// What the engine and Docker's own files call the registry: Docker Hub has a name of its own there.
    pub fn address(&self) -> &str {
        if self.server == "docker.io" { "https://index.docker.io/v1/" } else { &self.server }
    }
}

/// What became of a reference to an image that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is gone, and the image with it unless another reference holds it.
    Removed,
    /// There is no such reference.
    NotThere,
    /// A container needs the image: nothing was removed.
    InUse,
}

/// Which lines of a container's output.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Only the last so many lines; all when absent.
    pub tail: Option<u32>,
    pub since: Option<Timestamp>,
    /// Go on with new lines until the container stops.
    pub follow: bool,
}

/// One line of a container's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    pub at: Option<Timestamp>,
    pub stderr: bool,
    pub text: String,
}

/// A line of a pull's progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullProgress {
    pub image: ImageRef,
    pub message: String,
}
