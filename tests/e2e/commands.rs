//! The commands around a deploy: what they print, and how they end.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use crate::app::{App, Said, image, wait_for};
use crate::haloyd::{Haloyd, get, signal};

#[test]
fn logs_of_running_and_stopped_replicas() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "logs");
    let env = "env:\n  - name: MODE\n    value: worker\n  - name: VERSION\n    value: l1";
    app.configure(&format!("image: {}\nreplicas: 2\nstop_timeout: 2s\n{env}", image("v1"))).haloy(&["deploy"]).ok();
    wait_for(Duration::from_secs(10), "both replicas have ticked three times", || {
        let logs = app.haloy(&["logs"]).ok().stdout;
        ["1", "2"].iter().all(|replica| logs.contains(&format!("{replica} | version l1 works, tick 3\n"))).then_some(())
    });
    let tail = app.haloy(&["logs", "--tail", "1"]).ok();
    let lines: Vec<&str> = tail.stdout.lines().collect();
    assert!(lines.len() == 2 && lines.iter().any(|l| l.starts_with("1 | ")) && lines.iter().any(|l| l.starts_with("2 | ")), "{tail}");
    let since = app.haloy(&["logs", "--since", "1s"]).ok();
    assert!(!since.stdout.contains("tick 1\n") && since.stdout.lines().count() <= 4, "{since}");
    let json = app.haloy(&["logs", "--json", "--tail", "1"]).ok();
    for line in json.stdout.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["line"].as_str().is_some_and(|text| text.contains("works, tick")), "{line}");
    }

    let mut follow = app.command(&["logs", "--follow", "--tail", "0"]).stdout(Stdio::piped()).spawn().expect("start the client");
    let mut lines = BufReader::new(follow.stdout.take().expect("it has a stdout")).lines().map_while(Result::ok);
    assert!(lines.by_ref().take(6).filter(|line| line.contains("tick")).count() == 6, "new lines are shown as they come");
    signal(follow.id(), "INT");
    let ended = Said::from((follow.wait_with_output().expect("wait for the client"), Duration::ZERO));
    assert_eq!(ended.code, 130, "{ended}");

    let said = app.haloy(&["stop"]).ok();
    assert!(said.stderr.contains("is stopped"), "{said}");
    let stopped = app.haloy(&["logs"]).ok();
    assert!(stopped.stdout.contains("1 | stopped\n") && stopped.stdout.contains("2 | stopped\n"), "{stopped}");
}

#[test]
fn stop_start_restart_and_status() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "power");
    app.configure_web(&format!("image: {}\nreplicas: 2\nstop_timeout: 1s\ntls: off", image("v1"))).haloy(&["deploy"]).ok();
    let answer = || get(haloyd.http_addr(), "/", &[("host", &app.domain)]).expect("the proxy answers").status;
    let status = app.haloy(&["status"]).ok().stdout;
    for text in [
        format!("{}  running  2/2 replicas healthy\n", app.name),
        "  image       haloy-test-app:v1\n".to_owned(),
        format!("  domain      {}\n", app.domain),
        "  job         1 deployment done, ".to_owned(),
        "REPLICA  CONTAINER".to_owned(),
    ] {
        assert!(status.contains(&text), "no `{text}` in {status}");
    }
    assert_eq!(answer(), 200);

    let said = app.haloy(&["stop"]).ok();
    assert!(said.stderr.contains(&format!("`{}` is stopped", app.name)), "{said}");
    assert_eq!((app.status()["state"].clone(), answer()), ("stopped".into(), 503));
    assert!(app.containers().len() == 2 && app.containers().iter().all(|c| !c.running), "{:?}", app.containers());
    let before = app.containers();
    let said = app.haloy(&["start"]).ok();
    assert!(said.stderr.contains(&format!("`{}` is started", app.name)), "{said}");
    assert_eq!((app.status()["state"].clone(), answer()), ("running".into(), 200));
    assert!(before.iter().all(|old| app.containers().iter().any(|new| new.id == old.id)), "the same containers run again");

    let said = app.haloy(&["restart"]).ok();
    assert!(said.stderr.contains(&format!("`{}` is restarted", app.name)), "{said}");
    assert!(before.iter().all(|old| app.containers().iter().all(|new| new.id != old.id)), "others run now");
    assert_eq!(answer(), 200);

    app.haloy(&["stop", "--remove-containers"]).ok();
    assert!(app.containers().is_empty());
    assert_eq!(app.status()["state"], "stopped");
}

