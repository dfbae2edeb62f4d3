//! The commands that look at an app or change it, beside `deploy`.

use serde_json::{Value, json};

use crate::deploy::home;
use crate::fake_api::{Answer, End, FakeApi, TOKEN, accepted, job, log_line, phase, problem};
use crate::program::{Home, has};

const EVENTS: &str = "GET /v1/jobs/7/events";
const APP: &str = "GET /v1/apps/shop";
const LOGS: &str = "GET /v1/apps/shop/logs";

fn replica(number: u16, health: &str, detail: Option<&str>) -> Value {
    json!({
        "container": format!("shop-20261121093000-{number}"), "deployment": "20261121093000", "number": number, "health": health,
        "detail": detail, "routed": health == "healthy", "requests_in_flight": 4, "restarts": 0, "address": "172.18.0.5:8080",
        "started_at": "2026-11-21T09:30:00Z",
    })
}

fn status(replicas: &[Value]) -> Value {
    json!({
        "name": "shop", "state": "degraded", "deployment": "20261121093000", "image": "ghcr.io/ada/shop:v2",
        "domains": [{ "domain": "shop.example.com", "aliases": ["www.shop.example.com"] }],
        "replicas_wanted": replicas.len(), "replicas": replicas, "job": job(7, "deploy", "failed"),
    })
}

fn two_replicas() -> Value {
    status(&[replica(1, "healthy", None), replica(2, "unhealthy", Some("connection refused"))])
}

fn done() -> Answer {
    Answer::Events(vec![phase(1, 0, "draining"), phase(2, 1500, "done")], End::Close)
}

#[test]
fn status_in_one_glance() {
    let api = FakeApi::start();
    api.on(APP, [Answer::Json(200, two_replicas())]).on("GET /v1/apps", [Answer::Json(200, json!([two_replicas()]))]);
    let home = home(&api, "");
    let expected = [
        "shop  degraded  1/2 replicas healthy\n",
        "  deployment  20261121093000\n",
        "  image       ghcr.io/ada/shop:v2\n",
        "  domain      shop.example.com (from www.shop.example.com)\n",
        "  job         7 deployment failed, ",
        "              the image is missing\n",
        "REPLICA  CONTAINER              HEALTH                         ROUTED",
        "1        shop-20261121093000-1  healthy                        yes     4         0         172.18.0.5:8080",
        "2        shop-20261121093000-2  unhealthy: connection refused  no",
    ];
    has(&home.haloy(&["status"]).ok(), &expected);
    has(&home.haloy(&["status", "shop"]).ok(), &expected);
    assert_eq!(home.haloy(&["status", "--json"]).json()["replicas"][1]["detail"], "connection refused");

    let elsewhere = Home::new();
    elsewhere.haloy(&["server", "add", &api.address, TOKEN]).ok();
    has(&elsewhere.haloy(&["status", "shop"]).ok(), &expected[..2]);
    has(&elsewhere.haloy(&["status", "-s", &api.address]).ok(), &["APP   STATE", "shop  degraded  1/2      20261121093000"]);
    assert_eq!(elsewhere.haloy(&["status", "-s", &api.address, "--json"]).json()[0]["name"], "shop");
    let all = elsewhere.haloy(&["status"]).ok();
    has(&all, &["APP   STATE", "shop  degraded  1/2      20261121093000"]);
    elsewhere.haloy(&["server", "add", "other.example.com", TOKEN]).ok();
    has(&elsewhere.haloy(&["status"]).fails(2), &["several servers are configured and none is chosen: ", "other.example.com", "--server"]);
    has(&Home::new().haloy(&["status"]).fails(2), &["error: no server is chosen", "hint:"]);
    elsewhere.write("haloy.yaml", "name: shop\n");
    elsewhere.write("haloy.yml", "name: shop\n");
    has(&elsewhere.haloy(&["status"]).fails(2), &["there is more than one configuration file"]);

    api.on(APP, [problem(404, "not_found", "there is no app `shop`", Some("deploy it with `haloy deploy`"))]);
    assert_eq!(home.haloy(&["status"]).fails(1), "error: there is no app `shop`\n\nhint: deploy it with `haloy deploy`\n");
}

