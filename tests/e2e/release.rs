//! Release commands: they run once for each new version, before it, and their failure costs nothing.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{App, image, wait_for};
use crate::haloyd::{Haloyd, unique};
use crate::load::Load;
use crate::options::inspect;
use crate::spec::{self, Ended, deploy, end_of, job_of, request, send};

const DRAIN: Duration = Duration::from_secs(2);

/// The request of a version whose release command is a script of these words.
fn with_script(app: &App<'_>, version: &str, words: &[&str], changes: Value) -> Value {
    let words: Vec<&str> = std::iter::once("script").chain(words.iter().copied()).collect();
    let mut request = request(app, &image("v1"), &[("VERSION", version)], json!({ "release_command": words }));
    for (key, value) in changes.as_object().expect("an object") {
        request["spec"][key] = value.clone();
    }
    request
}

/// Containers of release commands, in every state.
fn one_offs(haloyd: &Haloyd, app: &App<'_>) -> Vec<String> {
    let filters = [format!("label=dev.haloy.appName={}", app.name), "label=dev.haloy.role=release".to_owned()];
    let output = haloyd.docker(&["ps", "--all", "--quiet", "--filter", &filters[0], "--filter", &filters[1]]);
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn has_note(ended: &Ended, note: &str) -> bool {
    ended.notes.iter().any(|n| n == note)
}

#[test]
fn it_runs_once_for_each_new_version() {
    let haloyd = Haloyd::start();
    let app = spec::app(&haloyd, "release");
    let volume = json!([{ "source": { "volume": unique("haloy-test-release-") }, "target": "/data" }]);
    let script = ["append=/data/runs", "print=migrating", "print=migrating", "env=VERSION", "env=HALOY_REPLICA"];
    let runs = || {
        let file = app.folder().join("runs");
        haloyd.docker(&["cp", &format!("{}:/data/runs", app.containers()[0].id), &file.display().to_string()]);
        fs::read_to_string(file).expect("the command left a file").lines().count()
    };
    let changes = json!({ "volumes": volume, "replicas": 2 });
    let said = deploy(&haloyd, &app, &with_script(&app, "r1", &script, changes.clone())).ok();
    let told: Vec<_> = said.notes.iter().filter(|note| note.starts_with("release | ")).collect();
    assert_eq!(told, ["release | migrating", "release | migrating", "release | VERSION=r1", "release | HALOY_REPLICA="], "{said:?}");
    assert_eq!((runs(), one_offs(&haloyd, &app).len(), app.containers().len()), (1, 0, 2));
    deploy(&haloyd, &app, &with_script(&app, "r2", &script, changes)).ok();
    assert_eq!(runs(), 2);
    app.haloy(&["restart"]).ok();
    app.haloy(&["rollback"]).ok();
    assert_eq!((runs(), app.status()["replicas"][0]["health"].as_str()), (2, Some("healthy")));
}

#[test]
fn its_failure_costs_nothing() {
    let haloyd = Haloyd::start();
    let app = spec::app(&haloyd, "released");
    deploy(&haloyd, &app, &request(&app, &image("v1"), &[("VERSION", "good")], json!({}))).ok();
    let serving = app.containers();
    let load = Load::start(&app, haloyd.https_addr(), DRAIN);
    let unchanged = || (app.containers() == serving && one_offs(&haloyd, &app).is_empty()).then_some(());

    let said = deploy(&haloyd, &app, &with_script(&app, "fails", &["print=no such table", "exit=3"], json!({})));
    said.failed("the release command ended with exit code 3").hints("what served before serves on");
    assert_eq!(said.failure()["container"]["exit_code"], 3);
    assert_eq!(said.failure()["container"]["log_tail"], json!(["no such table"]));
    assert!(has_note(&said, "running the release command `script print=no such table exit=3`"), "{said:?}");
    wait_for(Duration::from_secs(10), "nothing is left of it", unchanged);

    let hangs = json!({ "deploy_timeout": 2, "deployment_strategy": "replace" });
    let said = deploy(&haloyd, &app, &with_script(&app, "hangs", &["print=waiting", "sleep=60000"], hangs));
    said.failed("the release command did not end within 2 s").hints("deploy_timeout");
    assert!(has_note(&said, "release | waiting"), "{said:?}");
    wait_for(Duration::from_secs(10), "nothing is left of it", unchanged);

    let missing = json!({ "container": { "entrypoint": ["/nonexistent"] } });
    deploy(&haloyd, &app, &with_script(&app, "missing", &[], missing)).failed("could not start the release command");
    wait_for(Duration::from_secs(10), "nothing is left of it", unchanged);

    let said = deploy(&haloyd, &app, &with_script(&app, "talks", &["lines=1000", "sleep=500"], json!({}))).ok();
    assert!(has_note(&said, "release | line 200") && !has_note(&said, "release | line 201"), "{:?}", said.notes);
    load.wait_for_version("talks");
    println!("{}", load.finish());
}

#[test]
fn a_restarted_daemon_goes_on_with_the_command_that_runs() {
    let haloyd = Haloyd::start();
    let app = spec::app(&haloyd, "resumed");
    let volume = json!([{ "source": { "volume": unique("haloy-test-resumed-") }, "target": "/data" }]);
    let script = ["append=/data/runs", "print=one", "sleep=2500", "print=two"];
    let state = || {
        let shown = inspect(&haloyd, one_offs(&haloyd, &app).first()?);
        shown["State"]["Status"].as_str().map(str::to_owned)
    };
    let has_spoken = || one_offs(&haloyd, &app).first().is_some_and(|id| haloyd.docker(&["logs", id]).stdout.starts_with(b"one"));
    // In one round it ends while nobody looks.
    for (version, speaks, ends) in [("created", false, false), ("spoken", true, false), ("ended", true, true)] {
        let job = job_of(&send(&haloyd, &app, &with_script(&app, version, &script, json!({ "volumes": volume }))));
        wait_for(Duration::from_secs(10), "the command is there", || (!speaks || has_spoken()).then(state).flatten());
        haloyd.kill9();
        if ends {
            wait_for(Duration::from_secs(10), "the command ends", || state().filter(|state| state == "exited"));
        }
        haloyd.restart();
        let said = end_of(&haloyd, job).ok();
        let told: Vec<_> = said.notes.iter().filter(|note| note.starts_with("release | ")).collect();
        assert_eq!(told, ["release | one", "release | two"], "{said:?}");
    }
    let file = app.folder().join("runs");
    haloyd.docker(&["cp", &format!("{}:/data/runs", app.containers()[0].id), &file.display().to_string()]);
    assert_eq!(fs::read_to_string(file).expect("the command left a file"), "ran\nran\nran\n");
    assert!(one_offs(&haloyd, &app).is_empty());
}

#[test]
fn what_a_killed_daemon_left_goes_with_the_app() {
    let haloyd = Haloyd::start();
    let app = spec::app(&haloyd, "leftover");
    deploy(&haloyd, &app, &request(&app, &image("v1"), &[], json!({}))).ok();
    let leave = || {
        let labels = ["role=release".to_owned(), format!("appName={}", app.name), format!("instance={}", haloyd.instance())];
        let labels = labels.map(|label| format!("--label=dev.haloy.{label}"));
        let more = ["--label=dev.haloy.slot=1", "--label=dev.haloy.deployment-id=20200101000000", &image("v1")];
        let made = haloyd.docker(&[&["create"][..], &labels.each_ref().map(String::as_str), &more].concat());
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        assert_eq!(one_offs(&haloyd, &app).len(), 1);
    };
    leave();
    deploy(&haloyd, &app, &request(&app, &image("v1"), &[], json!({}))).ok();
    assert!(one_offs(&haloyd, &app).is_empty(), "the next deployment removes it");
    leave();
    app.haloy(&["stop", "--remove-containers"]).ok();
    assert!(one_offs(&haloyd, &app).is_empty(), "the removal of the app removes it");
}
