//! `version`: of this client and, when it can be reached, of the server.

use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use crate::error::chain;
use crate::term;
use crate::wire;
use crate::wire::routes;

use super::Outcome;
use super::subject::{self, Globals};

/// Longest that the server's answer is waited for.
const SERVER_TIMEOUT: Duration = Duration::from_secs(5);

/// Print the version of haloy, and of the server when it can be reached
#[derive(clap::Args)]
pub struct Version {
    /// Print one JSON value
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Versions {
    client: wire::Version,
    server: Option<ServerVersion>,
}

#[derive(Serialize)]
struct ServerVersion {
    address: String,
    version: Option<wire::Version>,
    /// Why there is no version.
    error: Option<String>,
}

impl Version {
    pub async fn run(self, globals: &Globals) -> Outcome {
        let client = wire::Version {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api: routes::API_VERSION,
            docker: None,
            https_port: None,
            http_port: None,
        };
        let versions = Versions { client, server: server_version(globals).await? };
        if self.json {
            term::json(&versions);
        } else {
            show(&versions, globals);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// `None` when no server is chosen. One that was asked for by `--server` must be usable.
async fn server_version(globals: &Globals) -> Result<Option<ServerVersion>, super::error::ClientError> {
    let api = match subject::server(globals) {
        Ok(api) => api,
        Err(error) if globals.server.is_some() || globals.config.is_some() => return Err(error),
        Err(_) => return Ok(None),
    };
    let address = api.server();
    let answer = tokio::time::timeout(SERVER_TIMEOUT, api.get(routes::VERSION)).await;
    Ok(Some(match answer {
        Ok(Ok(version)) => ServerVersion { address, version: Some(version), error: None },
        Ok(Err(error)) => ServerVersion { address, version: None, error: Some(chain(&error)) },
        Err(_) => ServerVersion { address, version: None, error: Some(format!("no answer within {} s", SERVER_TIMEOUT.as_secs())) },
    }))
}

fn show(versions: &Versions, globals: &Globals) {
    term::data(&format!("client  {}\n", versions.client.version));
    let Some(server) = &versions.server else { return };
    match (&server.version, &server.error) {
        (Some(version), _) => {
            let docker = version.docker.as_ref().map(|docker| format!(", Docker {docker}")).unwrap_or_default();
            term::data(&format!("server  {} ({}{docker})\n", version.version, server.address));
            if version.api < versions.client.api {
                term::words(&globals.terminal.yellow("warning: the server is older than this client, some commands may not work"));
            }
        }
        (None, error) => term::words(&format!("server  {}: {}", server.address, error.as_deref().unwrap_or("no answer"))),
    }
}
