//! An app as it is to run: everything resolved, every name valid.

use std::fmt;
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::container::{ContainerOptions, HealthCheck};
use super::image::{History, Pin, RegistryLogin};
use crate::names::{AppName, DeployId, Domain, ImageRef};
use crate::secret::{self, Secret};

/// One app on one server. Holds the names of its environment variables and where their values came
/// from, never the values: a spec is kept in the history and shown to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppSpec {
    pub name: AppName,
    pub image: ImageRef,
    #[serde(default)]
    pub pull_policy: PullPolicy,
    /// The very content, when it was settled before the deploy.
    #[serde(default)]
    pub pin: Option<Pin>,
    /// How long images of earlier deployments are kept.
    #[serde(default)]
    pub history: History,
    /// Empty for a worker: nothing is routed to it.
    #[serde(default)]
    pub domains: Vec<DomainSpec>,
    /// Whom the certificate authority writes to about the app's certificates.
    #[serde(default)]
    pub acme_email: Option<String>,
    #[serde(default)]
    pub tls: Tls,
    /// Browsers are told to come over HTTPS only.
    #[serde(default)]
    pub hsts: Option<Hsts>,
    /// How many containers, at least 1.
    pub replicas: u16,
    /// The port that the app listens on inside its container; the image's only EXPOSEd TCP port, else 8080, when absent.
    #[serde(default)]
    #[schema(value_type = Option<u16>)]
    pub port: Option<NonZeroU16>,
    /// Path of the HTTP health check of an image without HEALTHCHECK; `/` for an app with domains and none
    /// for a worker when absent.
    #[serde(default)]
    pub health_check_path: Option<String>,
    /// Says more than a path, and wins over the image's HEALTHCHECK.
    #[serde(default)]
    pub health_check: Option<HealthCheck>,
    #[serde(default)]
    pub env: Vec<EnvVar>,
    #[serde(default)]
    pub volumes: Vec<Mount>,
    /// The Docker network; `haloy-public` when absent.
    #[serde(default)]
    pub network: Option<String>,
    #[serde(default)]
    pub container: ContainerOptions,
    /// Runs to its end in a container of its own of each new image, before the switch; one word each. Its
    /// failure fails the deployment. Rollbacks and restarts do not run it.
    #[serde(default)]
    pub release_command: Option<Vec<String>>,
    #[serde(default)]
    pub deployment_strategy: Strategy,
    #[serde(default)]
    pub naming_strategy: Naming,
    /// Commands about all apps leave it out, and it is removed only by those who say so twice.
    #[serde(default)]
    pub protected: bool,
    /// How long a new replica must stay healthy before it counts, in seconds.
    #[serde(default)]
    pub min_ready_seconds: u32,
    /// How long a deployment may take until all its replicas are healthy, in seconds.
    #[serde(default = "AppSpec::default_deploy_timeout")]
    pub deploy_timeout: u32,
    /// How long requests in flight may go on in a replica that left the table, in seconds.
    #[serde(default = "AppSpec::default_drain_timeout")]
    pub drain_timeout: u32,
    /// How long a container has between SIGTERM and SIGKILL, in seconds.
    #[serde(default = "AppSpec::default_stop_timeout")]
    pub stop_timeout: u32,
}

impl AppSpec {
    /// The network of apps that name none; it is created when missing.
    pub const DEFAULT_NETWORK: &'static str = "haloy-public";
    /// The server's own addresses and ports.
    pub const HOST_NETWORK: &'static str = "host";
    /// No address at all.
    pub const NO_NETWORK: &'static str = "none";

    pub fn default_deploy_timeout() -> u32 {
        120
    }

    pub fn default_drain_timeout() -> u32 {
        30
    }

    pub fn default_stop_timeout() -> u32 {
        10
    }

    pub fn network(&self) -> &str {
        self.network.as_deref().unwrap_or(Self::DEFAULT_NETWORK)
    }
}

/// A canonical domain; its aliases redirect to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DomainSpec {
    pub domain: Domain,
    #[serde(default)]
    pub aliases: Vec<Domain>,
}

/// Who terminates TLS for the app's domains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// haloy does; plain HTTP is redirected to HTTPS.
    #[default]
    Auto,
    /// Another terminator in front of this server; plain HTTP is served, not redirected.
    Off,
}

/// HTTP Strict Transport Security (RFC 6797).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hsts {
    /// How long a browser keeps to it after each visit, in seconds; 0 ends it.
    pub max_age: u32,
    /// It holds for all names below the domain, too.
    #[serde(default)]
    pub include_subdomains: bool,
    /// Browsers may have the domain built in.
    #[serde(default)]
    pub preload: bool,
}

impl Hsts {
    /// A year: what lists of domains that browsers have built in want at least.
    pub const YEAR: u32 = 31_536_000;
}

/// As the header has it.
impl fmt::Display for Hsts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "max-age={}", self.max_age)?;
        if self.include_subdomains {
            f.write_str("; includeSubDomains")?;
        }
        if self.preload {
            f.write_str("; preload")?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The new version starts beside the old one and takes over when it is healthy.
    #[default]
    Rolling,
    /// The old version stops first: for apps of which two must never run at once.
    Replace,
}

/// What the app's containers are called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Naming {
    /// `{app}-{deployment}-{replica}`.
    #[default]
    Dynamic,
    /// `{app}`: other containers find it under one name for ever. One replica, strategy `replace`.
    Static,
}

/// When a registry is asked about the image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// With each deployment, unless the image was built on the server.
    #[default]
    Always,
    /// When the image is not on the server.
    IfMissing,
    /// The image must be on the server.
    Never,
}

/// An environment variable's name and the origin of its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnvVar {
    pub name: String,
    pub source: EnvSource,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnvSource {
    /// Written in the file.
    Value,
    /// From this variable of the environment of whoever deployed.
    Env(String),
    /// From a secret provider of whoever deployed: `provider:source:key`.
    Secret(String),
    /// From the server's own secrets, by name.
    ServerSecret(String),
}

/// A volume or a host directory mounted into the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mount {
    pub source: MountSource,
    /// Absolute path inside the container.
    pub target: String,
    /// Mount options as Docker takes them (`ro`, `rw`, `z`, …), comma separated.
    #[serde(default)]
    pub options: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A named volume; Docker keeps it.
    Volume(String),
    /// An absolute path of the host.
    Host(String),
}

/// The body of a deploy: what to run, and the values that its environment needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeployRequest {
    pub spec: AppSpec,
    /// One value for each entry of `spec.env`, in its order.
    #[serde(default)]
    pub env: Vec<EnvValue>,
    /// Who deploys, as a person would say it.
    #[serde(default)]
    pub performer: Option<String>,
    /// The commit that is deployed, when the configuration lies in a git work tree.
    #[serde(default)]
    pub git_commit: Option<String>,
    /// How to log in to the image's registry; the server's own login when absent.
    #[serde(default)]
    pub login: Option<RegistryLogin>,
    /// Run the image of this earlier deployment in place of the spec's: a rollback with today's configuration.
    #[serde(default)]
    pub image_of: Option<DeployId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnvValue {
    pub name: String,
    #[serde(with = "secret::exposed")]
    #[schema(value_type = String)]
    pub value: Secret,
}
