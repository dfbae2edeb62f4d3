//! What the server shows of itself, its apps and their containers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::app::{DomainSpec, EnvValue};
use super::certificate::Certificate;
use super::job::Job;
use crate::names::{AppName, DeployId, Domain, ImageRef};

/// `GET /v1/health`: the daemon answers. Needs no token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always `ok`: whoever can answer is alive.
    pub status: String,
    pub engine: EngineStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineStatus {
    /// The Docker Engine answers.
    Up,
    /// It does not; apps are served as they were last seen.
    Down,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    pub version: String,
    /// The newest API version that the daemon speaks.
    pub api: u32,
    pub docker: Option<String>,
    /// What images must be built for, like `linux/amd64`; unknown while the engine does not answer.
    #[serde(default)]
    pub platform: Option<String>,
    /// The port that HTTPS is served on; 443 when absent.
    #[serde(default)]
    pub https_port: Option<u16>,
    /// The port that plain HTTP is served on; 80 when absent.
    #[serde(default)]
    pub http_port: Option<u16>,
    /// Where the API is served for everybody who has a token; on loopback alone when absent.
    #[serde(default)]
    pub api_domain: Option<Domain>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppStatus {
    pub name: AppName,
    pub state: AppState,
    /// The deployment that serves.
    pub deployment: Option<DeployId>,
    pub image: Option<ImageRef>,
    pub domains: Vec<DomainSpec>,
    pub replicas_wanted: u16,
    pub replicas: Vec<Replica>,
    /// The job under way, else the last one.
    pub job: Option<Job>,
    /// Of its domains; none where TLS is off.
    #[serde(default)]
    pub certificates: Vec<Certificate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppState {
    /// All wanted replicas are healthy.
    Running,
    /// Some are.
    Degraded,
    /// None is.
    Down,
    Stopped,
    /// Its first deployment is still under way.
    Starting,
    /// It was never deployed successfully.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Replica {
    pub container: String,
    pub deployment: DeployId,
    /// Counts from 1.
    pub number: u16,
    pub health: ReplicaHealth,
    /// What the last health check said.
    pub detail: Option<String>,
    /// Requests are routed to it.
    pub routed: bool,
    pub requests_in_flight: u64,
    pub restarts: u32,
    pub address: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaHealth {
    Starting,
    Healthy,
    Unhealthy,
    Exited,
}

/// A deployment in an app's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deployment {
    pub id: DeployId,
    pub state: DeploymentState,
    pub image: ImageRef,
    /// The image's content: its config digest. None when it never got that far.
    pub image_id: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    pub performer: Option<String>,
    pub git_commit: Option<String>,
    /// Its image is kept, so that it can be rolled back to.
    #[serde(default = "yes")]
    pub image_kept: bool,
    /// The earlier deployment whose snapshot this one repeats: after a rollback or a restart.
    pub repeats: Option<DeployId>,
    /// It serves now.
    pub current: bool,
}

/// Servers from before images were counted say nothing, and keep them.
fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    /// Not judged yet.
    Pending,
    /// Every replica was healthy once: it can be rolled back to.
    Complete,
    Failed,
}

/// One line of a container's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    pub container: String,
    pub deployment: DeployId,
    pub replica: u16,
    /// Written to stderr.
    pub stderr: bool,
    pub line: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StopRequest {
    /// Remove the containers once they have stopped.
    #[serde(default)]
    pub remove_containers: bool,
    /// Remove the app's named volumes too; implies `remove_containers`.
    #[serde(default)]
    pub remove_volumes: bool,
    /// Whoever asks knows that the app is protected; without it nothing of such an app is removed.
    #[serde(default)]
    pub include_protected: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RollbackRequest {
    /// The deployment to go back to; the complete one before the current when absent.
    #[serde(default)]
    pub deployment: Option<DeployId>,
    /// Values looked up anew, by the names in the snapshot's environment; a variable that is absent here keeps
    /// the value that it had.
    #[serde(default)]
    pub env: Vec<EnvValue>,
    /// A tag of the app's image that its registry has, for apps whose history is there: the current snapshot runs with it.
    #[serde(default)]
    pub tag: Option<String>,
}
