//! What the reconcile loop reads in every pass, and the few things it writes back.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::deployments::{Release, forget_oldest, refresh_restart, release};
use super::{Store, StoreError, damaged, jobs, query, to_json};
use crate::names::{AppName, DeployId};
use crate::wire::{Event, EventKind, Failure, JobId, JobKind, Phase};

/// Whether an app is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    Running,
    /// Its containers are kept, stopped.
    Stopped,
    /// Its containers are gone; its domains are free.
    Removed,
}

/// One app as people want it.
#[derive(Debug, Clone)]
pub struct AppIntent {
    pub app: AppName,
    /// On its way, not judged yet.
    pub rollout: Option<Release>,
    /// The last complete one.
    pub serving: Option<Release>,
    pub run: RunState,
    /// The job under way; at most one per app.
    pub job: Option<ActiveJob>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveJob {
    pub id: JobId,
    pub kind: JobKind,
    pub phase: Phase,
    pub remove_volumes: bool,
}

impl Store {
    /// Begins the oldest queued job of every app that has none under way.
    pub async fn activate_jobs(&self) -> Result<(), StoreError> {
        if self.next_jobs().await?.is_empty() {
            return Ok(());
        }
        self.write("begin the next jobs", |db| {
            for job in waiting(db)? {
                begin(db, &job)?;
            }
            Ok(())
        })
        .await
    }

    async fn next_jobs(&self) -> Result<Vec<Waiting>, StoreError> {
        self.read(waiting).await
    }

    /// Every app with what is wanted of it.
    pub async fn intents(&self) -> Result<Vec<AppIntent>, StoreError> {
        self.read(|db| {
            let failed = query("read the apps");
            let mut statement = db.prepare_cached("SELECT name, rollout, serving, run FROM apps ORDER BY name").map_err(failed)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).map_err(failed)?;
            let rows: Vec<AppRow> = rows.collect::<Result<_, _>>().map_err(failed)?;
            rows.into_iter().map(|row| intent(db, row)).collect()
        })
        .await
    }

    /// Notes how far the active job is, with a line for people when there is something to say.
    pub async fn progress(&self, job: JobId, phase: Phase, note: Option<String>) -> Result<(), StoreError> {
        self.write("note the progress of a job", move |db| {
            jobs::enter(db, job, phase)?;
            match note {
                Some(message) => jobs::append(db, job, &EventKind::Note { message }),
                None => Ok(()),
            }
        })
        .await
    }

    /// Adds a line for people to a job, unless it has it: a step that is repeated says the same again.
    pub async fn note(&self, job: JobId, message: String) -> Result<(), StoreError> {
        let note = EventKind::Note { message };
        self.write("note the progress of a job", move |db| if jobs::has(db, job, &note)? { Ok(()) } else { jobs::append(db, job, &note) })
            .await
    }

    /// Adds lines for people to a job, in one go.
    pub async fn notes(&self, job: JobId, messages: Vec<String>) -> Result<(), StoreError> {
        self.write("note what a job says", move |db| {
            messages.into_iter().try_for_each(|message| jobs::append(db, job, &EventKind::Note { message }))
        })
        .await
    }

    /// How many lines of a job begin with this mark.
    pub async fn count_notes(&self, job: JobId, mark: &'static str) -> Result<usize, StoreError> {
        let (events, _) = self.events(job, 0).await?;
        let marked = |event: &&Event| matches!(&event.kind, EventKind::Note { message } if message.starts_with(mark));
        Ok(events.iter().filter(marked).count())
    }

    /// The rollout is complete: it serves from now on, also when the app was stopped before.
    pub async fn promote(&self, app: AppName, id: DeployId, job: Option<JobId>) -> Result<(), StoreError> {
        self.write("promote a deployment", move |db| {
            let failed = query("promote a deployment");
            let sql = "UPDATE apps SET serving = ?2, rollout = NULL, run = 'running' WHERE name = ?1 AND rollout = ?2";
            if db.execute(sql, params![app.as_str(), id.number()]).map_err(failed)? == 0 {
                return Ok(());
            }
            db.execute("UPDATE deployments SET state = 'complete' WHERE id = ?1", [id.number()]).map_err(failed)?;
            forget_oldest(db, &app)?;
            job.map_or(Ok(()), |job| jobs::enter(db, job, Phase::Switching))
        })
        .await
    }

