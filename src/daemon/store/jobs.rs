//! Jobs and their events. The first unfinished job of an app is the one under way; the rest queue.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::deployments::{is_protected, now, refuse_taken_domains, serving, spec_of, timestamp};
use super::intents::{ActiveJob, exists};
use super::{Store, StoreError, damaged, query, to_json};
use crate::names::{AppName, DeployId};
use crate::wire::{Accepted, Event, EventKind, Failure, Job, JobId, JobKind, Phase, StopRequest};

/// How many finished jobs of an app are remembered.
const HISTORY: u32 = 100;

/// A number that the database cannot hold is no job's.
pub(super) fn key(id: JobId) -> Result<i64, StoreError> {
    i64::try_from(id).map_err(|_| StoreError::UnknownJob(id))
}

impl Store {
    /// Queues `haloy stop`.
    pub async fn accept_stop(&self, app: AppName, stop: StopRequest) -> Result<Accepted, StoreError> {
        self.write("accept the stop", move |db| {
            known_app(db, &app)?;
            if (stop.remove_containers || stop.remove_volumes) && !stop.include_protected && is_protected(db, &app)? {
                return Err(StoreError::Protected(app));
            }
            let accepted = queue(db, &app, JobKind::Stop, None)?;
            db.execute(
                "UPDATE jobs SET remove_containers = ?2, remove_volumes = ?3 WHERE id = ?1",
                params![accepted.job, stop.remove_containers || stop.remove_volumes, stop.remove_volumes],
            )
            .map_err(query("write the stop"))?;
            Ok(accepted)
        })
        .await
    }

    /// Queues `haloy start`.
    pub async fn accept_start(&self, app: AppName) -> Result<Accepted, StoreError> {
        self.write("accept the start", move |db| {
            known_app(db, &app)?;
            let serving = serving(db, &app)?.ok_or(StoreError::NeverDeployed(app.clone()))?;
            refuse_taken_domains(db, &spec_of(db, serving)?)?;
            queue(db, &app, JobKind::Start, None)
        })
        .await
    }

    pub async fn job(&self, id: JobId) -> Result<Job, StoreError> {
        let key = key(id)?;
        self.read(move |db| {
            let row = db.query_row(&select("WHERE id = ?1"), [key], JobRow::read).optional().map_err(query("read a job"))?;
            row.ok_or(StoreError::UnknownJob(id))?.into_job()
        })
        .await
    }

    /// Jobs, newest first: of one app or of all.
    pub async fn jobs(&self, app: Option<AppName>, limit: u32) -> Result<Vec<Job>, StoreError> {
        self.read(move |db| {
            let failed = query("read the jobs");
            let mut statement = db.prepare_cached(&select("WHERE ?1 IS NULL OR app = ?1 ORDER BY id DESC LIMIT ?2")).map_err(failed)?;
            let rows = statement.query_map(params![app.as_ref().map(AppName::as_str), limit], JobRow::read).map_err(failed)?;
            rows.map(|row| row.map_err(failed)?.into_job()).collect()
        })
        .await
    }

    /// The events of a job after number `after`, oldest first, and whether the job has ended.
    pub async fn events(&self, job: JobId, after: u64) -> Result<(Vec<Event>, bool), StoreError> {
        let (key, after) = (key(job)?, i64::try_from(after).unwrap_or(i64::MAX));
        self.read(move |db| {
            let failed = query("read the events of a job");
            let finished: Option<bool> = db
                .query_row("SELECT finished_at IS NOT NULL FROM jobs WHERE id = ?1", [key], |row| row.get(0))
                .optional()
                .map_err(failed)?;
            let finished = finished.ok_or(StoreError::UnknownJob(job))?;
            let mut statement =
                db.prepare_cached("SELECT seq, at, event FROM job_events WHERE job = ?1 AND seq > ?2 ORDER BY seq").map_err(failed)?;
            let rows =
                statement.query_map(params![key, after], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?))).map_err(failed)?;
            let events = rows.map(|row| {
                let (seq, at, event) = row.map_err(failed)?;
                let kind: EventKind = serde_json::from_str(&event).map_err(damaged("event"))?;
                Ok(Event { seq, at: timestamp(at)?, kind })
            });
            Ok((events.collect::<Result<_, StoreError>>()?, finished))
        })
        .await
    }
}

/// A row of the table before its texts are parsed.
struct JobRow {
    id: JobId,
    app: String,
    kind: String,
    phase: String,
    deployment: Option<u64>,
    created_at: i64,
    finished_at: Option<i64>,
    failure: Option<String>,
}

fn select(rest: &str) -> String {
    format!("SELECT id, app, kind, phase, deployment, created_at, finished_at, failure FROM jobs {rest}")
}

impl JobRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            app: row.get(1)?,
            kind: row.get(2)?,
            phase: row.get(3)?,
            deployment: row.get(4)?,
            created_at: row.get(5)?,
            finished_at: row.get(6)?,
            failure: row.get(7)?,
        })
    }

    fn into_job(self) -> Result<Job, StoreError> {
        let failure: Option<Failure> = self.failure.as_deref().map(serde_json::from_str).transpose().map_err(damaged("failure"))?;
        Ok(Job {
            id: self.id,
            app: self.app.parse().map_err(damaged("app name"))?,
            kind: parse_kind(&self.kind)?,
            phase: parse_phase(&self.phase)?,
            deployment: self.deployment.map(DeployId::from_number),
            created_at: timestamp(self.created_at)?,
            finished_at: self.finished_at.map(timestamp).transpose()?,
            failure,
        })
    }
}

