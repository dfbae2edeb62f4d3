//! What happens to containers behind our back: killed, removed, moved to another address.

use std::time::{Duration, Instant};

use crate::app::{App, Container, image, wait_for};
use crate::haloyd::{Haloyd, unique};
use crate::load::{Load, Visit};
use crate::visitors::Kind;

const DRAIN: Duration = Duration::from_secs(2);

/// A Docker network with a subnet, in which a container's address can be chosen.
struct Network<'a> {
    haloyd: &'a Haloyd,
    name: String,
    /// The first three numbers of its addresses.
    prefix: String,
}

impl<'a> Network<'a> {
    fn create(haloyd: &'a Haloyd) -> Self {
        let name = unique("haloy-test-");
        let process = std::process::id();
        let prefix = format!("10.{}.{}", 100 + process % 100, process / 100 % 250);
        let made = haloyd.docker(&["network", "create", "--subnet", &format!("{prefix}.0/24"), &name]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { haloyd, name, prefix }
    }
}

impl Drop for Network<'_> {
    fn drop(&mut self) {
        // Before it heals what is taken away here.
        self.haloyd.kill9();
        let filter = format!("network={}", self.name);
        let found = self.haloyd.docker(&["ps", "--all", "--quiet", "--filter", &filter]);
        for id in String::from_utf8_lossy(&found.stdout).lines() {
            self.haloyd.docker(&["rm", "--force", id]);
        }
        self.haloyd.docker(&["network", "rm", &self.name]);
    }
}

/// Only what was in flight on that replica may have failed, and only when it could not be asked again.
fn assert_only_in_flight_failed(failures: &[Visit], replica: &str, until: Instant) {
    for visit in failures {
        let heard_of_it = visit.answer.as_ref().is_some_and(|a| a.replica == replica);
        let not_repeatable = visit.answer.is_none() && visit.kind == Kind::Upload;
        assert!(visit.began <= until && (heard_of_it || not_repeatable), "{visit:?}");
    }
}

fn three_replicas(app: &App<'_>) -> Vec<Container> {
    let rest = format!("image: {}\nreplicas: 3\ndrain_timeout: 2s\nstop_timeout: 1s", image("v1"));
    app.configure_web(&rest).haloy(&["deploy"]).ok();
    app.containers()
}

fn all_healthy(app: &App<'_>) -> Option<()> {
    let status = app.status();
    let routed = status["replicas"].as_array().is_some_and(|all| all.len() == 3 && all.iter().all(|one| one["routed"] == true));
    (status["state"] == "running" && routed).then_some(())
}

#[test]
fn a_replica_is_killed_and_another_removed() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "mishap");
    let containers = three_replicas(&app);
    let load = Load::start(&app, haloyd.https_addr(), DRAIN);

    haloyd.docker(&["kill", &containers[1].id]);
    let killed = Instant::now();
    wait_for(Duration::from_secs(20), "the killed replica is healed", || all_healthy(&app));
    println!("killed: healed after {:?}", killed.elapsed());
    load.go_on(Duration::from_secs(1));
    let report = load.end();
    println!("{report}");
    assert_only_in_flight_failed(&report.failures, "2", killed);

    let load = Load::start(&app, haloyd.https_addr(), DRAIN);
    haloyd.docker(&["rm", "--force", &containers[2].id]);
    let removed = Instant::now();
    let replaced = || app.containers().iter().filter(|c| c.running && c.id != containers[2].id).count() == 3;
    wait_for(Duration::from_secs(20), "the removed replica is replaced", || (replaced() && all_healthy(&app).is_some()).then_some(()));
    println!("removed: healed after {:?}", removed.elapsed());
    load.go_on(Duration::from_secs(1));
    let report = load.end();
    println!("{report}");
    assert_only_in_flight_failed(&report.failures, "3", removed);
}

#[test]
fn a_replica_gets_another_address() {
    let haloyd = Haloyd::start();
    let network = Network::create(&haloyd);
    let app = App::new(&haloyd, "moved");
    let rest = format!("image: {}\nnetwork: {}\ndrain_timeout: 2s\nstop_timeout: 1s", image("v1"), network.name);
    app.configure_web(&rest).haloy(&["deploy"]).ok();
    let container = &app.containers()[0];
    // Leaves idle connections to the old address behind.
    Load::start(&app, haloyd.https_addr(), DRAIN).finish();

    let elsewhere = format!("{}.77", network.prefix);
    let docker = |words: &[&str]| {
        let output = haloyd.docker(words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    docker(&["network", "disconnect", &network.name, &container.id]);
    docker(&["network", "connect", "--ip", &elsewhere, &network.name, &container.id]);
    let moved = Instant::now();
    let at_home = || {
        let status = app.status();
        let replica = &status["replicas"][0];
        let there = replica["address"].as_str().is_some_and(|address| address.starts_with(&elsewhere));
        (there && replica["routed"] == true && status["state"] == "running").then_some(())
    };
    wait_for(Duration::from_secs(20), "the new address is routed to", at_home);
    println!("moved: healed after {:?}", moved.elapsed());
    let load = Load::start(&app, haloyd.https_addr(), DRAIN);
    load.go_on(Duration::from_secs(1));
    println!("{}", load.finish());
    assert_eq!(app.containers().iter().map(|c| &c.id).collect::<Vec<_>>(), [&container.id]);
}
