//! The decision: from what is wanted and what is seen to who serves, what to do next, and how far it is.
//!
//! A pure function: no clock, no I/O, no memory. It is called for one app at a time with the whole
//! truth about that app, and it is called again whenever something may have changed. Nothing in it
//! waits: "wait for health" is the plan having nothing to do until a fact changes.
//!
//! The rules, each kept by the simulator in `sim.rs`:
//!
//! 1. Only a deployment that was once complete serves.
//! 2. Newcomers take over all at once, when every replica is ready. Until then both sides are kept whole.
//! 3. A rollout that crashes or misses its deadline fails; what served never left. The newcomers are
//!    on probation for a second after they took over: if one crashes then, the old ones serve again.
//! 4. Nothing is stopped unless it is out of the table and drained.
//! 5. `replace` stops the old version first, and brings it back once the new one that failed has stopped.
//! 6. When every replica fails its check, all running ones serve: a wrong check must not take an app down.

use crate::daemon::store::RunState;
use crate::docker::ContainerId;
use crate::names::DeployId;
use crate::wire::{JobKind, Phase};

/// Milliseconds of a monotonic clock.
pub type Millis = u64;

/// A request may have read the old table just before it changed.
pub const SETTLE: Millis = 1_000;

/// How often a container may crash during its rollout.
pub const CRASHES: u32 = 3;

/// The engine may always take this long to start the containers of a rollout.
const LAUNCH: Millis = 30_000;

/// For what is left of an app of which no deployment is known any more.
const DRAIN: Millis = 30_000;

/// While something drains, look again this often at first, then less and less: requests ending is no event.
const DRAIN_POLL: Millis = 100;
const SLOW_DRAIN_POLL: Millis = 1_000;

/// How long after its drain deadline a container may take to be gone before it no longer holds a job up.
const STUCK: Millis = 60_000;

/// What is wanted of one app.
#[derive(Debug, Clone)]
pub struct Intent {
    /// On its way, not judged yet.
    pub rollout: Option<Wanted>,
    /// The last complete deployment.
    pub serving: Option<Wanted>,
    pub run: RunState,
    /// The job under way and when this process first saw it.
    pub job: Option<(JobKind, Millis)>,
}

/// One deployment as it is to run.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub id: DeployId,
    pub replicas: u16,
    /// Its strategy is `replace`: the old version stops first.
    pub replace: bool,
    /// Its image, network and volumes are there.
    pub prepared: bool,
    /// Since when nothing keeps its containers from being started; this process's view.
    pub free_since: Option<Millis>,
    /// Since when each of its replicas has been started, whatever became of it; this process's view.
    pub started_since: Option<Millis>,
    pub min_ready: Millis,
    pub deploy_timeout: Millis,
    pub drain_timeout: Millis,
}

/// One container of the app as it was just seen.
#[derive(Debug, Clone)]
pub struct Seen {
    pub id: ContainerId,
    pub deployment: DeployId,
    pub slot: u16,
    pub state: State,
    pub fitness: Fitness,
    pub restarts: u32,
    /// It has an address that requests can be sent to.
    pub addressed: bool,
    /// Since when it is out of the published table; none while it is in.
    pub left_at: Option<Millis>,
    /// Since when it is in the published table with its present process; none while it is out.
    pub entered_at: Option<Millis>,
    /// It is in the table because of a process that has ended since: nothing is known of the new one.
    pub reborn: bool,
    /// Requests that have not ended.
    pub in_flight: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Created,
    Running,
    /// The engine starts it again by itself.
    Restarting,
    /// Somebody froze it, perhaps for a backup: it serves nothing and is left alone.
    Paused,
    Exited,
    /// Dead.
    Broken,
}

/// The health monitor's verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fitness {
    /// Not checked yet by this process.
    Unknown,
    Passing {
        since: Millis,
    },
    Failing,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The deployment whose domains are routed.
    pub serve: Option<DeployId>,
    /// The containers that requests are routed to.
    pub table: Vec<ContainerId>,
    pub steps: Vec<Step>,
    pub verdict: Verdict,
    /// Look again then at the latest.
    pub wake_at: Option<Millis>,
}

/// Something small that can be repeated without harm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Get the image, the network and the volumes ready.
    Prepare(DeployId),
    /// Create and start a container.
    Launch(DeployId, u16),
    Start(ContainerId),
    Stop(ContainerId),
    /// Stop and remove.
    Retire(ContainerId),
}

/// What became of the job under way.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// There is none.
    #[default]
    Idle,
    Working(Phase),
    /// The rollout is complete and takes over with this very table.
    Promote,
    Fail(Cause),
    Done,
}

