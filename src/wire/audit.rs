//! What was asked of a server, and by whom.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::job::{JobId, Phase};
use crate::names::AppName;

/// A request that changes something, as the server answered it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Counts up, one by one.
    pub id: u64,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Name of the token; absent for whoever came through the server's own socket.
    pub token: Option<String>,
    pub token_id: Option<String>,
    /// Where it came from, as the proxy saw it; absent for the server's own socket.
    pub address: Option<String>,
    /// Method and path.
    pub request: String,
    #[schema(value_type = Option<String>)]
    pub app: Option<AppName>,
    /// HTTP status of the answer.
    pub status: u16,
    /// Why it was refused.
    pub reason: Option<String>,
    /// The job that came of it, and how far that is.
    pub job: Option<JobId>,
    pub job_phase: Option<Phase>,
}
