//! What was asked of this server, and by whom: the newest entries.

use rusqlite::{Row, params};

use super::deployments::now;
use super::jobs::{key, parse_phase};
use super::{Store, StoreError, ask, damaged, query};
use crate::names::AppName;
use crate::wire::{AuditEntry, JobId};

/// So many entries are kept.
const MOST: i64 = 20_000;

/// An entry that is to be written.
#[derive(Debug)]
pub struct NewAuditEntry {
    pub token: Option<String>,
    pub token_id: Option<String>,
    pub address: Option<String>,
    pub request: String,
    pub app: Option<AppName>,
    pub status: u16,
    pub reason: Option<String>,
    pub job: Option<JobId>,
}

impl Store {
    pub async fn audit(&self, new: NewAuditEntry) -> Result<(), StoreError> {
        let job = new.job.map(key).transpose()?;
        ask(&self.writer, move |db| {
            let failed = query("note a request");
            db.execute(
                "INSERT INTO audit (at, token, token_id, address, request, app, status, reason, job)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    now(),
                    new.token,
                    new.token_id,
                    new.address,
                    new.request,
                    new.app.as_ref().map(AppName::as_str),
                    new.status,
                    new.reason,
                    job
                ],
            )
            .map_err(failed)?;
            db.execute("DELETE FROM audit WHERE id <= ?1", [db.last_insert_rowid() - MOST]).map(|_| ()).map_err(failed)
        })
        .await
    }

    /// The newest entries, newest first, of one app where that is given.
    pub async fn audited(&self, app: Option<AppName>, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        self.read(move |db| {
            let failed = query("read the audit log");
            let sql = "SELECT a.id, a.at, a.token, a.token_id, a.address, a.request, a.app, a.status, a.reason, a.job, j.phase
                       FROM audit a LEFT JOIN jobs j ON j.id = a.job WHERE ?1 IS NULL OR a.app = ?1 ORDER BY a.id DESC LIMIT ?2";
            let mut statement = db.prepare_cached(sql).map_err(failed)?;
            let rows = statement.query_map(params![app.as_ref().map(AppName::as_str), limit], |row| Ok(entry(row))).map_err(failed)?;
            rows.map(|row| row.map_err(failed)?).collect()
        })
        .await
    }
}

fn entry(row: &Row<'_>) -> Result<AuditEntry, StoreError> {
    let failed = query("read the audit log");
    let at: i64 = row.get(1).map_err(failed)?;
    let app: Option<String> = row.get(6).map_err(failed)?;
    let phase: Option<String> = row.get(10).map_err(failed)?;
    Ok(AuditEntry {
        id: row.get(0).map_err(failed)?,
        at: jiff::Timestamp::from_millisecond(at).map_err(damaged("time"))?,
        token: row.get(2).map_err(failed)?,
        token_id: row.get(3).map_err(failed)?,
        address: row.get(4).map_err(failed)?,
        request: row.get(5).map_err(failed)?,
        app: app.map(|app| app.parse()).transpose().map_err(damaged("app name"))?,
        status: row.get(7).map_err(failed)?,
        reason: row.get(8).map_err(failed)?,
        job: row.get(9).map_err(failed)?,
        job_phase: phase.as_deref().map(parse_phase).transpose()?,
    })
}
