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
    /// The verdict of the image's HEALTHCHECK; none when the image has none.
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

/// A TCP port that something inside a container listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    pub port: u16,
    /// Nobody outside the container can reach it.
    pub loopback_only: bool,
}

/// State of an image-defined HEALTHCHECK.
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

/// Everything needed to create one container.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    /// `{app}-{deployment}-{slot}`: a retry collides instead of doubling.
    pub name: String,
    pub owner: Owner,
    /// The image's id (`sha256:…`), so that a moved tag changes nothing.
    pub image: String,
    pub env: Vec<(String, Secret)>,
    /// Beside those that say whose it is.
    pub labels: BTreeMap<String, String>,
    pub network: String,
    pub mounts: Vec<VolumeMount>,
    pub stop_timeout: Duration,
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
}

/// The engine, as it introduced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    pub version: String,
    pub api_version: String,
    pub os: String,
    pub architecture: String,
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