/// Why a job fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// This container ended again and again.
    Crashed(ContainerId),
    /// Not all replicas were ready in time; this one was not, if there was one.
    TimedOut(Option<ContainerId>),
    /// This container cannot be stopped or removed.
    Stuck(ContainerId),
}

/// Decides for one app.
pub fn plan(intent: &Intent, seen: &[Seen], now: Millis) -> Plan {
    let view = View { intent, seen, now };
    let complete = view.rollout().is_some_and(|rollout| view.is_complete(rollout));
    let (serve, table) = view.who_serves(complete);
    let steps = view.steps();
    let verdict = view.verdict(complete);
    // A verdict changes what is wanted: the steps for what was wanted before are not taken.
    let steps = if matches!(verdict, Verdict::Idle | Verdict::Working(_)) { steps } else { Vec::new() };
    Plan { serve, wake_at: view.wake_at(&verdict), table, steps, verdict }
}

/// The arguments of `plan`, and questions about them.
struct View<'a> {
    intent: &'a Intent,
    seen: &'a [Seen],
    now: Millis,
}

impl View<'_> {
    fn rollout(&self) -> Option<&Wanted> {
        self.intent.rollout.as_ref()
    }

    /// The complete deployment, when the app is to run.
    fn keep(&self) -> Option<&Wanted> {
        self.intent.serving.as_ref().filter(|_| self.intent.run == RunState::Running)
    }

    /// The rollout wants the old version gone before it starts.
    fn old_must_yield(&self) -> bool {
        self.rollout().is_some_and(|rollout| rollout.replace && rollout.prepared)
    }

    fn members(&self, wanted: &Wanted) -> impl Iterator<Item = &Seen> {
        let (id, replicas) = (wanted.id, wanted.replicas);
        self.seen.iter().filter(move |c| c.deployment == id && (1..=replicas).contains(&c.slot))
    }

    fn is_ready(&self, c: &Seen, wanted: &Wanted) -> bool {
        match c.fitness {
            _ if c.state != State::Running || !c.addressed => false,
            // One that is routed already was ready before: a restarted daemon takes its word for it.
            Fitness::Passing { .. } | Fitness::Unknown if c.left_at.is_none() && !c.reborn => true,
            Fitness::Passing { since } => self.now.saturating_sub(since) >= wanted.min_ready,
            Fitness::Unknown => false,
            Fitness::Failing => false,
        }
    }

    fn is_complete(&self, wanted: &Wanted) -> bool {
        self.members(wanted).filter(|c| self.is_ready(c, wanted)).count() == usize::from(wanted.replicas)
    }

    /// Rules 1, 2, 5 and 6.
    fn who_serves(&self, complete: bool) -> (Option<DeployId>, Vec<ContainerId>) {
        let ids = |list: Vec<&Seen>| list.iter().filter(|c| c.addressed).map(|c| c.id.clone()).collect();
        match (self.rollout(), self.keep()) {
            (Some(rollout), _) if complete => (Some(rollout.id), ids(self.members(rollout).collect())),
            (_, Some(keep)) if self.old_must_yield() => (Some(keep.id), Vec::new()),
            (_, Some(keep)) => (Some(keep.id), ids(self.fit_to_serve(keep))),
            (_, None) => (self.intent.serving.as_ref().filter(|_| self.intent.run == RunState::Stopped).map(|w| w.id), Vec::new()),
        }
    }

    fn fit_to_serve(&self, keep: &Wanted) -> Vec<&Seen> {
        let running: Vec<&Seen> = self.members(keep).filter(|c| c.state == State::Running).collect();
        let unknown_but_routed = |c: &Seen| c.fitness == Fitness::Unknown && c.left_at.is_none() && !c.reborn;
        let fit: Vec<&Seen> =
            running.iter().copied().filter(|c| matches!(c.fitness, Fitness::Passing { .. }) || unknown_but_routed(c)).collect();
        if fit.is_empty() { running.into_iter().filter(|c| c.fitness == Fitness::Failing).collect() } else { fit }
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let yielding = self.old_must_yield();
        if let Some(rollout) = self.rollout() {
            if !rollout.prepared {
                steps.push(Step::Prepare(rollout.id));
            } else if !rollout.replace || !self.others_run(rollout) {
                self.bring_up(rollout, &mut steps);
            }
        }
        if let Some(keep) = self.keep().filter(|keep| !(yielding || keep.replace && self.given_up_run(keep))) {
            self.bring_up(keep, &mut steps);
        }
        for c in self.seen {
            steps.extend(self.let_go(c));
        }
        steps
    }

    fn others_run(&self, rollout: &Wanted) -> bool {
        self.seen.iter().any(|c| c.deployment != rollout.id && c.state.is_up())
    }

    /// What is left of a failed rollout has not stopped yet.
    fn given_up_run(&self, keep: &Wanted) -> bool {
        let wanted = |c: &Seen| c.deployment == keep.id || self.rollout().is_some_and(|rollout| rollout.id == c.deployment);
        self.seen.iter().any(|c| !wanted(c) && c.state.is_up())
    }

    /// One step for every slot that does not run.
    fn bring_up(&self, wanted: &Wanted, steps: &mut Vec<Step>) {
        for slot in 1..=wanted.replicas {
            match self.members(wanted).find(|c| c.slot == slot) {
                None => steps.push(Step::Launch(wanted.id, slot)),
                Some(c) => match c.state {
                    State::Created | State::Exited => steps.push(Step::Start(c.id.clone())),
                    State::Broken => steps.push(Step::Retire(c.id.clone())),
                    State::Running | State::Restarting | State::Paused => {}
                },
            }
        }
    }

    /// Rule 4: what to do with a container that nobody needs to run.
    fn let_go(&self, c: &Seen) -> Option<Step> {
        let is = |wanted: Option<&Wanted>| wanted.is_some_and(|w| w.id == c.deployment && (1..=w.replicas).contains(&c.slot));
        let kept_stopped = match self.intent.run {
            RunState::Running => self.old_must_yield(),
            RunState::Stopped => true,
            RunState::Removed => false,
        } && is(self.intent.serving.as_ref());
        if is(self.rollout()) || (is(self.keep()) && !kept_stopped) {
            return None;
        }
        if c.state.is_up() && !self.is_drained(c) {
            return None;
        }
        match (kept_stopped, c.state.is_up()) {
            (true, true) => Some(Step::Stop(c.id.clone())),
            (true, false) => None,
            (false, _) => Some(Step::Retire(c.id.clone())),
        }
    }

    fn is_drained(&self, c: &Seen) -> bool {
        let Some(left_at) = c.left_at else { return false };
        let out_for = self.now.saturating_sub(left_at);
        out_for >= SETTLE && (c.in_flight == 0 || out_for >= self.drain_timeout())
    }

    /// Whoever replaces it knows how patient the app is.
    fn drain_timeout(&self) -> Millis {
        let newest = self.intent.serving.as_ref().or(self.rollout());
        newest.map_or(DRAIN, |wanted| wanted.drain_timeout)
    }

    /// Rule 3, and how far the job is.
    fn verdict(&self, complete: bool) -> Verdict {
        let Some((kind, since)) = self.intent.job else { return Verdict::Idle };
        match (kind, self.rollout(), self.keep()) {
            (_, Some(rollout), _) if complete && self.is_proven(rollout) => Verdict::Promote,
            (_, Some(_), _) if complete => Verdict::Working(Phase::Switching),
            (_, Some(rollout), _) => match self.crashed(rollout) {
                Some(crashed) => Verdict::Fail(Cause::Crashed(crashed)),
                None if rollout.prepared => self.judge_rollout(rollout),
                None => Verdict::Working(Phase::Preparing),
            },
            (JobKind::Start, None, Some(keep)) if self.is_complete(keep) => Verdict::Done,
            (JobKind::Start, None, Some(keep)) => self.judge(keep, Some(since + keep.deploy_timeout)),
            _ => self.wait_for_the_leaving(kind),
        }
    }

    /// The newcomers have served for long enough that one request has told them from a broken version.
    fn is_proven(&self, rollout: &Wanted) -> bool {
        let proven = |c: &Seen| c.entered_at.is_some_and(|at| self.now.saturating_sub(at) >= SETTLE);
        self.members(rollout).all(proven)
    }

    fn crashed(&self, rollout: &Wanted) -> Option<ContainerId> {
        let while_serving = |c: &Seen| c.entered_at.is_some() && matches!(c.state, State::Restarting | State::Exited | State::Broken);
        self.members(rollout).find(|c| c.restarts >= CRASHES || while_serving(c)).map(|c| c.id.clone())
    }

    /// A `replace` whose old version does not stop fails; its own time begins when it may start.
    fn judge_rollout(&self, rollout: &Wanted) -> Verdict {
        let in_the_way = |c: &&Seen| c.deployment != rollout.id && c.state.is_up() && self.is_stuck(c);
        match self.seen.iter().find(in_the_way).filter(|_| rollout.free_since.is_none()) {
            Some(c) => Verdict::Fail(Cause::Stuck(c.id.clone())),
            None => self.judge(rollout, rollout.deadline()),
        }
    }

    /// Whether an incomplete deployment may go on, and in which phase it is.
    fn judge(&self, wanted: &Wanted, deadline: Option<Millis>) -> Verdict {
        let Some(deadline) = deadline else { return Verdict::Working(Phase::Starting) };
        if self.now > deadline {
            let late = self.members(wanted).find(|c| !self.is_ready(c, wanted));
            return Verdict::Fail(Cause::TimedOut(late.map(|c| c.id.clone())));
        }
        let running = self.members(wanted).filter(|c| c.state == State::Running).count();
        Verdict::Working(if running == usize::from(wanted.replicas) { Phase::Checking } else { Phase::Starting })
    }

    /// The job ends when everything that does not belong is gone (or stopped, when that was asked).
    /// A container that cannot be got rid of fails a stop; a deploy ends without waiting for it, and
    /// trying goes on.
    fn wait_for_the_leaving(&self, kind: JobKind) -> Verdict {
        let mut leaving = self.seen.iter().filter(|c| self.is_leaving(c)).peekable();
        if leaving.peek().is_none() {
            return Verdict::Done;
        }
        match (kind, leaving.clone().find(|c| self.is_stuck(c))) {
            (JobKind::Stop, Some(c)) => Verdict::Fail(Cause::Stuck(c.id.clone())),
            (_, Some(_)) if leaving.all(|c| self.is_stuck(c)) => Verdict::Done,
            _ => Verdict::Working(Phase::Draining),
        }
    }

    fn is_stuck(&self, c: &Seen) -> bool {
        let patience = self.drain_timeout() + STUCK;
        let long_ago = |at: Millis| self.now.saturating_sub(at) > patience;
        c.left_at.is_some_and(long_ago) && self.intent.job.is_some_and(|(_, since)| long_ago(since))
    }

    fn is_leaving(&self, c: &Seen) -> bool {
        match (self.keep(), self.intent.run) {
            (Some(keep), _) => c.deployment != keep.id,
            (None, RunState::Stopped) => c.state.is_up() || self.intent.serving.as_ref().is_none_or(|s| s.id != c.deployment),
            (None, _) => true,
        }
    }

    /// When time alone changes the decision: a drain, a deadline, `min_ready`.
    fn wake_at(&self, verdict: &Verdict) -> Option<Millis> {
        let drains = self.seen.iter().filter_map(|c| self.drain_wake(c));
        let deadline = match (verdict, self.rollout(), self.intent.job) {
            (Verdict::Working(_), Some(rollout), _) => rollout.deadline().map(|at| at + 1),
            (Verdict::Working(_), None, Some((JobKind::Start, since))) => self.keep().map(|keep| since + keep.deploy_timeout + 1),
            _ => None,
        };
        let ready = [self.rollout(), self.keep()].into_iter().flatten().flat_map(|wanted| {
            self.members(wanted).filter_map(|c| match c.fitness {
                Fitness::Passing { since } => Some(since + wanted.min_ready).filter(|at| *at > self.now),
                _ => None,
            })
        });
        let proven = self.rollout().into_iter().flat_map(|rollout| self.members(rollout));
        let proven = proven.map(|c| c.entered_at.unwrap_or(self.now) + SETTLE).filter(|at| *at > self.now);
        drains.chain(deadline).chain(ready).chain(proven).min()
    }

    /// A container that is to leave is looked at until its drain is over; then its step goes on by itself.
    fn drain_wake(&self, c: &Seen) -> Option<Millis> {
        let needed = [self.rollout(), self.keep()].into_iter().flatten().any(|w| w.id == c.deployment);
        let serving = self.intent.serving.as_ref().is_some_and(|s| s.id == c.deployment);
        let leaves = !needed || (self.old_must_yield() && serving);
        if !leaves || !c.state.is_up() {
            return None;
        }
        let out_for = c.left_at.map_or(0, |at| self.now.saturating_sub(at));
        let over = out_for > SETTLE.max(self.drain_timeout());
        let poll = (out_for / 10).clamp(DRAIN_POLL, SLOW_DRAIN_POLL);
        Some(self.now + if over { STUCK } else { poll })
    }
}

impl Wanted {
    /// When a rollout has failed. The app's time begins when the engine has done its part: a busy server is not the
    /// app's fault.
    fn deadline(&self) -> Option<Millis> {
        let free = self.free_since?;
        Some(self.started_since.map_or(free + launch_timeout(self.deploy_timeout), |at| at + self.deploy_timeout))
    }
}

/// How long the engine may take to start the containers of an app.
pub fn launch_timeout(deploy_timeout: Millis) -> Millis {
    deploy_timeout.max(LAUNCH)
}

impl Cause {
    /// The container to look at.
    pub fn container(&self) -> Option<&ContainerId> {
        match self {
            Cause::Crashed(id) | Cause::Stuck(id) => Some(id),
            Cause::TimedOut(id) => id.as_ref(),
        }
    }
}

impl State {
    /// It has processes: ending it could cut something off.
    pub fn is_up(self) -> bool {
        matches!(self, State::Running | State::Restarting | State::Paused)
    }
}

#[cfg(test)]
mod tests;
