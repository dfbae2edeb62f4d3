//! `api token`: another token for the API.

use std::process::ExitCode;

use crate::config::tokens::{self, Tokens};
use crate::term;

use super::error::AdminError;
use super::{Outcome, Place};

/// Make a token for the API; it is shown once and kept as a digest
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sudo haloy admin api token --name ci
  haloy admin api token --local-install | haloy server add localhost --token-stdin --force")]
pub struct Token {
    #[command(flatten)]
    place: Place,
    /// Who or what the token is for
    #[arg(long, value_name = "NAME", default_value = "token")]
    name: String,
    /// Print one JSON value
    #[arg(long)]
    pub json: bool,
}

impl Token {
    pub fn run(self, program: &str) -> Outcome {
        let paths = self.place.paths();
        if !paths.haloyd_yaml().exists() {
            return Err(AdminError::NotThere { path: paths.haloyd_yaml(), init: self.place.command(program, "init") });
        }
        let token = tokens::generate();
        Tokens::add(&paths.config, &self.name, &token)?;
        if self.json {
            term::json(&serde_json::json!({ "name": self.name, "token": token.expose() }));
        } else {
            term::data(&format!("{}\n", token.expose()));
            term::words("\nhint: the token is not shown again; on your own machine run `haloy server add HOST TOKEN`");
        }
        Ok(ExitCode::SUCCESS)
    }
}
