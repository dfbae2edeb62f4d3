//! The fingerprint of a server's own key: how a client knows a server that no certificate authority vouches for. It
//! travels behind the API token, as `TOKEN.PIN`, so that whoever has the one has the other.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustls::server::ParsedCertificate;
use rustls_pki_types::CertificateDer;

/// SHA-256 of a certificate's SubjectPublicKeyInfo (as in RFC 7469 §2.4); Base64 for URLs without padding as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin([u8; 32]);

impl Pin {
    /// None for what is no certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let parsed = ParsedCertificate::try_from(certificate).ok()?;
        let digest = digest::digest(&digest::SHA256, &parsed.subject_public_key_info());
        digest.as_ref().try_into().ok().map(Self)
    }

    /// A token, and the pin behind it when it carries one.
    pub fn split(text: &str) -> (&str, Option<Self>) {
        let parts = text.split_once('.').and_then(|(token, pin)| Some((token, Self::parse(pin)?)));
        parts.map_or((text, None), |(token, pin)| (token, Some(pin)))
    }

    fn parse(text: &str) -> Option<Self> {
        BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_that_of_the_key_and_travels_behind_a_token() {
        let key = rcgen::KeyPair::generate().expect("key");
        let certificate = |name: &str| {
            let params = rcgen::CertificateParams::new([name.to_owned()]).expect("names");
            params.self_signed(&key).expect("certificate").der().clone()
        };
        let pin = Pin::of(&certificate("a.example")).expect("a certificate");
        assert_eq!(Pin::of(&certificate("b.example")), Some(pin), "another certificate of the same key");
        assert_eq!(pin.to_string().len(), 43);
        assert_eq!(Pin::split(&format!("haloy_0a.{pin}")), ("haloy_0a", Some(pin)));
        for alone in ["haloy_0a", "haloy_0a.", "haloy_0a.short", ""] {
            assert_eq!(Pin::split(alone), (alone, None));
        }
        assert_eq!(Pin::of(&CertificateDer::from(vec![1, 2, 3])), None);
    }
}
