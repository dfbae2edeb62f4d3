//! Scenarios as text: what is wanted and seen in, the decision out.
//!
//! Intent: `serving 1x2` (deployment 1 with 2 replicas), `rollout 2x1`, then flags: `replace` (of the rollout, else of what serves),
//! `unprepared`, `stopped`, `removed`, `job=deploy|stop|start`. Containers: `1/2 running passing in`
//! (deployment/slot, state, fitness, `in` the table or `out=MS` for so long), `busy`, `restarts=N`.

use super::*;

const NOW: Millis = 1_000_000;

#[track_caller]
fn check(intent: &str, containers: &[&str], expected: &str) {
    let seen: Vec<Seen> = containers.iter().map(|text| container(text)).collect();
    let plan = plan(&read_intent(intent), &seen, NOW);
    assert_eq!(render(&plan), expected, "\nintent: {intent}\ncontainers: {containers:#?}");
}

fn read_intent(text: &str) -> Intent {
    let mut intent = Intent { rollout: None, serving: None, run: RunState::Running, job: None };
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "serving" => intent.serving = words.next().map(wanted),
            "rollout" => intent.rollout = words.next().map(wanted),
            "replace" => intent.rollout.as_mut().or(intent.serving.as_mut()).expect("a deployment first").replace = true,
            "unprepared" => intent.rollout.as_mut().expect("a rollout first").prepared = false,
            "late" => intent.rollout.as_mut().expect("a rollout first").free_since = Some(NOW - 60_001),
            "started_late" => {
                let rollout = intent.rollout.as_mut().expect("a rollout first");
                (rollout.free_since, rollout.started_since) = (Some(NOW - 90_000), Some(NOW - 60_000));
            }
            "hasty" => intent.rollout.as_mut().expect("a rollout first").deploy_timeout = 2_000,
            "waits" => intent.rollout.as_mut().expect("a rollout first").free_since = None,
            "min_ready" => intent.rollout.as_mut().expect("a rollout first").min_ready = 5_000,
            "stopped" => intent.run = RunState::Stopped,
            "removed" => intent.run = RunState::Removed,
            "job=deploy" => intent.job = Some((JobKind::Deploy, NOW - 10)),
            "for_long" => intent.job = intent.job.map(|(kind, _)| (kind, NOW - 90_001)),
            "job=stop" => intent.job = Some((JobKind::Stop, NOW - 10)),
            "job=start" => intent.job = Some((JobKind::Start, NOW - 10)),
            other => panic!("unknown word {other}"),
        }
    }
    intent
}

fn wanted(text: &str) -> Wanted {
    let (id, replicas) = text.split_once('x').expect("ID x REPLICAS");
    Wanted {
        id: DeployId::from_number(id.parse().expect("id")),
        replicas: replicas.parse().expect("replicas"),
        replace: false,
        prepared: true,
        free_since: Some(NOW - 100),
        started_since: None,
        min_ready: 0,
        deploy_timeout: 60_000,
        drain_timeout: 30_000,
    }
}

fn container(text: &str) -> Seen {
    let mut words = text.split_whitespace();
    let name = words.next().expect("a name");
    let (deployment, slot) = name.split_once('/').expect("DEPLOYMENT/SLOT");
    let mut seen = Seen {
        id: ContainerId(name.to_owned()),
        deployment: DeployId::from_number(deployment.parse().expect("deployment")),
        slot: slot.parse().expect("slot"),
        state: State::Running,
        fitness: Fitness::Unknown,
        restarts: 0,
        addressed: true,
        left_at: Some(NOW - 60_000),
        entered_at: None,
        reborn: false,
        in_flight: 0,
    };
    for word in words {
        match word.split_once('=') {
            Some(("out", for_ms)) => seen.left_at = Some(NOW - for_ms.parse::<Millis>().expect("milliseconds")),
            Some(("restarts", n)) => seen.restarts = n.parse().expect("number"),
            _ => match word {
                "running" => seen.state = State::Running,
                "created" => seen.state = State::Created,
                "exited" => seen.state = State::Exited,
                "paused" => seen.state = State::Paused,
                "restarting" => seen.state = State::Restarting,
                "broken" => seen.state = State::Broken,
                "passing" => seen.fitness = Fitness::Passing { since: NOW - 1_000 },
                "failing" => seen.fitness = Fitness::Failing,
                "in" => (seen.left_at, seen.entered_at) = (None, Some(NOW - 1_000)),
                "just_in" => (seen.left_at, seen.entered_at) = (None, Some(NOW - 999)),
                "reborn" => seen.reborn = true,
                "busy" => seen.in_flight = 1,
                "unaddressed" => seen.addressed = false,
                other => panic!("unknown word {other}"),
            },
        }
    }
    seen
}

