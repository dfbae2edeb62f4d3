//! The tables, as numbered migrations. A migration is never edited once it was released.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use super::{StoreError, query};
use crate::crypto;

const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE meta (
        key   TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT;

    CREATE TABLE deployments (
        id             INTEGER PRIMARY KEY,     -- YYYYMMDDHHMMSS
        app            TEXT NOT NULL,
        state          TEXT NOT NULL,           -- pending | complete | failed
        spec           TEXT NOT NULL,           -- JSON of the AppSpec: references, never values
        env            BLOB NOT NULL,           -- resolved values, sealed
        image_id       TEXT,                    -- both are known once the image is ready
        port           INTEGER,
        created_at     INTEGER NOT NULL,        -- Unix milliseconds, like every *_at
        performer      TEXT,
        git_commit     TEXT,
        repeats        INTEGER                  -- the first deployment with this snapshot
    ) STRICT;
    CREATE INDEX deployments_by_app ON deployments (app, id);

    CREATE TABLE apps (
        name    TEXT PRIMARY KEY,
        rollout INTEGER REFERENCES deployments (id),   -- on its way, not judged yet
        serving INTEGER REFERENCES deployments (id),   -- the last complete one
        run     TEXT NOT NULL                          -- running | stopped | removed
    ) STRICT;

    CREATE TABLE jobs (
        id             INTEGER PRIMARY KEY AUTOINCREMENT,
        app            TEXT NOT NULL,
        kind           TEXT NOT NULL,
        phase          TEXT NOT NULL,
        deployment     INTEGER,
        remove_containers INTEGER NOT NULL DEFAULT 0,
        remove_volumes INTEGER NOT NULL DEFAULT 0,
        created_at     INTEGER NOT NULL,
        finished_at    INTEGER,
        failure        TEXT                     -- JSON of the Failure
    ) STRICT;
    CREATE INDEX jobs_by_app ON jobs (app, id);
    CREATE INDEX jobs_open ON jobs (app, id) WHERE finished_at IS NULL;

    CREATE TABLE job_events (
        job   INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        seq   INTEGER NOT NULL,
        at    INTEGER NOT NULL,
        event TEXT NOT NULL,                    -- JSON of the EventKind
        PRIMARY KEY (job, seq)
    ) STRICT, WITHOUT ROWID;
",
    "
    ALTER TABLE deployments ADD COLUMN login BLOB;   -- JSON of the RegistryLogin, sealed
    ALTER TABLE deployments ADD COLUMN digest TEXT;  -- the manifest in its registry, once it was pulled

    CREATE TABLE images (                       -- what a deployment has on the engine, until haloy takes it away
        deployment INTEGER PRIMARY KEY,         -- outlives the deployment's row
        app        TEXT NOT NULL,
        image_id   TEXT NOT NULL,
        tag        TEXT NOT NULL,               -- haloy's own tag for the deployment
        pulled     TEXT                         -- the reference under which haloy pulled it, when it was not there before
    ) STRICT;

    CREATE TABLE registries (                   -- logins for pulls
        server     TEXT PRIMARY KEY,            -- host, with a port perhaps
        username   TEXT NOT NULL,
        login      BLOB NOT NULL,               -- JSON of the RegistryLogin, sealed
        created_at INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE blobs (                        -- contents of the server's own registry, as files by digest
        digest   TEXT PRIMARY KEY,
        size     INTEGER NOT NULL,              -- of the content, in bytes
        stored   INTEGER NOT NULL,              -- of the file, in bytes
        encoding TEXT NOT NULL,                 -- identity | zstd
        used_at  INTEGER NOT NULL               -- the last time that somebody counted on it
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE manifests (
        repository    TEXT NOT NULL,
        digest        TEXT NOT NULL,
        media_type    TEXT NOT NULL,
        body          BLOB NOT NULL,
        subject       TEXT,                     -- the manifest that it refers to
        artifact_type TEXT,
        used_at       INTEGER NOT NULL,
        PRIMARY KEY (repository, digest)
    ) STRICT;
    CREATE INDEX manifests_by_subject ON manifests (repository, subject) WHERE subject IS NOT NULL;

    CREATE TABLE manifest_parts (               -- the blobs and manifests that a manifest names
        repository TEXT NOT NULL,
        manifest   TEXT NOT NULL,
        part       TEXT NOT NULL,
        PRIMARY KEY (repository, manifest, part),
        FOREIGN KEY (repository, manifest) REFERENCES manifests (repository, digest) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX manifest_parts_by_part ON manifest_parts (part);

    CREATE TABLE tags (
        repository TEXT NOT NULL,
        tag        TEXT NOT NULL,
        manifest   TEXT NOT NULL,
        updated_at INTEGER NOT NULL,
        PRIMARY KEY (repository, tag),
        FOREIGN KEY (repository, manifest) REFERENCES manifests (repository, digest) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE certificates (                 -- the last order for each certificate
        domain TEXT PRIMARY KEY,                -- the canonical one
        record TEXT NOT NULL                    -- JSON of the CertificateRecord
    ) STRICT;
",
    "
    CREATE TABLE audit (                        -- requests that change something
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        at       INTEGER NOT NULL,
        token    TEXT,                          -- its name; none for the daemon's own socket
        token_id TEXT,
        address  TEXT,
        request  TEXT NOT NULL,                 -- method and path
        app      TEXT,
        status   INTEGER NOT NULL,
        reason   TEXT,                          -- of a refusal
        job      INTEGER
    ) STRICT;
    CREATE INDEX audit_by_app ON audit (app, id);
",
];

/// Brings the database to the newest schema in one transaction; an existing one is backed up first.
pub fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = query("migrate the database");
    let known = MIGRATIONS.len() as i64;
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    if found == known {
        return Ok(());
    }
    if found > 0 {
        let backup = path.with_extension(format!("schema-{found}.bak"));
        connection
            .backup("main", &backup, None::<fn(rusqlite::backup::Progress)>)
            .map_err(query("back up the database before migrating it"))?;
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(failed)?;
    for migration in &MIGRATIONS[found as usize..] {
        transaction.execute_batch(migration).map_err(failed)?;
    }
    transaction.pragma_update(None, "user_version", known).map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// The installation's id, made at the first start.
pub fn instance(connection: &Connection) -> Result<String, StoreError> {
    let failed = query("read the installation's id");
    let fresh = crypto::hex(&crypto::random::<8>());
    connection.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('instance', ?1)", [fresh]).map_err(failed)?;
    connection.query_row("SELECT value FROM meta WHERE key = 'instance'", [], |row| row.get(0)).map_err(failed)
}

/// The public half of the identity that seals values here, once one was used.
pub fn recipient(connection: &Connection) -> Result<Option<String>, StoreError> {
    let sql = "SELECT value FROM meta WHERE key = 'recipient'";
    connection.query_row(sql, [], |row| row.get(0)).optional().map_err(query("read whose values are stored"))
}

pub fn set_recipient(connection: &Connection, recipient: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO meta (key, value) VALUES ('recipient', ?1)";
    connection.execute(sql, [recipient]).map(|_| ()).map_err(query("note whose values are stored"))
}
