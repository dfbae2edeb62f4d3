//! Deployments: what is to run, as a snapshot that never changes once it is written.

use std::num::NonZeroU16;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::images::{history, is_kept};
use super::{Store, StoreError, damaged, ids, jobs, query, to_json};
use crate::names::{self, AppName, DeployId, Digest, Domain};
use crate::wire::{Accepted, AppSpec, Deployment, DeploymentDetails, DeploymentState, DomainSpec, History, JobKind};

/// How many versions an app's history holds at least, and how many failures and repeats beside them.
const HISTORY: u32 = 30;

/// A deploy as it was accepted by the API.
pub struct NewDeployment {
    pub spec: AppSpec,
    /// The resolved environment, sealed.
    pub env: Vec<u8>,
    pub performer: Option<String>,
    pub git_commit: Option<String>,
    /// How to log in to the image's registry, sealed.
    pub login: Option<Vec<u8>>,
    /// The earlier deployment whose image runs in place of the spec's.
    pub image_of: Option<DeployId>,
}

/// What is known once the image is on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The image's content: its config digest.
    pub image_id: String,
    /// The port to route to.
    pub port: NonZeroU16,
    /// The manifest in the image's registry, where it has one there.
    pub digest: Option<Digest>,
}

/// A deployment as the reconcile loop needs it.
#[derive(Debug, Clone)]
pub struct Release {
    pub id: DeployId,
    pub spec: AppSpec,
    /// The image that it must run: set from the start when it repeats an earlier deployment.
    pub image_id: Option<String>,
    /// Its manifest in its registry, once that is known.
    pub digest: Option<Digest>,
    pub prepared: Option<Prepared>,
    /// It is an earlier deployment once more: a rollback or a restart.
    pub repeats: bool,
}

impl Store {
    /// Writes a deploy down and queues its job. Refused when a domain belongs to another app.
    pub async fn accept_deploy(&self, mut new: NewDeployment) -> Result<Accepted, StoreError> {
        self.write("accept the deployment", move |db| {
            refuse_taken_domains(db, &new.spec)?;
            if let Some(earlier) = new.image_of {
                take_image(db, earlier, &mut new)?;
            }
            let id = next_id(db)?;
            let spec = to_json(&new.spec);
            db.execute(
                "INSERT INTO deployments (id, app, state, spec, env, created_at, performer, git_commit, login)
                 VALUES (?1, ?2, 'pending', ?3, ?4, ?5, ?6, ?7, ?8)",
                params![id.number(), new.spec.name.as_str(), spec, new.env, now(), new.performer, new.git_commit, new.login],
            )
            .map_err(query("write the deployment"))?;
            if let Some(earlier) = new.image_of {
                let sql =
                    "UPDATE deployments SET (image_id, digest) = (SELECT image_id, digest FROM deployments WHERE id = ?2) WHERE id = ?1";
                db.execute(sql, params![id.number(), earlier.number()]).map_err(query("write the deployment"))?;
            }
            jobs::queue(db, &new.spec.name, JobKind::Deploy, Some(id))
        })
        .await
    }

    /// Queues a new deployment that repeats the one that serves (`haloy restart`).
    pub async fn accept_restart(&self, app: AppName, performer: Option<String>) -> Result<Accepted, StoreError> {
        self.write("accept the restart", move |db| {
            jobs::known_app(db, &app)?;
            let serving = serving(db, &app)?.ok_or(StoreError::NeverDeployed(app.clone()))?;
            refuse_taken_domains(db, &spec_of(db, serving)?)?;
            let id = repeat(db, serving, performer.as_deref())?;
            jobs::queue(db, &app, JobKind::Restart, Some(id))
        })
        .await
    }

    /// Queues a new deployment that repeats an earlier complete one; `env` takes the place of its sealed environment.
    pub async fn accept_rollback(
        &self,
        app: AppName,
        to: DeployId,
        env: Option<Vec<u8>>,
        performer: Option<String>,
    ) -> Result<Accepted, StoreError> {
        self.write("accept the rollback", move |db| {
            check_target(db, &app, to)?;
            refuse_taken_domains(db, &spec_of(db, to)?)?;
            let id = repeat(db, to, performer.as_deref())?;
            if let Some(env) = env {
                db.execute("UPDATE deployments SET env = ?2 WHERE id = ?1", params![id.number(), env])
                    .map_err(query("write the deployment"))?;
            }
            jobs::queue(db, &app, JobKind::Rollback, Some(id))
        })
        .await
    }

