//! TLS in front: certificates are chosen from the published snapshot, never from a disk, and all
//! workers share the ticket key, so that a session resumes on whichever core it lands.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::error::ProxyError;
use super::snapshot::Certificates;

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

/// An acceptor that chooses from these certificates.
pub(super) fn acceptor(base: &ServerConfig, certificates: &Certificates) -> TlsAcceptor {
    let mut config = base.clone();
    config.cert_resolver = Arc::new(Sni::new(certificates));
    TlsAcceptor::from(Arc::new(config))
}

#[derive(Debug, Default)]
struct Sni {
    by_name: HashMap<Box<str>, Arc<CertifiedKey>>,
    default: Option<Arc<CertifiedKey>>,
}

impl Sni {
    fn new(certificates: &Certificates) -> Self {
        let by_name = certificates.by_name.iter().map(|(name, key)| (name.as_str().into(), Arc::clone(key))).collect();
        Self { by_name, default: certificates.default.clone() }
    }
}

impl ResolvesServerCert for Sni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // rustls gives the name in lower case.
        hello.server_name().and_then(|name| self.by_name.get(name)).or(self.default.as_ref()).cloned()
    }
}
