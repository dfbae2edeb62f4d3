//! `api tokens` and `api revoke`: which tokens there are, and one less.

use std::process::ExitCode;

use jiff::Timestamp;

use crate::config::tokens::{LastUses, TokenRecord, Tokens};
use crate::term::{self, Terminal};

use super::error::AdminError;
use super::{Outcome, Place};

/// List the API's tokens; what they are is known to nobody
#[derive(clap::Args)]
pub struct List {
    #[command(flatten)]
    place: Place,
    /// Print one JSON value, a list of tokens
    #[arg(long)]
    pub json: bool,
}

/// Make a token worthless, at once
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sudo haloy admin api tokens           See the ids
  sudo haloy admin api revoke 1f0c93ab")]
pub struct Revoke {
    #[command(flatten)]
    place: Place,
    /// Id of the token
    #[arg(value_name = "ID")]
    id: String,
}

impl List {
    pub fn run(self, program: &str) -> Outcome {
        let paths = self.place.paths();
        if !paths.haloyd_yaml().exists() {
            return Err(AdminError::NotThere { path: paths.haloyd_yaml(), init: self.place.command(program, "init") });
        }
        let tokens = Tokens::load(&paths.config)?;
        let uses = LastUses::load(&paths.data);
        if self.json {
            let shown = |token: &TokenRecord| {
                serde_json::json!({
                    "id": token.id(), "name": token.name, "scope": token.scope, "app": token.app,
                    "created_at": token.created_at, "expires_at": token.expires_at, "last_used_at": uses.of(token),
                })
            };
            term::json(&tokens.iter().map(shown).collect::<Vec<_>>());
            return Ok(ExitCode::SUCCESS);
        }
        let now = Timestamp::now();
        term::data(&term::table(
            &["id", "name", "scope", "app", "made on", "ends on", "last used"],
            tokens.iter().map(|token| row(token, uses.of(token), now)).collect(),
        ));
        Ok(ExitCode::SUCCESS)
    }
}

fn row(token: &TokenRecord, used: Option<Timestamp>, now: Timestamp) -> Vec<String> {
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    let end = token.expires_at.map(|end| if end <= now { format!("{}, over", day(end)) } else { day(end) });
    vec![
        token.id().to_owned(),
        token.name.clone(),
        token.scope.to_string(),
        token.app.as_ref().map(ToString::to_string).unwrap_or_default(),
        day(token.created_at),
        end.unwrap_or_else(|| "never".to_owned()),
        used.map_or_else(|| "never".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M").to_string()),
    ]
}

impl Revoke {
    pub fn run(self, program: &str) -> Outcome {
        let paths = self.place.paths();
        match Tokens::revoke(&paths.config, &self.id)? {
            Some(token) => {
                term::words(&format!("{} the token `{}` ({}) is revoked", Terminal::detect().green("✓"), token.name, token.id()));
                Ok(ExitCode::SUCCESS)
            }
            None => Err(AdminError::NoToken { id: self.id, tokens: self.place.command(program, "api tokens") }),
        }
    }
}
