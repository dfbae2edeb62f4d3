//! What deployments have on the engine until haloy takes it away again, and which of it is more than their history wants.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::deployments::{parse_spec, serving};
use super::{Store, StoreError, damaged, query};
use crate::names::{AppName, DeployId};
use crate::wire::{AppSpec, History};

/// The image of a deployment, held on the engine by a tag of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldImage {
    pub deployment: DeployId,
    pub app: AppName,
    pub image_id: String,
    pub tag: String,
    /// The reference under which haloy pulled it, when the engine did not have it before.
    pub pulled: Option<String>,
}

impl Store {
    /// Notes that a deployment's image is held; `found_as` is the reference that led to it, which may have been pulled
    /// for an earlier deployment. A second time it changes nothing.
    pub async fn hold_image(&self, held: HeldImage, found_as: Option<String>) -> Result<(), StoreError> {
        self.write("note the image of a deployment", move |db| {
            db.execute(
                "INSERT INTO images (deployment, app, image_id, tag, pulled) VALUES (?1, ?2, ?3, ?4, COALESCE(?5,
                     (SELECT pulled FROM images WHERE pulled = ?6), (SELECT pulled FROM images WHERE image_id = ?3 AND pulled IS NOT NULL)))
                 ON CONFLICT (deployment) DO UPDATE SET image_id = ?3, pulled = COALESCE(excluded.pulled, pulled)",
                params![held.deployment.number(), held.app.as_str(), held.image_id, held.tag, held.pulled, found_as],
            )
            .map(|_| ())
            .map_err(query("note the image of a deployment"))
        })
        .await
    }

    /// Every image that is held, and which of them are more than wanted: by the history of each app, or `keep`
    /// versions where that is given.
    pub async fn held_images(&self, keep: Option<u16>) -> Result<(Vec<HeldImage>, BTreeSet<DeployId>), StoreError> {
        self.read(move |db| {
            let held = held(db)?;
            let mut surplus = BTreeSet::new();
            for app in held.iter().map(|image| &image.app).collect::<BTreeSet<_>>() {
                let rows: Vec<DeployId> = held.iter().filter(|image| image.app == *app).map(|image| image.deployment).collect();
                surplus.extend(self::surplus(&rows, &facts(db, app)?, keep));
            }
            Ok((held, surplus))
        })
        .await
    }

    /// The image is gone, or somebody else's alone.
    pub async fn release_image(&self, deployment: DeployId) -> Result<(), StoreError> {
        self.write("forget the image of a deployment", move |db| {
            db.execute("DELETE FROM images WHERE deployment = ?1", [deployment.number()])
                .map(|_| ())
                .map_err(query("forget the image of a deployment"))
        })
        .await
    }
}

fn held(db: &Connection) -> Result<Vec<HeldImage>, StoreError> {
    let failed = query("list the images of deployments");
    let mut statement = db.prepare("SELECT deployment, app, image_id, tag, pulled FROM images ORDER BY deployment").map_err(failed)?;
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        .map_err(failed)?;
    rows.map(|row| {
        let (deployment, app, image_id, tag, pulled) = row.map_err(failed)?;
        let app = app.parse().map_err(damaged("app name"))?;
        Ok(HeldImage { deployment: DeployId::from_number(deployment), app, image_id, tag, pulled })
    })
    .collect()
}

/// What decides how long an app's images stay.
#[derive(Debug, Default)]
struct Facts {
    history: History,
    serving: Option<DeployId>,
    /// On their way, or named by a job that has not ended, or with the image of one that is.
    needed: BTreeSet<DeployId>,
    /// The version that each complete deployment is: itself, or the one that it repeats.
    versions: BTreeMap<DeployId, DeployId>,
}

