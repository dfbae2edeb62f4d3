//! What is deployed and how: workers, `replace`, images with a HEALTHCHECK.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::app::{App, image, wait_for};
use crate::haloyd::Haloyd;

/// Starts and ends of an app's containers, as the engine reports them.
struct Lives {
    events: Child,
    file: std::path::PathBuf,
}

impl Lives {
    fn watch(app: &App<'_>) -> Self {
        let file = app.folder().join("events");
        let out = File::create(&file).expect("create a file");
        let mut command = Command::new("docker");
        command.args(["events", "--filter", &format!("label=dev.haloy.appName={}", app.name)]);
        command.args(["--filter", "event=start", "--filter", "event=die", "--format"]);
        command.arg("{{.Action}} {{.Actor.ID}} {{index .Actor.Attributes \"dev.haloy.deployment-id\"}}");
        let events = command.stdin(Stdio::null()).stdout(out).spawn().expect("run docker events");
        Self { events, file }
    }

    /// The largest number of deployments that ran at once, and how many containers were started.
    fn most_at_once(&self) -> (usize, usize) {
        let (mut running, mut most, mut starts) = (BTreeSet::new(), 0, 0);
        for line in fs::read_to_string(&self.file).expect("read the events").lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["start", id, deployment] => {
                    starts += 1;
                    running.insert((deployment.to_owned(), id.to_owned()));
                }
                ["die", id, deployment] => {
                    running.remove(&(deployment.to_owned(), id.to_owned()));
                }
                _ => panic!("an event like none: {line}"),
            }
            most = most.max(running.iter().map(|(deployment, _)| deployment).collect::<BTreeSet<_>>().len());
        }
        (most, starts)
    }
}

impl Drop for Lives {
    fn drop(&mut self) {
        let _ = self.events.kill();
        let _ = self.events.wait();
    }
}

#[test]
fn a_worker_is_deployed_checked_and_replaced() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "worker");
    let configure = |version: &str, rest: &str| {
        let env = format!("env:\n  - name: MODE\n    value: worker\n  - name: VERSION\n    value: {version}\n{rest}");
        app.configure(&format!("image: {}\nstop_timeout: 1s\n{env}", image("v1")));
    };
    configure("w1", "");
    app.haloy(&["deploy"]).ok();
    let first = app.containers();
    assert_eq!(first.len(), 1, "{first:?}");
    let logs = app.haloy(&["logs"]).ok();
    assert!(logs.stdout.contains("version w1 works, tick 1\n"), "{logs}");

    configure("w2", "");
    app.haloy(&["deploy"]).ok();
    let second = app.containers();
    assert!(second.len() == 1 && second[0].running && second[0].id != first[0].id, "{second:?}");

    configure("w3", "  - name: EXIT_AT_START\n    value: \"7\"");
    let said = app.haloy(&["deploy"]);
    assert_eq!(said.code, 1, "{said}");
    assert!(said.stderr.contains("failed: replica 1 crashed 3 times, the last time with exit code 7\n"), "{said}");
    assert!(said.stderr.contains("    exiting with code 7 as told\n"), "{said}");
    wait_for(Duration::from_secs(10), "only the second version is left", || (app.containers() == second).then_some(()));
    assert_eq!(app.status()["state"], "running");
}

#[test]
fn replace_never_runs_two_versions_and_brings_the_old_one_back() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "replace");
    let lives = Lives::watch(&app);
    let configure = |version: &str, rest: &str| {
        let env = format!("env:\n  - name: VERSION\n    value: {version}\n{rest}");
        app.configure_web(&format!("image: {}\ndeployment_strategy: replace\nstop_timeout: 1s\ntls: off\n{env}", image("v1")));
    };
    let version = || {
        let answer = crate::haloyd::get(haloyd.http_addr(), "/", &[("host", &app.domain)]).expect("the proxy answers");
        answer.header("x-version").map(str::to_owned)
    };
    configure("p1", "");
    app.haloy(&["deploy"]).ok();
    configure("p2", "");
    app.haloy(&["deploy"]).ok();
    assert_eq!(version().as_deref(), Some("p2"));
    configure("p3", "  - name: HEALTH\n    value: fail\ndeploy_timeout: 5s");
    let said = app.haloy(&["deploy"]);
    assert_eq!(said.code, 1, "{said}");
    assert!(said.stderr.contains("failed: replica 1 did not become healthy within 5 s\n"), "{said}");
    wait_for(Duration::from_secs(10), "the old version serves again", || (version().as_deref() == Some("p2")).then_some(()));
    wait_for(Duration::from_secs(10), "only the old version is left", || (app.containers().len() == 1).then_some(()));
    assert_eq!(app.status()["state"], "running");
    let (most, starts) = lives.most_at_once();
    assert!(most == 1 && starts >= 4, "{most} deployments at once, {starts} starts");
}

#[test]
fn an_image_with_a_healthcheck_is_judged_by_it() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "check");
    let rest = format!("image: {}\nstop_timeout: 1s\n", image("healthcheck"));
    app.configure_web(&rest).haloy(&["deploy"]).ok();
    let status = app.status();
    assert_eq!((&status["state"], &status["replicas"][0]["health"]), (&"running".into(), &"healthy".into()), "{status}");
    let fails = "env:\n  - name: HEALTH\n    value: fail\ndeploy_timeout: 5s";
    let said = app.configure_web(&format!("{rest}{fails}")).haloy(&["deploy"]);
    assert_eq!(said.code, 1, "{said}");
    assert!(said.stderr.contains("  health check  HEALTHCHECK of the image → unhealthy: HTTP/1.1 503 Service Unavailable\n"), "{said}");
    assert_eq!(app.status()["state"], "running");
}
