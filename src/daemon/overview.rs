//! What the reconcile loop saw last, for those who only look: the API.

use std::collections::BTreeMap;

use crate::docker::ContainerId;
use crate::names::AppName;
use crate::wire::{EngineStatus, Replica};

/// The world after the last pass. A failed look leaves the replicas as they were seen before.
#[derive(Debug, Clone)]
pub struct Overview {
    pub engine: EngineStatus,
    /// The engine's version, once it has answered.
    pub engine_version: Option<String>,
    /// What images must be built for, like `linux/amd64`.
    pub platform: Option<String>,
    pub replicas: BTreeMap<AppName, Vec<Watched>>,
}

/// A replica and the container that it is.
#[derive(Debug, Clone)]
pub struct Watched {
    pub id: ContainerId,
    pub replica: Replica,
}
