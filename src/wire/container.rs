//! How an app's containers are to be created, beyond image, environment and mounts.

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Everything here is the image's or the engine's own when absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ContainerOptions {
    /// Program arguments (the image's CMD), one word each; no shell takes part.
    pub command: Option<Vec<String>>,
    /// The program (the image's ENTRYPOINT), one word each.
    pub entrypoint: Option<Vec<String>>,
    /// `user`, `uid`, `user:group` or `uid:gid`.
    pub user: Option<String>,
    /// Absolute path inside the container.
    pub working_dir: Option<String>,
    /// The user's own; none begins with `dev.haloy.`.
    pub labels: BTreeMap<String, String>,
    pub resources: Resources,
    /// The signal that asks the app to end, like `SIGQUIT`.
    pub stop_signal: Option<String>,
    /// Size of `/dev/shm` in bytes.
    #[schema(value_type = Option<u64>)]
    pub shm_size: Option<NonZeroU64>,
    pub ulimits: Vec<Ulimit>,
    /// Linux capabilities without `CAP_`, or `ALL`.
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    /// The container's own file system cannot be written to.
    pub read_only: bool,
    pub tmpfs: Vec<Tmpfs>,
    pub extra_hosts: Vec<ExtraHost>,
    /// Where the engine keeps the app's output; JSON files of 3 × 10 MB when absent.
    pub logging: Option<Logging>,
}

/// Limits of each container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Resources {
    /// Bytes.
    #[schema(value_type = Option<u64>)]
    pub memory: Option<NonZeroU64>,
    /// Thousandths of a processor: 1500 is one and a half.
    #[schema(value_type = Option<u32>)]
    pub cpus: Option<NonZeroU32>,
    /// Processes and threads.
    #[schema(value_type = Option<u32>)]
    pub pids: Option<NonZeroU32>,
}

/// A limit of setrlimit(2); -1 is unlimited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ulimit {
    /// Without `RLIMIT_`, in lower case: `nofile`.
    pub name: String,
    pub soft: i64,
    pub hard: i64,
}

/// A file system in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tmpfs {
    /// Absolute path inside the container.
    pub path: String,
    /// Mount options, comma separated: `size=64m,mode=1777`.
    #[serde(default)]
    pub options: Option<String>,
}

/// A line of the container's `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExtraHost {
    pub name: String,
    /// An IP address, or `host-gateway`: the server itself.
    pub address: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Logging {
    /// A logging driver of the engine: `json-file`, `local`, `journald`, `syslog`, …
    pub driver: String,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

/// How the app's health is found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthCheck {
    #[serde(default)]
    pub probe: Probe,
    /// Seconds between two probes of a healthy container; 5 when absent.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    pub interval: Option<NonZeroU32>,
    /// Seconds until a probe without answer has failed; 5 when absent.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    pub timeout: Option<NonZeroU32>,
    /// Failed probes in a row that make a healthy container unhealthy; 3 when absent.
    #[serde(default)]
    #[schema(value_type = Option<u16>)]
    pub retries: Option<NonZeroU16>,
}

/// What a health check does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// What an app without `health_check` gets: the image's HEALTHCHECK, else `health_check_path`, else `/`
    /// for an app with domains, else a connection to `port`.
    #[default]
    Standard,
    Http(HttpProbe),
    /// A connection that is accepted passes.
    Tcp {
        /// The app's port when absent.
        #[serde(default)]
        #[schema(value_type = Option<u16>)]
        port: Option<NonZeroU16>,
    },
    /// A program inside the container, one word each; exit code 0 passes.
    Command(Vec<String>),
    /// A container that runs is healthy.
    None,
}

/// A GET that must be answered with one of some status codes; redirects are not followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HttpProbe {
    /// Path and query as in a URL.
    pub path: String,
    /// The app's port when absent.
    #[serde(default)]
    #[schema(value_type = Option<u16>)]
    pub port: Option<NonZeroU16>,
    /// The `Host` header; the app's first domain when absent.
    #[serde(default)]
    pub host: Option<String>,
    /// 200 to 399 when absent.
    #[serde(default)]
    pub status: Option<StatusRange>,
}

/// Status codes that pass, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusRange {
    pub first: u16,
    pub last: u16,
}
