//! `cert-storage/`: one PEM file per certificate, chain and private key together, 0600. What somebody places there
//! by hand counts like what was ordered.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use rustls::sign::CertifiedKey;

use crate::error::chain;
use crate::files::{self, FileError};
use crate::names::Domain;
use crate::proxy::{self, Certificates, ProxyError};
use crate::secret::Secret;
use crate::x509::{Leaf, LeafError};

/// The server's self-signed certificate, for names without one of their own.
const DEFAULT: &str = "default";

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("certificate and private key cannot be used together")]
    Pair(#[source] ProxyError),
    #[error(transparent)]
    Leaf(#[from] LeafError),
}

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The file's name without `.pem`: the domain, for those that were ordered.
    pub name: String,
    pub leaf: Leaf,
    pub key: Arc<CertifiedKey>,
}

impl Stored {
    /// Reads chain and key from one PEM text.
    pub fn read(name: &str, pem: &str) -> Result<Self, StorageError> {
        let key = proxy::from_pem(pem).map_err(StorageError::Pair)?;
        Ok(Self { name: name.to_owned(), leaf: Leaf::read(&key.cert[0])?, key })
    }

    /// The chain as PEM, for everybody.
    pub fn chain(&self) -> String {
        self.key.cert.iter().map(|der| pem::encode(&pem::Pem::new("CERTIFICATE", der.to_vec()))).collect()
    }
}

/// The folder, and what was read from it last.
#[derive(Debug)]
pub struct Storage {
    folder: PathBuf,
    files: BTreeMap<PathBuf, (SystemTime, u64)>,
    stored: BTreeMap<PathBuf, Stored>,
}

impl Storage {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, files: BTreeMap::new(), stored: BTreeMap::new() }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Looks at the folder; whether something changed. A file that cannot be used is told once, and what it held before
    /// goes on being served.
    pub fn scan(&mut self) -> bool {
        let found = list(&self.folder);
        if found == self.files {
            return false;
        }
        self.stored.retain(|path, _| found.contains_key(path));
        for (path, version) in &found {
            if self.files.get(path) == Some(version) {
                continue;
            }
            let name = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
            match read(path, name) {
                Ok(stored) => drop(self.stored.insert(path.clone(), stored)),
                Err(error) => tracing::warn!(path = %path.display(), error = chain(&error), "a certificate cannot be used"),
            }
        }
        self.files = found;
        true
    }

    pub fn stored(&self) -> impl Iterator<Item = &Stored> {
        self.stored.values()
    }

    /// The one with this fingerprint.
    pub fn find(mut self, fingerprint: &str) -> Option<Stored> {
        self.scan();
        self.stored.into_values().find(|stored| stored.leaf.fingerprint == fingerprint)
    }

    /// Keeps a certificate under the name, in place of the one before.
    pub fn write(&self, name: &str, pem: &Secret) -> Result<(), StorageError> {
        Ok(files::write_private(&self.path(name), pem.expose().as_bytes())?)
    }

    /// Whether there was one.
    pub fn remove(&self, name: &str) -> Result<bool, StorageError> {
        Ok(files::remove_optional(&self.path(name))?)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pem"))
    }
}

/// The PEM files with what tells two contents apart.
fn list(folder: &Path) -> BTreeMap<PathBuf, (SystemTime, u64)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = entries.filter(|path| path.extension().is_some_and(|ending| ending == "pem"));
    let files = files.filter(|path| path.file_stem().is_some_and(|stem| stem != DEFAULT && !stem.to_string_lossy().starts_with('.')));
    let version = |path: &Path| fs::metadata(path).ok().and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
    files.filter_map(|path| version(&path).map(|version| (path, version))).collect()
}

fn read(path: &Path, name: &str) -> Result<Stored, StorageError> {
    let pem = fs::read_to_string(path).map(Secret::new).map_err(files::context("read", path))?;
    Stored::read(name, pem.expose())
}

/// Which certificate is served for which name: of several the one that is valid now, and of those the one that is valid
/// for the longest.
pub fn choose<'a>(stored: impl Iterator<Item = &'a Stored>, now: Timestamp) -> Certificates {
    let mut best: BTreeMap<&str, &Stored> = BTreeMap::new();
    let rank = |stored: &Stored| (stored.leaf.not_before <= now && now < stored.leaf.not_after, stored.leaf.not_after);
    for stored in stored {
        for name in &stored.leaf.names {
            let known = best.entry(name).or_insert(stored);
            if rank(stored) > rank(known) {
                *known = stored;
            }
        }
    }
    let mut certificates = Certificates::default();
    for (name, stored) in best {
        let (table, name) = match name.strip_prefix("*.") {
            Some(parent) => (&mut certificates.wildcards, parent),
            None => (&mut certificates.by_name, name),
        };
        if let Ok(name) = name.parse::<Domain>() {
            table.insert(name, Arc::clone(&stored.key));
        }
    }
    certificates
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(names: &[&str]) -> Secret {
        proxy::self_signed(names).expect("made").pem
    }

    #[test]
    fn what_is_placed_by_hand_is_seen_and_a_damaged_file_takes_nothing_away() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let mut storage = Storage::new(folder.path().to_owned());
        storage.write("default", &pem(&["haloy.invalid"])).expect("write");
        assert!(!storage.scan(), "the server's own certificate is none of these");
        storage.write("shop.example.com", &pem(&["shop.example.com", "www.shop.example.com"])).expect("write");
        fs::write(folder.path().join("mine.pem"), pem(&["*.wild.example"]).expose()).expect("write");
        assert!(storage.scan() && !storage.scan());
        let names: Vec<&str> = storage.stored().map(|stored| stored.name.as_str()).collect();
        assert_eq!(names, ["mine", "shop.example.com"]);
        let certificates = choose(storage.stored(), Timestamp::now());
        assert_eq!((certificates.by_name.len(), certificates.wildcards.len()), (2, 1));

        fs::write(folder.path().join("mine.pem"), "-----BEGIN nonsense").expect("write");
        assert!(storage.scan());
        assert_eq!(storage.stored().count(), 2, "it is served on");
        assert!(storage.remove("mine").expect("remove") && !storage.remove("mine").expect("no second time"));
        assert!(storage.scan());
        assert_eq!(storage.stored().count(), 1);
    }
}