    /// The active job failed. A rollout of it is given up; what served before serves on. A verdict
    /// that comes too late (the job has ended, its deployment serves) changes nothing.
    pub async fn fail(&self, app: AppName, job: JobId, failure: Failure) -> Result<(), StoreError> {
        self.write("note the failure of a job", move |db| {
            let failed = query("note the failure of a job");
            let Some(deployment) = jobs::open_deployment(db, job)? else { return Ok(()) };
            if let Some(id) = deployment {
                let sql = "UPDATE apps SET rollout = NULL WHERE name = ?1 AND rollout = ?2";
                if db.execute(sql, params![app.as_str(), id.number()]).map_err(failed)? == 0 {
                    return Ok(());
                }
                db.execute("UPDATE deployments SET state = 'failed' WHERE id = ?1", [id.number()]).map_err(failed)?;
            }
            forget_oldest(db, &app)?;
            db.execute("UPDATE jobs SET failure = ?2 WHERE id = ?1", params![job, to_json(&failure)]).map_err(failed)?;
            jobs::append(db, job, &EventKind::Failure(failure))?;
            jobs::finish(db, job, &app, Phase::Failed)
        })
        .await
    }

    /// The active job did what was asked.
    pub async fn finish(&self, app: AppName, job: JobId) -> Result<(), StoreError> {
        self.write("finish a job", move |db| jobs::finish(db, job, &app, Phase::Done)).await
    }
}

type AppRow = (String, Option<u64>, Option<u64>, String);

fn intent(db: &Connection, (app, rollout, serving, run): AppRow) -> Result<AppIntent, StoreError> {
    let load = |id: Option<u64>| id.map(|id| release(db, DeployId::from_number(id))).transpose();
    let app: AppName = app.parse().map_err(damaged("app name"))?;
    Ok(AppIntent {
        rollout: load(rollout)?,
        serving: load(serving)?,
        run: match run.as_str() {
            "stopped" => RunState::Stopped,
            "removed" => RunState::Removed,
            _ => RunState::Running,
        },
        job: jobs::active(db, &app)?,
        app,
    })
}

/// A queued job whose app is idle.
struct Waiting {
    id: JobId,
    app: AppName,
    kind: JobKind,
    deployment: Option<DeployId>,
    remove_containers: bool,
}

fn waiting(db: &Connection) -> Result<Vec<Waiting>, StoreError> {
    let failed = query("look for queued jobs");
    let mut statement = db
        .prepare_cached(
            "SELECT id, app, kind, deployment, remove_containers FROM jobs
             WHERE id IN (SELECT MIN(id) FROM jobs WHERE finished_at IS NULL GROUP BY app) AND phase = 'queued'",
        )
        .map_err(failed)?;
    let rows = statement
        .query_map([], |row| {
            Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get::<_, Option<u64>>(3)?, row.get(4)?))
        })
        .map_err(failed)?;
    rows.map(|row| {
        let (id, app, kind, deployment, remove_containers) = row.map_err(failed)?;
        Ok(Waiting {
            id,
            app: app.parse().map_err(damaged("app name"))?,
            kind: jobs::parse_kind(&kind)?,
            deployment: deployment.map(DeployId::from_number),
            remove_containers,
        })
    })
    .collect()
}

/// Turns a queued job into intent.
fn begin(db: &Connection, job: &Waiting) -> Result<(), StoreError> {
    let failed = query("begin a job");
    let app = job.app.as_str();
    match (job.kind, job.deployment) {
        (JobKind::Deploy | JobKind::Rollback | JobKind::Restart, Some(id)) => {
            if job.kind == JobKind::Restart {
                refresh_restart(db, id, &job.app)?;
            }
            db.execute(
                "INSERT INTO apps (name, rollout, run) VALUES (?1, ?2, 'running')
                 ON CONFLICT (name) DO UPDATE SET rollout = ?2",
                params![app, id.number()],
            )
            .map_err(failed)?;
            jobs::enter(db, job.id, Phase::Preparing)
        }
        (JobKind::Stop, _) => {
            let run = if job.remove_containers { "removed" } else { "stopped" };
            db.execute("UPDATE apps SET run = ?2 WHERE name = ?1", [app, run]).map_err(failed)?;
            jobs::enter(db, job.id, Phase::Switching)
        }
        (_, _) => {
            db.execute("UPDATE apps SET run = 'running' WHERE name = ?1", [app]).map_err(failed)?;
            jobs::enter(db, job.id, Phase::Starting)
        }
    }
}

/// The run state of an app, for the API.
pub(super) fn exists(db: &Connection, app: &AppName) -> Result<bool, StoreError> {
    db.query_row("SELECT 1 FROM apps WHERE name = ?1", [app.as_str()], |_| Ok(()))
        .optional()
        .map(|found| found.is_some())
        .map_err(query("look for an app"))
}
