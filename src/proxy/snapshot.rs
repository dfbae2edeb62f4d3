//! The proxy's one input: a whole routing table with its certificates, never a change to one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};

use super::error::ProxyError;
use crate::files;
use crate::names::Domain;
use crate::secret::Secret;

/// Everything the data plane knows. Serialised it is the last-known-good table: keys and
/// certificates are not part of that, whoever loads it puts them back.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Snapshot {
    pub routes: Vec<Route>,
    /// Alias → canonical domain; path and query are kept byte for byte.
    pub redirects: BTreeMap<Domain, Domain>,
    #[serde(skip)]
    pub certificates: Certificates,
    #[serde(skip)]
    pub challenges: Challenges,
}

/// Where requests for some hosts below a path go, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// For logs and metrics: the app's name.
    pub name: String,
    /// None: for every host that no other route is for, over TLS alone.
    pub hosts: Vec<Domain>,
    /// `/` for all; the longest prefix that ends at a `/` boundary wins.
    pub path_prefix: String,
    pub policy: Policy,
    /// Weighted groups of backends. All groups empty: answer 503.
    pub groups: Vec<Group>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Plain HTTP is redirected to HTTPS.
    pub redirect_to_https: bool,
    /// The value of Strict-Transport-Security (RFC 6797) over HTTPS, unless the backend sends its own.
    #[serde(default)]
    pub strict_transport: Option<String>,
    /// What this route's backends are told in [`super::INTRODUCTION`], so that they believe what we forward about clients.
    #[serde(skip)]
    pub introduction: Option<Secret>,
    /// Until the backend's first byte; then 504.
    pub response_timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub weight: u32,
    pub backends: Vec<Backend>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    pub id: BackendId,
    pub address: SocketAddr,
}

/// Names a backend across snapshots; in-flight counts and connection pools follow it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BackendId(pub Arc<str>);

/// What the TLS resolver chooses from.
#[derive(Debug, Clone, Default)]
pub struct Certificates {
    pub by_name: BTreeMap<Domain, Arc<CertifiedKey>>,
    /// By the name that the `*.` stands before; one label and no more (RFC 6125 §6.4.3). An exact name wins.
    pub wildcards: BTreeMap<Domain, Arc<CertifiedKey>>,
    /// For names without a certificate of their own (self-signed).
    pub default: Option<Arc<CertifiedKey>>,
}

/// What shows a certificate authority that a name leads here.
#[derive(Debug, Clone, Default)]
pub struct Challenges {
    /// HTTP-01 (RFC 8555 §8.3): token → key authorization. Answered on the plain port whatever the host; other tokens are the app's.
    pub http: BTreeMap<String, String>,
    /// TLS-ALPN-01 (RFC 8737): the certificate that proves a name, for those who offer `acme-tls/1` alone.
    pub tls: BTreeMap<Domain, Arc<CertifiedKey>>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { redirect_to_https: true, strict_transport: None, introduction: None, response_timeout: Duration::from_secs(60) }
    }
}

impl Snapshot {
    /// Keeps the table as last-known-good, durably; certificates are not part of it.
    pub fn save(&self, path: &Path) -> Result<(), ProxyError> {
        let text = serde_json::to_vec(self).expect("invariant: the table is made of strings, numbers and lists");
        files::write_private(path, &text).map_err(ProxyError::Save)
    }

    /// The kept table, `None` when there is none.
    pub fn load(path: &Path) -> Result<Option<Self>, ProxyError> {
        let Some(text) = files::read_optional(path).map_err(ProxyError::Load)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|source| ProxyError::Damaged { path: path.to_owned(), source })
    }
}