    /// Where a rollback goes: `to` when it can be gone back to, else the version before the current one.
    pub async fn rollback_target(&self, app: AppName, to: Option<DeployId>) -> Result<DeployId, StoreError> {
        self.read(move |db| {
            jobs::known_app(db, &app)?;
            match to {
                Some(to) => check_target(db, &app, to).map(|()| to),
                None if history(db, &app)? == History::None => Err(StoreError::NoHistory(app)),
                None => before(db, &app, serving(db, &app)?)?.ok_or(StoreError::NothingToRollBackTo(app)),
            }
        })
        .await
    }

    /// The deployment that serves.
    pub async fn serving_deployment(&self, app: AppName) -> Result<DeployId, StoreError> {
        self.read(move |db| {
            jobs::known_app(db, &app)?;
            serving(db, &app)?.ok_or(StoreError::NeverDeployed(app))
        })
        .await
    }

    /// Queues a new deployment of the snapshot of deployment `of` with another tag of its image, which the registry has;
    /// `env` takes the place of its sealed environment.
    pub async fn accept_tag(
        &self,
        app: AppName,
        tag: String,
        of: DeployId,
        env: Option<Vec<u8>>,
        performer: Option<String>,
    ) -> Result<Accepted, StoreError> {
        self.write("accept the rollback", move |db| {
            jobs::known_app(db, &app)?;
            let mut spec = spec_of(db, of)?;
            match &spec.history {
                History::Registry { pattern, .. } if names::fits(pattern, &tag) => {}
                _ => return Err(StoreError::NoSuchTag { app, tag }),
            }
            let image = format!("{}:{tag}", spec.image.repository()).parse();
            spec.image = image.map_err(|_| StoreError::NoSuchTag { app: app.clone(), tag })?;
            spec.pin = None;
            refuse_taken_domains(db, &spec)?;
            let id = repeat(db, of, performer.as_deref())?;
            let sql = "UPDATE deployments SET spec = ?2, env = COALESCE(?3, env), image_id = NULL, digest = NULL, repeats = NULL, \
                git_commit = NULL WHERE id = ?1";
            db.execute(sql, params![id.number(), to_json(&spec), env]).map_err(query("write the deployment"))?;
            jobs::queue(db, &app, JobKind::Rollback, Some(id))
        })
        .await
    }

    /// One deployment with its snapshot.
    pub async fn deployment(&self, app: AppName, id: DeployId) -> Result<DeploymentDetails, StoreError> {
        let deployment = self.deployments(app.clone()).await?.into_iter().find(|deployment| deployment.id == id);
        let deployment = deployment.ok_or(StoreError::UnknownDeployment { app, deployment: id })?;
        let spec = self.read(move |db| spec_of(db, id)).await?;
        Ok(DeploymentDetails { deployment, spec })
    }

    /// Notes what preparing found out. A second time it changes nothing.
    pub async fn prepared(&self, id: DeployId, prepared: Prepared) -> Result<(), StoreError> {
        self.write("note the prepared image", move |db| {
            db.execute(
                "UPDATE deployments SET image_id = ?2, port = ?3, digest = COALESCE(?4, digest) WHERE id = ?1",
                params![id.number(), prepared.image_id, prepared.port.get(), prepared.digest.as_ref().map(Digest::as_str)],
            )
            .map(|_| ())
            .map_err(query("note the prepared image"))
        })
        .await
    }

    /// The sealed environment of a deployment.
    pub async fn sealed_env(&self, id: DeployId) -> Result<Vec<u8>, StoreError> {
        self.read(move |db| {
            db.query_row("SELECT env FROM deployments WHERE id = ?1", [id.number()], |row| row.get(0))
                .map_err(query("read the environment of a deployment"))
        })
        .await
    }

