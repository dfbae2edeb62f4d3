//! `haloy deploy` from the configuration to the verdict.

use serde_json::json;

use crate::fake_api::{Answer, End, FakeApi, TOKEN, accepted, event, job, phase, problem};
use crate::program::{Home, has};

const DEPLOY: &str = "POST /v1/apps/shop/deploy";
const EVENTS: &str = "GET /v1/jobs/7/events";

/// A home with a `haloy.yaml` for the server and its token in the client's configuration.
pub fn home(api: &FakeApi, more: &str) -> Home {
    let home = Home::new();
    home.write("haloy.yaml", &config(api, more));
    home.haloy(&["server", "add", &api.address, TOKEN]).ok();
    home
}

fn config(api: &FakeApi, more: &str) -> String {
    format!(
        "name: shop\nserver: {}\nimage: ghcr.io/ada/shop:v2\nreplicas: 2\ndomains:\n  - domain: shop.example.com\n    aliases: [www.shop.example.com]\n\
         env:\n  - name: GREETING\n    value: hello\n{more}",
        api.address
    )
}

/// A job that goes well.
fn success() -> Answer {
    let note = event(4, 900, json!({ "type": "note", "message": "2 of 2 replicas are healthy" }));
    let phases =
        [(1, 0, "preparing"), (2, 100, "starting"), (3, 300, "checking"), (5, 1000, "switching"), (6, 1200, "draining"), (7, 2500, "done")];
    let mut frames: Vec<String> = phases.map(|(seq, millis, name)| phase(seq, millis, name)).to_vec();
    frames.insert(3, note);
    frames.insert(0, ": keep-alive\n\n".to_owned());
    Answer::Events(frames, End::Close)
}

