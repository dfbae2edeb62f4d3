//! The server's API tokens in `<config>/tokens.json`: the admin tool adds, the daemon reads.
//!
//! Only digests are kept: whoever reads the file cannot call the API with it. A token has 256 random
//! bits, so a plain SHA-256 is enough (nothing to guess, nothing to stretch).

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::crypto;
use crate::error::Report;
use crate::files::{self, FileError};
use crate::names::AppName;
use crate::pin::Pin;
use crate::secret::Secret;

/// How every token begins, so that people and secret scanners recognise one.
const PREFIX: &str = "haloy_";
/// Digits of a token's id.
const ID: usize = 8;

#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the token file `{}` is damaged", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
}

impl Report for TokensError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::File(_) => None,
            Self::Damaged { path, .. } => Some(format!("move `{}` away and run `haloy admin api token`", path.display())),
        }
    }
}

/// What a token may do; each scope holds those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Look at apps, jobs, logs and certificates, and pull images
    Read,
    /// Deploy, roll back, stop and start apps, and push images
    Deploy,
    /// Everything: logins to registries, certificates, pruning
    #[default]
    Admin,
}

/// A token that the server accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Who or what it was made for; names need not be unique.
    pub name: String,
    /// SHA-256 of the token's text, lower-case hexadecimal.
    pub sha256: String,
    pub created_at: Timestamp,
    #[serde(default)]
    pub scope: Scope,
    /// The one app that it is for; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// All tokens that the server accepts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens(Vec<TokenRecord>);

/// Where the tokens of a configuration directory are.
pub fn path(config_dir: &Path) -> PathBuf {
    config_dir.join("tokens.json")
}

/// A new token: 32 random bytes in hexadecimal after the prefix.
pub fn generate() -> Secret {
    Secret::new(format!("{PREFIX}{}", crypto::hex(&crypto::random::<32>())))
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Deploy => "deploy",
            Self::Admin => "admin",
        })
    }
}

impl TokenRecord {
    pub fn new(name: &str, token: &Secret) -> Self {
        let sha256 = crypto::sha256_hex(token.expose().as_bytes());
        Self { name: name.to_owned(), sha256, created_at: Timestamp::now(), scope: Scope::Admin, app: None, expires_at: None }
    }

    /// What people call it by: the beginning of its digest, which tells nothing of the token.
    pub fn id(&self) -> &str {
        self.sha256.get(..ID).unwrap_or(&self.sha256)
    }

    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

impl Tokens {
    /// The tokens of a server; none when there is no file.
    pub fn load(config_dir: &Path) -> Result<Self, TokensError> {
        let path = path(config_dir);
        let Some(text) = files::read_optional(&path)? else { return Ok(Self::default()) };
        serde_json::from_str(&text).map(Self).map_err(|source| TokensError::Damaged { path, source })
    }

    /// Adds a token to the file. Two that add at the same time both succeed.
    pub fn add(config_dir: &Path, record: TokenRecord) -> Result<(), TokensError> {
        let _lock = lock(config_dir)?;
        let mut tokens = Self::load(config_dir)?;
        tokens.0.push(record);
        tokens.save(config_dir)
    }

    /// Removes the token with this id; none when there is no such token.
    pub fn revoke(config_dir: &Path, id: &str) -> Result<Option<TokenRecord>, TokensError> {
        let _lock = lock(config_dir)?;
        let mut tokens = Self::load(config_dir)?;
        let Some(index) = tokens.0.iter().position(|record| record.id() == id) else { return Ok(None) };
        let revoked = tokens.0.remove(index);
        tokens.save(config_dir).map(|()| Some(revoked))
    }

    pub fn iter(&self) -> impl Iterator<Item = &TokenRecord> {
        self.0.iter()
    }

    fn save(&self, config_dir: &Path) -> Result<(), TokensError> {
        let text = serde_json::to_string_pretty(&self.0).expect("invariant: our own types serialise");
        Ok(files::write_private(&path(config_dir), text.as_bytes())?)
    }

