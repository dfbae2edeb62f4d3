//! The Docker Engine stops, takes all containers with it, and comes back.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::app::{App, image, wait_for};
use crate::engine::{Engine, Namespace};
use crate::haloyd::Haloyd;
use crate::load::Load;

const DRAIN: Duration = Duration::from_secs(2);

/// Set for the half of the test that runs in the namespace.
const INSIDE: &str = "HALOY_TEST_INSIDE";

/// Needs root: an engine of its own, so that no other test loses its containers.
#[test]
fn an_app_comes_back_with_the_engine() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let root = Command::new("id").arg("-u").output().expect("run id").stdout == b"0\n";
    if !root {
        return println!("skipped: only root may make a network namespace");
    }
    let namespace = Namespace::create();
    let test = std::env::current_exe().expect("this test");
    let mut command = Command::new("nsenter");
    // Not `ip netns exec`: its fresh /sys is without the control groups that an engine needs.
    command.arg(format!("--net=/run/netns/{}", namespace.name)).arg(test).env(INSIDE, "1");
    command.args(["engine_restart::an_app_comes_back_with_the_engine", "--exact", "--nocapture"]);
    assert!(command.status().expect("run the test in its namespace").success(), "it failed in its namespace");
}

fn inside() {
    let image = image("v1");
    let mut engine = Engine::start();
    engine.load(&image);
    let haloyd = Haloyd::start_on(Some(&engine.host()));
    let app = App::new(&haloyd, "engine");
    let rest = format!("image: {image}\nreplicas: 2\ndrain_timeout: 2s\nstop_timeout: 1s");
    app.configure_web(&rest).haloy(&["deploy"]).ok();
    let before = app.containers();
    Load::start(&app, haloyd.https_addr(), DRAIN).finish();

    engine.stop();
    let down = || haloyd.get("/v1/health").body.contains(r#""engine":"down""#).then_some(());
    wait_for(Duration::from_secs(10), "haloyd says that the engine is down", down);
    assert_eq!(haloyd.get(&format!("/v1/apps/{}", app.name)).status, 200, "what is known is still shown");

    engine.start_again();
    let back = Instant::now();
    let up = || haloyd.get("/v1/health").body.contains(r#""engine":"up""#);
    let healthy = || (up() && app.status()["state"] == "running").then_some(());
    wait_for(Duration::from_secs(30), "the app runs again", healthy);
    println!("the app runs {:?} after the engine answers", back.elapsed());
    let load = Load::start(&app, haloyd.https_addr(), DRAIN);
    let after = app.containers();
    assert_eq!(after.len(), before.len(), "{before:?} {after:?}");
    app.haloy(&["deploy"]).ok();
    println!("{}", load.finish());
}
