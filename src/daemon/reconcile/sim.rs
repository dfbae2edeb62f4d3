//! The planner under seeded abuse: a small world with crashes, failed calls, lost observations,
//! containers removed by hand, failing health checks and daemon restarts. One seed is one history of
//! one app; when the faults stop, the world must come to rest.
//!
//! `HALOY_SIM_SEEDS` sets how many seeds run (`cargo xtask sim --seeds N`).
//!
//! Mutations of `plan.rs` that this file kills (each was tried; the number is the first seed that fails):
//!
//! - newcomers serve before all are ready (2)
//! - an incomplete deployment counts as complete (0)
//! - unknown health counts as unfit while routed (12)
//! - unknown health of the serving one counts as unfit (0)
//! - failing replicas never serve (2)
//! - the serving deployment is not healed during a rollout (47)
//! - replace starts beside the old version (0)
//! - replace keeps routing to the old version (0)
//! - replace brings the old version back beside the one that failed (8)
//! - stopped without draining (0)
//! - drained as soon as no request is in flight (3)
//! - drained after the settle time whatever is in flight (0)
//! - a crash loop is waited out (0)
//! - no deadline (1)
//! - broken containers are left (94)
//! - exited containers are left (3)
//! - steps of a superseded intent are taken (9)
//! - the job ends before the old version is gone (0)
//! - a stopped app is brought up (1)
//! - removed containers are only stopped (5)
//! - min_ready is ignored (0)
//! - a container that cannot be got rid of is waited for (3)
//! - promoted without probation (0)
//! - a crash on probation is waited out (3)

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{CRASHES, Cause, Fitness, Intent, Millis, Plan, SETTLE, Seen, State, Step, Verdict, Wanted, plan};
use crate::daemon::store::RunState;
use crate::docker::ContainerId;
use crate::names::DeployId;
use crate::wire::JobKind;

const PASS: Millis = 250;
const PASSES: u64 = 1_300;
/// The last passes are free of faults.
const CALM: u64 = 900;
/// So long into the calm there are containers that the engine cannot end.
const STUBBORN: u64 = 400;
const DRAIN: Millis = 5_000;
const DEADLINE: Millis = 15_000;
/// A replacement whose old version cannot be stopped, then everything that can take long after it.
const LONGEST_JOB: Millis = 120_000;
/// How long a good container takes until it is healthy.
const BOOT: Millis = 700;

#[test]
fn the_planner_keeps_its_rules_in_every_history() {
    let seeds = std::env::var("HALOY_SIM_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000);
    let mut promoted = 0;
    let mut failed = 0;
    for seed in 0..seeds {
        let mut world = World::new(seed);
        match world.run() {
            Ok(()) => {
                promoted += world.promoted;
                failed += world.failed;
            }
            Err(broken) => panic!("seed {seed}, at {} ms: {broken}\n{world:#?}", world.now),
        }
    }
    assert!(promoted > seeds && failed > seeds / 10, "the histories are too tame: {promoted} promoted, {failed} failed");
}

/// xorshift64*: good enough to shuffle faults, the same on every machine.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.roll().is_multiple_of(n)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Image {
    Good,
    /// Runs and never passes its check.
    Sick,
    /// Ends shortly after each start.
    Crashing,
    /// Cannot be prepared.
    Missing,
}

#[derive(Debug)]
struct Container {
    id: ContainerId,
    deployment: DeployId,
    slot: u16,
    state: State,
    started_at: Millis,
    restarts: u32,
    /// A health check that fails for a while for reasons of its own.
    ill_until: Millis,
    /// The engine cannot stop or remove it.
    stubborn: bool,
}

#[derive(Debug)]
struct Job {
    kind: JobKind,
    rollout: Option<(Wanted, Image)>,
    remove: bool,
}

