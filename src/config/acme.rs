//! `acme` in `haloyd.yaml`: which certificate authority is asked, and how.

use std::fmt::Write as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::field::Field;
use super::findings::Findings;
use crate::secret::Secret;

/// Authorities that have a name of their own; the first one is asked when none is chosen.
const DIRECTORIES: &[(&str, &str)] = &[
    ("letsencrypt", "https://acme-v02.api.letsencrypt.org/directory"),
    ("letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory"),
    ("zerossl", "https://acme.zerossl.com/v2/DV90"),
    ("google", "https://dv.acme-v02.api.pki.goog/directory"),
    ("google-staging", "https://dv.acme-v02.test-api.pki.goog/directory"),
];

/// How certificates are ordered (ACME, RFC 8555).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acme {
    /// Name or address of the authority's directory.
    pub directory: Option<String>,
    /// Certificates of the authority's own authority, for one that the system does not know.
    pub ca_file: Option<PathBuf>,
    /// The account that the authority gave (RFC 8555 §7.3.4).
    pub eab: Option<Eab>,
    /// One of the kinds of certificates that the authority offers.
    pub profile: Option<String>,
    pub key_type: KeyType,
    /// How the authority is shown that a domain leads here.
    pub challenge: Option<Challenge>,
}

/// An external account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eab {
    pub kid: String,
    /// Base64 for URLs, as authorities give it.
    pub hmac_key: Secret,
}

impl Eab {
    pub fn key(&self) -> Vec<u8> {
        decode(self.hmac_key.expose()).unwrap_or_default()
    }
}

/// What the keys of certificates are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyType {
    /// ECDSA with P-256: small and fast.
    #[default]
    Ecdsa,
    /// RSA with 2048 bits, for visitors from before 2014.
    Rsa,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// HTTP-01 (RFC 8555 §8.3): over port 80.
    Http,
    /// TLS-ALPN-01 (RFC 8737): over port 443.
    TlsAlpn,
}

const CHALLENGES: &[(&str, Challenge)] = &[("http-01", Challenge::Http), ("tls-alpn-01", Challenge::TlsAlpn)];
const KEY_TYPES: &[(&str, KeyType)] = &[("ecdsa", KeyType::Ecdsa), ("rsa", KeyType::Rsa)];

impl Acme {
    pub(super) fn read(field: &Field<'_>, findings: &mut Findings<'_>) -> Self {
        Self {
            directory: field.get("directory").and_then(|field| read_directory(&field, findings)),
            ca_file: field.get("ca_file").and_then(|field| findings.word(&field).map(PathBuf::from)),
            eab: field.get("eab").and_then(|field| read_eab(&field, findings)),
            profile: field.get("profile").and_then(|field| findings.word(&field).map(str::to_owned)),
            key_type: field.get("key_type").and_then(|field| findings.choice(&field, KEY_TYPES)).unwrap_or_default(),
            challenge: field.get("challenge").and_then(|field| findings.choice(&field, CHALLENGES)),
        }
    }

    /// The lines of the file, below `acme:`.
    pub(super) fn write(&self, text: &mut String) {
        if *self == Self::default() {
            return;
        }
        text.push_str("acme:\n");
        let mut set = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                let _ = writeln!(text, "  {key}: {}", serde_json::Value::from(value));
            }
        };
        set("directory", self.directory.as_deref());
        set("ca_file", self.ca_file.as_ref().and_then(|path| path.to_str()));
        set("profile", self.profile.as_deref());
        set("key_type", (self.key_type == KeyType::Rsa).then_some("rsa"));
        set("challenge", CHALLENGES.iter().find(|(_, challenge)| Some(*challenge) == self.challenge).map(|(name, _)| *name));
        if let Some(eab) = &self.eab {
            let (kid, key) = (serde_json::Value::from(eab.kid.as_str()), serde_json::Value::from(eab.hmac_key.expose()));
            let _ = writeln!(text, "  eab:\n    kid: {kid}\n    hmac_key: {key}");
        }
    }

    /// Where the authority's directory is.
    pub fn directory_url(&self) -> String {
        let wanted = self.directory.as_deref().unwrap_or(DIRECTORIES[0].0);
        DIRECTORIES.iter().find(|(name, _)| *name == wanted).map_or(wanted, |(_, address)| address).to_owned()
    }
}

fn read_directory(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let text = findings.word(field)?;
    if text.starts_with("https://") || DIRECTORIES.iter().any(|(name, _)| *name == text) {
        return Some(text.to_owned());
    }
    let names: Vec<&str> = DIRECTORIES.iter().map(|(name, _)| *name).collect();
    let message = format!("`{}` must be a certificate authority, not {}", field.path, findings.quoted(field, text));
    findings.mistake(field, message).hint(format!("write one of {}, or the address of a directory with https", names.join(", ")));
    None
}

fn read_eab(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Eab> {
    let kid = field.get("kid").and_then(|field| findings.word(&field).map(str::to_owned));
    let key = field.get("hmac_key");
    let hmac_key = key.as_ref().and_then(|field| {
        let text = findings.word(field)?;
        if decode(text).is_none() {
            findings.mistake(field, format!("`{}` is not Base64 for URLs", field.path)).hint("write it as the authority gave it");
            return None;
        }
        Some(Secret::new(text))
    });
    for name in ["kid", "hmac_key"] {
        if field.get(name).is_none() {
            findings.missing(field, name, "the authority gives both");
        }
    }
    Some(Eab { kid: kid?, hmac_key: hmac_key? })
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok().filter(|key| !key.is_empty())
}