    /// The sealed login to the registry of a deployment's image, when it came with one.
    pub async fn sealed_login(&self, id: DeployId) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(move |db| {
            db.query_row("SELECT login FROM deployments WHERE id = ?1", [id.number()], |row| row.get(0))
                .map_err(query("read the login of a deployment"))
        })
        .await
    }

    /// An app's history, newest first.
    pub async fn deployments(&self, app: AppName) -> Result<Vec<Deployment>, StoreError> {
        self.read(move |db| {
            jobs::known_app(db, &app)?;
            let failed = query("read the deployments");
            let current = serving(db, &app)?;
            let mut statement = db
                .prepare(
                    "SELECT id, state, spec, image_id, created_at, performer, git_commit, repeats
                     FROM deployments WHERE app = ?1 ORDER BY id DESC",
                )
                .map_err(failed)?;
            let rows = statement.query_map([app.as_str()], HistoryRow::read).map_err(failed)?;
            let read = |row: rusqlite::Result<HistoryRow>| {
                let deployment = row.map_err(failed)?.into_deployment(current)?;
                Ok(Deployment { image_kept: is_kept(db, &app, deployment.id)?, ..deployment })
            };
            rows.map(read).collect()
        })
        .await
    }
}

/// A row of the history before its texts are parsed.
struct HistoryRow {
    id: u64,
    state: String,
    spec: String,
    image_id: Option<String>,
    created_at: i64,
    performer: Option<String>,
    git_commit: Option<String>,
    repeats: Option<u64>,
}

impl HistoryRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            state: row.get(1)?,
            spec: row.get(2)?,
            image_id: row.get(3)?,
            created_at: row.get(4)?,
            performer: row.get(5)?,
            git_commit: row.get(6)?,
            repeats: row.get(7)?,
        })
    }

    fn into_deployment(self, current: Option<DeployId>) -> Result<Deployment, StoreError> {
        let id = DeployId::from_number(self.id);
        Ok(Deployment {
            id,
            state: match self.state.as_str() {
                "complete" => DeploymentState::Complete,
                "failed" => DeploymentState::Failed,
                _ => DeploymentState::Pending,
            },
            image: parse_spec(&self.spec)?.image,
            image_id: self.image_id,
            created_at: timestamp(self.created_at)?,
            performer: self.performer,
            git_commit: self.git_commit,
            repeats: self.repeats.map(DeployId::from_number),
            image_kept: false,
            current: Some(id) == current,
        })
    }
}

