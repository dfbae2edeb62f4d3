//! The control loop: observe, plan, publish, execute.
//!
//! It is level-triggered. Whatever happens (an API call, a Docker event, a health flip, a finished
//! step, a timer) only says "look again"; what happened is never looked at. A pass observes
//! everything or is given up: a failed look is not an empty world, and the table that is served stays.
//!
//! A pass plans every app on its own, publishes one table, writes verdicts down, and only then starts
//! the steps, each in a task of its own. A step that is under way is not started again; nobody
//! waits for it, so a slow app never delays another.
//!
//! What must never happen here: waiting for one app; deciding by what an event said; changing the
//! table anywhere but in `publish`.

mod blueprint;
mod checks;
mod execute;
mod failure;
mod first_check;
mod health;
mod image;
mod observe;
mod plan;
mod publish;
mod release_command;
#[cfg(test)]
mod sim;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

pub use execute::Executor;
pub use image::OwnRegistry;
pub use plan::Millis;

use self::health::Monitor;
use self::observe::Memory;
use self::plan::{Cause, Plan, Verdict, plan};
use self::steps::Steps;
use super::clock::Clock;
use super::overview::{Overview, Watched};
use super::publisher::Publisher;
use super::store::{ActiveJob, AppIntent, RunState, StoreError};
use crate::docker::{Container, DockerError, Engine};
use crate::error::chain;
use crate::names::AppName;
use crate::wire::{EngineStatus, Failure, JobId, JobKind, Phase};

/// Look at everything at least this often.
const TICK: Duration = Duration::from_secs(30);
/// Look again this soon while the engine does not answer.
const ENGINE_DOWN_TICK: Duration = Duration::from_secs(1);
/// Events come in bursts; one look serves them all.
const SETTLE: Duration = Duration::from_millis(5);

/// Why a pass was given up.
#[derive(Debug, thiserror::Error)]
enum PassError {
    #[error("could not look at the containers")]
    Observe(#[source] DockerError),
    #[error("could not read or write the state")]
    Store(#[from] StoreError),
}

/// The loop and all that it owns.
pub struct Reconciler {
    executor: Executor,
    publisher: Arc<Publisher>,
    overview: watch::Sender<Arc<Overview>>,
    nudge: Arc<Notify>,
    clock: Clock,
    monitor: Monitor,
    memory: Memory,
    steps: Steps,
    /// As it introduced itself; none while it is away.
    engine: Option<Engine>,
    /// Said once, not once a second.
    engine_is_away: bool,
    /// The jobs that were told about it.
    told: BTreeSet<JobId>,
}

/// One app in one pass.
struct Turn<'a> {
    app: &'a AppIntent,
    containers: &'a [Container],
    plan: Plan,
}

impl Reconciler {
    pub fn new(executor: Executor, publisher: Arc<Publisher>, overview: watch::Sender<Arc<Overview>>, nudge: Arc<Notify>) -> Self {
        let clock = Clock::start();
        Self {
            monitor: Monitor::new(executor.docker.clone(), clock, Arc::clone(&nudge)),
            steps: Steps::new(executor.clone(), Arc::clone(&nudge), clock),
            memory: Memory::default(),
            executor,
            publisher,
            overview,
            nudge,
            clock,
            engine: None,
            engine_is_away: false,
            told: BTreeSet::new(),
        }
    }