fn render(plan: &Plan) -> String {
    let table: Vec<&str> = plan.table.iter().map(|id| id.0.as_str()).collect();
    let steps: Vec<String> = plan
        .steps
        .iter()
        .map(|step| match step {
            Step::Prepare(id) => format!("prepare {}", id.number()),
            Step::Launch(id, slot) => format!("launch {}/{slot}", id.number()),
            Step::Start(id) => format!("start {}", id.0),
            Step::Stop(id) => format!("stop {}", id.0),
            Step::Retire(id) => format!("retire {}", id.0),
        })
        .collect();
    let verdict = match &plan.verdict {
        Verdict::Working(phase) => phase.as_str().to_owned(),
        Verdict::Fail(Cause::Stuck(id)) => format!("fail: {} is stuck", id.0),
        Verdict::Fail(Cause::Crashed(id)) => format!("fail: {} crashed", id.0),
        Verdict::Fail(Cause::TimedOut(id)) => format!("fail: {} is late", id.as_ref().map_or("nobody", |id| id.0.as_str())),
        other => format!("{other:?}").to_lowercase(),
    };
    format!("[{}] [{}] {verdict}", table.join(" "), steps.join(", "))
}

#[test]
fn a_first_deployment_is_prepared_launched_checked_and_promoted() {
    check("rollout 1x2 unprepared job=deploy", &[], "[] [prepare 1] preparing");
    check("rollout 1x2 job=deploy", &[], "[] [launch 1/1, launch 1/2] starting");
    check("rollout 1x2 job=deploy", &["1/1 created", "1/2 running"], "[] [start 1/1] starting");
    check("rollout 1x2 job=deploy", &["1/1 running passing", "1/2 running"], "[] [] checking");
    check("rollout 1x2 job=deploy", &["1/1 passing", "1/2 passing"], "[1/1 1/2] [] switching");
    check("rollout 1x2 job=deploy", &["1/1 passing in", "1/2 passing in"], "[1/1 1/2] [] promote");
}

#[test]
fn the_old_version_serves_until_every_newcomer_is_ready() {
    let old = "1/1 passing in";
    check("serving 1x1 rollout 2x2 job=deploy", &[old, "2/1 passing", "2/2"], "[1/1] [] checking");
    check("serving 1x1 rollout 2x2 job=deploy", &[old, "2/1 passing", "2/2 passing"], "[2/1 2/2] [] switching");
    check("serving 1x1 rollout 2x1 job=deploy", &["1/1 passing out=999", "2/1 passing just_in"], "[2/1] [] switching");
    check("serving 1x1 rollout 2x1 job=deploy", &["1/1 passing out=1000", "2/1 passing in"], "[2/1] [] promote");
    check("serving 1x1 rollout 2x1 min_ready job=deploy", &[old, "2/1 passing"], "[1/1] [] checking");
}