#[test]
fn a_replica_that_does_not_run_is_not_up() {
    let api = FakeApi::start();
    let mut replicas =
        [replica(1, "starting", Some("exit code 3")), replica(2, "exited", Some("exit code 1")), replica(3, "unhealthy", Some("HTTP 503"))];
    replicas.iter_mut().for_each(|replica| replica["started_at"] = json!("2020-01-01T00:00:00Z"));
    api.on(APP, [Answer::Json(200, status(&replicas))]);
    let text = home(&api, "").haloy(&["status"]).ok();
    has(&text, &["restarting: exit code 3", "172.18.0.5:8080\n", "exited: exit code 1", "172.18.0.5:8080\n", "HTTP 503", ":8080  "]);
}

#[test]
fn an_engine_that_is_away_is_told() {
    let api = FakeApi::start();
    api.on(APP, [Answer::Json(200, two_replicas())])
        .on("GET /v1/version", [Answer::Json(200, json!({ "version": "9.9.9", "api": 1, "docker": null }))])
        .on("GET /v1/health", [Answer::Json(200, json!({ "status": "ok", "engine": "down" }))]);
    let home = home(&api, "");
    for command in ["status", "version"] {
        let warning = format!("warning: the Docker Engine of `{}` does not answer", api.address);
        let run = home.haloy(&[command]);
        has(&run.stderr, &[&warning]);
        run.ok();
    }
    api.on("GET /v1/health", [Answer::Json(200, json!({ "status": "ok", "engine": "up" }))]);
    assert_eq!(home.haloy(&["status"]).stderr, "");
}

#[test]
fn logs_that_find_nothing_say_so() {
    let api = FakeApi::start();
    let mut stopped = status(&[]);
    api.on(LOGS, [Answer::Events(vec![], End::Close)]).on(APP, [Answer::Json(200, stopped.clone())]);
    let home = home(&api, "");
    assert_eq!(home.haloy(&["logs"]).stderr, "`shop` has no containers\n");
    stopped["state"] = json!("stopped");
    api.on(APP, [Answer::Json(200, stopped)]);
    assert_eq!(home.haloy(&["logs"]).stderr, "`shop` is stopped, and its containers are gone\n");
    api.on(APP, [Answer::Json(200, two_replicas())]);
    assert_eq!(home.haloy(&["logs"]).stderr, "the containers of `shop` have printed nothing\n");
}

#[test]
fn logs_name_the_replica_when_there_are_several() {
    let api = FakeApi::start();
    let lines = || Answer::Events(vec![log_line(1, "one\r\n"), ": keep-alive\n\n".to_owned(), log_line(2, "two: ä")], End::Close);
    api.on(APP, [Answer::Json(200, two_replicas())]).on(LOGS, [lines()]);
    let home = home(&api, "");
    assert_eq!(home.haloy(&["logs"]).ok(), "1 | one\n2 | two: ä\n");
    let json = home.haloy(&["logs", "--json"]).ok();
    let values: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).expect("one value per line")).collect();
    assert_eq!((values.len(), &values[1]["replica"]), (2, &json!(2)));

    api.on(APP, [Answer::Json(200, status(&[replica(1, "healthy", None)]))])
        .on(LOGS, [Answer::Events(vec![log_line(1, "alone")], End::Close)]);
    assert_eq!(home.haloy(&["logs"]).ok(), "alone\n");
}

