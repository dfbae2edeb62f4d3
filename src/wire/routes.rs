//! The API's paths, for the client that calls them; the server's own come from its route table.

use super::job::JobId;
use crate::names::{AppName, DeployId};

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

/// The logins to registries that the server keeps.
pub const REGISTRIES: &str = "/v1/registries";
/// What is served for the domains, and what is wanted for them.
pub const CERTIFICATES: &str = "/v1/certificates";
/// Who changed what.
pub const AUDIT: &str = "/v1/audit";
/// Whether there is room for images on their way.
pub const ROOM: &str = "/v1/room";
pub const PRUNE: &str = "/v1/prune";
/// Builds an image on the server's engine; a [`super::BuildRequest`] in the header [`BUILD`].
pub const BUILDS: &str = "/v1/builds";
pub const BUILD: &str = "x-haloy-build";

/// The server's own registry (OCI Distribution 1.1); the images of an app are in its repository.
pub fn repository(app: &AppName) -> String {
    app.as_str().split(['.', '_', '-']).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// What the server's engine calls the newest image that it built for an app, until a deployment takes it over.
pub fn built(app: &AppName) -> String {
    format!("haloy-built:{app}")
}

/// A certificate by its domain; a wildcard's star is written as it is.
pub fn certificate(name: &str) -> String {
    format!("{CERTIFICATES}/{name}")
}

pub fn renew_certificate(name: &str) -> String {
    format!("{}/renew", certificate(name))
}

/// A login that the server keeps.
pub fn registry(server: &str) -> String {
    format!("{REGISTRIES}/{server}")
}

/// A deployment of an app with its snapshot.
pub fn deployment(app: &AppName, id: DeployId) -> String {
    format!("{APPS}/{app}/deployments/{id}")
}

/// A verb or list of an app: `deploy`, `rollback`, `restart`, `stop`, `start`, `logs`, `deployments`, `tags`.
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
