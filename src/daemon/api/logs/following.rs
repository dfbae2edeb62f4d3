//! What the containers go on to say, in the order of arrival.
//!
//! A container's stream ends when its process does. Whether there is more to read (a restart, a new
//! deployment) is seen in the overview: however many clients follow, the engine is asked for lines
//! alone.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::time::MissedTickBehavior;

use super::{Marks, Speaker, Teller, Wanted};
use crate::daemon::api::Api;
use crate::daemon::overview::{Overview, Watched};
use crate::docker::{ContainerId, LogQuery};
use crate::wire::{Replica, ReplicaHealth};

/// A stream may break, or end after the overview has told of the next start: when that is noticed at
/// the latest.
const RETRY: Duration = Duration::from_secs(2);

/// Tells new lines for ever; dropping the future ends it. `marks` says up to where each container
/// has been told.
pub async fn tell(api: &Api, wanted: &Wanted, mut marks: Marks, teller: &Teller) {
    let mut changes = api.overview.clone();
    let mut tick = tokio::time::interval(RETRY);
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
            Ok(()) = changes.changed() => {}
            _ = tick.tick() => {}
        }
        let overview: Arc<Overview> = changes.borrow_and_update().clone();
        // Without an entry nothing was seen yet: what is being followed goes on.
        let Some(present) = overview.replicas.get(&wanted.app) else { continue };
        let wanted_ones = present.iter().filter(|one| wanted.wants(one.replica.deployment));
        for one in wanted_ones.filter(|one| may_say_more(&one.replica, marks.get(&one.id))) {
            if followed.insert(one.id.clone()) {
                readers.push(read(api, one.clone(), marks.get(&one.id).copied(), wanted.since, teller));
            }
        }
    }
}

/// A newcomer is read from its beginning; one that we know when its process may write, or has
/// written something in a short life since.
fn may_say_more(replica: &Replica, mark: Option<&Timestamp>) -> bool {
    let Some(mark) = mark else { return true };
    let runs = replica.health != ReplicaHealth::Exited;
    replica.started_at.is_some_and(|at| runs || at > *mark)
}

/// Tells a container's lines after `mark` until its process ends; returns up to where.
async fn read(api: &Api, one: Watched, mark: Option<Timestamp>, since: Option<Timestamp>, teller: &Teller) -> (ContainerId, Timestamp) {
    let speaker = Speaker::from(&one);
    let query = LogQuery { tail: None, since: mark.or(since), follow: true };
    let mut lines = pin!(api.docker.logs(&one.id, query));
    let mut told_until = mark;
    loop {
        match lines.next().await {
            // Told before. Later lines are not compared with each other: the pieces of a long line
            // share their time, and an unfinished line of the other output may be older.
            Some(Ok(line)) if mark.is_some() && line.at <= mark => {}
            Some(Ok(line)) => {
                told_until = line.at.max(told_until);
                teller.line(&speaker, line).await;
            }
            Some(Err(error)) => {
                tracing::debug!(container = speaker.name, error = crate::error::chain(&error), "A log stream broke");
                break;
            }
            // A life without a word has been told as well.
            None => {
                told_until = told_until.max(one.replica.started_at);
                break;
            }
        }
    }
    (one.id, told_until.or(since).unwrap_or(Timestamp::UNIX_EPOCH))
}
