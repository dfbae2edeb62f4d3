//! What a spec says of its containers is what `docker inspect` shows of them.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::{image, wait_for};
use crate::haloyd::{Haloyd, get};
use crate::spec::{self, deploy, request, send};

/// `docker inspect` of the app's only container.
pub fn inspect(haloyd: &Haloyd, name: &str) -> Value {
    let output = haloyd.docker(&["inspect", name]);
    let found: Value = serde_json::from_slice(&output.stdout).expect("docker inspect prints JSON");
    found[0].clone()
}

#[test]
fn every_option_reaches_the_container() {
    let haloyd = Haloyd::start();
    let app = spec::app(&haloyd, "options");
    let spec = json!({
        "stop_timeout": 7,
        "container": {
            "command": ["ignored", "words"], "entrypoint": ["/haloy-test-app"], "user": "1000:1001", "working_dir": "/srv",
            "labels": { "team": "blue" }, "stop_signal": "SIGINT", "shm_size": 1 << 20, "read_only": true,
            "resources": { "memory": 64 << 20, "cpus": 500, "pids": 50 },
            "ulimits": [{ "name": "nofile", "soft": 512, "hard": 1024 }], "cap_add": ["NET_ADMIN"], "cap_drop": ["MKNOD"],
            "tmpfs": [{ "path": "/scratch", "options": "size=1m" }],
            "extra_hosts": [{ "name": "db", "address": "10.9.8.7" }],
            "logging": { "driver": "local", "options": { "max-size": "1m" } },
        },
    });
    deploy(&haloyd, &app, &request(&app, &image("v1"), &[], spec)).ok();
    let shown = inspect(&haloyd, &app.containers()[0].name);
    for (place, expected) in [
        ("/Config/Cmd", json!(["ignored", "words"])),
        ("/Config/Entrypoint", json!(["/haloy-test-app"])),
        ("/Config/User", json!("1000:1001")),
        ("/Config/WorkingDir", json!("/srv")),
        ("/Config/Labels/team", json!("blue")),
        ("/Config/Labels/dev.haloy.role", json!("app")),
        ("/Config/StopSignal", json!("SIGINT")),
        ("/Config/StopTimeout", json!(7)),
        ("/HostConfig/ShmSize", json!(1 << 20)),
        ("/HostConfig/ReadonlyRootfs", json!(true)),
        ("/HostConfig/Memory", json!(64 << 20)),
        ("/HostConfig/NanoCpus", json!(500_000_000)),
        ("/HostConfig/PidsLimit", json!(50)),
        ("/HostConfig/Ulimits", json!([{ "Name": "nofile", "Soft": 512, "Hard": 1024 }])),
        ("/HostConfig/CapAdd", json!(["NET_ADMIN"])),
        ("/HostConfig/CapDrop", json!(["MKNOD"])),
        ("/HostConfig/Tmpfs", json!({ "/scratch": "size=1m" })),
        ("/HostConfig/ExtraHosts", json!(["db:10.9.8.7"])),
        ("/HostConfig/LogConfig", json!({ "Type": "local", "Config": { "max-size": "1m" } })),
        ("/HostConfig/RestartPolicy/Name", json!("unless-stopped")),
    ] {
        // Engines differ in whether they write the prefix.
        let found = match shown.pointer(place) {
            Some(Value::Array(list)) if place.contains("/Cap") => {
                list.iter().map(|name| name.as_str().map(|name| name.trim_start_matches("CAP_"))).collect()
            }
            found => found.cloned().unwrap_or_default(),
        };
        assert_eq!(found, expected, "{place}");
    }
}

#[test]
fn an_image_that_must_be_here_is_not_pulled() {
    let haloyd = Haloyd::start();
    let app = spec::app(&haloyd, "policy");
    let missing = "localhost:1/haloy-test-app:never-built";
    let deployed = |image: &str, policy: &str| deploy(&haloyd, &app, &request(&app, image, &[], json!({ "pull_policy": policy })));
    let said = deployed(missing, "never");
    said.failed("`localhost:1/haloy-test-app:never-built` is not on this server, and `pull_policy: never`").hints("docker pull");
    assert!(said.notes.iter().all(|note| !note.contains("pulling")), "{said:?}");
    let said = deployed(missing, "if_missing");
    said.failed("could not pull the image");
    assert!(said.notes.iter().any(|note| note.contains("pulling")), "{said:?}");
    for policy in ["never", "if_missing"] {
        let said = deployed(&image("v1"), policy).ok();
        assert!(said.notes.iter().all(|note| !note.contains("pulling")), "{said:?}");
    }
}

#[test]
fn what_cannot_work_is_refused_with_every_reason() {
    let haloyd = Haloyd::start();
    let app = spec::app(&haloyd, "refused");
    let spec = json!({ "network": "host", "replicas": 2, "container": { "user": "a b" }, "release_command": [] });
    let answer = send(&haloyd, &app, &request(&app, &image("v1"), &[], spec));
    assert_eq!(answer.status, 400, "{answer:?}");
    for part in
        ["`spec.replicas`: 1 on the network `host`", "`spec.deployment_strategy`", "`spec.container.user`", "`spec.release_command`"]
    {
        assert!(answer.body.contains(part), "no {part} in {answer:?}");
    }
}