#[test]
fn logs_ask_for_what_was_asked_for() {
    let api = FakeApi::start();
    api.on(APP, [Answer::Json(200, two_replicas())]).on(LOGS, [Answer::Events(vec![], End::Close)]);
    api.on("GET /v1/jobs", [Answer::Json(200, json!([]))]);
    let home = home(&api, "");
    for args in [
        &["logs"][..],
        &["logs", "--tail", "5", "-f"],
        &["logs", "--since", "2026-11-21T09:30:00Z", "--deployment", "20261121093000"],
        &["logs", "--since", "10m"],
    ] {
        home.haloy(args).ok();
    }
    let asked: Vec<String> = api.received_on(LOGS).iter().filter_map(|request| request.line.split('?').nth(1).map(str::to_owned)).collect();
    assert_eq!(
        asked[..3],
        ["follow=false&tail=100", "follow=true&tail=5", "follow=false&since=2026-11-21T09:30:00Z&deployment=20261121093000"]
    );
    assert!(asked[3].starts_with("follow=false&since=20"), "{}", asked[3]);
}

#[test]
fn logs_of_a_failed_deployment_are_with_its_job() {
    let api = FakeApi::start();
    let mut failed = job(5, "deploy", "failed");
    failed["deployment"] = json!("20261120093000");
    api.on(APP, [Answer::Json(200, two_replicas())]).on(LOGS, [Answer::Events(vec![], End::Close)]);
    api.on("GET /v1/jobs", [Answer::Json(200, json!([job(7, "deploy", "done"), failed]))]);
    let home = home(&api, "");
    let gone = "nothing is left of deployment 20261120093000: it failed, and its containers are removed\n\n\
                hint: `haloy attach 5` shows why, and its last lines\n";
    for follow in [&[][..], &["--follow"]] {
        let run = home.haloy(&[&["logs", "--deployment", "20261120093000"], follow].concat());
        assert_eq!((run.stderr.as_str(), run.code), (gone, Some(0)));
    }
    assert!(api.received_on(LOGS)[1].line.contains("follow=false"), "it will never say more");
    assert!(api.received_on("GET /v1/jobs")[0].line.contains("?app=shop"));
    has(&home.haloy(&["logs", "--deployment", "20260101000000"]).stderr, &["`shop` has no containers of deployment 20260101000000"]);
    let silent = home.haloy(&["logs", "--deployment", "20261121093000"]).stderr;
    assert_eq!(silent, "the containers of deployment 20261121093000 have printed nothing\n");
}

#[test]
fn following_logs_shows_lines_at_once() {
    let api = FakeApi::start();
    api.on(APP, [Answer::Json(200, two_replicas())]).on(LOGS, [Answer::Events(vec![log_line(1, "live")], End::Hang)]);
    let home = home(&api, "");
    let mut logs = home.start(&["logs", "--follow"]);
    logs.prints("1 | live\n");
}

#[test]
fn following_logs_goes_on_after_a_broken_connection() {
    let api = FakeApi::start();
    let first = Answer::Events(vec![log_line(1, "before")], End::Break);
    // The line that was seen comes again; what is no line is from a newer server.
    let later = log_line(1, "after").replace("09:30:00Z", "09:30:01Z");
    let second = Answer::Events(vec![log_line(1, "before"), "event: news\ndata: {}\n\n".to_owned(), later], End::Close);
    api.on(APP, [Answer::Json(200, status(&[replica(1, "healthy", None)]))]).on(LOGS, [first.clone(), second, first]);
    let home = home(&api, "");
    let run = home.haloy(&["logs", "-f", "--tail", "5"]);
    has(&run.stderr, &["broke during `GET /v1/apps/shop/logs`", "trying again in 500 ms"]);
    assert_eq!(run.ok(), "before\nafter\n");
    assert!(api.received_on(LOGS)[1].line.ends_with("?follow=true&since=2026-11-21T09:30:00Z"), "{:?}", api.received_on(LOGS));
    has(&home.haloy(&["logs"]).fails(1), &["error: the connection to `", "broke during"]);
}

