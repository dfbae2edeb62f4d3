//! `api domain`: where the API is reached from everywhere, with a certificate.

use std::path::Path;
use std::process::ExitCode;

use crate::config::daemon::DaemonSettings;
use crate::names::{Domain, is_email};
use crate::term::{self, Terminal};

use super::error::AdminError;
use super::{Outcome, Place};

/// Show or set the domain of the API; a running daemon takes it within seconds
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sudo haloy admin api domain haloy.example.com you@example.com
  sudo haloy admin api domain             Show it
  sudo haloy admin api domain --remove    The API on loopback alone

An A or AAAA record of the domain must lead to this server: its certificate is ordered at once.")]
pub struct SetDomain {
    #[command(flatten)]
    place: Place,
    /// Domain of the API
    #[arg(value_name = "DOMAIN")]
    domain: Option<Domain>,
    /// Whom certificate authorities write to
    #[arg(value_name = "EMAIL", value_parser = email)]
    email: Option<String>,
    /// Serve the API at no domain
    #[arg(long, conflicts_with_all = ["domain", "email"])]
    remove: bool,
    /// Print one JSON value: domain and email
    #[arg(long)]
    pub json: bool,
}

impl SetDomain {
    pub fn run(self, program: &str) -> Outcome {
        let paths = self.place.paths();
        let path = paths.haloyd_yaml();
        if !path.exists() {
            return Err(AdminError::NotThere { path, init: self.place.command(program, "init") });
        }
        let mut settings = DaemonSettings::load(&path)?;
        if self.domain.is_some() || self.remove {
            settings.api_domain = self.domain;
            settings.acme_email = self.email.or(settings.acme_email);
            write(&settings, &path, self.place.local_install)?;
        }
        if self.json {
            term::json(&serde_json::json!({ "domain": settings.api_domain, "email": settings.acme_email }));
            return Ok(ExitCode::SUCCESS);
        }
        let mark = Terminal::detect().green("✓");
        match settings.api_domain {
            Some(domain) => {
                term::data(&format!("{domain}\n"));
                term::words(&format!("{mark} the API is served at https://{domain} as soon as its certificate is there"));
                term::words(&format!("\nhint: on your own machine run `haloy server add {domain} --token-stdin`"));
            }
            None => term::words("the API is served at no domain, on loopback alone"),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// An e-mail address as authorities take it.
pub fn email(text: &str) -> Result<String, String> {
    if is_email(text) { Ok(text.to_owned()) } else { Err("it is not an e-mail address".to_owned()) }
}

fn write(settings: &DaemonSettings, path: &Path, local_install: bool) -> Result<(), AdminError> {
    settings.write(path).map_err(|error| AdminError::of_settings(error, local_install))
}
