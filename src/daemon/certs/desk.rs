//! What people may do with certificates: look, bring one, remove one, have one renewed now.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::sign::CertifiedKey;
use tokio::sync::{Notify, watch};

use super::Shown;
use super::storage::{Storage, StorageError, Stored};
use crate::daemon::store::{CertificateRecord, Store, StoreError};
use crate::error::Report;
use crate::names::{AppName, Domain};
use crate::secret::Secret;
use crate::wire::{Certificate, CertificateSource, CertificateState, CertificateUpload};
use crate::x509::{self, Leaf};

/// Why a certificate that somebody brought is not taken.
#[derive(Debug, thiserror::Error)]
pub enum BringError {
    #[error("`{0}` is not the name of a certificate")]
    Name(String),
    #[error(transparent)]
    Unusable(StorageError),
    #[error("the certificate is for {names}, not for `{wanted}`")]
    OtherNames { wanted: String, names: String },
    #[error("the certificate ended on {0}")]
    Ended(Timestamp),
    #[error("the certificate is not valid before {0}")]
    TooEarly(Timestamp),
    #[error("the chain is not in order: certificate {0} did not sign the one before it")]
    Chain(usize),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the work on the certificate broke off")]
    Broke(#[from] tokio::task::JoinError),
}

impl BringError {
    /// Nothing is wrong with what was brought.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Unusable(StorageError::File(_)) | Self::Store(_) | Self::Broke(_))
    }
}

impl Report for BringError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Name(_) => Some("write a domain, or `*.` and a domain for a wildcard".to_owned()),
            Self::Unusable(StorageError::Pair(_)) => Some(
                "give the certificate (PEM, the server's own first) with --cert and the private key that belongs to it with --key"
                    .to_owned(),
            ),
            Self::Chain(_) => Some("put the server's own certificate first, and after each the one that signed it".to_owned()),
            Self::Ended(_) => Some("get a new one from whoever gave you this".to_owned()),
            Self::Store(source) => source.hint(),
            Self::Unusable(_) | Self::OtherNames { .. } | Self::TooEarly(_) | Self::Broke(_) => None,
        }
    }
}

/// The way in for others than the keeper.
#[derive(Clone)]
pub struct Desk {
    folder: PathBuf,
    store: Store,
    shown: watch::Receiver<Shown>,
    /// Wakes the keeper.
    nudge: Arc<Notify>,
}

impl Desk {
    /// `shown` is what the keeper saw last; `nudge` wakes it.
    pub fn new(folder: PathBuf, store: Store, shown: watch::Receiver<Shown>, nudge: Arc<Notify>) -> Self {
        Self { folder, store, shown, nudge }
    }

    /// Every certificate as it was seen last.
    pub fn list(&self) -> Shown {
        self.shown.borrow().clone()
    }

    /// Keeps a certificate that somebody brings for a name, in place of what was there.
    pub async fn bring(&self, name: &str, upload: CertificateUpload) -> Result<(), BringError> {
        let file = file_name(name)?;
        let pem = Secret::new(format!("{}\n{}", upload.certificate.trim_end(), upload.private_key.expose()));
        let stored = Stored::read(&file, pem.expose()).map_err(BringError::Unusable)?;
        check(&stored.leaf, &stored.key, name, Timestamp::now())?;
        let storage = Storage::new(self.folder.clone());
        let written = tokio::task::spawn_blocking(move || storage.write(&file, &pem)).await;
        written?.map_err(BringError::Unusable)?;
        self.nudge.notify_one();
        Ok(())
    }

    /// Whether there was one.
    pub async fn remove(&self, name: &str) -> Result<bool, BringError> {
        let file = file_name(name)?;
        let removed = Storage::new(self.folder.clone()).remove(&file).map_err(BringError::Unusable)?;
        if let Ok(domain) = name.parse() {
            self.store.forget_certificate_record(domain).await?;
        }
        self.nudge.notify_one();
        Ok(removed)
    }

    /// Has it ordered anew at once, whatever was tried before. Whether it is one that is ours to order.
    pub async fn renew(&self, domain: &Domain) -> Result<bool, StoreError> {
        let records = self.store.certificate_records().await?;
        let is_ours = |shown: &Certificate| match (&shown.served, shown.state) {
            (_, CertificateState::SelfSigned) => false,
            (Some(served), state) => served.source == CertificateSource::Acme || state == CertificateState::Failed,
            (None, _) => true,
        };
        let shown = self.list().iter().find(|shown| shown.name == domain.as_str() && shown.app.is_some()).cloned();
        if !shown.is_some_and(|shown| is_ours(&shown)) {
            return Ok(false);
        }
        let record = records.into_iter().find(|record| record.domain == *domain);
        if let Some(record) = record {
            let record = CertificateRecord { problem: None, left_out: Vec::new(), renew_at: Some(Timestamp::now()), ..record };
            self.store.save_certificate_record(record).await?;
        }
        self.nudge.notify_one();
        Ok(true)
    }

