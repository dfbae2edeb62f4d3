//! Every change of an app under the load of every kind of visitor: no request fails, no stream is cut.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::app::{App, image, wait_for};
use crate::haloyd::Haloyd;
use crate::load::Load;

/// Long enough for every stream that the visitors ask for, except WebSockets.
const DRAIN: Duration = Duration::from_secs(2);

/// A haloy.yaml of a version of the app.
fn web(version: &str, rest: &str) -> String {
    format!(
        "image: {}\ndrain_timeout: {}s\nstop_timeout: 1s\nenv:\n  - name: VERSION\n    value: {version}\n{rest}",
        image("v1"),
        DRAIN.as_secs()
    )
}

#[test]
fn ten_redeploys() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "redeploys");
    app.configure_web(&web("r0", "")).haloy(&["deploy"]).ok();
    let load = Load::start(&app, haloyd.https_addr(), DRAIN);
    for number in 1..=10 {
        let version = format!("r{number}");
        let began = Instant::now();
        let said = app.configure_web(&web(&version, "")).haloy(&["deploy"]).ok();
        load.wait_for_version(&version);
        let switched = load.first_answer(&version, began).expect("it answers") - began;
        println!("{version}: traffic switched after {switched:?}, done after {:?}", said.took);
    }
    println!("{}", load.finish());
}

#[test]
fn scale_rollback_and_restart() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "scale");
    app.configure_web(&web("one", "")).haloy(&["deploy"]).ok();
    let load = Load::start(&app, haloyd.https_addr(), DRAIN);

    app.configure_web(&format!("replicas: 4\n{}", web("four", ""))).haloy(&["deploy"]).ok();
    load.wait_for_version("four");
    load.go_on(Duration::from_millis(500));
    let replicas = |load: &Load| {
        let visits = load.visits();
        let of_four = visits.iter().filter_map(|v| v.answer.as_ref()).filter(|a| a.version == "four");
        of_four.map(|a| a.replica.clone()).collect::<BTreeSet<_>>()
    };
    assert_eq!(replicas(&load).into_iter().collect::<Vec<_>>(), ["1", "2", "3", "4"]);
    assert_eq!(app.status()["replicas"].as_array().map(Vec::len), Some(4));

    app.configure_web(&web("again", "")).haloy(&["deploy"]).ok();
    load.wait_for_version("again");
    assert_eq!(app.containers().len(), 1, "{:?}", app.containers());

    let said = app.haloy(&["rollback"]).ok();
    assert!(said.stderr.contains("is rolled back"), "{said}");
    load.wait_for_version("four");
    assert_eq!(app.containers().iter().filter(|c| c.running).count(), 4);

    let before = app.containers();
    let said = app.haloy(&["restart"]).ok();
    assert!(said.stderr.contains("is restarted"), "{said}");
    load.wait_for_version("four");
    let after = app.containers();
    assert!(before.iter().all(|old| after.iter().all(|new| new.id != old.id)), "{before:?} {after:?}");
    println!("{}", load.finish());
}

#[test]
fn a_broken_new_version_costs_nothing() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "broken");
    app.configure_web(&web("good", "")).haloy(&["deploy"]).ok();
    let serving = app.containers();
    let load = Load::start(&app, haloyd.https_addr(), DRAIN);

    let fails = |fault: &str, rest: &str, texts: &[&str]| {
        let said = app.configure_web(&web(fault, rest)).haloy(&["deploy"]);
        assert_eq!(said.code, 1, "{said}");
        for text in texts {
            assert!(said.stderr.contains(&text.replace("APP", &app.name)), "{fault}: no `{text}` in {said}");
        }
        assert_eq!(app.status()["state"], "running");
        wait_for(Duration::from_secs(10), "only the old version is left", || (app.containers() == serving).then_some(()));
    };
    fails(
        "unhealthy",
        "  - name: HEALTH\n    value: fail\ndeploy_timeout: 3s",
        &[
            "error: deployment of `APP` (job 2) failed: replica 1 did not become healthy within 3 s\n",
            "  container     APP-20",
            "  state         running\n",
            "  listens on    TCP port 8080\n",
            ":8080/health → HTTP 503: not ready yet\n",
            "  last lines\n    version unhealthy listens on port 8080\n",
            "\nhint: the app must answer `GET /health` with 2xx or 3xx: set",
        ],
    );
    fails(
        "crash",
        "  - name: CRASH_AFTER_MS\n    value: \"300\"\nmin_ready_seconds: 1",
        &[
            "failed: replica 1 crashed 3 times, the last time with exit code 3\n",
            "  state         exited with code 3\n  restarts      3\n",
            "    version crash listens on port 8080\n    crashing as told\n",
            "\nhint: look at the log lines above, or run the image with `docker run` to see it fail\n",
        ],
    );
    fails(
        "port",
        "  - name: PORT\n    value: \"3000\"\ndeploy_timeout: 3s",
        &[
            "failed: replica 1 did not become healthy within 3 s\n",
            "  listens on    TCP port 3000\n",
            ":8080/health → Connection refused",
            "    version port listens on port 3000\n",
            "\nhint: the app listens on port 3000, not 8080: set `port: 3000` in haloy.yaml\n",
        ],
    );

    let image = "localhost:1/haloy-test-app:never-built";
    let said = app.configure_web(&format!("image: {image}")).haloy(&["deploy"]);
    assert_eq!(said.code, 1, "{said}");
    assert!(said.stderr.contains(&format!("failed: could not pull the image `{image}`: ")), "{said}");
    assert_eq!(said.stderr.matches("pulling").count(), 1, "{said}");
    assert!(said.stderr.contains(&format!("\nhint: try it on the server: `docker pull {image}`\n")), "{said}");
    assert_eq!(app.containers(), serving);
    println!("{}", load.finish());
}
