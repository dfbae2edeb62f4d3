//! `server`: the servers that this user knows, each with its token.

mod list;
mod registry;

use std::io::{self, IsTerminal as _, Read as _};
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::config::client::Servers;
use crate::config::server::ServerName;
use crate::error::chain;
use crate::paths;
use crate::secret::Secret;
use crate::term;
use crate::wire::{Version, routes};

use super::Outcome;
use super::address::Address;
use super::api::{Api, Credential, Origin};
use super::error::ClientError;
use super::keyring;
use super::subject::Globals;

/// Manage the servers that you deploy to
#[derive(clap::Args)]
#[command(args = super::hidden(&["config", "server"]))]
pub struct Server {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make a server and its API token known: the token goes to the keyring, or to .env where there is none
    #[command(after_help = "\
Examples:
  haloy server add haloy.example.com haloy_0123…
  haloy server add localhost --token-stdin < token.txt")]
    Add(Add),
    List(list::List),
    /// Forget a server and its token
    Delete(Delete),
    Registry(registry::Registry),
}

#[derive(clap::Args)]
struct Add {
    /// The server's domain, without https://; localhost for this machine
    #[arg(value_name = "HOST")]
    host: String,
    /// API token, as `haloy admin api token` prints it on the server
    #[arg(value_name = "TOKEN")]
    token: Option<String>,
    /// Ask for the token, or read it from standard input: neither the shell's history nor `ps` sees it
    #[arg(long, conflicts_with = "token")]
    token_stdin: bool,
    /// Replace the token of a server that is known already; keep one that the server refuses
    #[arg(long, short)]
    force: bool,
}

#[derive(clap::Args)]
struct Delete {
    /// The server's domain
    #[arg(value_name = "HOST")]
    host: String,
}

impl Server {
    pub fn wants_json(&self) -> bool {
        match &self.command {
            Command::List(list) => list.wants_json(),
            Command::Registry(registry) => registry.wants_json(),
            Command::Add(_) | Command::Delete(_) => false,
        }
    }

    pub async fn run(self, globals: &Globals) -> Outcome {
        match self.command {
            Command::Add(add) => add.run(globals).await,
            Command::List(list) => list.run(globals).await,
            Command::Delete(delete) => delete.run(globals),
            Command::Registry(registry) => registry.run(globals).await,
        }
    }
}

impl Add {
    async fn run(self, globals: &Globals) -> Outcome {
        let mut servers = Servers::load(&paths::client_config())?;
        if let Some(known) = servers.get(&self.host).filter(|_| !self.force) {
            return Err(ConfigError::ServerExists { host: known.name.to_string() }.into());
        }
        let token = match &self.token {
            Some(token) => Secret::new(token.as_str()),
            None if self.token_stdin || globals.terminal.interactive => read_token()?,
            None => return Err(ClientError::TokenMissing { host: self.host }),
        };
        let doubt = self.check(&token).await?;
        let server = servers.add(&self.host, &token, self.force, keyring::keep)?;
        if let Some(doubt) = doubt {
            term::words(&globals.terminal.yellow(&format!("warning: it is not checked: {doubt}")));
        }
        let place =
            if server.in_keyring { "the keyring".to_owned() } else { format!("`{}`", paths::client_config().join(".env").display()) };
        term::words(&format!("{} `{}` is added; its token is in {place}", globals.terminal.green("✓"), server.name));
        Ok(ExitCode::SUCCESS)
    }

    /// Asks the server once whether it takes the token; why that is not known, when it is not. A server
    /// that is away may be added: it may still have to be set up.
    async fn check(&self, token: &Secret) -> Result<Option<String>, ClientError> {
        let address = match ServerName::parse(&self.host) {
            Ok(name) if !token.expose().is_empty() => Address::Tcp(name),
            // The store says what is wrong.
            _ => return Ok(None),
        };
        let api = Api::new(address, Some(Credential::new(token, Origin::Typed)));
        match api.glance::<Version>(routes::VERSION).await {
            Ok(_) => Ok(None),
            Err(error @ (ClientError::Unauthorized { .. } | ClientError::TokenCharacters { .. })) if !self.force => Err(error),
            Err(error) => Ok(Some(chain(&error))),
        }
    }
}

fn read_token() -> Result<Secret, ClientError> {
    if io::stdin().is_terminal() {
        return Ok(Secret::new(term::ask_hidden("API token:").unwrap_or_default()));
    }
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text).map_err(ClientError::TokenInput)?;
    Ok(Secret::new(text.trim()))
}

impl Delete {
    fn run(self, globals: &Globals) -> Outcome {
        let server = Servers::load(&paths::client_config())?.remove(&self.host)?;
        if server.in_keyring && !keyring::forget(&server.name) {
            let text = format!("warning: the keyring does not answer; the token of `{}` may still be in it, under `haloy`", server.name);
            term::words(&globals.terminal.yellow(&text));
        }
        term::words(&format!("{} `{}` is forgotten", globals.terminal.green("✓"), server.name));
        Ok(ExitCode::SUCCESS)
    }
}
