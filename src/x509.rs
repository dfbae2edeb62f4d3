//! What certificates say of themselves and of each other (RFC 5280).

use std::collections::BTreeSet;

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate, X509Error};

use crate::crypto;
use crate::names::Domain;

#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    #[error("the certificate is damaged")]
    Damaged(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the certificate is for no DNS name")]
    Nameless,
}

/// A server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// In A-label form, `*.` for wildcards.
    pub names: BTreeSet<String>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// Common name or organisation of who signed it.
    pub issuer: String,
    /// SHA-256 of it, as lower-case hexadecimal.
    pub fingerprint: String,
}

impl Leaf {
    pub fn read(der: &[u8]) -> Result<Self, LeafError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| LeafError::Damaged(error.into()))?;
        let names = certificate.subject_alternative_name().map_err(|error| LeafError::Damaged(error.into()))?;
        let names = names.iter().flat_map(|extension| &extension.value.general_names).filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
        let names: BTreeSet<String> = names.collect();
        if names.is_empty() {
            return Err(LeafError::Nameless);
        }
        let issuer = certificate.issuer();
        let said = issuer.iter_common_name().chain(issuer.iter_organization()).find_map(|part| part.as_str().ok());
        let time = |seconds: i64| Timestamp::from_second(seconds).map_err(|error| LeafError::Damaged(error.into()));
        Ok(Self {
            names,
            not_before: time(certificate.validity().not_before.timestamp())?,
            not_after: time(certificate.validity().not_after.timestamp())?,
            issuer: said.unwrap_or("an authority without a name").to_owned(),
            fingerprint: crypto::sha256_hex(der),
        })
    }

    /// Whether it vouches for the name; a wildcard stands for one label (RFC 6125 §6.4.3).
    pub fn covers(&self, name: &Domain) -> bool {
        let wildcard = name.as_str().split_once('.').map(|(_, parent)| format!("*.{parent}"));
        self.names.contains(name.as_str()) || wildcard.is_some_and(|wildcard| self.names.contains(&wildcard))
    }

    /// The share of its life that is left, from 1 to 0.
    pub fn life_left(&self, now: Timestamp) -> f64 {
        let (whole, left) = (self.not_after.as_second() - self.not_before.as_second(), self.not_after.as_second() - now.as_second());
        if whole <= 0 { 0.0 } else { (left as f64 / whole as f64).clamp(0.0, 1.0) }
    }

    /// Not before a hundredth of its life, whatever anybody says: nobody orders in circles.
    pub fn earliest_renewal(&self) -> Timestamp {
        let whole = self.not_after.as_second() - self.not_before.as_second();
        Timestamp::from_second(self.not_before.as_second() + whole / 100).unwrap_or(self.not_before)
    }

    /// When a third of its life is left.
    pub fn renewal(&self) -> Timestamp {
        let whole = self.not_after.as_second() - self.not_before.as_second();
        Timestamp::from_second(self.not_after.as_second() - whole / 3).unwrap_or(self.not_after)
    }
}

/// The number, from 1, of the first certificate of a chain that is damaged or did not sign the one before it.
pub fn chain_break(chain: &[CertificateDer<'_>]) -> Option<usize> {
    let mut before: Option<X509Certificate<'_>> = None;
    for (number, der) in (1..).zip(chain) {
        let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Some(number) };
        if before.is_some_and(|before| !signed(&before, &certificate)) {
            return Some(number);
        }
        before = Some(certificate);
    }
    None
}

fn signed(certificate: &X509Certificate<'_>, signer: &X509Certificate<'_>) -> bool {
    let by_key = match certificate.verify_signature(Some(signer.public_key())) {
        // Of an algorithm that cannot be computed here, but perhaps by the visitors, only the names can be compared.
        Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm) => true,
        Err(_) => false,
    };
    by_key && certificate.issuer() == signer.subject()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
    use rustls_pki_types::pem::PemObject as _;

    fn made(names: &[&str]) -> CertificateDer<'static> {
        let pem = crypto::self_signed(names).expect("made");
        CertificateDer::from_pem_slice(pem.expose().as_bytes()).expect("a certificate")
    }

    #[test]
    fn names_times_and_wildcards() {
        let leaf = Leaf::read(&made(&["Shop.example.com", "*.wild.example"])).expect("read");
        let covers = |name: &str| leaf.covers(&name.parse().expect("a domain"));
        assert!(covers("shop.example.com") && covers("a.wild.example"));
        assert!(!covers("wild.example") && !covers("a.b.wild.example") && !covers("example.com"));
        assert!(leaf.not_before < leaf.renewal() && leaf.renewal() < leaf.not_after);
        assert!((leaf.life_left(leaf.renewal()) - 1.0 / 3.0).abs() < 0.001);
        assert_eq!((leaf.life_left(leaf.not_before), leaf.life_left(leaf.not_after)), (1.0, 0.0));
        assert!(matches!(Leaf::read(b"nonsense"), Err(LeafError::Damaged(_))));
        assert!(matches!(Leaf::read(&made(&["127.0.0.1"])), Err(LeafError::Nameless)));
    }

    /// An authority of this name with a key of its own.
    fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
    }

    #[test]
    fn a_chain_is_held_together_by_signatures_not_by_names() {
        let (signer, namesake) = (authority("Example CA"), authority("Example CA"));
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["shop.example.com".to_owned()]).expect("names");
        let leaf = params.signed_by(&key, &signer).expect("signed");
        let chain = |second: &CertifiedIssuer<'_, KeyPair>| chain_break(&[leaf.der().clone(), second.der().clone()]);
        assert_eq!(chain(&signer), None);
        assert_eq!(chain(&namesake), Some(2), "another key");
        let damaged = chain_break(&[leaf.der().clone(), CertificateDer::from_slice(b"nonsense")]);
        assert_eq!(damaged, Some(2));
    }
}
