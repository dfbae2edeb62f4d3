//! Certificates as people see them; private keys are in none of this.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::names::{AppName, Domain};

/// The certificate of a domain and its aliases: the one that is served, and what is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    /// The canonical domain, or the name of the file that somebody placed.
    pub name: String,
    /// Whom it is for; none when no app has these names.
    #[serde(default)]
    pub app: Option<AppName>,
    pub state: CertificateState,
    /// What is served; none while visitors get the server's self-signed certificate.
    #[serde(default)]
    pub served: Option<ServedCertificate>,
    /// When it is renewed; none for one that is not ours to renew.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub renew_at: Option<Timestamp>,
    /// Aliases that the authority could not be shown; they are tried again.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// Why the last order failed.
    #[serde(default)]
    pub problem: Option<CertificateProblem>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServedCertificate {
    /// In A-label form, `*.` for wildcards.
    pub names: Vec<String>,
    pub source: CertificateSource,
    /// Common name or organisation of who signed it.
    pub issuer: String,
    #[schema(value_type = String, format = DateTime)]
    pub not_before: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub not_after: Timestamp,
    /// SHA-256 of the certificate, as lower-case hexadecimal.
    pub fingerprint: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateState {
    /// Served, and valid for a good while.
    Valid,
    /// Being ordered, or about to be.
    Ordering,
    /// The last order failed; it is tried again by itself.
    Failed,
    /// Served, and near its end or past it; nobody renews it by itself.
    Expiring,
    /// No authority vouches for such a name: visitors get a self-signed certificate.
    SelfSigned,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateSource {
    /// Ordered by the server, and renewed by it.
    Acme,
    /// Brought by somebody.
    File,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftOut {
    pub name: Domain,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateProblem {
    /// In the authority's own words where it said something.
    pub reason: String,
    #[serde(default)]
    pub hint: Option<String>,
    /// Orders in a row that failed.
    pub failures: u32,
    #[schema(value_type = String, format = DateTime)]
    pub next_attempt: Timestamp,
}

/// A certificate with its chain, for everybody: the private key is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateDetails {
    pub certificate: Certificate,
    /// PEM, the server's own first; none while nothing is kept under the name.
    #[serde(default)]
    pub chain: Option<String>,
}

/// A certificate that somebody brings: PEM, the chain leaf first, and its private key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateUpload {
    pub certificate: String,
    #[serde(with = "crate::secret::exposed")]
    #[schema(value_type = String)]
    pub private_key: crate::secret::Secret,
}
