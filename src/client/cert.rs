//! `cert`: the certificates that a server serves.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use crate::names::Domain;
use crate::secret::Secret;
use crate::term::{self, Spinner, Terminal};
use crate::wire::{Certificate, CertificateDetails, CertificateProblem, CertificateSource, CertificateState, CertificateUpload, routes};

use super::Outcome;
use super::api::Api;
use super::duration::span;
use super::error::ClientError;
use super::subject::{self, Globals};

/// Authorities take their time to look and to sign.
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(500);

/// See, bring and renew the certificates of a server
#[derive(clap::Args)]
#[command(args = super::shown())]
pub struct Cert {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the certificates: what is served until when, and what is wrong
    List(List),
    /// Show one certificate with all that is known of it
    Show(Show),
    /// Bring a certificate of your own; you renew it
    #[command(after_help = "\
Examples:
  haloy cert add app.example.com --cert fullchain.pem --key privkey.pem
  haloy cert add '*.example.com' --cert wildcard.pem --key wildcard.key")]
    Add(Add),
    /// Remove a certificate; one that an app needs is then ordered
    Remove(Remove),
    /// Order a certificate anew, now, and wait for it
    Renew(Renew),
}

#[derive(clap::Args)]
struct List {
    /// Print one JSON value, a list of certificates
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Show {
    /// Domain of the certificate
    #[arg(value_name = "DOMAIN")]
    name: String,
    /// Print the chain as PEM and nothing else
    #[arg(long, conflicts_with = "json")]
    pem: bool,
    /// Print one JSON value
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Add {
    /// Domain that it is for; `*.` and a domain for a wildcard
    #[arg(value_name = "DOMAIN")]
    name: String,
    /// PEM file with the certificate and those that lead to its authority, the domain's own first
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// PEM file with its private key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

#[derive(clap::Args)]
struct Remove {
    /// Domain of the certificate
    #[arg(value_name = "DOMAIN")]
    name: String,
}

#[derive(clap::Args)]
struct Renew {
    /// Domain of the certificate
    #[arg(value_name = "DOMAIN")]
    name: Domain,
}

impl Cert {
    pub fn wants_json(&self) -> bool {
        match &self.command {
            Command::List(list) => list.json,
            Command::Show(show) => show.json,
            Command::Add(_) | Command::Remove(_) | Command::Renew(_) => false,
        }
    }

    pub async fn run(self, globals: &Globals) -> Outcome {
        let api = subject::server(globals).await?;
        match self.command {
            Command::List(list) => list.run(&api, globals).await,
            Command::Show(show) => show.run(&api, globals).await,
            Command::Add(add) => add.run(&api, globals).await,
            Command::Remove(remove) => remove.run(&api, globals).await,
            Command::Renew(renew) => renew.run(&api, globals).await,
        }
    }
}

impl List {
    async fn run(self, api: &Api, globals: &Globals) -> Outcome {
        let certificates: Vec<Certificate> = api.get(routes::CERTIFICATES).await?;
        if self.json {
            term::json(&certificates);
        } else if certificates.is_empty() {
            term::words("no app there needs a certificate");
        } else {
            let (now, terminal) = (Timestamp::now(), globals.terminal.for_data());
            let rows = certificates.iter().map(|certificate| row(certificate, now)).collect();
            term::data(&term::table(&["domain", "app", "state", "source", "issuer", "ends in"], rows));
            for certificate in certificates.iter().filter(|certificate| !troubles(certificate).is_empty()) {
                term::data(&format!("\n{}\n", certificate.name));
                troubles(certificate).iter().for_each(|line| term::data(&format!("  {}\n", terminal.yellow(line))));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    async fn run(self, api: &Api, globals: &Globals) -> Outcome {
        let details: CertificateDetails = api.get(&routes::certificate(&canonical(&self.name)?)).await?;
        if self.json {
            term::json(&details);
        } else if self.pem {
            let name = details.certificate.name;
            term::data(&details.chain.ok_or(ClientError::NoCertificateYet { name })?);
        } else {
            term::data(&describe(&details.certificate, Timestamp::now(), globals.terminal.for_data()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Add {
    async fn run(self, api: &Api, globals: &Globals) -> Outcome {
        let certificate = read(&self.cert)?;
        let private_key = Secret::new(read(&self.key)?);
        let name = canonical(&self.name)?;
        api.put(&routes::certificate(&name), &CertificateUpload { certificate, private_key }).await?;
        term::words(&format!("{} `{}` serves this certificate for `{name}`", globals.terminal.green("✓"), api.server()));
        Ok(ExitCode::SUCCESS)
    }
}

impl Remove {
    async fn run(self, api: &Api, globals: &Globals) -> Outcome {
        let name = canonical(&self.name)?;
        api.delete(&routes::certificate(&name)).await?;
        term::words(&format!("{} `{}` has removed the certificate of `{name}`", globals.terminal.green("✓"), api.server()));
        Ok(ExitCode::SUCCESS)
    }
}

impl Renew {
    async fn run(self, api: &Api, globals: &Globals) -> Outcome {
        let name = self.name.as_str();
        let before = served(&look(api, name).await?);
        api.post_for_nothing(&routes::renew_certificate(name), &()).await?;
        let spinner = globals.terminal.progress.then(|| Spinner::start(&format!("ordering a certificate for `{name}`")));
        let until = Instant::now() + PATIENCE;
        loop {
            sleep(LOOK).await;
            let now = look(api, name).await?;
            if served(&now) != before && served(&now).is_some() {
                drop(spinner);
                term::words(&format!("{} `{name}` has a new certificate", globals.terminal.green("✓")));
                return Ok(ExitCode::SUCCESS);
            }
            match now.problem {
                Some(problem) if now.state != CertificateState::Ordering => return Err(ClientError::Renewal { name: now.name, problem }),
                _ if Instant::now() > until => return Err(ClientError::RenewalGoesOn { name: now.name }),
                _ => {}
            }
        }
    }
}

async fn look(api: &Api, name: &str) -> Result<Certificate, ClientError> {
    let details: CertificateDetails = api.get(&routes::certificate(name)).await?;
    Ok(details.certificate)
}

fn served(certificate: &Certificate) -> Option<String> {
    certificate.served.as_ref().map(|served| served.fingerprint.clone())
}

fn read(path: &Path) -> Result<String, ClientError> {
    std::fs::read_to_string(path).map_err(|source| ClientError::ReadFile { path: path.to_owned(), source })
}

/// As the server calls it. Files that somebody placed there may have other names.
fn canonical(name: &str) -> Result<String, ClientError> {
    let (star, rest) = name.strip_prefix("*.").map_or(("", name), |rest| ("*.", rest));
    match rest.parse::<Domain>() {
        Ok(domain) => Ok(format!("{star}{domain}")),
        Err(_) if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) => Ok(name.to_owned()),
        Err(error) => Err(error.into()),
    }
}

pub fn state(certificate: &Certificate) -> &'static str {
    match certificate.state {
        CertificateState::Valid => "valid",
        CertificateState::Ordering => "being ordered",
        CertificateState::Failed => "failed",
        CertificateState::Expiring => "ends soon",
        CertificateState::SelfSigned => "self-signed",
    }
}

/// What is wrong, and what helps, line by line.
pub fn troubles(certificate: &Certificate) -> Vec<String> {
    let mut lines: Vec<String> =
        certificate.left_out.iter().map(|left_out| format!("without `{}`: {}", left_out.name, left_out.reason)).collect();
    let Some(CertificateProblem { reason, hint, failures, next_attempt }) = &certificate.problem else { return lines };
    if certificate.left_out.is_empty() {
        lines.push(reason.clone());
    }
    lines.extend(hint.as_ref().map(|hint| format!("hint: {hint}")));
    let wait = span(Timestamp::now(), *next_attempt).map_or("now".to_owned(), |span| format!("in {span}"));
    let times = if *failures == 1 { "once".to_owned() } else { format!("{failures} times") };
    lines.push(format!("failed {times}, the next attempt is {wait}"));
    lines
}

fn row(certificate: &Certificate, now: Timestamp) -> Vec<String> {
    let served = certificate.served.as_ref();
    vec![
        certificate.name.clone(),
        certificate.app.as_ref().map(ToString::to_string).unwrap_or_default(),
        state(certificate).to_owned(),
        served.map(|served| source(served.source).to_owned()).unwrap_or_default(),
        served.map(|served| served.issuer.clone()).unwrap_or_default(),
        served.map(|served| ends(served.not_after, now)).unwrap_or_default(),
    ]
}

fn source(source: CertificateSource) -> &'static str {
    match source {
        CertificateSource::Acme => "ordered",
        CertificateSource::File => "brought",
    }
}

fn ends(at: Timestamp, now: Timestamp) -> String {
    span(now, at).unwrap_or_else(|| "ended".to_owned())
}

fn describe(certificate: &Certificate, now: Timestamp, terminal: Terminal) -> String {
    let mut text = format!("{}  {}\n", certificate.name, state(certificate));
    let mut fact = |name: &str, value: String| text.push_str(&format!("  {name:<13}{value}\n"));
    if let Some(app) = &certificate.app {
        fact("app", app.to_string());
    }
    if let Some(served) = &certificate.served {
        fact("names", served.names.join(", "));
        fact("issuer", served.issuer.clone());
        fact("source", source(served.source).to_owned());
        fact("valid from", served.not_before.to_string());
        fact("valid until", format!("{} ({})", served.not_after, ends(served.not_after, now)));
        fact("fingerprint", format!("SHA-256 {}", served.fingerprint));
    }
    if let Some(at) = certificate.renew_at {
        fact("renewal", format!("{at} ({})", span(now, at).map_or("due".to_owned(), |span| format!("in {span}"))));
    }
    for line in troubles(certificate) {
        fact("", terminal.yellow(&line));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_certificates() {
        let said = |name: &str| canonical(name).ok();
        assert_eq!(said("Shop.Example.com").as_deref(), Some("shop.example.com"));
        assert_eq!(said("*.bücher.example").as_deref(), Some("*.xn--bcher-kva.example"));
        assert_eq!(said("mine").as_deref(), Some("mine"));
        assert_eq!([said("../x"), said("a/b"), said(""), said("*.")], [const { None }; 4]);
    }
}
