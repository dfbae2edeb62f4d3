//! One app from its first deployment to its end, with a server that ends in every way.

use std::time::Duration;

use crate::app::{App, image, wait_for};
use crate::haloyd::Haloyd;

#[test]
fn an_app_is_deployed_and_outlives_the_daemon() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "basics");
    let said = app.configure_web(&format!("image: {}\nreplicas: 2", image("v1"))).haloy(&["deploy"]).ok();
    assert!(said.stderr.contains("is deployed"), "{said}");
    assert_eq!(app.status()["state"], "running");
    assert_eq!(app.containers().iter().filter(|c| c.running).count(), 2);

    haloyd.kill9();
    haloyd.restart();
    assert_eq!(haloyd.stop(), Some(0));
    haloyd.restart();
    let running = || (app.status()["state"] == "running").then_some(());
    wait_for(Duration::from_secs(10), "the app runs after the restart", running);
}

#[test]
fn a_server_without_docker_says_so() {
    let haloyd = Haloyd::start_without_docker();
    let health = haloyd.get("/v1/health");
    assert_eq!((health.status, health.body.as_str()), (200, r#"{"status":"ok","engine":"down"}"#));
}
