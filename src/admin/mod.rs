//! The admin tool: makes this machine a server and looks after it.
//!
//! It works on files of this machine alone and needs no running daemon: the daemon reads what is
//! written here. Whatever a step creates is taken away again when a later step fails.

mod api_domain;
mod api_token;
mod api_tokens;
mod error;
mod first_contact;
mod init;
mod undo;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::command_line;
use crate::error::{Report as _, chain, report, report_json};
use crate::paths::{Install, ServerPaths};

use error::AdminError;

type Outcome = Result<ExitCode, AdminError>;

/// Sets up and administers this machine as a haloy server
#[derive(Parser)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  sudo haloy admin init               Make this machine a server
  haloy admin init --local-install    A server for this user alone, to try it out
  sudo haloy admin api token          Another API token"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(init::Init),
    /// Manage access to the API
    Api(Api),
}

#[derive(clap::Args)]
struct Api {
    #[command(subcommand)]
    command: ApiCommand,
}

#[derive(Subcommand)]
enum ApiCommand {
    Token(api_token::Token),
    Tokens(api_tokens::List),
    Revoke(api_tokens::Revoke),
    Domain(api_domain::SetDomain),
}

/// Which server of this machine.
#[derive(clap::Args)]
struct Place {
    /// The server of this user (~/.config/haloy, ~/.local/share/haloy) instead of the machine's
    #[arg(long)]
    local_install: bool,
    /// Configuration directory [default: /etc/haloy]
    #[arg(long, value_name = "DIR")]
    config_dir: Option<PathBuf>,
    /// Data directory [default: /var/lib/haloy]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Place {
    fn paths(&self) -> ServerPaths {
        let install = if self.local_install { Install::User } else { Install::System };
        ServerPaths::resolve(install, self.config_dir.clone(), self.data_dir.clone())
    }

    /// A command line about the same server.
    fn command(&self, program: &str, words: &str) -> String {
        let mut command = format!("{program} {words}");
        if self.local_install {
            command.push_str(" --local-install");
        }
        for (flag, dir) in [("--config-dir", &self.config_dir), ("--data-dir", &self.data_dir)] {
            if let Some(dir) = dir {
                command.push_str(&format!(" {flag} {}", quoted(dir)));
            }
        }
        command
    }
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+:@".contains(&byte));
    if plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Runs the admin tool.
pub fn main(program: &str, args: Vec<OsString>) -> ExitCode {
    let Cli { command } = match command_line::parse(program, args) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let json = match &command {
        Command::Init(init) => init.json,
        Command::Api(Api { command }) => match command {
            ApiCommand::Token(token) => token.json,
            ApiCommand::Tokens(list) => list.json,
            ApiCommand::Domain(domain) => domain.json,
            ApiCommand::Revoke(_) => false,
        },
    };
    let outcome = match command {
        Command::Init(init) => init.run(program),
        Command::Api(Api { command }) => match command {
            ApiCommand::Token(token) => token.run(program),
            ApiCommand::Tokens(list) => list.run(program),
            ApiCommand::Revoke(revoke) => revoke.run(program),
            ApiCommand::Domain(domain) => domain.run(program),
        },
    };
    outcome.unwrap_or_else(|error| {
        if json {
            report_json(&error, &chain(&error));
        }
        report(&error);
        ExitCode::from(error.exit_code())
    })
}