    pub fn of_app(&self, app: &AppName) -> Vec<Certificate> {
        self.list().iter().filter(|certificate| certificate.app.as_ref() == Some(app)).cloned().collect()
    }

    /// One certificate as it was seen last, by its name or by the name of its file.
    pub fn find(&self, name: &str) -> Option<Certificate> {
        let name = name.to_lowercase();
        let file = file_name(&name).ok();
        let is_it = |shown: &&Certificate| shown.name == name || file.as_ref() == Some(&shown.name);
        self.list().iter().find(is_it).cloned()
    }

    /// Its chain as PEM, without its key.
    pub async fn chain(&self, certificate: &Certificate) -> Result<Option<String>, BringError> {
        let Some(served) = &certificate.served else { return Ok(None) };
        let (storage, fingerprint) = (Storage::new(self.folder.clone()), served.fingerprint.clone());
        let found = tokio::task::spawn_blocking(move || storage.find(&fingerprint)).await?;
        Ok(found.map(|stored| stored.chain()))
    }
}

/// The name of a certificate's file: a domain, or `_.` and a domain for a wildcard.
fn file_name(name: &str) -> Result<String, BringError> {
    let wrong = |_| BringError::Name(name.to_owned());
    match name.strip_prefix("*.") {
        Some(parent) => parent.parse::<Domain>().map(|parent| format!("_.{parent}")).map_err(wrong),
        None => name.parse::<Domain>().map(|domain| domain.to_string()).map_err(wrong),
    }
}

fn check(leaf: &Leaf, key: &CertifiedKey, name: &str, now: Timestamp) -> Result<(), BringError> {
    let covered = name.parse().map_or_else(|_| leaf.names.contains(&name.to_lowercase()), |domain| leaf.covers(&domain));
    if !covered {
        let names: Vec<String> = leaf.names.iter().map(|name| format!("`{name}`")).collect();
        return Err(BringError::OtherNames { wanted: name.to_owned(), names: names.join(", ") });
    }
    if leaf.not_after <= now {
        return Err(BringError::Ended(leaf.not_after));
    }
    if now < leaf.not_before {
        return Err(BringError::TooEarly(leaf.not_before));
    }
    match x509::chain_break(&key.cert) {
        Some(broken) => Err(BringError::Chain(broken)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy;

    fn upload(names: &[&str]) -> CertificateUpload {
        let made = proxy::self_signed(names).expect("made");
        let (certificate, key) = made.pem.expose().split_once("-----BEGIN PRIVATE KEY").expect("two parts");
        CertificateUpload { certificate: certificate.to_owned(), private_key: Secret::new(format!("-----BEGIN PRIVATE KEY{key}")) }
    }

    #[tokio::test]
    async fn what_is_brought_is_checked_kept_and_given_out_without_its_key() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let store = Store::open(&folder.path().join("haloy.db")).expect("a store");
        let desk = Desk::new(folder.path().to_owned(), store, watch::channel(Shown::default()).1, Arc::default());
        desk.bring("shop.example.com", upload(&["shop.example.com"])).await.expect("kept");
        desk.bring("*.example.com", upload(&["*.example.com"])).await.expect("kept");
        assert!(folder.path().join("_.example.com.pem").is_file());

        let said = |error: BringError| crate::error::chain(&error);
        let refused = desk.bring("other.com", upload(&["shop.example.com"])).await.expect_err("another name");
        assert_eq!(said(refused), "the certificate is for `shop.example.com`, not for `other.com`");
        let mixed = CertificateUpload { private_key: upload(&["a.com"]).private_key, ..upload(&["a.com"]) };
        let refused = desk.bring("a.com", mixed).await.expect_err("another key");
        assert!(refused.hint().is_some_and(|hint| hint.contains("--key")), "{refused:?}");
        let (one, two) = (upload(&["a.com"]), upload(&["b.com"]));
        let wild = CertificateUpload { certificate: format!("{}{}", one.certificate, two.certificate), ..one };
        assert!(said(desk.bring("a.com", wild).await.expect_err("no chain")).starts_with("the chain is not in order: certificate 2"));
        for name in ["../shop", "shop", "", "*.", "a.com/../../x"] {
            assert!(matches!(desk.bring(name, upload(&["a.com"])).await, Err(BringError::Name(_))), "{name}");
        }
        assert!(desk.remove("*.example.com").await.expect("removed") && !desk.remove("*.example.com").await.expect("not twice"));
    }
}
