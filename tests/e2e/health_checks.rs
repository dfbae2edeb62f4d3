//! Every kind of health check: it lets the healthy through, and its failure names what was asked.

use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{App, image, wait_for};
use crate::haloyd::Haloyd;
use crate::options::inspect;
use crate::spec::{self, Ended, deploy, request};

fn put(haloyd: &Haloyd, app: &App<'_>, image_tag: &str, env: &[(&str, &str)], check: Value) -> Ended {
    let changes = json!({ "health_check": check, "health_check_path": null, "deploy_timeout": 12 });
    deploy(haloyd, app, &request(app, &image(image_tag), env, changes))
}

/// The probe of a failed deployment as `target → answer`.
fn probe(ended: &Ended) -> String {
    let probe = &ended.failure()["container"]["probe"];
    format!("{} → {}", probe["target"].as_str().unwrap_or_default(), probe["answer"].as_str().unwrap_or_default())
}

#[test]
fn http() {
    let haloyd = Haloyd::start();
    let app = spec::app(&haloyd, "http");
    let http = |path: &str, status: Value| json!({ "probe": { "http": { "path": path, "status": status } }, "interval": 1, "timeout": 1 });
    // It wins over the image's HEALTHCHECK, which would fail.
    put(&haloyd, &app, "healthcheck", &[("HEALTH", "fail")], http("/health", json!({ "first": 503, "last": 503 }))).ok();
    let shown = inspect(&haloyd, &app.containers()[0].name);
    assert_eq!((&shown["Config"]["Healthcheck"]["Test"], &shown["State"]["Health"]), (&json!(["NONE"]), &Value::Null));

    let mut fails = http("/health", json!({ "first": 201, "last": 204 }));
    fails["probe"]["http"]["host"] = json!("inside.example.com");
    let mut request = request(&app, &image("v1"), &[], json!({ "health_check": fails, "deploy_timeout": 2 }));
    let said = deploy(&haloyd, &app, &request);
    said.failed("did not become healthy within 2 s").hints("the app must answer `GET /health` with 201 to 204: set `health_check`");
    assert!(probe(&said).ends_with(":8080/health → HTTP 200, not 201 to 204: ok"), "{said:#?}");

    request["spec"]["health_check"] = json!({ "probe": { "http": { "path": "/health", "port": 9000 } } });
    let said = deploy(&haloyd, &app, &request);
    said.hints("the app listens on port 8080, not 9000: set `health_check.port`");
    assert!(probe(&said).contains(":9000/health → Connection refused"), "{said:#?}");

    request["spec"]["health_check"] = json!({ "probe": { "http": { "path": "/slow?ms=1500" } }, "timeout": 1 });
    let said = deploy(&haloyd, &app, &request);
    assert!(probe(&said).ends_with(":8080/slow?ms=1500 → no answer within 1 s"), "{said:#?}");
    request["spec"]["health_check"]["timeout"] = json!(3);
    request["spec"]["deploy_timeout"] = json!(10);
    deploy(&haloyd, &app, &request).ok();
}

#[test]
fn tcp_and_none() {
    let haloyd = Haloyd::start();
    let app = spec::app(&haloyd, "tcp");
    put(&haloyd, &app, "v1", &[("HEALTH", "fail")], json!({ "probe": { "tcp": {} } })).ok();
    let request =
        request(&app, &image("v1"), &[], json!({ "health_check": { "probe": { "tcp": { "port": 9000 } } }, "deploy_timeout": 2 }));
    let said = deploy(&haloyd, &app, &request);
    assert!(probe(&said).starts_with("TCP ") && probe(&said).contains(":9000 → Connection refused"), "{said:#?}");
    put(&haloyd, &app, "healthcheck", &[("HEALTH", "fail")], json!({ "probe": "none" })).ok();
    assert_eq!(app.status()["state"], "running");
}

#[test]
fn a_command_in_the_container() {
    let haloyd = Haloyd::start();
    let app = spec::app(&haloyd, "command");
    let command = |words: &[&str]| json!({ "probe": { "command": words }, "interval": 1, "timeout": 2, "retries": 2 });
    // Who waited for the engine's first check would not be done within the timeout.
    let mut patient = command(&["/haloy-test-app", "--healthcheck"]);
    patient["interval"] = json!(60);
    put(&haloyd, &app, "v1", &[], patient).ok();
    assert_eq!(inspect(&haloyd, &app.containers()[0].name)["State"]["Health"]["Status"], "starting");
    put(&haloyd, &app, "v1", &[], command(&["/haloy-test-app", "--healthcheck"])).ok();
    let check = inspect(&haloyd, &app.containers()[0].name)["Config"]["Healthcheck"].clone();
    assert_eq!(check["Test"], json!(["CMD", "/haloy-test-app", "--healthcheck"]));
    assert_eq!((&check["Interval"], &check["Timeout"], &check["Retries"]), (&json!(1e9 as u64), &json!(2e9 as u64), &json!(2)));
    let healthy = || (inspect(&haloyd, &app.containers()[0].name)["State"]["Health"]["Status"] == "healthy").then_some(());
    wait_for(Duration::from_secs(10), "the engine finds it healthy too", healthy);
    assert_eq!(app.status()["replicas"][0]["health"], "healthy");

    let fails = command(&["/haloy-test-app", "script", "print=no disk", "exit=1"]);
    let request = request(&app, &image("v1"), &[], json!({ "health_check": fails, "deploy_timeout": 4 }));
    let said = deploy(&haloyd, &app, &request);
    said.failed("did not become healthy within 4 s").hints("run the health check by hand: `docker exec ");
    assert_eq!(probe(&said), "command `/haloy-test-app script print=no disk exit=1` → no disk");
}

#[test]
fn the_images_own_check_at_another_pace() {
    let haloyd = Haloyd::start();
    let app = spec::app(&haloyd, "paced");
    put(&haloyd, &app, "healthcheck", &[], json!({ "interval": 2, "retries": 9 })).ok();
    let shown = inspect(&haloyd, &app.containers()[0].name);
    let check = &shown["Config"]["Healthcheck"];
    assert_eq!(
        (&check["Test"], &check["Interval"], &check["Retries"]),
        (&json!(["CMD", "/haloy-test-app", "--healthcheck"]), &json!(2e9 as u64), &json!(9))
    );
    assert_eq!(shown["State"]["Health"]["Status"], "healthy");
    // An image without one is asked over HTTP, with a pace of its own too.
    put(&haloyd, &app, "v1", &[], json!({ "interval": 2, "retries": 9 })).ok();
}
