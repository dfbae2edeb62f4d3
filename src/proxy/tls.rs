//! TLS in front: certificates are chosen from the published snapshot, never from a disk, and all
//! workers share the ticket key, so that a session resumes on whichever core it lands.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::error::ProxyError;
use super::snapshot::{Certificates, Challenges};
use crate::names::Domain;

/// What all workers and all snapshots share.
pub(super) fn base() -> Result<ServerConfig, ProxyError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ProxyError::Tls)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Sni::default()));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(ProxyError::Tls)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    Ok(config)
}

/// The protocol of TLS-ALPN-01 (RFC 8737 §6.2): such a connection ends with its handshake.
pub(super) const ACME: &[u8] = b"acme-tls/1";

/// An acceptor that chooses from these certificates.
pub(super) fn acceptor(base: &ServerConfig, certificates: &Certificates, challenges: &Challenges) -> TlsAcceptor {
    let mut config = base.clone();
    if !challenges.tls.is_empty() {
        config.alpn_protocols.push(ACME.to_vec());
    }
    config.cert_resolver = Arc::new(Sni::new(certificates, challenges));
    TlsAcceptor::from(Arc::new(config))
}

#[derive(Debug, Default)]
struct Sni {
    by_name: HashMap<Box<str>, Arc<CertifiedKey>>,
    wildcards: HashMap<Box<str>, Arc<CertifiedKey>>,
    challenges: HashMap<Box<str>, Arc<CertifiedKey>>,
    default: Option<Arc<CertifiedKey>>,
}

impl Sni {
    fn new(certificates: &Certificates, challenges: &Challenges) -> Self {
        let fast =
            |keys: &BTreeMap<Domain, Arc<CertifiedKey>>| keys.iter().map(|(name, key)| (name.as_str().into(), Arc::clone(key))).collect();
        Self {
            by_name: fast(&certificates.by_name),
            wildcards: fast(&certificates.wildcards),
            challenges: fast(&challenges.tls),
            default: certificates.default.clone(),
        }
    }

    fn of_name(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        self.by_name.get(name).or_else(|| self.wildcards.get(name.split_once('.')?.1))
    }
}

impl ResolvesServerCert for Sni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // rustls gives the name in lower case.
        let name = hello.server_name();
        if hello.alpn().is_some_and(|mut offered| offered.next() == Some(ACME) && offered.next().is_none()) {
            return self.challenges.get(name?).cloned();
        }
        name.and_then(|name| self.of_name(name)).or(self.default.as_ref()).cloned()
    }
}
