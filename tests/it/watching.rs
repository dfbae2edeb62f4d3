//! Watching a job: broken connections, Ctrl-C, coming back.

use serde_json::json;

use crate::deploy::home;
use crate::fake_api::{Answer, End, FakeApi, accepted, event, job, phase, problem};
use crate::program::has;

const DEPLOY: &str = "POST /v1/apps/shop/deploy";
const EVENTS: &str = "GET /v1/jobs/7/events";
const JOB: &str = "GET /v1/jobs/7";

#[test]
fn a_broken_connection_is_resumed_behind_the_last_event() {
    let api = FakeApi::start();
    let first = Answer::Events(vec![phase(1, 0, "preparing"), phase(2, 100, "starting")], End::Break);
    // The server may repeat what was seen already; it is not shown twice.
    let unknown = event(3, 150, json!({ "type": "weather", "sunny": true }));
    let second = Answer::Events(vec![phase(2, 100, "starting"), unknown, phase(4, 200, "checking"), phase(5, 2000, "done")], End::Close);
    api.on(DEPLOY, [accepted(7, 0)]).on(EVENTS, [first, second]);
    let run = home(&api, "").haloy(&["deploy"]);
    has(
        &run.stderr,
        &[
            "starting containers",
            &format!("the connection to `{}` broke during `{EVENTS}`", api.address),
            "trying again in 500 ms",
            "checking",
            "is deployed",
        ],
    );
    assert_eq!(run.stderr.matches("starting containers").count(), 1);
    run.ok();

    let resumed: Vec<Option<String>> =
        api.received_on(EVENTS).iter().map(|request| request.headers.get("last-event-id").cloned()).collect();
    assert_eq!(resumed, [None, Some("2".to_owned())]);
    assert_eq!(api.received_on(DEPLOY).len(), 1, "a deploy is never sent twice");
}

#[test]
fn a_server_that_is_away_for_a_moment_is_waited_for() {
    let api = FakeApi::start();
    let away = Answer::Text(503, "starting");
    let ended_early = Answer::Events(vec![phase(1, 0, "preparing")], End::Close);
    let rest = Answer::Events(vec![phase(2, 700, "done")], End::Close);
    api.on(DEPLOY, [accepted(7, 0)]).on(EVENTS, [ended_early, away, rest]).on(JOB, [Answer::Json(200, job(7, "deploy", "preparing"))]);
    has(&home(&api, "").haloy(&["deploy"]).stderr, &["preparing", "status 503: starting; trying again", "is deployed"]);
}

#[test]
fn a_job_whose_events_are_gone_is_judged_by_itself() {
    let api = FakeApi::start();
    api.on(JOB, [Answer::Json(200, job(7, "restart", "failed"))]).on(EVENTS, [Answer::Events(vec![], End::Close)]);
    has(
        &home(&api, "").haloy(&["attach", "7"]).fails(1),
        &["job 7: restart of `shop`", "error: restart of `shop` (job 7) failed: the image is missing"],
    );
}

#[test]
fn what_will_not_pass_ends_the_watching() {
    let api = FakeApi::start();
    api.on(DEPLOY, [accepted(7, 0)]).on(EVENTS, [problem(404, "not_found", "there is no job 7", None)]);
    assert_eq!(home(&api, "").haloy(&["deploy"]).fails(1), "error: there is no job 7\n");
    assert_eq!(api.received_on(EVENTS).len(), 1);
}

#[test]
fn a_deploy_whose_answer_is_lost_is_not_repeated() {
    let api = FakeApi::start();
    api.on(DEPLOY, [Answer::Events(vec!["{".to_owned()], End::Break)]);
    let error = home(&api, "").haloy(&["deploy"]).fails(1);
    has(&error, &[&format!("broke during `{DEPLOY}`"), "hint: it may have arrived: look with `haloy status`"]);
    assert_eq!(api.received_on(DEPLOY).len(), 1);
}

#[test]
fn ctrl_c_detaches_and_says_how_to_come_back() {
    let api = FakeApi::start();
    api.on(DEPLOY, [accepted(7, 0)]).on(EVENTS, [Answer::Events(vec![phase(1, 0, "checking")], End::Hang)]);
    let home = home(&api, "");
    for (args, attach) in [
        (&["deploy"][..], "hint: watch it again with `haloy attach 7`\n".to_owned()),
        (&["deploy", "haloy.yaml", "-s", &api.address], format!("`haloy attach haloy.yaml 7 --server {}`", api.address)),
    ] {
        let mut deploy = home.start(args);
        deploy.says("checking health");
        deploy.interrupt();
        has(&deploy.end().fails(130), &["detached, job 7 goes on", &attach]);
    }
    let seen = api.received_on(EVENTS).len();
    let deploy = home.start(&["deploy", "--json"]);
    while api.received_on(EVENTS).len() == seen {
        std::thread::yield_now();
    }
    deploy.interrupt();
    let run = deploy.end();
    assert_eq!(run.json()["job"], 7, "as with --detach");
    run.fails(130);
}

#[test]
fn attach_finds_the_apps_job() {
    let api = FakeApi::start();
    let status = |job: serde_json::Value| {
        let status = json!({
            "name": "shop", "state": "running", "deployment": null, "image": null, "domains": [], "replicas_wanted": 1, "replicas": [], "job": job,
        });
        Answer::Json(200, status)
    };
    api.on("GET /v1/apps/shop", [status(job(7, "deploy", "checking"))]).on(JOB, [Answer::Json(200, job(7, "deploy", "checking"))]);
    api.on(EVENTS, [Answer::Events(vec![phase(1, 0, "checking"), phase(2, 1500, "done")], End::Close)]);
    let home = home(&api, "");
    for args in [&["attach"][..], &["attach", "7"], &["attach", "shop"], &["attach", "haloy.yaml"], &["attach", "shop", "7"]] {
        let run = home.haloy(args);
        has(&run.stderr, &["job 7: deployment of `shop`", "checking health", "✓ `shop` is deployed in 1.5 s"]);
        run.ok();
    }
    let other = home.haloy(&["attach", "blog", "7"]).fails(2);
    assert_eq!(other, "error: job 7 is of `shop`, not of `blog`\n\nhint: watch it with `haloy attach shop 7`\n");
    has(&home.haloy(&["attach", "shop", "seven"]).fails(2), &["`seven` is not a job number"]);
    api.on("GET /v1/apps/shop", [status(serde_json::Value::Null)]);
    has(&home.haloy(&["attach"]).fails(1), &["`shop` has had no job yet"]);

    api.on(JOB, [Answer::Json(200, job(7, "deploy", "done"))]);
    let run = home.haloy(&["attach", "7", "--json"]);
    assert_eq!((run.code, &run.json()["kind"], run.stderr.contains("job 7")), (Some(0), &json!("deploy"), false));
}
