//! Jobs: what was asked for, how far it is, what happened, and why it failed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::names::{AppName, DeployId};

/// A job's number; grows by one with every job of a server.
pub type JobId = u64;

/// A change of one app. Durable: it goes on when the client leaves and when the daemon restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    pub id: JobId,
    pub app: AppName,
    pub kind: JobKind,
    pub phase: Phase,
    /// The deployment that the job makes; none for stop and start.
    pub deployment: Option<DeployId>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// Why it failed; present exactly when the phase is `failed`.
    pub failure: Option<Failure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    Deploy,
    Rollback,
    Restart,
    Stop,
    Start,
}

/// How far a job is. The order is the order of a deploy; other kinds leave phases out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Behind another job of the same app.
    Queued,
    /// The image, the network and the volumes are being made ready.
    Preparing,
    /// Containers are created and started.
    Starting,
    /// Waiting until every replica is healthy.
    Checking,
    /// Traffic moves.
    Switching,
    /// The old replicas finish their requests and go.
    Draining,
    Done,
    Failed,
}

impl Phase {
    pub fn is_final(self) -> bool {
        matches!(self, Phase::Done | Phase::Failed)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Queued => "queued",
            Phase::Preparing => "preparing",
            Phase::Starting => "starting",
            Phase::Checking => "checking",
            Phase::Switching => "switching",
            Phase::Draining => "draining",
            Phase::Done => "done",
            Phase::Failed => "failed",
        }
    }
}

impl JobKind {
    pub fn as_str(self) -> &'static str {
        match self {
            JobKind::Deploy => "deploy",
            JobKind::Rollback => "rollback",
            JobKind::Restart => "restart",
            JobKind::Stop => "stop",
            JobKind::Start => "start",
        }
    }
}

/// The answer to every change: it was written down and will be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    pub job: JobId,
    pub deployment: Option<DeployId>,
    /// Jobs of the same app that come first.
    pub queued_behind: u32,
}

/// One stored event of a job. `seq` counts from 1 without gaps; it is the SSE id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    pub seq: u64,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    #[serde(flatten)]
    pub kind: EventKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// The job entered a phase. `done` and `failed` are the last event of a job.
    Phase { phase: Phase },
    /// A fact worth a line: `2 of 3 replicas are healthy`.
    Note { message: String },
    /// Why the job failed; comes right before the `failed` phase.
    Failure(Failure),
}

/// Everything that helps to mend a failed job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// One sentence: `replica 1 did not become healthy within 120 s`.
    pub reason: String,
    /// The command or place that helps.
    pub hint: Option<String>,
    /// The container that failed first, when one did.
    pub container: Option<ContainerReport>,
}

/// What was seen of a container that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContainerReport {
    pub name: String,
    pub exit_code: Option<i64>,
    pub out_of_memory: bool,
    pub restarts: u32,
    /// TCP ports that something inside the container listens on.
    pub listening_ports: Vec<u16>,
    pub probe: Option<ProbeReport>,
    /// Its last log lines, oldest first.
    pub log_tail: Vec<String>,
}

/// The last health check and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProbeReport {
    /// What was asked: `GET http://172.18.0.5:8080/health`, `TCP 172.18.0.5:5432`, `HEALTHCHECK`.
    pub target: String,
    /// What came back: `HTTP 503: database is starting`, `connection refused`.
    pub answer: String,
}
