//! Apps with one name for ever: who has it through deployments, failures, rollbacks and changes of mind.

use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{App, Container, image, wait_for};
use crate::haloyd::{Haloyd, get};
use crate::options::inspect;
use crate::spec::{self, Ended, deploy, request};

fn put(haloyd: &Haloyd, app: &App<'_>, version: &str, naming: &str, changes: Value) -> Ended {
    let mut spec = json!({ "naming_strategy": naming, "deployment_strategy": "replace", "tls": "off" });
    for (key, value) in changes.as_object().expect("an object") {
        spec[key] = value.clone();
    }
    let health = if version.starts_with("bad") { "fail" } else { "ok" };
    deploy(haloyd, app, &request(app, &image("v1"), &[("VERSION", version), ("HEALTH", health)], spec))
}

/// One container is left, it has this name and serves this version.
#[track_caller]
fn assert_one(haloyd: &Haloyd, app: &App<'_>, version: &str, has_name: impl Fn(&str) -> bool) {
    let alone = || {
        let containers = app.containers();
        (containers.len() == 1 && containers[0].running && has_name(&containers[0].name)).then_some(())
    };
    wait_for(Duration::from_secs(10), "one container is left, under its name", alone);
    let serves = || {
        let answer = get(haloyd.http_addr(), "/", &[("host", &app.domain)]).ok()?;
        (answer.header("x-version") == Some(version)).then_some(())
    };
    wait_for(Duration::from_secs(10), &format!("{version} serves"), serves);
}

#[test]
fn one_name_for_ever() {
    let haloyd = Haloyd::start();
    let app = spec::app(&haloyd, "static");
    let is_fixed = |name: &str| name == app.name;
    for version in ["s1", "s2", "s3"] {
        put(&haloyd, &app, version, "static", json!({})).ok();
        assert_one(&haloyd, &app, version, is_fixed);
    }
    let aliases = &inspect(&haloyd, &app.name)["NetworkSettings"]["Networks"]["haloy-public"]["Aliases"];
    assert!(aliases.as_array().is_some_and(|aliases| aliases.contains(&json!(app.name))), "{aliases}");

    let before = app.containers()[0].id.clone();
    put(&haloyd, &app, "bad", "static", json!({ "deploy_timeout": 3 })).failed("did not become healthy within 3 s");
    assert_one(&haloyd, &app, "s3", is_fixed);
    assert_eq!(app.containers()[0].id, before, "the old container has its name back");

    app.haloy(&["rollback"]).ok();
    assert_one(&haloyd, &app, "s2", is_fixed);
    app.haloy(&["restart"]).ok();
    assert_one(&haloyd, &app, "s2", is_fixed);
    app.haloy(&["stop"]).ok();
    app.haloy(&["start"]).ok();
    assert_one(&haloyd, &app, "s2", is_fixed);
}

#[test]
fn from_one_naming_to_the_other_and_back() {
    let haloyd = Haloyd::start();
    let app = spec::app(&haloyd, "renamed");
    let (is_fixed, is_dynamic) = (|name: &str| name == app.name, |name: &str| name.starts_with(&format!("{}-20", app.name)));
    put(&haloyd, &app, "d1", "dynamic", json!({})).ok();
    assert_one(&haloyd, &app, "d1", is_dynamic);
    put(&haloyd, &app, "s1", "static", json!({})).ok();
    assert_one(&haloyd, &app, "s1", is_fixed);
    put(&haloyd, &app, "bad", "dynamic", json!({ "deployment_strategy": "rolling", "deploy_timeout": 3 })).failed("healthy");
    assert_one(&haloyd, &app, "s1", is_fixed);
    put(&haloyd, &app, "d2", "dynamic", json!({ "deployment_strategy": "rolling" })).ok();
    assert_one(&haloyd, &app, "d2", is_dynamic);
    put(&haloyd, &app, "bad", "static", json!({ "deploy_timeout": 3 })).failed("healthy");
    assert_one(&haloyd, &app, "d2", is_dynamic);
}

#[test]
fn a_name_that_somebody_else_has_costs_the_old_version_nothing() {
    let haloyd = Haloyd::start();
    let app = spec::app(&haloyd, "taken");
    put(&haloyd, &app, "d1", "dynamic", json!({})).ok();
    let before = app.containers();
    let made =
        haloyd.docker(&["create", "--name", &app.name, "--label", &format!("dev.haloy.instance={}", haloyd.instance()), &image("v1")]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    put(&haloyd, &app, "s1", "static", json!({})).failed("is taken by a container that is not this app's").hints("docker rm -f");
    assert_eq!(app.containers(), before);
}

/// What a name goes through on its way from one container to the next, in its order. `old` is the id of the first.
type Step = (&'static str, fn(&[Container], name: &str, old: &str) -> bool);
const STEPS: [Step; 5] = [
    ("the old one has stopped", |all, _, old| !all.iter().any(|one| one.id == old && one.running)),
    ("its name is given away", |all, name, old| !all.iter().any(|one| one.id == old && one.name == name)),
    ("the new one is there", |all, _, old| all.iter().any(|one| one.id != old)),
    ("the new one runs", |all, _, old| all.iter().any(|one| one.id != old && one.running)),
    ("one of them goes", |all, _, old| all.len() == 1 || !all.iter().any(|one| one.id != old && one.running)),
];

/// After each step of deployments that succeed and that fail: one container has the name and serves, and after a
/// failure it is the old one.
#[test]
fn haloyd_is_killed_while_a_name_changes_hands() {
    let haloyd = Haloyd::start();
    let app = spec::app(&haloyd, "handed");
    put(&haloyd, &app, "s0", "static", json!({})).ok();
    let mut serving = "s0".to_owned();
    for (steps, bad) in (0..=STEPS.len()).flat_map(|steps| [(steps, true), (steps, false)]) {
        let (version, health) = if bad { (format!("bad{steps}"), "fail") } else { (format!("s{}", steps + 1), "ok") };
        let spec = json!({ "naming_strategy": "static", "deployment_strategy": "replace", "tls": "off", "deploy_timeout": 2 });
        let env = [("VERSION", version.as_str()), ("HEALTH", health)];
        let old = app.containers()[0].id.clone();
        let job = spec::job_of(&spec::send(&haloyd, &app, &request(&app, &image("v1"), &env, spec)));
        for (what, is_done) in &STEPS[..steps] {
            // The last steps of a quick deployment may pass unseen.
            let done = || (is_done(&app.containers(), &app.name, &old) || spec::ended(&haloyd, job).is_some()).then_some(());
            wait_for(Duration::from_secs(10), what, done);
        }
        haloyd.kill9();
        haloyd.restart();
        let ended = spec::end_of(&haloyd, job);
        assert!(!bad || ended.job["phase"] == "failed", "{ended:#?}");
        if ended.job["phase"] == "done" {
            serving = version;
        }
        assert_one(&haloyd, &app, &serving, |name| name == app.name);
    }
}