/// Writes a queued job with its first event.
pub(super) fn queue(db: &Connection, app: &AppName, kind: JobKind, deployment: Option<DeployId>) -> Result<Accepted, StoreError> {
    let failed = query("queue a job");
    let queued_behind = db
        .query_row("SELECT COUNT(*) FROM jobs WHERE app = ?1 AND finished_at IS NULL", [app.as_str()], |row| row.get(0))
        .map_err(failed)?;
    db.execute(
        "INSERT INTO jobs (app, kind, phase, deployment, created_at) VALUES (?1, ?2, 'queued', ?3, ?4)",
        params![app.as_str(), kind.as_str(), deployment.map(DeployId::number), now()],
    )
    .map_err(failed)?;
    let job = db.last_insert_rowid().unsigned_abs();
    append(db, job, &EventKind::Phase { phase: Phase::Queued })?;
    Ok(Accepted { job, deployment, queued_behind })
}

/// Moves a job forward. A phase that was passed already changes nothing, so that a pass can be repeated.
pub(super) fn enter(db: &Connection, job: JobId, phase: Phase) -> Result<(), StoreError> {
    let failed = query("note the phase of a job");
    let present: String = db.query_row("SELECT phase FROM jobs WHERE id = ?1", [job], |row| row.get(0)).map_err(failed)?;
    if parse_phase(&present)? >= phase {
        return Ok(());
    }
    db.execute("UPDATE jobs SET phase = ?2 WHERE id = ?1", params![job, phase.as_str()]).map_err(failed)?;
    append(db, job, &EventKind::Phase { phase })
}

/// Ends a job and forgets the oldest of its app.
pub(super) fn finish(db: &Connection, job: JobId, app: &AppName, phase: Phase) -> Result<(), StoreError> {
    let failed = query("finish a job");
    enter(db, job, phase)?;
    db.execute("UPDATE jobs SET finished_at = ?2 WHERE id = ?1 AND finished_at IS NULL", params![job, now()]).map_err(failed)?;
    db.execute(
        "DELETE FROM jobs WHERE app = ?1 AND finished_at IS NOT NULL
         AND id NOT IN (SELECT id FROM jobs WHERE app = ?1 ORDER BY id DESC LIMIT ?2)",
        params![app.as_str(), HISTORY],
    )
    .map(|_| ())
    .map_err(failed)
}

/// The deployment of a job that has not ended: `None` when it has, `Some(None)` when it makes none.
pub(super) fn open_deployment(db: &Connection, job: JobId) -> Result<Option<Option<DeployId>>, StoreError> {
    let sql = "SELECT deployment FROM jobs WHERE id = ?1 AND finished_at IS NULL";
    let row: Option<Option<u64>> = db.query_row(sql, [job], |row| row.get(0)).optional().map_err(query("look at a job"))?;
    Ok(row.map(|id| id.map(DeployId::from_number)))
}

pub(super) fn append(db: &Connection, job: JobId, event: &EventKind) -> Result<(), StoreError> {
    db.execute(
        "INSERT INTO job_events (job, seq, at, event)
         SELECT ?1, COALESCE(MAX(seq), 0) + 1, ?2, ?3 FROM job_events WHERE job = ?1",
        params![job, now(), to_json(event)],
    )
    .map(|_| ())
    .map_err(query("store an event"))
}

pub(super) fn has(db: &Connection, job: JobId, event: &EventKind) -> Result<bool, StoreError> {
    db.query_row("SELECT EXISTS (SELECT 1 FROM job_events WHERE job = ?1 AND event = ?2)", params![job, to_json(event)], |row| row.get(0))
        .map_err(query("look for an event"))
}

/// The job under way of an app.
pub(super) fn active(db: &Connection, app: &AppName) -> Result<Option<ActiveJob>, StoreError> {
    let row: Option<(JobId, String, String, bool)> = db
        .prepare_cached(
            "SELECT id, kind, phase, remove_volumes FROM jobs
             WHERE app = ?1 AND finished_at IS NULL AND phase <> 'queued' ORDER BY id LIMIT 1",
        )
        .and_then(|mut statement| {
            statement.query_row([app.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).optional()
        })
        .map_err(query("look for the job under way"))?;
    row.map(|(id, kind, phase, remove_volumes)| Ok(ActiveJob { id, kind: parse_kind(&kind)?, phase: parse_phase(&phase)?, remove_volumes }))
        .transpose()
}

/// Refuses names that were never deployed here, not even tried.
pub(super) fn known_app(db: &Connection, app: &AppName) -> Result<(), StoreError> {
    if exists(db, app)? { Ok(()) } else { Err(StoreError::UnknownApp(app.clone())) }
}

pub(super) fn parse_kind(text: &str) -> Result<JobKind, StoreError> {
    serde_json::from_value(text.into()).map_err(damaged("job kind"))
}

pub(super) fn parse_phase(text: &str) -> Result<Phase, StoreError> {
    serde_json::from_value(text.into()).map_err(damaged("phase"))
}
