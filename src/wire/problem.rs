//! Errors over HTTP: RFC 9457 problem details with a stable code and the hint.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: `code` is what programs look at.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened, in one sentence.
    pub title: String,
    pub status: u16,
    /// The causes, joined by `: `.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    pub code: Code,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The closed list of what can go wrong; a new code needs a client that acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// No token, or one that is unknown, expired or revoked.
    Unauthorized,
    /// The token is valid and not for this.
    Forbidden,
    NotFound,
    /// The request is not understood.
    InvalidRequest,
    /// The request is understood and contradicts what is there (a domain of another app, nothing to roll back to).
    Conflict,
    TooLarge,
    /// More requests than one client may send: `Retry-After` says when to go on.
    TooManyRequests,
    /// The server's disk has no room for it.
    NoRoom,
    DockerUnavailable,
    /// A registry, not this server, could not be asked.
    Registry,
    Internal,
    /// A code newer than this client.
    #[serde(other)]
    Unknown,
}
