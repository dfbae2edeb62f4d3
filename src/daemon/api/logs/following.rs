//! What the containers go on to say, in the order of arrival.
//!
//! A container's stream ends when its process does. Whether there is more to read (a restart, a new
//! deployment) is seen by looking again after each change of the overview, and now and then.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::time::MissedTickBehavior;

use super::{Marks, Teller, Wanted};
use crate::daemon::api::Api;
use crate::docker::{Container, ContainerId, ContainerPhase, LogQuery};

/// The longest time until a container that nobody announced is found.
const LOOK: Duration = Duration::from_secs(2);

/// Tells new lines for ever; dropping the future ends it. `marks` says up to where each container
/// has been told.
pub async fn tell(api: &Api, wanted: &Wanted, mut marks: Marks, teller: &Teller) {
    let mut overview = api.overview.clone();
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut followed = BTreeSet::new();
    let mut readers = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some((id, mark)) = readers.next(), if !readers.is_empty() => {
                followed.remove(&id);
                marks.insert(id, mark);
                continue;
            }
            Ok(()) = overview.changed() => {}
            _ = tick.tick() => {}
        }
        // A failed look is no empty world: what is being followed goes on.
        let Ok(containers) = wanted.containers(api).await else { continue };
        marks.retain(|id, _| containers.iter().any(|c| c.id == *id));
        for container in containers {
            if followed.contains(&container.id) || !may_say_more(&container, &marks) {
                continue;
            }
            followed.insert(container.id.clone());
            let mark = marks.get(&container.id).copied();
            readers.push(read(api, container, mark, wanted.since, teller));
        }
    }
}

/// A newcomer is read from its beginning; one that we know when its process may write, or has
/// written something in a short life since.
fn may_say_more(container: &Container, marks: &Marks) -> bool {
    let Some(mark) = marks.get(&container.id) else { return true };
    container.phase == ContainerPhase::Running || container.started_at.is_some_and(|at| at > *mark)
}

/// Tells a container's lines after `mark` until its process ends; returns up to where.
async fn read(
    api: &Api,
    container: Container,
    mark: Option<Timestamp>,
    since: Option<Timestamp>,
    teller: &Teller,
) -> (ContainerId, Timestamp) {
    let query = LogQuery { tail: None, since: mark.or(since), follow: true };
    let mut lines = pin!(api.docker.logs(&container.id, query));
    let mut told_until = mark;
    while let Some(line) = lines.next().await {
        match line {
            // Told before. Later lines are not compared with each other: the pieces of a long line
            // share their time, and an unfinished line of the other output may be older.
            Ok(line) if mark.is_some() && line.at <= mark => {}
            Ok(line) => {
                told_until = line.at.max(told_until);
                teller.line(&container, line).await;
            }
            Err(error) => {
                tracing::debug!(container = container.name, error = crate::error::chain(&error), "A log stream broke");
                break;
            }
        }
    }
    (container.id, told_until.or(since).unwrap_or(Timestamp::UNIX_EPOCH))
}
