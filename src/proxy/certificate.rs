//! Certificates as values: making self-signed ones and reading PEM files. Nothing here touches a disk.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::error::ProxyError;
use crate::crypto;
use crate::secret::Secret;

/// A certificate that nobody signed but itself.
pub struct SelfSigned {
    pub key: Arc<CertifiedKey>,
    /// Certificate and private key, in this order, as one PEM text that [`from_pem`] reads.
    pub pem: Secret,
}

/// Makes a self-signed P-256 certificate for the names (or IP addresses).
pub fn self_signed(names: &[&str]) -> Result<SelfSigned, ProxyError> {
    let pem = crypto::self_signed(names).map_err(ProxyError::SelfSigned)?;
    Ok(SelfSigned { key: from_pem(pem.expose())?, pem })
}

/// Reads a chain (leaf first) and its private key from one PEM text, in whatever order they stand.
pub fn from_pem(pem: &str) -> Result<Arc<CertifiedKey>, ProxyError> {
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>().map_err(ProxyError::Pem)?;
    if chain.is_empty() {
        return Err(ProxyError::Pem(rustls_pki_types::pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(ProxyError::Pem)?;
    let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(ProxyError::Certificate)?;
    Ok(Arc::new(certified))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_read_again() {
        let made = self_signed(&["a.example", "127.0.0.1"]).expect("made");
        let read = from_pem(made.pem.expose()).expect("read");
        assert_eq!(read.cert, made.key.cert);
    }

    #[test]
    fn a_key_of_another_certificate_or_none_is_refused() {
        let (one, other) = (self_signed(&["a.example"]).expect("one"), self_signed(&["a.example"]).expect("other"));
        let parts = |pem: &str| pem.split_inclusive("-----END CERTIFICATE-----\n").map(str::to_owned).collect::<Vec<_>>();
        let mixed = format!("{}{}", parts(one.pem.expose())[0], parts(other.pem.expose())[1]);
        assert!(matches!(from_pem(&mixed), Err(ProxyError::Certificate(_))));
        assert!(matches!(from_pem(&parts(one.pem.expose())[0]), Err(ProxyError::Pem(_))));
        assert!(from_pem("nonsense").is_err());
    }
}
