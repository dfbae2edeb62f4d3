//! What became of orders for certificates: survives restarts, so that nobody asks an authority too often.

use rusqlite::params;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Store, StoreError, damaged, query, to_json};
use crate::names::Domain;
use crate::wire::{CertificateProblem, LeftOut};

/// The last order for a domain and its aliases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRecord {
    /// The canonical domain.
    pub domain: Domain,
    /// What was wanted then, the domain itself included.
    pub names: BTreeSet<Domain>,
    /// Of the certificate that was issued; another one in its place is somebody else's.
    pub fingerprint: Option<String>,
    /// When the authority wants it renewed; a third of its life before its end when it did not say.
    pub renew_at: Option<Timestamp>,
    /// When the authority is asked about that again.
    #[serde(default)]
    pub ask_at: Option<Timestamp>,
    pub left_out: Vec<LeftOut>,
    pub problem: Option<CertificateProblem>,
}

impl CertificateRecord {
    pub fn new(domain: Domain, names: BTreeSet<Domain>) -> Self {
        Self { domain, names, fingerprint: None, renew_at: None, ask_at: None, left_out: Vec::new(), problem: None }
    }
}

impl Store {
    pub async fn certificate_records(&self) -> Result<Vec<CertificateRecord>, StoreError> {
        self.read(|db| {
            let failed = query("read the orders for certificates");
            let mut statement = db.prepare_cached("SELECT record FROM certificates ORDER BY domain").map_err(failed)?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
            rows.map(|row| serde_json::from_str(&row.map_err(failed)?).map_err(damaged("order for a certificate"))).collect()
        })
        .await
    }

    pub async fn save_certificate_record(&self, record: CertificateRecord) -> Result<(), StoreError> {
        self.write("note an order for a certificate", move |db| {
            let sql = "INSERT INTO certificates (domain, record) VALUES (?1, ?2) ON CONFLICT (domain) DO UPDATE SET record = ?2";
            let row = params![record.domain.as_str(), to_json(&record)];
            db.execute(sql, row).map(|_| ()).map_err(query("note an order for a certificate"))
        })
        .await
    }

    pub async fn forget_certificate_record(&self, domain: Domain) -> Result<(), StoreError> {
        self.write("forget an order for a certificate", move |db| {
            let sql = "DELETE FROM certificates WHERE domain = ?1";
            db.execute(sql, [domain.as_str()]).map(|_| ()).map_err(query("forget an order for a certificate"))
        })
        .await
    }
}
