//! Why there is no certificate, in the authority's own words and with what helps.

use crate::error::Report;
use crate::files::FileError;

#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    #[error("the certificates of the authorities to trust cannot be read")]
    Roots(#[source] FileError),
    #[error("the account at the certificate authority cannot be kept")]
    Account(#[source] FileError),
    #[error("the kept account at the certificate authority is damaged")]
    DamagedAccount(#[source] serde_json::Error),
    #[error("could not {action} at `{directory}`")]
    Authority { action: &'static str, directory: String, source: instant_acme::Error },
    #[error("the certificate authority could not be shown that the domain leads here")]
    Names(Vec<Refused>),
    #[error("the certificate authority offers no challenge for `{0}` that this server can answer")]
    NoChallenge(String),
    #[error("could not make a private key")]
    Key(#[source] rcgen::Error),
    #[error("the certificate that was issued cannot be used")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What the authority says of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub name: String,
    /// The last part of the problem's type (RFC 8555 §6.7), like `dns`.
    pub kind: String,
    pub detail: String,
}

impl AcmeError {
    /// In one line, in the authority's own words where it said something.
    pub fn reason(&self) -> String {
        match self {
            Self::Names(refused) => {
                let each = refused.iter().map(|refused| format!("{}: {}", refused.name, refused.detail));
                each.collect::<Vec<_>>().join("; ")
            }
            Self::Authority { source: instant_acme::Error::Api(problem), action, .. } => match &problem.detail {
                Some(detail) => format!("could not {action}: {detail}"),
                None => format!("could not {action}: {problem}"),
            },
            _ => crate::error::chain(self),
        }
    }

    /// The authority wants to be left alone for a while.
    pub fn is_rate_limit(&self) -> bool {
        self.is_kind("rateLimited")
    }

    /// The last part of the problem's type (RFC 8555 §6.7).
    pub fn is_kind(&self, wanted: &str) -> bool {
        matches!(self, Self::Authority { source: instant_acme::Error::Api(problem), .. } if kind(problem) == wanted)
    }
}

impl Report for AcmeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Names(refused) => refused.first().map(|refused| advice(&refused.kind, &refused.name)),
            Self::Authority { source: instant_acme::Error::Api(problem), .. } => Some(advice(&kind(problem), "the domain")),
            Self::Authority { directory, .. } => {
                Some(format!("can the server reach it? try `curl {directory}` there; it is tried again by itself"))
            }
            Self::Roots(_) => Some("check `acme.ca_file` in haloyd.yaml".to_owned()),
            Self::DamagedAccount(_) => Some("remove the file in `cert-storage/accounts`: another account is made".to_owned()),
            Self::NoChallenge(_) => Some("check `acme.challenge` in haloyd.yaml".to_owned()),
            Self::Account(_) | Self::Key(_) | Self::Unusable(_) => None,
        }
    }
}

/// `urn:ietf:params:acme:error:dns` → `dns`.
pub fn kind(problem: &instant_acme::Problem) -> String {
    problem.r#type.as_deref().and_then(|kind| kind.rsplit(':').next()).unwrap_or_default().to_owned()
}

fn advice(kind: &str, name: &str) -> String {
    match kind {
        "dns" => format!("point an A or AAAA record of {name} at this server"),
        "connection" => {
            format!("the ports 80 and 443 of {name} must be reachable from the internet: check the firewall, then where it points")
        }
        "unauthorized" | "incorrectResponse" => {
            format!("{name} leads to another server, or something in between answers: point it straight at this one")
        }
        "tls" => format!("something before this server ends TLS for {name}: set `acme.challenge: http-01` in haloyd.yaml"),
        "caa" => format!("a CAA record forbids this authority to vouch for {name}: allow it there"),
        "rateLimited" => "nothing needs to be done: it is tried again by itself when the authority's limit is over".to_owned(),
        "externalAccountRequired" => "this authority wants an account of its own: set `acme.eab` in haloyd.yaml".to_owned(),
        "rejectedIdentifier" | "malformed" => {
            format!("this authority does not vouch for {name}: bring a certificate with `haloy cert add`")
        }
        "invalidContact" | "unsupportedContact" => "check `acme_email`".to_owned(),
        _ => "`haloy cert renew DOMAIN` tries again at once".to_owned(),
    }
}