/// What the proxy and the world know, beyond what the daemon remembers.
#[derive(Debug)]
struct World {
    dice: Dice,
    now: Millis,
    containers: Vec<Container>,
    images: BTreeMap<DeployId, Image>,
    /// Requests: where, and until when.
    requests: Vec<(ContainerId, Millis)>,
    table: Vec<ContainerId>,
    /// When each container really left the table.
    really_left: BTreeMap<ContainerId, Millis>,
    // The store.
    intent: Intent,
    queue: Vec<Job>,
    was_complete: Vec<DeployId>,
    // The daemon's memory.
    passing_since: BTreeMap<ContainerId, Millis>,
    checked: BTreeMap<ContainerId, Fitness>,
    left_at: BTreeMap<ContainerId, Millis>,
    entered_at: BTreeMap<ContainerId, Millis>,
    lives: BTreeMap<ContainerId, Millis>,
    reborn: BTreeSet<ContainerId>,
    // The judge.
    next: u64,
    last_hurt: Millis,
    promoted: u64,
    failed: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            now: 0,
            containers: Vec::new(),
            images: BTreeMap::new(),
            requests: Vec::new(),
            table: Vec::new(),
            really_left: BTreeMap::new(),
            intent: Intent { rollout: None, serving: None, run: RunState::Running, job: None },
            queue: Vec::new(),
            was_complete: Vec::new(),
            passing_since: BTreeMap::new(),
            checked: BTreeMap::new(),
            left_at: BTreeMap::new(),
            entered_at: BTreeMap::new(),
            lives: BTreeMap::new(),
            reborn: BTreeSet::new(),
            next: 0,
            last_hurt: 0,
            promoted: 0,
            failed: 0,
        }
    }

    fn run(&mut self) -> Result<(), String> {
        for pass in 0..PASSES {
            self.now += PASS;
            let calm = pass >= PASSES - CALM;
            if !calm {
                self.people_act();
                self.things_break();
            }
            if pass == PASSES - CALM + STUBBORN {
                self.containers.iter_mut().for_each(|c| c.stubborn = false);
            }
            self.time_passes();
            self.begin_next_job();
            self.monitor_health();
            if calm || !self.dice.one_in(10) {
                self.pass(calm)?;
            }
            self.somebody_serves()?;
            self.no_job_takes_for_ever()?;
        }
        self.at_rest()
    }

    // --- what happens to the daemon ---

    fn people_act(&mut self) {
        if !self.dice.one_in(30) || self.queue.len() > 2 {
            return;
        }
        let job = match self.dice.below(8) {
            0 if self.intent.serving.is_some() => Job { kind: JobKind::Stop, rollout: None, remove: self.dice.one_in(2) },
            1 if self.intent.serving.is_some() => Job { kind: JobKind::Start, rollout: None, remove: false },
            _ => Job { kind: JobKind::Deploy, rollout: Some(self.new_rollout()), remove: false },
        };
        self.queue.push(job);
    }

    fn new_rollout(&mut self) -> (Wanted, Image) {
        self.next += 1;
        let image = match self.dice.below(9) {
            0 => Image::Sick,
            1 => Image::Crashing,
            2 => Image::Missing,
            _ => Image::Good,
        };
        let wanted = Wanted {
            id: DeployId::from_number(self.next),
            replicas: 1 + self.dice.below(3) as u16,
            replace: self.dice.one_in(3),
            prepared: false,
            free_since: None,
            started_since: None,
            min_ready: if self.dice.one_in(3) { 2_000 } else { 0 },
            deploy_timeout: DEADLINE,
            drain_timeout: DRAIN,
        };
        (wanted, image)
    }

    fn begin_next_job(&mut self) {
        if self.intent.job.is_some() || self.queue.is_empty() {
            return;
        }
        let job = self.queue.remove(0);
        if job.rollout.is_none() {
            self.last_hurt = self.now;
        }
        self.intent.job = Some((job.kind, self.now));
        match (job.kind, job.rollout) {
            (_, Some((wanted, image))) => {
                self.images.insert(wanted.id, image);
                self.intent.rollout = Some(wanted);
            }
            (JobKind::Stop, None) => self.intent.run = if job.remove { RunState::Removed } else { RunState::Stopped },
            (_, None) => self.intent.run = RunState::Running,
        }
    }

    fn things_break(&mut self) {
        let count = self.containers.len() as u64;
        if count > 0 && self.dice.one_in(50) {
            let victim = self.dice.below(count) as usize;
            self.last_hurt = self.now;
            match self.dice.below(5) {
                4 => self.containers[victim].stubborn = true,
                0 => drop(self.containers.remove(victim)),
                1 => self.containers[victim].ill_until = self.now + 4_000,
                2 if self.containers[victim].state == State::Running => {
                    self.containers[victim].state = State::Restarting;
                    self.containers[victim].restarts += 1;
                }
                _ if self.containers[victim].state == State::Running => self.containers[victim].state = State::Exited,
                _ => self.containers[victim].state = State::Broken,
            }
        }
        if self.dice.one_in(70) {
            self.daemon_restarts();
        }
    }

    /// Memory is gone; the table lives on in the proxy's file.
    fn daemon_restarts(&mut self) {
        self.passing_since.clear();
        self.checked.clear();
        self.left_at.clear();
        self.entered_at.clear();
        self.lives.clear();
        self.reborn.clear();
        let now = self.now;
        if let Some(rollout) = &mut self.intent.rollout {
            (rollout.free_since, rollout.started_since) = (None, None);
        }
        if let Some((_, since)) = self.intent.job.as_mut() {
            *since = now;
        }
    }

    fn time_passes(&mut self) {
        let now = self.now;
        self.requests.retain(|(_, until)| *until > now);
        for index in 0..self.table.len() {
            if self.dice.one_in(3) {
                let lasts = if self.dice.one_in(20) { 4 * DRAIN } else { 100 + self.dice.below(3_000) };
                self.requests.push((self.table[index].clone(), now + lasts));
            }
        }
        for c in &mut self.containers {
            let crashing = self.images[&c.deployment] == Image::Crashing;
            match c.state {
                State::Running if crashing && now - c.started_at >= 400 => {
                    c.state = State::Restarting;
                    c.restarts += 1;
                }
                State::Restarting => {
                    c.state = State::Running;
                    c.started_at = now;
                }
                _ => {}
            }
        }
    }

    fn is_healthy(&self, c: &Container) -> bool {
        c.state == State::Running && self.images[&c.deployment] == Image::Good && self.now - c.started_at >= BOOT && self.now >= c.ill_until
    }

    fn monitor_health(&mut self) {
        let verdicts: Vec<(ContainerId, bool, bool)> =
            self.containers.iter().map(|c| (c.id.clone(), c.state == State::Running, self.is_healthy(c))).collect();
        for (id, running, healthy) in verdicts {
            if !running {
                self.passing_since.remove(&id);
                self.checked.remove(&id);
            } else if !self.checked.contains_key(&id) && self.dice.one_in(2) {
                // The first probe has not come back yet.
            } else if healthy {
                let since = *self.passing_since.entry(id.clone()).or_insert(self.now);
                self.checked.insert(id, Fitness::Passing { since });
            } else if self.passing_since.remove(&id).is_some() {
                self.checked.insert(id, Fitness::Failing);
            }
        }
    }

    // --- one pass of the loop, with its own small failures ---

    fn pass(&mut self, calm: bool) -> Result<(), String> {
        self.note_free_rollout();
        // The version that failed drains and stops before the old one may start.
        let yields = |serving: &Wanted| serving.replace && self.containers.iter().any(|c| c.deployment != serving.id && c.state.is_up());
        if self.intent.serving.as_ref().is_some_and(yields) {
            self.last_hurt = self.now;
        }
        let seen = self.observe();
        let decided = plan(&self.intent, &seen, self.now);
        self.nobody_leaves_without_reason(&decided)?;
        self.publish(&decided.table)?;
        if !calm && self.dice.one_in(20) {
            return Ok(()); // the daemon was killed between publishing and writing down
        }
        match decided.verdict {
            Verdict::Promote => {
                self.newcomers_waited()?;
                let promoted = self.intent.rollout.take().ok_or("promoted nothing")?;
                self.was_complete.push(promoted.id);
                if promoted.replace {
                    self.last_hurt = self.now;
                }
                self.intent.serving = Some(promoted);
                self.intent.run = RunState::Running;
                self.promoted += 1;
            }
            Verdict::Fail(Cause::Stuck(_)) => self.rollout_failed(),
            Verdict::Fail(_) => self.fail(calm)?,
            Verdict::Done => {
                self.job_is_really_done()?;
                self.intent.job = None;
            }
            Verdict::Idle | Verdict::Working(_) => {}
        }
        for step in decided.steps {
            if calm || !self.dice.one_in(6) {
                self.execute(step)?;
            }
        }
        Ok(())
    }

    fn note_free_rollout(&mut self) {
        let Some(rollout) = &mut self.intent.rollout else { return };
        let old_runs = self.containers.iter().any(|c| c.deployment != rollout.id && matches!(c.state, State::Running | State::Restarting));
        let free = rollout.prepared && !(rollout.replace && old_runs);
        rollout.free_since = if free { rollout.free_since.or(Some(self.now)) } else { None };
        let started = self.containers.iter().filter(|c| c.deployment == rollout.id && c.state != State::Created).count();
        if started >= usize::from(rollout.replicas) {
            rollout.started_since.get_or_insert(self.now);
        }
    }

    fn observe(&mut self) -> Vec<Seen> {
        for c in &self.containers {
            let routed = self.table.contains(&c.id);
            let other_life = self.lives.insert(c.id.clone(), c.started_at).is_some_and(|life| life != c.started_at);
            if routed && other_life {
                self.reborn.insert(c.id.clone());
            } else if !routed {
                self.reborn.remove(&c.id);
            }
            if other_life {
                self.entered_at.remove(&c.id);
            }
            let (now_in, before) =
                if routed { (&mut self.entered_at, &mut self.left_at) } else { (&mut self.left_at, &mut self.entered_at) };
            before.remove(&c.id);
            now_in.entry(c.id.clone()).or_insert(self.now);
        }
        self.containers
            .iter()
            .map(|c| Seen {
                id: c.id.clone(),
                deployment: c.deployment,
                slot: c.slot,
                state: c.state,
                fitness: self.checked.get(&c.id).copied().unwrap_or(Fitness::Unknown),
                restarts: c.restarts,
                addressed: c.state == State::Running,
                left_at: self.left_at.get(&c.id).copied(),
                entered_at: self.entered_at.get(&c.id).copied(),
                reborn: self.reborn.contains(&c.id),
                in_flight: self.requests.iter().filter(|(id, _)| *id == c.id).count() as u64,
            })
            .collect()
    }

    fn publish(&mut self, table: &[ContainerId]) -> Result<(), String> {
        for id in table {
            let c = self.containers.iter().find(|c| c.id == *id).ok_or_else(|| format!("{id:?} is routed and does not exist"))?;
            let whole = self.was_complete.contains(&c.deployment)
                || self.intent.rollout.as_ref().is_some_and(|rollout| {
                    rollout.id == c.deployment
                        && self.containers.iter().filter(|m| m.deployment == rollout.id && m.state == State::Running).count()
                            == usize::from(rollout.replicas)
                });
            if !whole {
                return Err(format!("{id:?} serves and its deployment was never complete"));
            }
        }
        for id in self.table.iter().filter(|id| !table.contains(id)) {
            self.really_left.insert(id.clone(), self.now);
        }
        self.table = table.to_vec();
        Ok(())
    }

    fn fail(&mut self, calm: bool) -> Result<(), String> {
        let image = self.intent.rollout.as_ref().map(|rollout| self.images[&rollout.id]);
        if calm && image == Some(Image::Good) && self.now - self.last_hurt > 2 * DEADLINE {
            return Err("a good deployment failed in calm times".to_owned());
        }
        self.rollout_failed();
        Ok(())
    }

    fn rollout_failed(&mut self) {
        if self.intent.rollout.take().is_some_and(|rollout| rollout.replace) {
            self.last_hurt = self.now;
        }
        self.intent.job = None;
        self.failed += 1;
    }

    fn execute(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Prepare(id) if self.images[&id] == Image::Missing => self.rollout_failed(),
            Step::Prepare(id) => {
                let rollout = self.intent.rollout.as_mut().filter(|rollout| rollout.id == id).ok_or("prepared something else")?;
                rollout.prepared = true;
            }
            Step::Launch(deployment, slot) => self.launch(deployment, slot)?,
            Step::Start(id) => {
                let now = self.now;
                if let Some(deployment) = self.containers.iter().find(|c| c.id == id).map(|c| c.deployment) {
                    self.runs_alone(deployment)?;
                }
                if let Some(c) = self.containers.iter_mut().find(|c| c.id == id) {
                    self.intent.is_wanted(c.deployment)?;
                    (c.state, c.started_at) = (State::Running, now);
                }
            }
            Step::Stop(id) => {
                self.may_end(&id)?;
                if let Some(c) = self.containers.iter_mut().find(|c| c.id == id && !c.stubborn) {
                    c.state = State::Exited;
                }
            }
            Step::Retire(id) => {
                self.may_end(&id)?;
                self.containers.retain(|c| c.id != id || c.stubborn);
            }
        }
        Ok(())
    }

    fn launch(&mut self, deployment: DeployId, slot: u16) -> Result<(), String> {
        self.intent.is_wanted(deployment)?;
        if self.containers.iter().any(|c| c.deployment == deployment && c.slot == slot) {
            return Err(format!("{deployment}/{slot} exists twice"));
        }
        self.runs_alone(deployment)?;
        self.next += 1;
        let id = ContainerId(format!("c{}", self.next));
        // Creating may work and starting fail.
        let state = if self.dice.one_in(10) { State::Created } else { State::Running };
        self.containers.push(Container { id, deployment, slot, state, started_at: self.now, restarts: 0, ill_until: 0, stubborn: false });
        Ok(())
    }

    /// Rule 5: a replacement starts alone, and so does what is brought back when it failed.
    fn runs_alone(&self, deployment: DeployId) -> Result<(), String> {
        let rollout = self.intent.rollout.as_ref();
        let replaces = |wanted: &&Wanted| wanted.id == deployment && wanted.replace;
        let beside = |c: &Container| c.deployment != deployment && c.state == State::Running;
        if rollout.filter(replaces).is_some() && self.containers.iter().any(beside) {
            return Err(format!("{deployment} runs beside the version it replaces"));
        }
        let given_up = |c: &Container| beside(c) && rollout.is_none_or(|rollout| rollout.id != c.deployment);
        if self.intent.serving.as_ref().filter(replaces).is_some() && self.containers.iter().any(given_up) {
            return Err(format!("{deployment} is brought back beside the version that failed"));
        }
        Ok(())
    }

    /// Rule 4, and "the serving one never left".
    fn may_end(&self, id: &ContainerId) -> Result<(), String> {
        let Some(c) = self.containers.iter().find(|c| c.id == *id) else { return Ok(()) };
        if self.table.contains(id) {
            return Err(format!("{id:?} is ended while requests are routed to it"));
        }
        if !matches!(c.state, State::Running) {
            return Ok(());
        }
        let out_for = self.really_left.get(id).map_or(Millis::MAX, |left| self.now - left);
        let busy = self.requests.iter().any(|(at, _)| at == id);
        if out_for < SETTLE || (busy && out_for < DRAIN) {
            return Err(format!("{id:?} is ended {out_for} ms after it left the table, busy: {busy}"));
        }
        let serves = self.intent.serving.as_ref().is_some_and(|serving| serving.id == c.deployment);
        let yields = self.intent.rollout.as_ref().is_some_and(|rollout| rollout.replace && rollout.prepared);
        if serves && self.intent.run == RunState::Running && !yields {
            return Err(format!("{id:?} is ended and belongs to the serving deployment"));
        }
        Ok(())
    }

    // --- what must hold ---

    /// A healthy container of the deployment that serves stays in the table, also while a restarted
    /// daemon has not checked it yet; and failing checks alone never empty the table.
    fn nobody_leaves_without_reason(&self, decided: &Plan) -> Result<(), String> {
        let ended_on_probation = self.intent.rollout.as_ref().is_some_and(|rollout| {
            let ended = |c: &&Container| c.deployment == rollout.id && matches!(c.state, State::Restarting | State::Exited);
            self.containers.iter().filter(ended).any(|c| self.table.contains(&c.id))
        });
        if ended_on_probation && !matches!(decided.verdict, Verdict::Fail(_)) {
            return Err("a newcomer crashed on probation and the rollout goes on".to_owned());
        }
        let newcomers_serve = self.intent.rollout.as_ref().is_some_and(|rollout| {
            let serve = |c: &&Container| c.deployment == rollout.id && self.is_healthy(c) && self.table.contains(&c.id);
            self.containers.iter().filter(serve).count() == usize::from(rollout.replicas)
        });
        if newcomers_serve && decided.serve != self.intent.rollout.as_ref().map(|rollout| rollout.id) {
            return Err("the newcomers serve already and are sent away again".to_owned());
        }
        let members = || self.containers.iter().filter(|c| Some(c.deployment) == decided.serve && c.state == State::Running);
        let replacing = self.intent.rollout.as_ref().is_some_and(|rollout| rollout.replace && rollout.prepared);
        if self.intent.run != RunState::Running || replacing {
            return Ok(());
        }
        if let Some(c) = members().find(|c| self.is_healthy(c) && self.table.contains(&c.id) && !decided.table.contains(&c.id)) {
            return Err(format!("{:?} is healthy and was taken out of the table", c.id));
        }
        let checked = members().any(|c| self.checked.contains_key(&c.id));
        if checked && decided.table.is_empty() {
            return Err("replicas run and none is routed".to_owned());
        }
        Ok(())
    }

    fn newcomers_waited(&self) -> Result<(), String> {
        let rollout = self.intent.rollout.as_ref().ok_or("promoted nothing")?;
        let mut members = self.containers.iter().filter(|c| c.deployment == rollout.id);
        let on_probation = |c: &Container| self.entered_at.get(&c.id).is_none_or(|at| self.now - at < SETTLE);
        if let Some(c) = members.clone().find(|c| on_probation(c)) {
            return Err(format!("{:?} is promoted on probation", c.id));
        }
        // A daemon that restarted takes the word of the table for one that crashed meanwhile.
        match members.find(|c| c.restarts == 0 && self.now - c.started_at < BOOT + rollout.min_ready) {
            Some(early) => Err(format!("{:?} serves before it was ready for long enough", early.id)),
            None => Ok(()),
        }
    }

    fn job_is_really_done(&self) -> Result<(), String> {
        let serving = self.intent.serving.as_ref().filter(|_| self.intent.run != RunState::Removed);
        let (kind, since) = self.intent.job.ok_or("ended no job")?;
        let strangers = self.containers.iter().filter(|c| !c.stubborn).any(|c| serving.is_none_or(|s| s.id != c.deployment));
        let running = self.containers.iter().any(|c| c.state == State::Running && !c.stubborn);
        let up = self.table.len() == serving.map_or(0, |s| usize::from(s.replicas));
        match kind {
            JobKind::Stop if running || strangers => Err("a stop is done and containers are left".to_owned()),
            JobKind::Start if self.intent.run == RunState::Running && !up => Err("a start is done and replicas are missing".to_owned()),
            // After a long wait it ends without them.
            JobKind::Deploy if strangers && self.now - since < 60_000 => {
                Err("a deploy is done and the old version is still there".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Once something serves, somebody healthy is in the table, unless the app was hurt from outside
    /// or taken down on purpose a moment ago.
    fn somebody_serves(&self) -> Result<(), String> {
        let replacing = self.intent.rollout.as_ref().is_some_and(|rollout| rollout.replace);
        let on_purpose = self.intent.run != RunState::Running || replacing;
        if self.containers.iter().any(|c| c.stubborn && c.state == State::Broken) {
            return Ok(()); // dead, and the engine does not let go of its name
        }
        if self.intent.serving.is_none() || on_purpose || self.now - self.last_hurt <= 8_000 {
            return Ok(());
        }
        let alive = self.table.iter().any(|id| self.containers.iter().any(|c| c.id == *id && self.is_healthy(c)));
        if alive { Ok(()) } else { Err("nobody serves".to_owned()) }
    }

    fn no_job_takes_for_ever(&self) -> Result<(), String> {
        match self.intent.job {
            Some((kind, since)) if self.now - since > LONGEST_JOB => Err(format!("a {} takes for ever", kind.as_str())),
            _ => Ok(()),
        }
    }

    fn at_rest(&self) -> Result<(), String> {
        if let Some(job) = self.intent.job {
            return Err(format!("{job:?} never ended"));
        }
        let serving = self.intent.serving.as_ref();
        let (run, wanted) = (self.intent.run, serving.map_or(0, |s| usize::from(s.replicas)));
        let stubborn = self.containers.iter().filter(|c| c.stubborn).count();
        let all_ours = self.containers.iter().filter(|c| !c.stubborn).all(|c| serving.is_some_and(|s| s.id == c.deployment));
        let running = self.containers.iter().filter(|c| c.state == State::Running && !c.stubborn).count();
        let rests = match run {
            RunState::Running => all_ours && self.table.len() == wanted && self.containers.len() <= wanted + stubborn,
            RunState::Stopped => all_ours && running == 0 && self.table.is_empty(),
            RunState::Removed => self.containers.len() == stubborn && self.table.is_empty(),
        };
        if rests { Ok(()) } else { Err("the world did not come to rest".to_owned()) }
    }
}

impl Intent {
    fn is_wanted(&self, deployment: DeployId) -> Result<(), String> {
        let wanted = [&self.rollout, &self.serving].into_iter().flatten().any(|w| w.id == deployment);
        if wanted { Ok(()) } else { Err(format!("{deployment} is brought up and nobody wants it")) }
    }
}

/// The crash limit is part of the contract with people: documented, so pinned.
#[test]
fn three_crashes_are_enough() {
    assert_eq!(CRASHES, 3);
}
