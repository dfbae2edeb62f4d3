//! Logins to registries that the server keeps, sealed.

use rusqlite::{OptionalExtension as _, params};

use super::deployments::{now, timestamp};
use super::{Store, StoreError, query};
use crate::wire::StoredLogin;

impl Store {
    /// Keeps a login, in place of an earlier one for the same registry.
    pub async fn save_login(&self, server: String, username: String, sealed: Vec<u8>) -> Result<(), StoreError> {
        self.write("keep a login to a registry", move |db| {
            let sql = "INSERT INTO registries (server, username, login, created_at) VALUES (?1, ?2, ?3, ?4)
                       ON CONFLICT (server) DO UPDATE SET username = ?2, login = ?3, created_at = ?4";
            db.execute(sql, params![server, username, sealed, now()]).map(|_| ()).map_err(query("keep a login to a registry"))
        })
        .await
    }

    /// What is kept, by registry, without passwords.
    pub async fn logins(&self) -> Result<Vec<StoredLogin>, StoreError> {
        self.read(|db| {
            let failed = query("list the logins to registries");
            let mut statement = db.prepare("SELECT server, username, created_at FROM registries ORDER BY server").map_err(failed)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(failed)?;
            rows.map(|row| {
                let (server, username, created_at) = row.map_err(failed)?;
                Ok(StoredLogin { server, username, created_at: timestamp(created_at)? })
            })
            .collect()
        })
        .await
    }

    /// The sealed login to a registry.
    pub async fn login(&self, server: String) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(move |db| {
            db.query_row("SELECT login FROM registries WHERE server = ?1", [server], |row| row.get(0))
                .optional()
                .map_err(query("look for a login to a registry"))
        })
        .await
    }

    /// Whether there was one.
    pub async fn remove_login(&self, server: String) -> Result<bool, StoreError> {
        self.write("remove a login to a registry", move |db| {
            let sql = "DELETE FROM registries WHERE server = ?1";
            db.execute(sql, [server]).map(|rows| rows > 0).map_err(query("remove a login to a registry"))
        })
        .await
    }
}