#[test]
fn a_deploy_shows_its_phases_and_where_the_app_is() {
    let api = FakeApi::start();
    api.on(DEPLOY, [accepted(7, 0)]).on(EVENTS, [success()]);
    let run = home(&api, "").haloy(&["deploy"]);
    has(
        &run.stderr,
        &[
            "0.0 s  preparing image, network and volumes\n",
            "0.1 s  starting containers\n",
            "0.3 s  checking health\n",
            "0.9 s    2 of 2 replicas are healthy\n",
            "1.0 s  switching traffic\n",
            "1.2 s  draining old containers\n",
            "✓ `shop` is deployed as 20261121093000 in ",
            "  https://shop.example.com\n",
        ],
    );
    assert_eq!(run.ok(), "", "words go to stderr");

    let request = &api.received_on(DEPLOY)[0];
    assert_eq!(request.headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(request.headers["host"], api.address);
    assert_eq!(request.body["spec"]["name"], "shop");
    assert_eq!(request.body["spec"]["image"], "ghcr.io/ada/shop:v2");
    assert_eq!(request.body["spec"]["replicas"], 2);
    assert_eq!(request.body["env"], json!([{ "name": "GREETING", "value": "hello" }]));
    assert_eq!(request.body["performer"], "ada@laptop");
    assert_eq!(request.body["git_commit"], serde_json::Value::Null);
}

#[test]
fn the_address_has_the_port_that_the_server_serves_on() {
    let api = FakeApi::start();
    let version = |https: u16, http: u16| Answer::Json(200, json!({ "version": "1", "api": 1, "https_port": https, "http_port": http }));
    api.on(DEPLOY, [accepted(7, 0)]).on(EVENTS, [success()]).on("GET /v1/version", [version(8443, 8080)]);
    has(&home(&api, "").haloy(&["deploy"]).stderr, &["is deployed", "  https://shop.example.com:8443\n"]);
    has(&home(&api, "tls: off\n").haloy(&["deploy"]).stderr, &["is deployed", "  http://shop.example.com:8080\n"]);
    api.on("GET /v1/version", [version(443, 80)]);
    has(&home(&api, "").haloy(&["deploy"]).stderr, &["is deployed", "  https://shop.example.com\n"]);
}

#[test]
fn errors_are_json_for_those_who_asked_for_json() {
    let api = FakeApi::start();
    let home = home(&api, "");
    home.haloy(&["server", "add", &api.address, "haloy_wrong", "--force"]).ok();
    for command in [&["deploy"][..], &["status"], &["logs"], &["rollback"], &["rollback-targets"], &["restart"], &["attach", "7"]] {
        let run = home.haloy(&[command, &["--json"]].concat());
        let error = run.json();
        has(error["error"].as_str().unwrap_or_default(), &["refused the token from `HALOY_API_TOKEN_", "the token is not known"]);
        has(error["hint"].as_str().unwrap_or_default(), &["haloy server add"]);
        assert_eq!(error["exit_code"], 1);
        has(&run.fails(1), &["error: "]);
    }
    home.write("haloy.yaml", "name: shop\n");
    assert_eq!(home.haloy(&["deploy", "--json"]).json()["exit_code"], 2);
    let admin = home.haloy(&["admin", "api", "token", "--config-dir", "nowhere", "--json"]);
    has(admin.json()["hint"].as_str().unwrap_or_default(), &["haloy admin init --config-dir nowhere"]);
}

#[test]
fn the_configuration_may_be_named_in_every_way() {
    let api = FakeApi::start();
    api.on(DEPLOY, [accepted(7, 0)]).on(EVENTS, [success()]);
    let home = home(&api, "");
    home.write("deep/my-app.yaml", &config(&api, ""));
    home.write("project/haloy.yaml", &config(&api, ""));
    let ways: [&[&str]; 5] = [
        &["deploy", "deep/my-app.yaml"],
        &["deploy", "project"],
        &["deploy", "--config", "deep/my-app.yaml"],
        &["-c", "project", "deploy"],
        &["deploy", "-s", &format!("http://{}/", api.address)],
    ];
    for way in ways {
        home.haloy(way).ok();
    }
    assert_eq!(api.received_on(DEPLOY).len(), ways.len());
    has(&home.haloy(&["-c", "project", "deploy", "deep/my-app.yaml"]).fails(2), &["the configuration is given twice"]);
    has(&home.haloy(&["deploy", "nowhere.yaml"]).fails(2), &["nowhere.yaml"]);
    assert_eq!(api.received_on(DEPLOY).len(), ways.len(), "nothing was deployed by mistake");
}

#[test]
fn json_is_the_finished_job_alone() {
    let api = FakeApi::start();
    api.on(DEPLOY, [accepted(7, 0)]).on(EVENTS, [success()]).on("GET /v1/jobs/7", [Answer::Json(200, job(7, "deploy", "done"))]);
    let home = home(&api, "");
    let run = home.haloy(&["deploy", "--json"]);
    assert_eq!((run.code, &run.json()["phase"]), (Some(0), &json!("done")));
    let detached = home.haloy(&["deploy", "--detach", "--json"]);
    assert_eq!((detached.code, &detached.json()["job"]), (Some(0), &json!(7)));
}

#[test]
fn detach_and_no_logs() {
    let api = FakeApi::start();
    api.on(DEPLOY, [accepted(7, 1)]).on(EVENTS, [success()]);
    let home = home(&api, "");
    has(
        &home.haloy(&["deploy", "--detach"]).stderr,
        &["deployment of `shop` is accepted as job 7", "hint: watch it with `haloy attach 7`"],
    );
    assert!(api.received_on(EVENTS).is_empty(), "nobody watches");
    let quiet = home.haloy(&["deploy", "--no-logs"]).stderr;
    assert!(quiet.starts_with("✓ `shop` is deployed"), "{quiet}");
    has(&home.haloy(&["deploy"]).stderr, &["job 7 waits for 1 earlier job of `shop`"]);
}

#[test]
fn a_failed_deploy_says_everything_that_was_seen() {
    let failure = json!({
        "type": "failure",
        "reason": "replica 1 did not become healthy within 120 s",
        "hint": "the app listens on 3000: set `port: 3000`",
        "container": {
            "name": "shop-20261121093000-1", "exit_code": 137, "out_of_memory": true, "restarts": 3, "listening_ports": [3000],
            "probe": { "target": "GET http://172.18.0.5:8080/health", "answer": "HTTP 503: database is starting" },
            "log_tail": ["listening on 3000", "killed"],
        },
    });
    let api = FakeApi::start();
    let frames = vec![phase(1, 0, "preparing"), phase(2, 100, "checking"), event(3, 900, failure), phase(4, 900, "failed")];
    api.on(DEPLOY, [accepted(7, 0)]).on(EVENTS, [Answer::Events(frames, End::Close)]);
    api.on("GET /v1/jobs/7", [Answer::Json(200, job(7, "deploy", "failed"))]);
    let home = home(&api, "post_deploy: ['touch after']\n");
    let expected = "\
error: deployment of `shop` (job 7) failed: replica 1 did not become healthy within 120 s
  container     shop-20261121093000-1
  state         exited with code 137 (SIGKILL), killed because it was out of memory
  restarts      3
  listens on    TCP port 3000
  health check  GET http://172.18.0.5:8080/health → HTTP 503: database is starting
  last lines
    listening on 3000
    killed

hint: the app listens on 3000: set `port: 3000`
";
    has(&home.haloy(&["deploy"]).fails(1), &["checking health\n", expected]);
    let run = home.haloy(&["deploy", "--json"]);
    assert_eq!((run.code, &run.json()["phase"]), (Some(1), &json!("failed")));
    has(&run.stderr, &[expected]);
    assert!(!home.path().join("after").exists(), "post_deploy is for deployments that serve");
}

#[test]
fn hooks_run_beside_the_configuration_and_stop_at_the_first_failure() {
    let api = FakeApi::start();
    api.on(DEPLOY, [accepted(7, 0)])
        .on(EVENTS, [success()])
        .on("GET /v1/version", [Answer::Json(200, json!({ "version": "1", "api": 1, "docker": null }))]);
    let home = home(&api, "");
    let hooks = "pre_deploy: ['echo built > built', 'echo to stdout']\npost_deploy: ['cat built']\n";
    home.write("project/haloy.yaml", &config(&api, hooks));
    let run = home.haloy(&["deploy", "project"]);
    has(
        &run.stderr,
        &["pre_deploy: echo built > built\n", "to stdout\n", "preparing", "is deployed", "post_deploy: cat built\n", "built\n"],
    );
    assert_eq!(run.ok(), "", "what hooks print is no data of ours");
    assert_eq!(home.read("project/built"), "built\n");

    home.write("bad/haloy.yaml", &config(&api, "pre_deploy: ['exit 3', 'touch never']\n"));
    has(&home.haloy(&["deploy", "bad"]).fails(1), &["error: `pre_deploy` command `exit 3` failed with exit code 3"]);
    assert!(!home.path().join("bad/never").exists());
    assert_eq!(api.received_on(DEPLOY).len(), 1, "a deploy whose pre_deploy fails never starts");

    home.write("late/haloy.yaml", &config(&api, "post_deploy: ['kill -9 $$']\n"));
    has(&home.haloy(&["deploy", "late", "--detach"]).stderr, &["accepted as job 7", "warning: `post_deploy` commands were not run"]);
    has(
        &home.haloy(&["deploy", "late"]).fails(1),
        &["is deployed", "error: `post_deploy` command `kill -9 $$` failed with signal 9\n\nhint: the new version serves"],
    );
}

#[test]
fn a_wrong_token_is_found_before_hooks_run() {
    let api = FakeApi::start();
    api.on(DEPLOY, [accepted(7, 0)]);
    let home = home(&api, "pre_deploy: ['touch built']\n");
    home.haloy(&["server", "add", &api.address, "haloy_wrong", "--force"]).ok();
    let error = home.haloy(&["deploy"]).fails(1);
    has(
        &error,
        &[
            &format!("error: `{}` refused the token from `HALOY_API_TOKEN_127_0_0_1_", api.address),
            "caused by: the token is not known",
            &format!("hint: run `haloy admin api token` on the server, then here `haloy server add {} --token-stdin --force`", api.address),
        ],
    );
    assert!(!error.contains("haloy_wrong"), "a token is never shown");
    assert!(!home.path().join("built").exists());
}

#[test]
fn the_servers_refusal_is_shown_in_its_words() {
    let api = FakeApi::start();
    let title = "the domain `shop.example.com` belongs to the app `old-shop`";
    api.on(DEPLOY, [problem(409, "conflict", title, Some("remove it there first"))]);
    let home = home(&api, "");
    assert_eq!(home.haloy(&["deploy"]).fails(1), format!("error: {title}\n\nhint: remove it there first\n"));
    api.on(DEPLOY, [Answer::Text(502, "Bad Gateway\nfrom a proxy")]);
    let error = home.haloy(&["deploy"]).fails(1);
    has(&error, &[&format!("`{}` answered `{DEPLOY}` with status 502: Bad Gateway", api.address), "hint: is `"]);
    api.on(DEPLOY, [Answer::Text(202, "<html>")]);
    has(&home.haloy(&["deploy"]).fails(1), &["is not understood", "caused by:", "hint: compare the versions with `haloy version`"]);
}

#[test]
fn the_commit_goes_into_the_history() {
    let api = FakeApi::start();
    api.on(DEPLOY, [accepted(7, 0)]);
    let home = home(&api, "");
    let git = |args: &[&str]| crate::program::run(home.command("git").args(args)).ok();
    git(&["init", "-q"]);
    git(&["-c", "user.name=ada", "-c", "user.email=ada@example.com", "commit", "-q", "--allow-empty", "-m", "first"]);
    let commit = git(&["rev-parse", "HEAD"]);
    home.haloy(&["deploy", "--detach"]).ok();
    assert_eq!(api.received_on(DEPLOY)[0].body["git_commit"], commit.trim());
}
