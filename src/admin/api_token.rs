//! `api token`: another token for the API.

use std::process::ExitCode;

use jiff::{SignedDuration, Timestamp};

use crate::config::daemon::DaemonSettings;
use crate::config::tokens::{self, Scope, TokenRecord, Tokens};
use crate::names::AppName;
use crate::term;

use super::error::AdminError;
use super::first_contact::{self, with_pin};
use super::undo::Undo;
use super::{Outcome, Place};

/// Make a token for the API; it is shown once and kept as a digest
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sudo haloy admin api token --name ci --scope deploy --app shop --expires 90d
  haloy admin api token --local-install | haloy server add localhost --token-stdin --force")]
pub struct Token {
    #[command(flatten)]
    place: Place,
    /// Who or what the token is for
    #[arg(long, value_name = "NAME", default_value = "token")]
    name: String,
    /// What it may do
    #[arg(long, value_name = "SCOPE", default_value = "admin")]
    scope: Scope,
    /// The one app that it is for
    #[arg(long, value_name = "APP")]
    app: Option<AppName>,
    /// How long it is valid, like 90d or 12h; for ever when absent
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    expires: Option<SignedDuration>,
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
        let settings = DaemonSettings::load(&paths.haloyd_yaml())?;
        let mut undo = Undo::default();
        let pin = first_contact::pin(&paths.own_certificate(), &mut undo)?;
        let token = tokens::generate();
        let expires_at = self.expires.and_then(|time| Timestamp::now().checked_add(time).ok());
        let record = TokenRecord { scope: self.scope, app: self.app, expires_at, ..TokenRecord::new(&self.name, &token) };
        let id = record.id().to_owned();
        Tokens::add(&paths.config, record)?;
        undo.keep();
        let (token, host) = (with_pin(&token, pin), first_contact::host(&settings));
        if self.json {
            term::json(&serde_json::json!({ "id": id, "name": self.name, "token": token.expose(), "pin": pin.to_string(), "host": host }));
        } else {
            first_contact::show(&token, &host);
            term::words(&format!("\nhint: the token is not shown again; on your own machine run `haloy server add {host} --token-stdin`"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A span of time in one unit: `90d`, `12h`, `30m`.
fn lifetime(text: &str) -> Result<SignedDuration, String> {
    let wrong = || "write it like `90d`, `12h` or `30m`".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let number: i64 = text[..text.len() - unit.len_utf8()].parse().ok().filter(|number| *number > 0).ok_or_else(wrong)?;
    let seconds = match unit {
        'd' => 86_400,
        'h' => 3600,
        'm' => 60,
        _ => return Err(wrong()),
    };
    number.checked_mul(seconds).map(SignedDuration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes() {
        assert_eq!(lifetime("90d"), Ok(SignedDuration::from_hours(90 * 24)));
        assert_eq!((lifetime("12h"), lifetime("30m")), (Ok(SignedDuration::from_hours(12)), Ok(SignedDuration::from_mins(30))));
        for text in ["", "d", "90", "0d", "-1d", "1y", "1.5d", "9223372036854775807d", "ä"] {
            assert!(lifetime(text).is_err(), "{text}");
        }
    }
}
