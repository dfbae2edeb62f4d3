//! Several targets of one file on a real server.

use std::time::Duration;

use crate::app::{App, image};
use crate::haloyd::Haloyd;
use crate::load::Load;

const DRAIN: Duration = Duration::from_secs(2);

/// One file with the targets `left` and `right`, in the folder of the first.
fn configure(haloyd: &Haloyd, apps: [&App<'_>; 2], versions: [&str; 2]) {
    let target = |key: &str, app: &App<'_>, version: &str| {
        let env = format!("    env:\n      - name: VERSION\n        value: {version}\n");
        format!("  {key}:\n    name: {}\n    domains: [{}]\n{env}", app.name, app.domain)
    };
    let text = format!(
        "server: {}\nimage: {}\nhealth_check_path: /health\ndrain_timeout: {}s\nstop_timeout: 1s\n\
         global_pre_deploy: ['echo $HALOY_TARGETS >> deploys']\npost_deploy: ['echo $HALOY_TARGET $HALOY_DEPLOYMENT_ID >> deploys']\n\
         targets:\n{}{}",
        haloyd.api_addr(),
        image("v1"),
        DRAIN.as_secs(),
        target("left", apps[0], versions[0]),
        target("right", apps[1], versions[1])
    );
    std::fs::write(apps[0].folder().join("haloy.yaml"), text).expect("write haloy.yaml");
}

#[test]
fn two_targets_of_one_server_are_deployed_and_one_is_rolled_back_under_load() {
    let haloyd = Haloyd::start();
    let (left, right) = (App::new(&haloyd, "left"), App::new(&haloyd, "right"));
    let deploy = |versions: [&str; 2]| {
        configure(&haloyd, [&left, &right], versions);
        left.haloy(&["deploy", "--all"]).ok()
    };
    deploy(["l1", "r1"]);
    let loads = [&left, &right].map(|app| Load::start(app, haloyd.https_addr(), DRAIN));

    let said = deploy(["l2", "r2"]);
    loads[0].wait_for_version("l2");
    loads[1].wait_for_version("r2");
    for line in [format!("left  | ✓ `{}` is deployed as ", left.name), format!("right | ✓ `{}` is deployed as ", right.name)] {
        assert!(said.stderr.contains(&line), "no `{line}` in {said}");
    }
    assert!(said.stderr.contains("\n✓  left   ") && said.stderr.contains("\n✓  right  "), "{said}");

    let said = left.haloy(&["rollback", "-t", "right"]).ok();
    loads[1].wait_for_version("r1");
    assert!(said.stderr.contains(&format!("✓ `{}` is rolled back to ", right.name)), "{said}");
    let status = left.haloy(&["status", "--all", "--json"]).ok().json();
    assert_eq!((&status[0]["name"], &status[1]["name"]), (&left.name.as_str().into(), &right.name.as_str().into()));
    for load in loads {
        println!("{}", load.finish());
    }

    let told = std::fs::read_to_string(left.folder().join("deploys")).expect("the hooks ran");
    let words: Vec<&str> = told.lines().collect();
    assert_eq!((words.len(), words[0], words[3]), (6, "left,right", "left,right"), "{told}");
    assert_eq!(words[4], format!("left {}", status[0]["deployment"].as_str().unwrap_or_default()), "{told}");
    assert!(words[5].starts_with("right 2"), "{told}");

    let logs = left.haloy(&["logs", "--all", "--tail", "1"]).ok();
    assert!(logs.stdout.lines().all(|line| line.starts_with("left  | ") || line.starts_with("right | ")), "{logs}");
    left.haloy(&["stop", "--all", "--remove-containers"]).ok();
    assert!(left.containers().is_empty() && right.containers().is_empty());
}

#[test]
fn a_protected_target_stays_until_it_is_meant() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "safe");
    app.configure(&format!("image: {}\nprotected: true\nstop_timeout: 1s", image("v1"))).haloy(&["deploy"]).ok();
    let said = app.haloy(&["stop", "--remove-containers"]);
    assert_eq!((said.code, app.containers().len()), (2, 1), "{said}");
    // The server knows it as well: a client without the file is refused there.
    let api = haloyd.api_addr().to_string();
    let refused = haloyd.client(&["stop", &app.name, "--server", &api, "--remove-containers"]);
    assert_eq!((refused.status.code(), app.containers().len()), (Some(1), 1), "{}", String::from_utf8_lossy(&refused.stderr));
    app.haloy(&["stop", "--remove-containers", "--include-protected"]).ok();
    assert!(app.containers().is_empty());
}