#[test]
fn rollback_targets_and_rollback_to_one() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "back");
    let deploy = |tag: &str, rest: &str| {
        let said = app.configure_web(&format!("image: {}\nstop_timeout: 1s\ntls: off\n{rest}", image(tag))).haloy(&["deploy"]);
        (said.code, app.status()["job"]["deployment"].as_str().expect("a deployment").to_owned())
    };
    let (_, first) = deploy("v1", "");
    let (_, second) = deploy("v2", "");
    let (code, failed) = deploy("v2", "deploy_timeout: 20s\nenv:\n  - name: EXIT_AT_START\n    value: \"1\"");
    assert_eq!(code, 1);
    let listed = app.haloy(&["rollback-targets"]).ok();
    assert!(listed.stdout.contains(&first) && !listed.stdout.contains(&failed), "{listed}");
    let json = app.haloy(&["rollback-targets", "--json"]).ok().json();
    let ids: Vec<&str> = json.as_array().expect("a list").iter().filter_map(|d| d["id"].as_str()).collect();
    assert!(ids.contains(&first.as_str()) && ids.contains(&second.as_str()) && !ids.contains(&failed.as_str()), "{json}");

    let said = app.haloy(&["rollback", &first]).ok();
    assert!(said.stderr.contains(&format!("`{}` is rolled back to {first} as ", app.name)), "{said}");
    let answer = get(haloyd.http_addr(), "/", &[("host", &app.domain)]).expect("the proxy answers");
    assert_eq!(answer.body, "version v1\n");
    let said = app.haloy(&["rollback", &failed]);
    assert_eq!(said.code, 1, "{said}");
    let refused =
        format!("error: app `{}` has no deployment {failed} to go back to\n\nhint: run `haloy rollback-targets` to see", app.name);
    assert!(said.stderr.starts_with(&refused), "{said}");
}

#[test]
fn json_is_json() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "json");
    app.configure_web(&format!("image: {}\nstop_timeout: 1s", image("v1")));
    for (words, key, value) in [
        (&["deploy", "--json"][..], "phase", "done"),
        (&["status", "--json"], "state", "running"),
        (&["attach", "--json"], "kind", "deploy"),
        (&["restart", "--json"], "kind", "restart"),
        (&["deploy", "--json"], "kind", "deploy"),
        (&["rollback", "--json"], "kind", "rollback"),
        (&["stop", "--json"], "phase", "done"),
        (&["start", "--json"], "kind", "start"),
    ] {
        let said = app.haloy(words).ok();
        assert_eq!(said.json()[key], value, "{said}");
    }
    let accepted = app.haloy(&["deploy", "--json", "--detach"]).ok();
    assert_eq!(accepted.json()["job"], 7, "{accepted}");
    let job = app.haloy(&["attach", "--json"]).ok();
    assert_eq!(job.json()["id"], 7, "{job}");
    for words in
        [&["version", "--json"][..], &["server", "list", "--json"], &["rollback-targets", "--json"], &["validate-config", "--json"]]
    {
        app.haloy(words).ok().json();
    }
    let api = haloyd.api_addr().to_string();
    let all = haloyd.client(&["status", "--server", &api, "--json"]);
    let all: serde_json::Value = serde_json::from_slice(&all.stdout).expect("a list of apps");
    assert_eq!(all[0]["name"], app.name.as_str(), "{all}");

    app.configure_web(&format!("image: {}\nenv:\n  - name: EXIT_AT_START\n    value: \"9\"", image("v1")));
    let failed = app.haloy(&["deploy", "--json"]);
    assert_eq!((failed.code, &failed.json()["phase"]), (1, &"failed".into()), "{failed}");
    assert_eq!(failed.json()["failure"]["container"]["exit_code"], 9, "{failed}");
}
