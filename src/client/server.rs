//! `server`: the servers that this user knows, each with its token.

use std::io::{self, Read as _};
use std::process::ExitCode;

use crate::config::client::Servers;
use crate::paths;
use crate::secret::Secret;
use crate::term;

use super::Outcome;
use super::address::Address;
use super::error::ClientError;
use super::subject::Globals;

/// Manage the servers that you deploy to
#[derive(clap::Args)]
pub struct Server {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make a server and its API token known
    #[command(after_help = "\
Examples:
  haloy server add haloy.example.com haloy_0123…
  haloy server add localhost --token-stdin < token.txt")]
    Add(Add),
    /// List the servers that are known
    List(List),
    /// Forget a server and its token
    Delete(Delete),
}

#[derive(clap::Args)]
struct Add {
    /// The server's domain, without https://; localhost for this machine
    #[arg(value_name = "HOST")]
    host: Address,
    /// API token, as `haloy admin api token` prints it on the server
    #[arg(value_name = "TOKEN", required_unless_present = "token_stdin")]
    token: Option<String>,
    /// Read the token from standard input, where neither the shell's history nor `ps` sees it
    #[arg(long, conflicts_with = "token")]
    token_stdin: bool,
    /// Replace the token of a server that is known already
    #[arg(long, short)]
    force: bool,
}

#[derive(clap::Args)]
struct List {
    /// Print one JSON value, a list of servers (never their tokens)
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Delete {
    /// The server's domain
    #[arg(value_name = "HOST")]
    host: Address,
}

impl Server {
    pub fn run(self, globals: &Globals) -> Outcome {
        match self.command {
            Command::Add(add) => add.run(globals),
            Command::List(list) => list.run(),
            Command::Delete(delete) => delete.run(globals),
        }
    }
}

impl Add {
    fn run(self, globals: &Globals) -> Outcome {
        let host = self.host.to_string();
        let token = match self.token {
            Some(token) => Secret::new(token),
            None => read_token()?,
        };
        if token.expose().is_empty() || token.expose().contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(ClientError::Usage("a token is one word without spaces".to_owned()));
        }
        Servers::load(&paths::client_config())?.add(&host, &token, self.force)?;
        term::words(&format!("{} `{host}` is added", globals.terminal.green("✓")));
        Ok(ExitCode::SUCCESS)
    }
}

fn read_token() -> Result<Secret, ClientError> {
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text).map_err(ClientError::TokenInput)?;
    Ok(Secret::new(text.trim()))
}

impl List {
    fn run(self) -> Outcome {
        let servers = Servers::load(&paths::client_config())?.list();
        if self.json {
            term::json(&servers);
        } else if servers.is_empty() {
            term::words("no server is known\n\nhint: run `haloy server add HOST TOKEN`");
        } else {
            let token = |set: bool| if set { "set" } else { "missing" }.to_owned();
            let rows = servers.iter().map(|server| vec![server.host.clone(), token(server.has_token), server.token_env.clone()]);
            term::data(&term::table(&["server", "token", "variable"], rows.collect()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Delete {
    fn run(self, globals: &Globals) -> Outcome {
        let host = self.host.to_string();
        Servers::load(&paths::client_config())?.remove(&host)?;
        term::words(&format!("{} `{host}` is forgotten", globals.terminal.green("✓")));
        Ok(ExitCode::SUCCESS)
    }
}
