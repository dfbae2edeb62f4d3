//! `server registry`: the logins that servers pull private images with.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Read as _};
use std::process::ExitCode;

use crate::client::Outcome;
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::project::Project;
use crate::client::subject::{self, Globals, Subject};
use crate::client::targets::{Purpose, Selection};
use crate::config;
use crate::secret::Secret;
use crate::term;
use crate::wire::{RegistryLogin, StoredLogin, routes};

/// Manage the logins that a server pulls private images with
#[derive(clap::Args)]
#[command(args = crate::client::shown())]
pub struct Registry {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Give the server a login to a registry; its Docker Engine tries it first
    #[command(after_help = "\
Examples:
  printf '%s' \"$TOKEN\" | haloy server registry login ghcr.io --username you --password-stdin
  haloy server registry login docker.io --username you --password-stdin < token.txt

Images of targets with `image.registry` are pulled with that login, all others with the server's.")]
    Login(Login),
    /// List the logins that the server keeps
    List(List),
    /// Make the server forget a login
    Logout(Logout),
}

#[derive(clap::Args)]
struct Login {
    /// Host of the registry, like ghcr.io; docker.io for Docker Hub
    #[arg(value_name = "REGISTRY")]
    registry: String,
    /// User name
    #[arg(short, long, value_name = "USER")]
    username: String,
    /// Read the password or token from standard input: neither the shell's history nor `ps` sees it
    #[arg(long, required = true)]
    password_stdin: bool,
    #[command(flatten)]
    selection: Selection,
}

#[derive(clap::Args)]
struct List {
    #[command(flatten)]
    selection: Selection,
    /// Print one JSON value, a list of logins (never their passwords)
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Logout {
    /// Host of the registry
    #[arg(value_name = "REGISTRY")]
    registry: String,
    #[command(flatten)]
    selection: Selection,
}

impl Registry {
    pub fn wants_json(&self) -> bool {
        matches!(&self.command, Command::List(list) if list.json)
    }

    pub async fn run(self, globals: &Globals) -> Outcome {
        match self.command {
            Command::Login(login) => login.run(globals).await,
            Command::List(list) => list.run(globals).await,
            Command::Logout(logout) => logout.run(globals).await,
        }
    }
}

/// Every server that the command is about, once: of the chosen targets, else the one of the configuration.
async fn servers(globals: &Globals, selection: &Selection) -> Result<Vec<Api>, ClientError> {
    if !selection.is_given() {
        return Ok(vec![subject::server(globals).await?]);
    }
    let mut project = Project::read(globals, None, selection, Purpose::Look)?;
    project.fetch_token_secrets(globals).await?;
    let mut known = BTreeSet::new();
    let mut servers = Vec::new();
    for chosen in &project.targets {
        let api = Subject::of(&project, chosen, globals)?.api;
        if known.insert(api.server()) {
            servers.push(api);
        }
    }
    Ok(servers)
}

impl Login {
    async fn run(self, globals: &Globals) -> Outcome {
        let password = read_password()?;
        for api in servers(globals, &self.selection).await? {
            let login =
                RegistryLogin { server: self.registry.clone(), username: Secret::new(self.username.as_str()), password: password.clone() };
            api.post_for_nothing(routes::REGISTRIES, &login).await?;
            let mark = globals.terminal.green("✓");
            term::words(&format!("{mark} `{}` pulls from `{}` as `{}`", api.server(), self.registry, self.username));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn read_password() -> Result<Secret, ClientError> {
    if io::stdin().is_terminal() {
        return Err(ClientError::PasswordFromTerminal);
    }
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text).map_err(ClientError::PasswordInput)?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() { Err(ClientError::PasswordMissing) } else { Ok(Secret::new(password)) }
}

impl List {
    async fn run(self, globals: &Globals) -> Outcome {
        let mut all = Vec::new();
        for api in servers(globals, &self.selection).await? {
            let logins: Vec<StoredLogin> = api.get(routes::REGISTRIES).await?;
            all.extend(logins.into_iter().map(|login| (api.server(), login)));
        }
        if self.json {
            let logins = all.iter().map(|(on, login)| {
                serde_json::json!({ "on": on, "server": login.server, "username": login.username, "created_at": login.created_at })
            });
            term::json(&logins.collect::<Vec<_>>());
        } else if all.is_empty() {
            term::words("the server keeps no login to a registry");
        } else {
            let rows = all.into_iter().map(|(on, login)| vec![login.server, login.username, on]).collect();
            term::data(&term::table(&["registry", "user", "server"], rows));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Logout {
    async fn run(self, globals: &Globals) -> Outcome {
        for api in servers(globals, &self.selection).await? {
            let registry = config::registry_host(&self.registry);
            api.delete(&routes::registry(&registry)).await?;
            term::words(&format!("{} `{}` has forgotten `{registry}`", globals.terminal.green("✓"), api.server()));
        }
        Ok(ExitCode::SUCCESS)
    }
}
