//! The steps under way: each in a task of its own, none twice at once, failed ones after a pause.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::execute::{Executor, StepError, work};
use super::plan::{Millis, Step};
use super::{conclude_failure, failure};
use crate::daemon::clock::Clock;
use crate::daemon::store::AppIntent;
use crate::docker::Container;
use crate::error::chain;
use crate::names::AppName;
use crate::wire::Failure;

/// The pause after a step failed the first time; it doubles with every failure.
const FIRST_PAUSE: Millis = 250;
const LONGEST_PAUSE: Millis = 30_000;
/// How long a daemon that is told to stop waits for its steps.
const PATIENCE: Duration = Duration::from_secs(10);
/// A rollout whose step failed this often is given up, unless the engine is away.
const ATTEMPTS: u32 = 5;

/// What a task works on: a step, or the conclusion of a job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Step(AppName, Step),
    Conclusion(AppName),
}

/// How often a step failed in a row, and when it may be tried again.
struct Setback {
    failures: u32,
    retry_at: Millis,
    error: String,
}

#[derive(Default)]
struct Shared {
    under_way: BTreeSet<Key>,
    setbacks: BTreeMap<Key, Setback>,
}

/// Owns the tasks.
pub struct Steps {
    executor: Executor,
    nudge: Arc<Notify>,
    clock: Clock,
    shared: Arc<Mutex<Shared>>,
    tasks: JoinSet<()>,
}

impl Steps {
    pub fn new(executor: Executor, nudge: Arc<Notify>, clock: Clock) -> Self {
        Self { executor, nudge, clock, shared: Arc::default(), tasks: JoinSet::new() }
    }

    pub fn under_way(&mut self) -> BTreeSet<Key> {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "a step ended in a way that it must not");
            }
        }
        lock(&self.shared).under_way.clone()
    }

    /// The earliest time at which a failed step may be tried again; it may have come already.
    pub fn wake_at(&self) -> Option<Millis> {
        let shared = lock(&self.shared);
        let waiting = shared.setbacks.iter().filter(|(key, _)| !shared.under_way.contains(key));
        waiting.map(|(_, setback)| setback.retry_at).min()
    }

    /// A container of this app is being stopped or removed.
    pub fn is_ending(&self, app: &AppName) -> bool {
        let ends = |key: &Key| matches!(key, Key::Step(name, Step::Stop(_) | Step::Retire(_)) if name == app);
        lock(&self.shared).under_way.iter().any(ends)
    }

    /// The job of this app is being concluded: it gets no other verdict meanwhile.
    pub fn is_concluding(&self, app: &AppName) -> bool {
        lock(&self.shared).under_way.contains(&Key::Conclusion(app.clone()))
    }

    /// Why a step of this app fails, if one does.
    pub fn last_error(&self, app: &AppName) -> Option<String> {
        let of_app = |key: &Key| matches!(key, Key::Step(name, _) if name == app);
        lock(&self.shared).setbacks.iter().find(|(key, _)| of_app(key)).map(|(_, setback)| setback.error.clone())
    }

    /// Starts the steps that are neither under way, nor were when the pass looked, nor have to wait.
    pub fn begin(&mut self, app: &AppIntent, containers: &[Container], steps: &[Step], busy: &BTreeSet<Key>) {
        self.forget_setbacks(&app.app, steps);
        for step in steps {
            let key = Key::Step(app.app.clone(), step.clone());
            if busy.contains(&key) {
                continue;
            }
            let (Some(work), Some(under_way)) = (work(step, app, containers), self.enter(&key)) else { continue };
            let (executor, job) = (self.executor.clone(), app.job.filter(|_| app.rollout.is_some()));
            let (shared, clock) = (Arc::clone(&self.shared), self.clock);
            let for_rollout = is_for_rollout(step, app, containers);
            self.tasks.spawn(async move {
                let result = executor.execute(work).await;
                let gone_wrong = conclude(&shared, &key, result, clock);
                if let (Some(failure), Some(job), true) = (gone_wrong, job, for_rollout)
                    && let Key::Step(app, _) = &key
                {
                    conclude_failure(&executor, app.clone(), job, failure).await;
                    tidy_up(&executor, &key).await;
                }
                drop(under_way);
            });
        }
    }

    /// Runs what concludes an app's job, unless it is under way.
    pub fn begin_conclusion(&mut self, app: &AppName, conclusion: impl Future<Output = ()> + Send + 'static) {
        let Some(under_way) = self.enter(&Key::Conclusion(app.clone())) else { return };
        self.tasks.spawn(async move {
            conclusion.await;
            drop(under_way);
        });
    }

    /// Waits for the tasks in hand. One that takes long (a pull) is given up: the next start repeats it.
    pub async fn finish(mut self) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            self.tasks.shutdown().await;
        }
    }

    /// None when it is under way or has to wait.
    fn enter(&self, key: &Key) -> Option<UnderWay> {
        let mut shared = lock(&self.shared);
        let waits = shared.setbacks.get(key).is_some_and(|setback| setback.retry_at > self.clock.now());
        let entered = !waits && shared.under_way.insert(key.clone());
        entered.then(|| UnderWay { key: key.clone(), shared: Arc::clone(&self.shared), nudge: Arc::clone(&self.nudge) })
    }

    /// A step that is no longer wanted has nothing to wait for.
    fn forget_setbacks(&self, app: &AppName, steps: &[Step]) {
        let wanted = |key: &Key| !matches!(key, Key::Step(name, step) if name == app && !steps.contains(step));
        lock(&self.shared).setbacks.retain(|key, _| wanted(key));
    }
}

/// A task's place among those under way; given back however the task ends, and then the loop looks again.
struct UnderWay {
    key: Key,
    shared: Arc<Mutex<Shared>>,
    nudge: Arc<Notify>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&self.shared).under_way.remove(&self.key);
        self.nudge.notify_one();
    }
}

/// Whether a failure of this step is a failure of the job under way.
fn is_for_rollout(step: &Step, app: &AppIntent, containers: &[Container]) -> bool {
    let Some(rollout) = &app.rollout else { return false };
    match step {
        Step::Prepare(id) | Step::Launch(id, _) => *id == rollout.id,
        Step::Start(id) => containers.iter().any(|c| c.id == *id && c.owner.deployment == rollout.id),
        Step::Stop(_) | Step::Retire(_) => false,
    }
}

/// Takes note of how a step ended; answers with the failure when trying again cannot help.
fn conclude(shared: &Mutex<Shared>, key: &Key, result: Result<(), StepError>, clock: Clock) -> Option<Failure> {
    let mut shared = lock(shared);
    let Err(error) = result else {
        shared.setbacks.remove(key);
        return None;
    };
    let failures = shared.setbacks.get(key).map_or(0, |setback| setback.failures) + 1;
    let pause = FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST_PAUSE);
    tracing::warn!(step = ?key, failures, error = chain(&error), "a step failed");
    shared.setbacks.insert(key.clone(), Setback { failures, retry_at: clock.now() + pause, error: chain(&error) });
    let engine_away = error.is_engine_away();
    (error.is_permanent() || (failures >= ATTEMPTS && !engine_away)).then(|| failure::of_step(&error))
}

/// What a failed preparation has left, now that its end is written down.
async fn tidy_up(executor: &Executor, key: &Key) {
    let Key::Step(app, Step::Prepare(deployment)) = key else { return };
    if let Err(error) = executor.remove_one_offs(app, Some(*deployment)).await {
        tracing::warn!(%app, error = chain(&error), "the container of a release command stays behind");
    }
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
