//! `version`: of this client and, when it can be reached, of the server.

use std::process::ExitCode;

use serde::Serialize;

use crate::error::chain;
use crate::term;
use crate::wire;
use crate::wire::routes;

use super::Outcome;
use super::subject::{self, Globals};

/// Print the version of haloy, and of the server when it can be reached
#[derive(clap::Args)]
pub struct Version {
    /// Print one JSON value
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Versions {
    client: Client,
    server: Option<ServerVersion>,
}

#[derive(Serialize)]
struct Client {
    version: &'static str,
    api: u32,
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
        let client = Client { version: env!("CARGO_PKG_VERSION"), api: routes::API_VERSION };
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
    let api = match subject::server(globals).await {
        Ok(api) => api,
        Err(error) if globals.server.is_some() || globals.config.is_some() => return Err(error),
        Err(_) => return Ok(None),
    };
    let address = api.server();
    Ok(Some(match api.glance(routes::VERSION).await {
        Ok(version) => {
            if let Some(warning) = api.engine_warning().await {
                term::words(&globals.terminal.yellow(&warning));
            }
            ServerVersion { address, version: Some(version), error: None }
        }
        Err(error) => ServerVersion { address, version: None, error: Some(chain(&error)) },
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