#[test]
fn newcomers_that_crash_right_after_they_took_over_are_sent_away() {
    let old = "1/1 passing out=500";
    check("serving 1x1 rollout 2x1 job=deploy", &[old, "2/1 restarting restarts=1 just_in"], "[1/1] [] fail: 2/1 crashed");
    check("serving 1x1 rollout 2x1 job=deploy", &[old, "2/1 failing just_in"], "[1/1] [] checking");
    check("serving 1x1 rollout 2x1 job=deploy", &[old, "2/1 passing restarts=1 just_in"], "[2/1] [] switching");
}

#[test]
fn the_old_version_is_healed_during_a_rollout() {
    check("serving 1x2 rollout 2x1 job=deploy", &["1/1 passing in", "2/1"], "[1/1] [launch 1/2] checking");
    check("serving 1x1 rollout 2x1 job=deploy", &["1/1 exited", "2/1"], "[] [start 1/1] checking");
}

#[test]
fn a_rollout_that_crashes_or_is_late_fails_and_the_old_version_stays() {
    check("serving 1x1 rollout 2x1 job=deploy", &["1/1 passing in", "2/1 restarting restarts=3"], "[1/1] [] fail: 2/1 crashed");
    check("serving 1x1 rollout 2x1 job=deploy", &["1/1 passing in", "2/1 restarting restarts=2"], "[1/1] [] starting");
    check("serving 1x1 rollout 2x1 late job=deploy", &["1/1 passing in", "2/1"], "[1/1] [] fail: 2/1 is late");
    check("rollout 2x1 late job=deploy", &[], "[] [] fail: nobody is late");
    // Its time is counted from when the engine has started it, and the engine's own is never shorter than half a minute.
    check("rollout 2x1 started_late job=deploy", &["2/1"], "[] [] checking");
    check("rollout 2x1 hasty started_late job=deploy", &["2/1"], "[] [] fail: 2/1 is late");
    check("rollout 2x1 hasty job=deploy", &["2/1 created"], "[] [start 2/1] starting");
    check("serving 1x1", &["1/1 passing in", "2/1 running"], "[1/1] [retire 2/1] idle");
}

#[test]
fn nothing_is_stopped_before_it_is_drained() {
    let serving = "2/1 passing in";
    check("serving 2x1 job=deploy", &[serving, "1/1 passing out=999"], "[2/1] [] draining");
    check("serving 2x1 job=deploy", &[serving, "1/1 passing out=1000"], "[2/1] [retire 1/1] draining");
    check("serving 2x1 job=deploy", &[serving, "1/1 passing out=29999 busy"], "[2/1] [] draining");
    check("serving 2x1 job=deploy", &[serving, "1/1 passing out=30000 busy"], "[2/1] [retire 1/1] draining");
    check("serving 2x1 job=deploy", &[serving, "1/1 exited out=0"], "[2/1] [retire 1/1] draining");
    check("serving 2x1 job=deploy", &[serving], "[2/1] [] done");
}

#[test]
fn replace_stops_first_and_brings_back_when_the_new_one_fails() {
    let start = "serving 1x1 rollout 2x1 replace job=deploy";
    check("serving 1x1 rollout 2x1 replace unprepared job=deploy", &["1/1 passing in"], "[1/1] [prepare 2] preparing");
    check(start, &["1/1 passing in"], "[] [] starting");
    check(start, &["1/1 passing out=1000"], "[] [stop 1/1] starting");
    check(start, &["1/1 exited out=1500"], "[] [launch 2/1] starting");
    check(start, &["1/1 exited", "2/1 passing in"], "[2/1] [] promote");
    check("serving 1x1 replace", &["1/1 exited", "2/1"], "[] [retire 2/1] idle");
    check("serving 1x1 replace", &["1/1 exited", "2/1 exited"], "[] [start 1/1, retire 2/1] idle");
    check("serving 1x1", &["1/1 exited", "2/1"], "[] [start 1/1, retire 2/1] idle");
}

#[test]
fn containers_that_died_or_vanished_are_healed() {
    check("serving 1x3", &["1/1 passing in", "1/3 exited"], "[1/1] [launch 1/2, start 1/3] idle");
    check("serving 1x1", &["1/1 broken"], "[] [retire 1/1] idle");
    check("serving 1x1", &["1/1 restarting"], "[] [] idle");
}