    /// Runs until `stop`; then waits for the steps in hand, which are short or can be repeated. A pass is given
    /// up wherever it is: an engine that hangs would hold the end up, and the next start looks anew anyway.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let passed = tokio::select! {
                () = stop.cancelled() => break,
                passed = self.pass() => passed,
            };
            let sleep = match passed {
                Ok(wake_at) => observe::sleep(self.clock, wake_at, TICK),
                Err(error) => self.given_up(&error).await,
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.nudge.notified() => tokio::time::sleep(SETTLE).await,
                () = tokio::time::sleep(sleep) => {}
            }
        }
        self.steps.finish().await;
    }

    /// Looks at everything once and does what follows from it. Answers when to look again.
    async fn pass(&mut self) -> Result<Option<Millis>, PassError> {
        let store = self.executor.store.clone();
        store.activate_jobs().await?;
        self.meet_engine().await?;
        let apps = store.intents().await?;
        // A step that ends while we look may have changed what we saw: it counts as under way.
        let busy = self.steps.under_way();
        let containers = self.executor.docker.containers().await.map_err(PassError::Observe)?;

        let now = self.clock.now();
        self.memory.note(&containers, &self.publisher.routed(), &apps, now);
        let containers = observe::by_app(containers);
        self.monitor.watch(observe::subjects(&apps, &containers));
        let turns: Vec<Turn<'_>> = apps.iter().map(|app| self.turn(app, &containers, now)).collect();

        self.publish(&turns);
        self.show(&turns);
        let mut gone_wrong = None;
        for turn in &turns {
            // What cannot be written down for one app must not keep the others waiting.
            if let Err(error) = self.conclude(turn).await {
                gone_wrong = Some(error);
            }
            self.steps.begin(turn.app, turn.containers, &turn.plan.steps, &busy);
        }
        if let Some(error) = gone_wrong {
            return Err(error.into());
        }
        let wake = turns.iter().filter_map(|turn| turn.plan.wake_at).chain(self.monitor.wake_at()).chain(self.steps.wake_at());
        Ok(wake.min())
    }

    fn turn<'a>(&self, app: &'a AppIntent, containers: &'a BTreeMap<AppName, Vec<Container>>, now: Millis) -> Turn<'a> {
        let containers = containers.get(&app.app).map_or(&[][..], Vec::as_slice);
        let intent = observe::intent(app, &self.memory, now);
        let seen: Vec<_> = containers.iter().map(|c| observe::seen(c, app, &self.monitor, &self.memory, self.publisher.proxy())).collect();
        Turn { app, containers, plan: plan(&intent, &seen, now) }
    }

    fn publish(&self, turns: &[Turn<'_>]) {
        let mut redirects = BTreeMap::new();
        let routes = turns.iter().filter_map(|t| publish::route(t.app, t.containers, &t.plan, &mut redirects)).collect();
        self.publisher.route(routes, redirects);
    }

    /// Tells those who only look.
    fn show(&self, turns: &[Turn<'_>]) {
        let proxy = self.publisher.proxy();
        let replicas = |turn: &Turn<'_>| {
            let routed: BTreeSet<_> = turn.plan.table.iter().collect();
            let show = |c: &Container| Watched {
                id: c.id.clone(),
                replica: observe::replica(c, turn.app, self.monitor.report(&c.id), routed.contains(&c.id), proxy),
            };
            turn.containers.iter().map(show).collect()
        };
        let replicas = turns.iter().map(|turn| (turn.app.app.clone(), replicas(turn))).collect();
        let engine_version = self.engine.as_ref().map(|engine| engine.version.clone());
        let platform = self.engine.as_ref().map(Engine::platform);
        self.overview.send_replace(Arc::new(Overview { engine: EngineStatus::Up, engine_version, platform, replicas }));
    }

    /// Greets an engine that was away, or that is seen for the first time.
    async fn meet_engine(&mut self) -> Result<(), PassError> {
        if self.engine.is_none() {
            let engine = self.executor.docker.engine().await.map_err(PassError::Observe)?;
            tracing::info!(version = engine.version, api = engine.api_version, "the Docker Engine answers");
            self.engine = Some(engine);
            self.engine_is_away = false;
        }
        Ok(())
    }

    /// Keeps the world as it was seen last.
    async fn given_up(&mut self, error: &PassError) -> Duration {
        if !self.engine_is_away {
            tracing::error!(error = chain(error), "the pass was given up; traffic goes where it went");
        }
        if matches!(error, PassError::Observe(_)) {
            self.engine_is_away = true;
            self.tell_who_waits().await;
            self.engine = None;
            self.overview.send_modify(|overview| Arc::make_mut(overview).engine = EngineStatus::Down);
        }
        ENGINE_DOWN_TICK
    }

    /// Tells those who watch a job, once each, why nothing happens.
    async fn tell_who_waits(&mut self) {
        let store = &self.executor.store;
        let Ok(apps) = store.intents().await else { return };
        let waiting: BTreeSet<_> = apps.iter().filter_map(|app| app.job.map(|job| job.id)).collect();
        for job in waiting.difference(&self.told) {
            if let Err(error) = store.note(*job, "waiting for the Docker Engine, which does not answer".to_owned()).await {
                tracing::warn!(job, error = chain(&error), "could not add a line to a job");
            }
        }
        self.told = waiting;
    }

    /// Writes down what became of the job.
    async fn conclude(&mut self, turn: &Turn<'_>) -> Result<(), StoreError> {
        let Some(job) = turn.app.job.filter(|_| !self.steps.is_concluding(&turn.app.app)) else { return Ok(()) };
        match &turn.plan.verdict {
            Verdict::Idle => {}
            Verdict::Working(phase) => self.progress(turn, job, *phase).await?,
            Verdict::Promote => self.promote(turn, job).await?,
            Verdict::Fail(cause) => self.fail(turn, job, cause).await?,
            // The engine is at it: the job ends when the container is gone, not when it begins to go.
            Verdict::Done if self.steps.is_ending(&turn.app.app) => {}
            Verdict::Done if job.kind == JobKind::Stop && turn.app.run == RunState::Removed => self.remove_the_rest(turn, job),
            Verdict::Done => self.finish(turn, job).await?,
        }
        Ok(())
    }

    async fn progress(&self, turn: &Turn<'_>, job: ActiveJob, phase: Phase) -> Result<(), StoreError> {
        if phase <= job.phase {
            return Ok(());
        }
        let note = match (phase, &turn.app.rollout) {
            (Phase::Starting, Some(r)) if r.spec.replicas > 1 => Some(format!("starting {} replicas", r.spec.replicas)),
            _ => None,
        };
        self.executor.store.progress(job.id, phase, note).await
    }

    async fn promote(&self, turn: &Turn<'_>, job: ActiveJob) -> Result<(), StoreError> {
        let Some(rollout) = &turn.app.rollout else { return Ok(()) };
        self.executor.store.promote(turn.app.app.clone(), rollout.id, Some(job.id)).await?;
        tracing::info!(app = %turn.app.app, deployment = %rollout.id, "the deployment serves");
        self.nudge.notify_one();
        Ok(())
    }

    /// The report is written before the containers it is about are taken away: only the next pass
    /// plans without the rollout. One app's diagnosis does not hold the others up.
    async fn fail(&mut self, turn: &Turn<'_>, job: ActiveJob, cause: &Cause) -> Result<(), StoreError> {
        let Some(release) = turn.app.rollout.as_ref().or(turn.app.serving.as_ref()) else { return Ok(()) };
        let id = cause.container();
        let container = id.and_then(|id| turn.containers.iter().find(|c| c.id == *id)).cloned();
        let probe = container.as_ref().and_then(|c| self.monitor.report(&c.id).probe);
        let last_end = id.and_then(|id| self.memory.last_end(id));
        let last_words = self.steps.last_error(&turn.app.app);
        let (executor, app, release) = (self.executor.clone(), turn.app.app.clone(), release.clone());
        let cause = cause.clone();
        self.steps.begin_conclusion(&turn.app.app, async move {
            let mut failure = failure::diagnose(&executor.docker, &cause, &release, container.as_ref(), probe, last_end).await;
            if let (None, Some(words)) = (&failure.container, last_words) {
                failure.reason = format!("{}: {words}", failure.reason);
            }
            conclude_failure(&executor, app, job, failure).await;
        });
        Ok(())
    }

    async fn finish(&self, turn: &Turn<'_>, job: ActiveJob) -> Result<(), StoreError> {
        let app = turn.app.app.clone();
        tracing::info!(app = %app, job = job.id, kind = job.kind.as_str(), "the job is done");
        self.executor.store.finish(app, job.id).await?;
        self.nudge.notify_one();
        Ok(())
    }

    /// The last part of an app's removal: what is no container of its, and its volumes when they go too.
    /// The engine may take its time.
    fn remove_the_rest(&mut self, turn: &Turn<'_>, job: ActiveJob) {
        let (executor, app) = (self.executor.clone(), turn.app.app.clone());
        let releases = [&turn.app.serving, &turn.app.rollout].into_iter().flatten().filter(|_| job.remove_volumes);
        let releases: Vec<_> = releases.cloned().collect();
        self.steps.begin_conclusion(&turn.app.app, async move {
            if let Err(error) = executor.remove_the_rest(&app, &releases).await {
                return conclude_failure(&executor, app, job, failure::of_step(&error)).await;
            }
            if let Err(error) = executor.store.finish(app, job.id).await {
                tracing::error!(job = job.id, error = chain(&error), "could not write the end of the job down");
            }
        });
    }
}

/// Writes a failure down; when even that fails, the next pass comes to the same verdict.
async fn conclude_failure(executor: &Executor, app: AppName, job: ActiveJob, failure: Failure) {
    tracing::warn!(app = %app, job = job.id, reason = failure.reason, "the job failed");
    if let Err(error) = executor.store.fail(app, job.id, failure).await {
        tracing::error!(job = job.id, error = chain(&error), "could not write the failure down");
    }
}