    /// The record of a token that a caller presented, with or without the server's pin behind it, over or not. Takes
    /// the same time wherever digests differ.
    pub fn find(&self, presented: &str) -> Option<&TokenRecord> {
        let (token, _) = Pin::split(presented);
        let sha256 = crypto::sha256_hex(token.as_bytes());
        self.0.iter().find(|record| crypto::equal(record.sha256.as_bytes(), sha256.as_bytes()))
    }
}

/// When each token was used last, by its id; a use of the last seconds may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LastUses(BTreeMap<String, Timestamp>);

impl LastUses {
    /// Those that a data directory knows; none when there is no file, or a damaged one.
    pub fn load(data_dir: &Path) -> Self {
        let text = files::read_optional(&Self::path(data_dir)).ok().flatten();
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    pub fn of(&self, token: &TokenRecord) -> Option<Timestamp> {
        self.0.get(token.id()).copied()
    }

    pub fn note(&mut self, id: &str, at: Timestamp) {
        self.0.insert(id.to_owned(), at);
    }

    /// Adds these to what the data directory knows.
    pub fn add_to(&self, data_dir: &Path) -> Result<(), FileError> {
        let mut all = Self::load(data_dir);
        all.0.extend(self.0.iter().map(|(id, at)| (id.clone(), *at)));
        let text = serde_json::to_string(&all).expect("invariant: our own types serialise");
        files::write_private(&Self::path(data_dir), text.as_bytes())
    }

    fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("token-uses.json")
    }
}

/// Holds others off until it is dropped. The directory itself is locked: it outlives every rename.
fn lock(config_dir: &Path) -> Result<File, FileError> {
    let directory = File::open(config_dir).map_err(files::context("open", config_dir))?;
    directory.lock().map_err(files::context("lock", config_dir))?;
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_digest_alone() {
        let dir = tempfile::tempdir().expect("temporary directory");
        assert_eq!(Tokens::load(dir.path()).expect("no file is no token"), Tokens::default());
        let (laptop, ci) = (generate(), generate());
        assert_eq!(laptop.expose().len(), "haloy_".len() + 64);
        Tokens::add(dir.path(), TokenRecord::new("laptop", &laptop)).expect("first");
        Tokens::add(dir.path(), TokenRecord::new("ci", &ci)).expect("second");

        let tokens = Tokens::load(dir.path()).expect("load");
        assert_eq!(tokens.find(ci.expose()).map(|record| record.name.as_str()), Some("ci"));
        assert_eq!(tokens.find("haloy_0"), None);
        let text = std::fs::read_to_string(path(dir.path())).expect("file");
        assert!(!text.contains(laptop.expose()) && !text.contains(ci.expose()), "no token is stored in clear");
    }

    #[test]
    fn tokens_of_an_earlier_version_may_do_everything_and_a_revoked_one_nothing() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let token = generate();
        let sha256 = crypto::sha256_hex(token.expose().as_bytes());
        std::fs::write(path(dir.path()), format!(r#"[{{"name":"old","sha256":"{sha256}","created_at":"2026-01-01T00:00:00Z"}}]"#))
            .expect("write");
        let tokens = Tokens::load(dir.path()).expect("load");
        let record = tokens.find(token.expose()).expect("known");
        assert_eq!((record.scope, &record.app, record.is_over(Timestamp::now())), (Scope::Admin, &None, false));
        assert!(Tokens::revoke(dir.path(), "00000000").expect("written").is_none());
        assert!(Tokens::revoke(dir.path(), record.id()).expect("written").is_some());
        assert_eq!(Tokens::load(dir.path()).expect("load").iter().count(), 0);
    }

    #[test]
    fn a_damaged_file_is_named() {
        let dir = tempfile::tempdir().expect("temporary directory");
        std::fs::write(path(dir.path()), "[{").expect("write");
        let error = Tokens::load(dir.path()).expect_err("damaged");
        assert!(error.to_string().contains("tokens.json"), "{error}");
    }

    #[test]
    fn adding_at_the_same_time_loses_none() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let tokens: Vec<Secret> = (0..8).map(|_| generate()).collect();
        std::thread::scope(|scope| {
            for token in &tokens {
                scope.spawn(|| Tokens::add(dir.path(), TokenRecord::new("one of many", token)).expect("add"));
            }
        });
        let stored = Tokens::load(dir.path()).expect("load");
        assert!(tokens.iter().all(|token| stored.find(token.expose()).is_some()));
    }
}
