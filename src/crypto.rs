//! The one place that chooses cryptography: the TLS provider, random bytes, digests, sealing at rest.

use std::io::{Read as _, Write as _};

use age::secrecy::ExposeSecret as _;
use aws_lc_rs::{constant_time, digest, rand};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};

use crate::secret::Secret;

#[derive(Debug, thiserror::Error)]
pub enum CryptoError {
    #[error("the age identity is not valid: it must be one line beginning with AGE-SECRET-KEY-1")]
    Identity,
    #[error("could not seal a value for storage")]
    Seal(#[source] std::io::Error),
    #[error("a stored value cannot be opened with this server's age identity")]
    Open(#[source] age::DecryptError),
    #[error("a stored value is damaged")]
    Damaged(#[source] std::io::Error),
}

/// Installs the process-wide TLS provider; the first thing `run` does.
pub fn install_provider() {
    // Fails only when one is installed already, which is the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// `N` random bytes from the kernel-seeded generator.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("invariant: the system's random generator works");
    bytes
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).map(char::from).collect()
}

/// SHA-256 as lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// SHA-256 of a content that comes in pieces. A clone goes on from the same place.
#[derive(Clone)]
pub struct Sha256(digest::Context);

impl Sha256 {
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Lower-case hexadecimal.
    pub fn finish_hex(self) -> String {
        hex(self.0.finish().as_ref())
    }
}

/// What the server's own certificate is for, which is shown for names without another (RFC 6761 §6.4).
pub const OWN_NAME: &str = "haloy.invalid";

/// A certificate for the names (or IP addresses) that nobody signed but itself, and its P-256 key: one PEM text.
pub fn self_signed(names: &[&str]) -> Result<Secret, rcgen::Error> {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, names.first().map_or("haloy", |&name| name));
    let certificate = params.self_signed(&pair)?;
    Ok(Secret::new(format!("{}{}", certificate.pem(), pair.serialize_pem())))
}

/// Whether both are equal, in time that does not depend on where they differ.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// The server's age identity: seals what must be read again later (resolved env values).
#[derive(Clone)]
pub struct Identity(age::x25519::Identity);

impl Identity {
    pub fn generate() -> Self {
        Self(age::x25519::Identity::generate())
    }

    /// Reads the text of an identity file as the age tool writes it: comments and one key line.
    pub fn parse(text: &str) -> Result<Self, CryptoError> {
        let key = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        key.ok_or(CryptoError::Identity)?.parse().map(Self).map_err(|_| CryptoError::Identity)
    }

    /// The identity file's text, which the age tool reads too.
    pub fn to_file(&self) -> Secret {
        Secret::new(format!("# public key: {}\n{}\n", self.0.to_public(), self.0.to_string().expose_secret()))
    }

    /// The public half, `age1…`: says who can open what this identity sealed.
    pub fn recipient(&self) -> String {
        self.0.to_public().to_string()
    }

    pub fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let recipient = self.0.to_public();
        let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
            .map_err(|error| CryptoError::Seal(std::io::Error::other(error)))?;
        let mut sealed = Vec::new();
        let mut writer = encryptor.wrap_output(&mut sealed).map_err(CryptoError::Seal)?;
        writer.write_all(plain).and_then(|()| writer.finish().map(|_| ())).map_err(CryptoError::Seal)?;
        Ok(sealed)
    }

    pub fn open(&self, sealed: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, CryptoError> {
        let decryptor = age::Decryptor::new_buffered(sealed).map_err(CryptoError::Open)?;
        let mut reader = decryptor.decrypt(std::iter::once(&self.0 as &dyn age::Identity)).map_err(CryptoError::Open)?;
        let mut plain = zeroize::Zeroizing::new(Vec::new());
        reader.read_to_end(&mut plain).map_err(CryptoError::Damaged)?;
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_identity_seals_only_it_opens() {
        let ours = Identity::parse(Identity::generate().to_file().expose()).expect("own file parses");
        let sealed = ours.seal(b"DATABASE_URL").expect("seal");
        assert!(!sealed.windows(8).any(|w| w == b"DATABASE"));
        assert_eq!(ours.open(&sealed).expect("open").as_slice(), b"DATABASE_URL");
        assert!(Identity::generate().open(&sealed).is_err());
        assert!(Identity::parse("AGE-SECRET-KEY-nonsense").is_err());
    }

    #[test]
    fn digests_and_comparison() {
        assert_eq!(sha256_hex(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert!(equal(b"ab", b"ab") && !equal(b"ab", b"ac") && !equal(b"ab", b"abc"));
    }
}
