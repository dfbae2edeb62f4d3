//! The API's paths, for the client that calls them; the server's own come from its route table.

use super::job::JobId;
use crate::names::AppName;

pub const VERSION: &str = "/v1/version";
pub const HEALTH: &str = "/v1/health";
pub const APPS: &str = "/v1/apps";

/// Request header of the changes without a body for it: who asks, as a person would say it.
pub const PERFORMER: &str = "x-haloy-performer";

/// Newest version of the API in this build.
pub const API_VERSION: u32 = 1;

pub fn app(app: &AppName) -> String {
    format!("{APPS}/{app}")
}

/// A verb or list of an app: `deploy`, `rollback`, `restart`, `stop`, `start`, `logs`, `deployments`.
pub fn app_verb(app: &AppName, verb: &str) -> String {
    format!("{APPS}/{app}/{verb}")
}

/// The newest jobs of an app, as many as the server gives out at once.
pub fn jobs_of(app: &AppName) -> String {
    format!("/v1/jobs?app={app}&limit=1000")
}

pub fn job(job: JobId) -> String {
    format!("/v1/jobs/{job}")
}

pub fn job_events(job: JobId) -> String {
    format!("/v1/jobs/{job}/events")
}
