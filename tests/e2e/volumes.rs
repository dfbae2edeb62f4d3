//! Named volumes: labelled, kept over redeploys, removed only when that is asked for.

use std::fs;

use crate::app::{App, image};
use crate::haloyd::{Haloyd, unique};

#[test]
fn volumes_outlive_deployments_and_go_when_told() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "data");
    let volume = unique("haloy-test-data-");
    app.configure_web(&format!("image: {}\nstop_timeout: 1s\nvolumes:\n  - {volume}:/data", image("v1"))).haloy(&["deploy"]).ok();
    let docker = |words: &[&str]| {
        let output = haloyd.docker(words);
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let labels = docker(&["volume", "inspect", "--format", "{{json .Labels}}", &volume]).1;
    for label in [format!("\"dev.haloy.instance\":\"{}\"", haloyd.instance()), format!("\"dev.haloy.appName\":\"{}\"", app.name)] {
        assert!(labels.contains(&label), "no {label} in {labels}");
    }

    let (written, read) = (app.folder().join("written"), app.folder().join("read"));
    fs::write(&written, "kept").expect("write a file");
    let first = app.containers().remove(0).id;
    assert!(docker(&["cp", &written.display().to_string(), &format!("{first}:/data/file")]).0);
    app.haloy(&["deploy"]).ok();
    let second = app.containers().remove(0).id;
    assert_ne!(first, second);
    assert!(docker(&["cp", &format!("{second}:/data/file"), &read.display().to_string()]).0, "the new container sees the file");
    assert_eq!(fs::read_to_string(&read).expect("read the file"), "kept");

    app.haloy(&["stop", "--remove-containers"]).ok();
    assert!(app.containers().is_empty());
    assert!(docker(&["volume", "inspect", &volume]).0, "the volume stays");
    app.haloy(&["start"]).ok();
    assert_eq!(app.status()["state"], "running");

    let said = app.haloy(&["stop", "--remove-volumes"]);
    assert_eq!(said.code, 2, "{said}");
    assert!(said.stderr.contains("add `--yes` to confirm"), "{said}");
    assert!(docker(&["volume", "inspect", &volume]).0, "the volume stays");
    app.haloy(&["stop", "--remove-volumes", "--yes"]).ok();
    assert!(app.containers().is_empty());
    assert!(!docker(&["volume", "inspect", &volume]).0, "the volume is gone");
}