#[test]
fn following_goes_on_where_each_replica_left_off() {
    let api = FakeApi::start();
    let at = |second: u8, line: String| line.replace("09:30:00Z", &format!("09:30:0{second}Z"));
    let (one, two, late) = (at(1, log_line(1, "one")), at(5, log_line(2, "two")), at(3, log_line(1, "late")));
    let first = Answer::Events(vec![one.clone(), two.clone()], End::Break);
    let second = Answer::Events(vec![one, late, two, at(6, log_line(2, "new"))], End::Close);
    api.on(APP, [Answer::Json(200, two_replicas())]).on(LOGS, [first, second]);
    assert_eq!(home(&api, "").haloy(&["logs", "-f"]).ok(), "1 | one\n2 | two\n1 | late\n2 | new\n");
    assert!(api.received_on(LOGS)[1].line.ends_with("?follow=true&since=2026-11-21T09:30:01Z"), "{:?}", api.received_on(LOGS));
}

#[test]
fn output_that_cannot_be_read_is_told() {
    let api = FakeApi::start();
    let problem = json!({
        "type": "about:blank", "title": "could not read the output of `shop-20261121093000-2`", "status": 500, "code": "internal",
        "detail": "the logging driver does not support reading", "hint": "look at `docker info`",
    });
    let problem = format!("event: problem\ndata: {problem}\n\n");
    api.on(APP, [Answer::Json(200, two_replicas())])
        .on(LOGS, [Answer::Events(vec![problem.clone(), log_line(1, "one"), problem], End::Close)]);
    let run = home(&api, "").haloy(&["logs"]);
    assert_eq!(run.stdout, "1 | one\n");
    let expected = "warning: could not read the output of `shop-20261121093000-2`: the logging driver does not support reading\n\
                    hint: look at `docker info`\n";
    assert_eq!(run.fails(1), expected);
}

#[test]
fn stop_start_and_restart() {
    let api = FakeApi::start();
    api.on(EVENTS, [done()]);
    let home = home(&api, "");
    for (verb, participle) in [("stop", "stopped"), ("start", "started"), ("restart", "restarted")] {
        let line = format!("POST /v1/apps/shop/{verb}");
        api.on(&line, [accepted(7, 0)]);
        let run = home.haloy(&[verb]);
        has(&run.stderr, &[&format!("✓ `shop` is {participle} in 1.5 s\n")]);
        run.ok();
        home.haloy(&[verb, "shop", "--detach"]).ok();
        assert_eq!(api.received_on(&line).len(), 2);
    }
    let bodies: Vec<Value> = api.received_on("POST /v1/apps/shop/stop").into_iter().map(|request| request.body).collect();
    assert_eq!(bodies[0], json!({ "remove_containers": false, "remove_volumes": false, "include_protected": false }));
    assert_eq!(api.received_on("POST /v1/apps/shop/restart")[0].body, Value::Null, "no body at all");
}

#[test]
fn volumes_are_removed_only_when_confirmed() {
    let api = FakeApi::start();
    api.on("POST /v1/apps/shop/stop", [accepted(7, 0)]).on(EVENTS, [done()]);
    let home = home(&api, "");
    has(&home.haloy(&["stop", "--remove-volumes"]).fails(2), &["removes the data of `shop`, add `--yes`"]);
    assert!(api.received_on("POST /v1/apps/shop/stop").is_empty());
    home.haloy(&["stop", "--remove-volumes", "--yes"]).ok();
    home.haloy(&["stop", "--remove-containers"]).ok();
    let bodies: Vec<Value> = api.received_on("POST /v1/apps/shop/stop").into_iter().map(|request| request.body).collect();
    assert_eq!(
        bodies,
        [
            json!({ "remove_containers": true, "remove_volumes": true, "include_protected": false }),
            json!({ "remove_containers": true, "remove_volumes": false, "include_protected": false }),
        ]
    );
}

