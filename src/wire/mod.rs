//! What travels between haloy and haloyd: plain serde types, no I/O, no decisions.
//!
//! Field names are a contract. Additions are fine; a field is never renamed or given another
//! meaning, because a client and a daemon of different versions talk to each other.

pub mod app;
pub mod audit;
pub mod certificate;
pub mod container;
pub mod contradictions;
pub mod image;
pub mod job;
pub mod problem;
pub mod routes;
pub mod status;

pub use app::{
    AppSpec, DeployRequest, DomainSpec, EnvSource, EnvValue, EnvVar, Hsts, Mount, MountSource, Naming, PullPolicy, Strategy, Tls,
};
pub use audit::AuditEntry;
pub use certificate::{
    Certificate, CertificateDetails, CertificateProblem, CertificateSource, CertificateState, CertificateUpload, LeftOut, ServedCertificate,
};
pub use container::{ContainerOptions, ExtraHost, HealthCheck, HttpProbe, Logging, Probe, Resources, StatusRange, Tmpfs, Ulimit};
pub use image::{
    BuildEvent, BuildRequest, DeploymentDetails, History, Pin, PruneReport, PruneRequest, Pruned, PrunedKind, RegistryLogin, Room,
    RoomRequest, StoredLogin, TagCandidate,
};
pub use job::{Accepted, ContainerReport, Event, EventKind, Failure, Job, JobId, JobKind, Phase, ProbeReport};
pub use problem::{Code, Problem};
pub use status::{
    AppState, AppStatus, Deployment, DeploymentState, EngineStatus, Health, LogLine, Replica, ReplicaHealth, RollbackRequest, StopRequest,
    Version,
};
