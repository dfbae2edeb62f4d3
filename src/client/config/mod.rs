//! `config`: the language of configuration files, and what one of them says in the end.
//!
//! Nothing here asks a server or a secret provider, and no secret is ever shown.

mod docs;
mod show;

use std::process::ExitCode;

use crate::config;
use crate::term;

use super::Outcome;
use super::subject::Globals;

/// Look up the keys of haloy.yaml, and where a value comes from
#[derive(clap::Args)]
#[command(args = super::hidden(&["server"]))]
pub struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Show(show::Show),
    Docs(docs::Docs),
    Schema(Schema),
}

/// Print the JSON Schema (draft 2020-12) of haloy.yaml, for editors and other programs
#[derive(clap::Args)]
#[command(args = super::hidden(&["config", "server"]), after_help = "\
Examples:
  haloy config schema > haloy.schema.json
  # yaml-language-server: $schema=haloy.schema.json   The first line of a haloy.yaml that editors check by it")]
struct Schema {
    /// It is one JSON value in any case
    #[arg(long, hide = true)]
    json: bool,
}

impl Config {
    pub fn wants_json(&self) -> bool {
        match &self.command {
            Command::Show(show) => show.json,
            Command::Docs(docs) => docs.json,
            Command::Schema(schema) => schema.json,
        }
    }

    pub fn run(self, globals: &Globals) -> Outcome {
        match self.command {
            Command::Show(show) => show.run(globals),
            Command::Docs(docs) => docs.run(globals),
            Command::Schema(_) => {
                term::json(&config::schema());
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