fn deployments() -> Answer {
    let deployment = |id: &str, state: &str, repeats: Option<&str>, current: bool| {
        json!({
            "id": id, "state": state, "image": "ghcr.io/ada/shop:v2", "image_id": "sha256:00", "created_at": "2026-11-21T09:30:00Z",
            "performer": "ada@laptop", "git_commit": "0123456789abcdef0123456789abcdef01234567", "repeats": repeats, "current": current,
        })
    };
    let list = [
        deployment("20261118093000", "complete", Some("20261117093000"), false),
        deployment("20261119093000", "complete", None, false),
        deployment("20261120093000", "failed", None, false),
        deployment("20261121093000", "complete", None, true),
    ];
    Answer::Json(200, json!(list))
}

#[test]
fn rollback_targets_are_what_one_can_go_back_to() {
    let api = FakeApi::start();
    api.on("GET /v1/apps/shop/deployments", [deployments()]);
    let home = home(&api, "");
    let run = home.haloy(&["rollback-targets"]);
    has(
        &run.stdout,
        &[
            "DEPLOYMENT",
            "20261121093000",
            "ada@laptop  0123456789  current",
            "20261119093000  ghcr.io/ada/shop:v2",
            "0123456789  default\n",
        ],
    );
    // Repeated by a rollback or by a restart: the server does not say by which.
    has(&run.stdout, &["20261118093000", "same as 20261117093000\n"]);
    assert!(!run.stdout.contains("20261120093000"), "a failed deployment is no target");
    has(&run.stderr, &["hint: go back with `haloy rollback 20261119093000`"]);
    assert_eq!(home.haloy(&["rollback-targets", "--json"]).json()[1]["id"], "20261119093000");

    let list = home.haloy(&["rollback", "shop"]);
    assert_eq!(list.stdout, run.stdout, "an app's name alone lists");
    has(&list.stderr, &["hint: go back with `haloy rollback shop 20261119093000`"]);
    assert!(api.received().iter().all(|request| request.line.starts_with("GET ")), "nothing was rolled back");
}

#[test]
fn rollback_in_every_form() {
    let api = FakeApi::start();
    api.on("POST /v1/apps/shop/rollback", [accepted(7, 0)]).on(EVENTS, [done()]).on("GET /v1/apps/shop/deployments", [deployments()]);
    let home = home(&api, "");
    has(&home.haloy(&["rollback"]).stderr, &["going back to 20261119093000 (ghcr.io/ada/shop:v2)\n"]);
    let run = home.haloy(&["rollback", "20261119093000"]);
    has(&run.stderr, &["✓ `shop` is rolled back to 20261119093000 as 20261121093000 in 1.5 s"]);
    run.ok();
    for args in [
        &["rollback", "haloy.yaml", "20261119093000"][..],
        &["rollback", "shop", "20261119093000"],
        &["rollback"],
        &["rollback", "haloy.yaml"],
    ] {
        home.haloy(args).ok();
    }
    let asked: Vec<Value> =
        api.received_on("POST /v1/apps/shop/rollback").into_iter().map(|request| request.body["deployment"].clone()).collect();
    assert_eq!(asked, vec![json!("20261119093000"); 6], "what was announced is what is asked for");
    has(&home.haloy(&["rollback", "haloy.yaml", "yesterday"]).fails(2), &["deployment id `yesterday` is not valid: it has 14 digits"]);
    has(
        &home.haloy(&["rollback", "20261120093000"]).fails(1),
        &["app `shop` has no deployment 20261120093000", "hint: run `haloy rollback-targets` to see"],
    );
    let current = home.haloy(&["rollback", "20261121093000"]).fails(2);
    assert_eq!(current, "error: `20261121093000` serves already\n\nhint: `haloy restart` makes new containers of it\n");
    assert_eq!(api.received_on("POST /v1/apps/shop/rollback").len(), 6, "nothing is asked for in vain");
    api.on("POST /v1/apps/shop/rollback", [problem(409, "conflict", "a domain is taken", Some("see `haloy status`"))]);
    has(&home.haloy(&["rollback"]).fails(1), &["error: a domain is taken", "hint: see `haloy status`"]);
    api.on("GET /v1/apps/shop/deployments", [problem(404, "not_found", "there is no app `shop`", Some("deploy it with `haloy deploy`"))]);
    assert_eq!(home.haloy(&["rollback"]).fails(1), "error: there is no app `shop`\n\nhint: deploy it with `haloy deploy`\n");
}