#[test]
fn a_protected_app_is_stopped_and_not_removed() {
    let haloyd = Haloyd::start();
    let app = spec::app(&haloyd, "protected");
    deploy(&haloyd, &app, &request(&app, &image("v1"), &[], json!({ "protected": true }))).ok();
    let stop = |body: Value| haloyd.post(&format!("/v1/apps/{}/stop", app.name), &body);
    for body in [json!({ "remove_containers": true }), json!({ "remove_volumes": true })] {
        let answer = stop(body);
        let problem: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!((answer.status, &problem["code"]), (409, &json!("conflict")), "{answer:?}");
        assert!(problem["hint"].as_str().is_some_and(|hint| hint.contains("--include-protected")), "{problem}");
    }
    app.haloy(&["stop"]).ok();
    app.haloy(&["start"]).ok();
    assert_eq!(app.status()["state"], "running");
    let removal = stop(json!({ "remove_containers": true, "include_protected": true }));
    spec::end_of(&haloyd, spec::job_of(&removal)).ok();
    assert!(app.containers().is_empty());
}

/// `min_ready_seconds` before the switch, `drain_timeout` after it, `deploy_timeout` around all of it.
#[test]
fn times_are_kept() {
    let haloyd = Haloyd::start();
    let app = spec::app(&haloyd, "times");
    let put = |changes: Value| {
        let mut spec = json!({ "tls": "off", "drain_timeout": 2 });
        spec.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        let began = Instant::now();
        let ended = deploy(&haloyd, &app, &request(&app, &image("v1"), &[("IGNORE_TERM", "1")], spec));
        (ended, began.elapsed())
    };
    let (said, took) = put(json!({ "min_ready_seconds": 3 }));
    said.ok();
    assert!(took >= Duration::from_secs(3), "it served after {took:?}");

    let (address, domain) = (haloyd.http_addr(), app.domain.clone());
    let visitor = thread::spawn(move || get(address, "/slow?ms=60000", &[("host", &domain)]));
    let in_flight = || (app.status()["replicas"][0]["requests_in_flight"] == 1).then_some(());
    wait_for(Duration::from_secs(10), "the request arrived", in_flight);
    let (said, took) = put(json!({}));
    said.ok();
    assert!(took >= Duration::from_secs(2), "the old version was given {took:?}");
    assert!(visitor.join().expect("no panic").is_ok_and(|answer| answer.status >= 500), "it was cut off after the drain timeout");

    let (said, took) = put(json!({ "deploy_timeout": 3, "health_check_path": "/nowhere" }));
    said.failed("did not become healthy within 3 s");
    assert!(took >= Duration::from_secs(3), "it failed after {took:?}");
}

/// Two versions cannot listen on one port: the old one stops first, and a worker may be there many times.
#[test]
fn the_hosts_network_has_room_for_one() {
    let haloyd = Haloyd::start();
    let app = spec::app(&haloyd, "host");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
    let put = |version: &str| {
        let env = [("VERSION", version), ("PORT", &port.to_string())];
        let spec = json!({ "network": "host", "port": port, "deployment_strategy": "replace", "tls": "off" });
        deploy(&haloyd, &app, &request(&app, &image("v1"), &env, spec)).ok();
        let answer = get(haloyd.http_addr(), "/", &[("host", &app.domain)]).expect("it answers");
        assert_eq!(answer.header("x-version"), Some(version));
    };
    put("h1");
    put("h2");
    let worker = spec::app(&haloyd, "hosted");
    let spec = json!({ "network": "host", "domains": [], "health_check_path": null, "replicas": 2 });
    deploy(&haloyd, &worker, &request(&worker, &image("v1"), &[("MODE", "worker")], spec)).ok();
    assert_eq!(worker.containers().len(), 2);
}

/// Nobody can connect to its port, so running is all that is asked of it; a program inside can say more.
#[test]
fn a_worker_needs_no_network() {
    let haloyd = Haloyd::start();
    let app = spec::app(&haloyd, "alone");
    let put = |changes: Value| {
        let mut spec = json!({ "network": "none", "port": 8080, "domains": [], "health_check_path": null });
        spec.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        send(&haloyd, &app, &request(&app, &image("v1"), &[("MODE", "worker")], spec))
    };
    for changes in [
        json!({ "replicas": 2 }),
        json!({ "health_check_path": "/health", "health_check": { "probe": "none" } }),
        json!({ "health_check": { "probe": { "command": ["/haloy-test-app", "script", "exit=0"] } } }),
    ] {
        spec::end_of(&haloyd, spec::job_of(&put(changes))).ok();
    }
    let answer = put(json!({ "health_check_path": "/health" }));
    assert!(answer.status == 400 && answer.body.contains("`spec.network`: without a network"), "{answer:?}");
}