/// Reads one deployment for the loop.
pub(super) fn release(db: &Connection, id: DeployId) -> Result<Release, StoreError> {
    type Columns = (String, Option<String>, Option<u16>, bool, Option<String>);
    let (spec, image_id, port, repeats, digest): Columns = db
        .query_row("SELECT spec, image_id, port, repeats IS NOT NULL, digest FROM deployments WHERE id = ?1", [id.number()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .map_err(query("read a deployment"))?;
    let digest: Option<Digest> = digest.map(|digest| digest.parse().map_err(damaged("digest"))).transpose()?;
    let port = port.and_then(NonZeroU16::new);
    let prepared = image_id.clone().zip(port).map(|(image_id, port)| Prepared { image_id, port, digest: digest.clone() });
    Ok(Release { id, spec: parse_spec(&spec)?, image_id, digest, prepared, repeats })
}

/// Copies an earlier deployment under a new id, with its environment and its image. Its port is left
/// open: it is prepared like a new one, because image, network and volumes may have gone since.
fn repeat(db: &Connection, of: DeployId, performer: Option<&str>) -> Result<DeployId, StoreError> {
    let id = next_id(db)?;
    db.execute(
        "INSERT INTO deployments (id, app, state, spec, env, image_id, digest, login, created_at, performer, git_commit, repeats)
         SELECT ?1, app, 'pending', spec, env, image_id, digest, login, ?3, ?4, git_commit, COALESCE(repeats, id)
         FROM deployments WHERE id = ?2",
        params![id.number(), of.number(), now(), performer],
    )
    .map_err(query("repeat a deployment"))?;
    Ok(id)
}

/// A restart that waited behind another job repeats what serves now, not what served when it was asked for.
pub(super) fn refresh_restart(db: &Connection, id: DeployId, app: &AppName) -> Result<(), StoreError> {
    let Some(serving) = serving(db, app)? else { return Ok(()) };
    db.execute(
        "UPDATE deployments SET (spec, env, image_id, digest, login, git_commit, repeats) =
         (SELECT spec, env, image_id, digest, login, git_commit, COALESCE(repeats, id) FROM deployments WHERE id = ?2) WHERE id = ?1",
        params![id.number(), serving.number()],
    )
    .map(|_| ())
    .map_err(query("repeat the serving deployment"))
}

/// Forgets the oldest deployments of an app, but never one that an app or an open job still points
/// at. Versions are counted apart from failures and repeats, which would crowd them out.
pub(super) fn forget_oldest(db: &Connection, app: &AppName) -> Result<(), StoreError> {
    let kept = match history(db, app)? {
        History::Local { count } | History::Registry { count, .. } => HISTORY.max(u32::from(count)),
        History::None => HISTORY,
    };
    db.execute(
        "DELETE FROM deployments WHERE app = ?1
           AND id NOT IN (SELECT id FROM deployments WHERE app = ?1 AND state = 'complete' AND repeats IS NULL ORDER BY id DESC LIMIT ?2)
           AND id NOT IN (SELECT id FROM deployments WHERE app = ?1 AND (state <> 'complete' OR repeats IS NOT NULL) ORDER BY id DESC LIMIT ?2)
           AND id NOT IN (SELECT serving FROM apps WHERE serving IS NOT NULL)
           AND id NOT IN (SELECT rollout FROM apps WHERE rollout IS NOT NULL)
           AND id NOT IN (SELECT deployment FROM jobs WHERE deployment IS NOT NULL AND finished_at IS NULL)",
        params![app.as_str(), kept],
    )
    .map(|_| ())
    .map_err(query("forget old deployments"))
}

pub(super) fn serving(db: &Connection, app: &AppName) -> Result<Option<DeployId>, StoreError> {
    let id: Option<Option<u64>> = db
        .query_row("SELECT serving FROM apps WHERE name = ?1", [app.as_str()], |row| row.get(0))
        .optional()
        .map_err(query("read the serving deployment"))?;
    Ok(id.flatten().map(DeployId::from_number))
}

/// A deployment of today's configuration runs the image of an earlier one.
fn take_image(db: &Connection, earlier: DeployId, new: &mut NewDeployment) -> Result<(), StoreError> {
    check_target(db, &new.spec.name, earlier)?;
    let AppSpec { image, pin, .. } = spec_of(db, earlier)?;
    (new.spec.image, new.spec.pin) = (image, pin);
    if new.login.is_none() {
        let sql = "SELECT login FROM deployments WHERE id = ?1";
        new.login = db.query_row(sql, [earlier.number()], |row| row.get(0)).map_err(query("read the login of a deployment"))?;
    }
    Ok(())
}

/// Refuses what cannot be gone back to: it never was complete, or its image is not kept.
fn check_target(db: &Connection, app: &AppName, to: DeployId) -> Result<(), StoreError> {
    jobs::known_app(db, app)?;
    if !is_complete(db, app, to)? {
        return Err(StoreError::UnknownDeployment { app: app.clone(), deployment: to });
    }
    if !is_kept(db, app, to)? {
        return Err(StoreError::ImageNotKept { app: app.clone(), deployment: to });
    }
    Ok(())
}

fn is_complete(db: &Connection, app: &AppName, id: DeployId) -> Result<bool, StoreError> {
    db.query_row(
        "SELECT EXISTS (SELECT 1 FROM deployments WHERE id = ?1 AND app = ?2 AND state = 'complete')",
        params![id.number(), app.as_str()],
        |row| row.get(0),
    )
    .map_err(query("look for a deployment"))
}

/// The version before the current one. A deployment that repeats another counts as that one, so
/// going back twice goes back two steps and a restart is no step.
fn before(db: &Connection, app: &AppName, current: Option<DeployId>) -> Result<Option<DeployId>, StoreError> {
    let failed = query("look for the deployment before the current one");
    let Some(current) = current else { return Ok(None) };
    let origin: Option<Option<u64>> =
        db.query_row("SELECT repeats FROM deployments WHERE id = ?1", [current.number()], |row| row.get(0)).optional().map_err(failed)?;
    let from = origin.flatten().unwrap_or(current.number());
    let sql = "SELECT id FROM deployments WHERE app = ?1 AND id < ?2 AND state = 'complete' AND repeats IS NULL ORDER BY id DESC";
    let mut statement = db.prepare_cached(sql).map_err(failed)?;
    for id in statement.query_map(params![app.as_str(), from], |row| row.get(0)).map_err(failed)? {
        let id = DeployId::from_number(id.map_err(failed)?);
        if is_kept(db, app, id)? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Ids are unique on the server, not just within an app: they name containers and images.
fn next_id(db: &Connection) -> Result<DeployId, StoreError> {
    let failed = query("choose a deployment id");
    let last: Option<u64> = db.query_row("SELECT MAX(id) FROM deployments", [], |row| row.get(0)).map_err(failed)?;
    // Deployments may be forgotten; the highest id ever given is not.
    let given: Option<String> =
        db.query_row("SELECT value FROM meta WHERE key = 'last_deployment'", [], |row| row.get(0)).optional().map_err(failed)?;
    let given = given.and_then(|id| id.parse::<u64>().ok());
    let id = ids::next(Timestamp::now(), last.max(given).map(DeployId::from_number));
    db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('last_deployment', ?1)", [id.number().to_string()]).map_err(failed)?;
    Ok(id)
}

/// A host name leads to one app. Counts what serves, what is on its way and what is queued; an app
/// whose containers were removed gives its domains up.
pub(super) fn refuse_taken_domains(db: &Connection, spec: &AppSpec) -> Result<(), StoreError> {
    let failed = query("look for apps with the same domain");
    let mut statement = db
        .prepare(
            "SELECT d.app, d.spec FROM deployments d WHERE d.app <> ?1 AND (
                d.id IN (SELECT serving FROM apps WHERE run <> 'removed')
                OR d.id IN (SELECT a.serving FROM apps a JOIN jobs j ON j.app = a.name WHERE j.kind = 'start' AND j.finished_at IS NULL)
                OR d.id IN (SELECT deployment FROM jobs WHERE finished_at IS NULL))",
        )
        .map_err(failed)?;
    let rows = statement.query_map([spec.name.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
    for row in rows {
        let (app, other): (String, String) = row.map_err(failed)?;
        let other = parse_spec(&other)?;
        if let Some(domain) = hosts(&spec.domains).find(|host| hosts(&other.domains).any(|taken| taken == *host)) {
            let app = app.parse().map_err(damaged("app name"))?;
            return Err(StoreError::DomainTaken { domain: domain.clone(), app });
        }
    }
    Ok(())
}

/// By what serves or by what is on its way: protection that comes and protection that goes both count.
pub(super) fn is_protected(db: &Connection, app: &AppName) -> Result<bool, StoreError> {
    let failed = query("look whether an app is protected");
    let mut statement = db
        .prepare(
            "SELECT spec FROM deployments WHERE app = ?1 AND (
                id IN (SELECT serving FROM apps WHERE name = ?1)
                OR id IN (SELECT deployment FROM jobs WHERE app = ?1 AND finished_at IS NULL))",
        )
        .map_err(failed)?;
    let specs = statement.query_map([app.as_str()], |row| row.get::<_, String>(0)).map_err(failed)?;
    for spec in specs {
        if parse_spec(&spec.map_err(failed)?)?.protected {
            return Ok(true);
        }
    }
    Ok(false)
}

fn hosts(domains: &[DomainSpec]) -> impl Iterator<Item = &Domain> {
    domains.iter().flat_map(|d| std::iter::once(&d.domain).chain(&d.aliases))
}

pub(super) fn spec_of(db: &Connection, id: DeployId) -> Result<AppSpec, StoreError> {
    let text: String =
        db.query_row("SELECT spec FROM deployments WHERE id = ?1", [id.number()], |row| row.get(0)).map_err(query("read a deployment"))?;
    parse_spec(&text)
}

pub(super) fn parse_spec(text: &str) -> Result<AppSpec, StoreError> {
    serde_json::from_str(text).map_err(damaged("configuration snapshot"))
}

/// Unix milliseconds.
pub(super) fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

pub(super) fn timestamp(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(milliseconds).map_err(damaged("time"))
}