#[test]
fn a_rollback_goes_on_from_where_the_last_one_led() {
    let api = FakeApi::start();
    let deployment = |id: &str, repeats: Option<&str>, current: bool| {
        json!({
            "id": id, "state": "complete", "image": "shop:v1", "image_id": null, "created_at": "2026-11-21T09:30:00Z",
            "performer": null, "git_commit": null, "repeats": repeats, "current": current,
        })
    };
    let (first, second) = (deployment("20261101000000", None, false), deployment("20261102000000", None, false));
    let back_at = |origin| deployment("20261103000000", Some(origin), true);
    let home = home(&api, "");
    api.on("GET /v1/apps/shop/deployments", [Answer::Json(200, json!([first, second, back_at("20261102000000")]))]);
    has(&home.haloy(&["rollback-targets"]).stderr, &["hint: go back with `haloy rollback 20261101000000`"]);
    api.on("GET /v1/apps/shop/deployments", [Answer::Json(200, json!([first, second, back_at("20261101000000")]))]);
    let error = home.haloy(&["rollback"]).fails(1);
    has(&error, &["error: app `shop` has no earlier deployment to go back to", "hint: `haloy rollback-targets` shows all deployments"]);
    assert_eq!(home.haloy(&["rollback-targets"]).stderr, "`shop` has no earlier deployment to go back to\n");
}

#[test]
fn versions_of_both_sides() {
    let api = FakeApi::start();
    api.on("GET /v1/version", [Answer::Json(200, json!({ "version": "9.9.9", "api": 1, "docker": "29.0.1" }))]);
    let client = format!("client  {}\n", env!("CARGO_PKG_VERSION"));
    let known = home(&api, "");
    assert_eq!(known.haloy(&["version"]).ok(), format!("{client}server  9.9.9 ({}, Docker 29.0.1)\n", api.address));
    assert_eq!(known.haloy(&["version", "--json"]).json()["server"]["version"]["docker"], "29.0.1");
    assert_eq!(Home::new().haloy(&["version"]).ok(), client, "no server is no error");
    assert_eq!(Home::new().haloy(&["version", "--json"]).json()["server"], Value::Null);

    drop(api);
    let run = known.haloy(&["version"]);
    has(&run.stderr, &["server  127.0.0.1:", "could not connect to", "Connection refused"]);
    assert_eq!(run.ok(), client, "nor is one that is down");
}

#[test]
fn only_a_deploy_repeats_what_a_file_is_warned_of() {
    let api = FakeApi::start();
    let home = Home::new();
    home.haloy(&["server", "add", &api.address, TOKEN]).ok();
    let key = "env:\n  - name: HALOY_MINE\n    value: '1'\n";
    home.write("haloy.yaml", &format!("name: shop\nserver: {}\nsource:\n  image: shop:v2\n{key}", api.address));
    has(&home.haloy(&["validate-config"]).stderr, &["note: ", "warning: `HALOY_MINE`"]);
    let deploy = home.haloy(&["deploy"]).stderr;
    has(&deploy, &["warning: `HALOY_MINE`"]);
    assert!(!deploy.contains("note: "), "{deploy}");
    for command in ["status", "stop", "version"] {
        let said = home.haloy(&[command]).stderr;
        assert!(!said.contains("note: ") && !said.contains("warning: `HALOY"), "{said}");
    }
}