fn facts(db: &Connection, app: &AppName) -> Result<Facts, StoreError> {
    let failed = query("look at the history of an app");
    let mut facts = Facts { serving: serving(db, app)?, history: history(db, app)?, ..Facts::default() };
    let sql = "SELECT rollout FROM apps WHERE name = ?1 AND rollout IS NOT NULL
               UNION SELECT deployment FROM jobs WHERE app = ?1 AND deployment IS NOT NULL AND finished_at IS NULL
               UNION SELECT i.deployment FROM images i JOIN deployments d ON d.app = i.app AND d.image_id = i.image_id
                     WHERE d.id IN (SELECT deployment FROM jobs WHERE app = ?1 AND finished_at IS NULL)";
    let mut statement = db.prepare_cached(sql).map_err(failed)?;
    for id in statement.query_map([app.as_str()], |row| row.get(0)).map_err(failed)? {
        facts.needed.insert(DeployId::from_number(id.map_err(failed)?));
    }
    let sql = "SELECT id, COALESCE(repeats, id) FROM deployments WHERE app = ?1 AND state = 'complete'";
    let mut statement = db.prepare_cached(sql).map_err(failed)?;
    for row in statement.query_map([app.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)? {
        let (id, version) = row.map_err(failed)?;
        facts.versions.insert(DeployId::from_number(id), DeployId::from_number(version));
    }
    Ok(facts)
}

/// The history that the app's newest complete deployment asks for.
pub(super) fn history(db: &Connection, app: &AppName) -> Result<History, StoreError> {
    let sql = "SELECT spec FROM deployments WHERE app = ?1 AND state = 'complete' ORDER BY id DESC LIMIT 1";
    let spec: Option<String> =
        db.query_row(sql, [app.as_str()], |row| row.get(0)).optional().map_err(query("look at the history of an app"))?;
    spec.as_deref().map_or(Ok(History::default()), |spec| parse_spec(spec).map(|AppSpec { history, .. }| history))
}

/// Whether a deployment's image can be run again: it is on the engine under a name of ours, or its registry is
/// relied on. Of apps from before there were such names everything that was ever ready counts.
pub(super) fn is_kept(db: &Connection, app: &AppName, id: DeployId) -> Result<bool, StoreError> {
    let sql = "
        SELECT EXISTS (SELECT 1 FROM deployments d JOIN images i ON i.app = d.app AND i.image_id = d.image_id WHERE d.id = ?2)
            OR (SELECT json_extract(spec, '$.history.strategy') = 'registry' FROM deployments WHERE id = ?2)
            OR (NOT EXISTS (SELECT 1 FROM images WHERE app = ?1)
                AND EXISTS (SELECT 1 FROM deployments WHERE id = ?2 AND image_id IS NOT NULL))";
    let kept: Option<bool> = db
        .query_row(sql, params![app.as_str(), id.number()], |row| row.get(0))
        .map_err(query("look whether the image of a deployment is kept"))?;
    Ok(kept.unwrap_or_default())
}

/// Which of the held deployments of one app are more than wanted. What serves, is on its way or waits for its turn
/// always stays; of each version one deployment is enough.
fn surplus(held: &[DeployId], facts: &Facts, keep: Option<u16>) -> BTreeSet<DeployId> {
    let count = match (keep, &facts.history) {
        (Some(keep), _) => usize::from(keep),
        (None, History::Local { count }) => usize::from(*count),
        (None, History::Registry { .. } | History::None) => 1,
    };
    let version = |id: &DeployId| facts.versions.get(id).copied();
    let current = facts.serving.as_ref().and_then(version);
    let newest_first: BTreeSet<_> = held.iter().filter_map(version).filter(|v| Some(*v) != current).map(std::cmp::Reverse).collect();
    let others = newest_first.into_iter().map(|version| version.0).take(count.max(1) - usize::from(current.is_some()).min(count.max(1)));
    let kept: BTreeSet<DeployId> = current.into_iter().chain(others).collect();
    let mut stands_for: BTreeMap<DeployId, DeployId> = BTreeMap::new();
    for id in held {
        if let Some(version) = version(id).filter(|version| kept.contains(version)) {
            // The version itself, else its newest repetition.
            let better = *id == version || stands_for.get(&version).is_none_or(|known| *known != version);
            if better {
                stands_for.insert(version, *id);
            }
        }
    }
    let stays = |id: &DeployId| facts.serving == Some(*id) || facts.needed.contains(id) || stands_for.values().any(|kept| kept == id);
    held.iter().filter(|id| !stays(id)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> DeployId {
        DeployId::from_number(number)
    }

    /// Complete deployments as `id` or `id=version`; the surplus of the held ones.
    fn surplus_of(complete: &[(u64, u64)], held: &[u64], serving: u64, history: History, keep: Option<u16>) -> Vec<u64> {
        let versions = complete.iter().map(|(deployment, version)| (id(*deployment), id(*version))).collect();
        let facts = Facts { history, serving: Some(id(serving)), needed: BTreeSet::from([id(99)]), versions };
        let held: Vec<DeployId> = held.iter().copied().map(id).collect();
        surplus(&held, &facts, keep).into_iter().map(DeployId::number).collect()
    }

    #[test]
    fn so_many_versions_stay_as_the_history_says() {
        let local = |count| History::Local { count };
        let own = [(1, 1), (2, 2), (3, 3), (4, 4)];
        let held = [1, 2, 3, 4];
        assert_eq!(surplus_of(&own, &held, 4, local(5), None), [0; 0]);
        assert_eq!(surplus_of(&own, &held, 4, local(2), None), [1, 2]);
        assert_eq!(surplus_of(&own, &held, 4, local(1), None), [1, 2, 3]);
        assert_eq!(surplus_of(&own, &held, 1, local(2), None), [2, 3], "what serves counts, however old");
        assert_eq!(surplus_of(&own, &held, 4, History::None, None), [1, 2, 3]);
        assert_eq!(surplus_of(&own, &held, 4, History::Registry { count: 9, pattern: "*".into() }, None), [1, 2, 3]);
        assert_eq!(surplus_of(&own, &held, 4, local(1), Some(3)), [1]);
        assert_eq!(surplus_of(&own, &held, 4, local(5), Some(0)), [1, 2, 3], "what serves always stays");
    }

    #[test]
    fn repetitions_are_their_version_and_failures_are_nothing() {
        let local = |count| History::Local { count };
        // 3 is 1 again (a rollback), 4 is 3 restarted: the same version.
        let complete = [(1, 1), (2, 2), (3, 1), (4, 1)];
        assert_eq!(surplus_of(&complete, &[1, 2, 3, 4], 4, local(2), None), [3]);
        assert_eq!(surplus_of(&complete, &[2, 3, 4], 2, local(2), None), [3], "its newest repetition stands for it");
        assert_eq!(surplus_of(&complete, &[1, 5, 99], 1, local(5), None), [5], "a failed one goes, one on its way stays");
    }
}
