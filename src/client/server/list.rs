//! `server list`: which servers are known, and how they are.

use std::process::ExitCode;

use futures_util::future::{join, join_all};
use jiff::Timestamp;
use serde::Serialize;

use crate::client::Outcome;
use crate::client::address::Address;
use crate::client::api::{Api, Credential, Origin};
use crate::client::duration::span;
use crate::client::error::ClientError;
use crate::client::subject::{self, Globals};
use crate::config::client::{self, Servers, TokenPlace};
use crate::error::{Report as _, chain};
use crate::paths;
use crate::term;
use crate::wire::{Version, routes};
use crate::x509::Leaf;

/// List the servers that are known: whether they answer, their version and certificate
#[derive(clap::Args)]
pub struct List {
    /// Print one JSON value, a list of servers (never their tokens)
    #[arg(long)]
    json: bool,
}

/// What is shown of a server.
#[derive(Serialize)]
struct Known {
    host: String,
    token_env: String,
    has_token: bool,
    /// Where its token is; absent without one.
    token_in: Option<TokenPlace>,
    /// It answers and takes the token.
    reachable: bool,
    /// haloyd's version.
    version: Option<String>,
    /// Why it does not answer, or why not as it should.
    problem: Option<String>,
    hint: Option<String>,
    /// The one that it shows; absent without TLS, as on loopback.
    certificate: Option<Shown>,
}

#[derive(Serialize)]
struct Shown {
    /// Trusted for its key, which came with the token, rather than for who vouches for it.
    pinned: bool,
    issuer: String,
    not_after: Timestamp,
}

impl List {
    pub fn wants_json(&self) -> bool {
        self.json
    }

    pub async fn run(self, globals: &Globals) -> Outcome {
        let servers = Servers::load(&paths::client_config())?;
        let known = join_all(servers.list().map(Known::look)).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        if self.json {
            term::json(&known);
        } else if known.is_empty() {
            term::words("no server is known\n\nhint: run `haloy server add HOST --token-stdin`");
        } else {
            let header = ["server", "state", "version", "certificate", "token", "variable"];
            term::data(&term::table(&header, known.iter().map(|server| server.row(Timestamp::now())).collect()));
            for server in &known {
                if let Some(problem) = &server.problem {
                    let hint = server.hint.as_ref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
                    term::words(&globals.terminal.yellow(&format!("warning: `{}`: {problem}{hint}", server.host)));
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Known {
    /// Waits a few seconds at most for the server.
    async fn look(server: &client::Server) -> Result<Self, ClientError> {
        let (token, silent) = subject::token(server)?;
        let mut known = Self {
            host: server.name.to_string(),
            token_env: server.token_env.clone(),
            has_token: token.is_some(),
            token_in: token.as_ref().map(|found| found.place),
            reachable: false,
            version: None,
            problem: silent.map(|reason| format!("the keyring does not give its token: {reason}")),
            hint: None,
            certificate: None,
        };
        let origin = Origin::Added(server.token_env.clone());
        let api = Api::new(Address::Tcp(server.name.clone()), token.map(|found| Credential::new(&found.token, origin)));
        let (version, certificate) = join(api.glance::<Version>(routes::VERSION), api.certificate()).await;
        known.certificate = certificate.ok().flatten().and_then(|(shown, pinned)| {
            let Leaf { issuer, not_after, .. } = Leaf::read(&shown).ok()?;
            Some(Shown { pinned, issuer, not_after })
        });
        match version {
            Ok(version) => (known.reachable, known.version) = (true, Some(version.version)),
            Err(error) => {
                known.hint = error.hint();
                known.problem.get_or_insert_with(|| chain(&error));
            }
        }
        Ok(known)
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let certificate = match &self.certificate {
            Some(Shown { pinned: true, .. }) => "pinned key".to_owned(),
            Some(Shown { not_after, .. }) => span(now, *not_after).map_or("ended".to_owned(), |left| format!("ends in {left}")),
            None => String::new(),
        };
        vec![
            self.host.clone(),
            if self.reachable { "up" } else { "no answer" }.to_owned(),
            self.version.clone().unwrap_or_default(),
            certificate,
            self.token_in.map_or("missing", TokenPlace::as_str).to_owned(),
            self.token_env.clone(),
        ]
    }
}