#[test]
fn a_paused_container_is_left_alone_and_gets_no_requests() {
    check("serving 1x2", &["1/1 passing in", "1/2 paused in"], "[1/1] [] idle");
    check("serving 2x1 job=deploy", &["2/1 passing in", "1/1 paused out=1000"], "[2/1] [retire 1/1] draining");
}

#[test]
fn a_container_that_cannot_be_got_rid_of_does_not_hold_the_app_up() {
    check("serving 2x1 job=deploy for_long", &["2/1 passing in", "1/1 exited out=90001"], "[2/1] [] done");
    check("serving 2x1 job=deploy", &["2/1 passing in", "1/1 exited out=90001"], "[2/1] [retire 1/1] draining");
    check("serving 1x1 removed job=stop for_long", &["1/1 exited out=90001"], "[] [] fail: 1/1 is stuck");
    check("serving 1x1 rollout 2x1 replace waits job=deploy for_long", &["1/1 out=90001"], "[] [] fail: 1/1 is stuck");
}

#[test]
fn health_decides_who_serves_but_never_empties_the_table() {
    check("serving 1x2", &["1/1 passing in", "1/2 failing in"], "[1/1] [] idle");
    check("serving 1x2", &["1/1 failing in", "1/2 failing in"], "[1/1 1/2] [] idle");
    check("serving 1x2", &["1/1 in", "1/2 in"], "[1/1 1/2] [] idle");
    check("serving 1x1", &["1/1"], "[] [] idle");
    check("serving 1x2", &["1/1 passing in", "1/2 in reborn"], "[1/1] [] idle");
    check("serving 1x1", &["1/1 passing unaddressed"], "[] [] idle");
}

#[test]
fn stop_keeps_the_containers_and_remove_does_not() {
    check("serving 1x1 stopped job=stop", &["1/1 passing in"], "[] [] draining");
    check("serving 1x1 stopped job=stop", &["1/1 passing out=1000"], "[] [stop 1/1] draining");
    check("serving 1x1 stopped job=stop", &["1/1 exited"], "[] [] done");
    check("serving 1x1 removed job=stop", &["1/1 exited"], "[] [retire 1/1] draining");
    check("serving 1x1 removed job=stop", &[], "[] [] done");
    check("serving 1x1 job=start", &["1/1 exited"], "[] [start 1/1] starting");
    check("serving 1x1 job=start", &["1/1 passing"], "[1/1] [] done");
}

#[test]
fn whoever_is_to_leave_is_looked_at_again_soon() {
    let wake = |intent: &str, containers: &[&str]| {
        let seen: Vec<Seen> = containers.iter().map(|text| container(text)).collect();
        plan(&read_intent(intent), &seen, NOW).wake_at.map(|at| at - NOW)
    };
    assert_eq!(wake("serving 1x1 stopped job=stop", &["1/1 passing in"]), Some(DRAIN_POLL));
    assert_eq!(wake("serving 2x1 job=deploy", &["2/1 passing in", "1/1 passing in"]), Some(DRAIN_POLL));
    assert_eq!(wake("serving 1x1 rollout 2x1 replace job=deploy", &["1/1 passing in"]), Some(DRAIN_POLL));
    assert_eq!(wake("serving 1x1", &["1/1 passing in"]), None, "a quiet app needs no timer");
}

#[test]
fn a_stopped_app_can_be_deployed_and_stays_stopped_when_that_fails() {
    check("serving 1x1 rollout 2x1 stopped job=deploy", &["1/1 exited", "2/1"], "[] [] checking");
    check("serving 1x1 rollout 2x1 stopped job=deploy", &["1/1 exited", "2/1 passing in"], "[2/1] [] promote");
    check("serving 1x1 stopped", &["1/1 exited", "2/1"], "[] [retire 2/1] idle");
}
