//! Values reach the container that they are for, and nothing and nobody else.

use std::fs;
use std::path::Path;

use crate::app::{App, image};
use crate::haloyd::{Haloyd, unique};

fn env_of(haloyd: &Haloyd, container: &str) -> Vec<String> {
    let output = haloyd.docker(&["inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", container]);
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Every file below, with the path of each that contains one of the words.
fn files_that_contain(folder: &Path, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("read a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_that_contain(&path, words));
        } else if path.is_file() {
            let bytes = fs::read(&path).expect("read a file");
            let holds = |word: &&&str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
            found.extend(words.iter().find(holds).map(|word| format!("{word} in {}", path.display())));
        }
    }
    found
}

#[test]
fn values_reach_their_container_and_nothing_else() {
    let haloyd = Haloyd::start();
    let (app, other) = (App::new(&haloyd, "secret"), App::new(&haloyd, "nosy"));
    other.configure_web(&format!("image: {}", image("v1"))).haloy(&["deploy"]).ok();

    let (written, looked_up) = (unique("written-in-the-file-"), unique("from-the-environment-"));
    let env = format!("env:\n  - name: WRITTEN\n    value: {written}\n  - name: LOOKED_UP\n    from:\n      env: ELSEWHERE\n");
    app.configure_web(&format!("image: {}\nreplicas: 2\nstop_timeout: 1s\n{env}", image("v2")));
    let deploy = |words: &[&str]| {
        let output = app.command(words).env("ELSEWHERE", &looked_up).output().expect("run the client");
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let mut heard = vec![deploy(&["deploy", "--json"])];
    let status = app.status();
    assert_eq!(status["state"], "running", "{heard:?}");
    let deployment = status["deployment"].as_str().expect("it is deployed").to_owned();

    for (number, container) in app.containers().iter().enumerate() {
        let env = env_of(&haloyd, &container.id);
        for fact in [
            format!("WRITTEN={written}"),
            format!("LOOKED_UP={looked_up}"),
            format!("HALOY_APP={}", app.name),
            format!("HALOY_DEPLOYMENT_ID={deployment}"),
            format!("HALOY_REPLICA={}", number + 1),
            "HALOY_VERSION=v2".to_owned(),
        ] {
            assert!(env.contains(&fact), "no {fact} in {env:?}");
        }
    }
    let others = env_of(&haloyd, &other.containers()[0].id);
    assert!(!others.iter().any(|line| line.contains(&written) || line.contains(&looked_up)), "{others:?}");

    // A failure, a repetition and a restart of the daemon leave no trace either.
    app.configure_web(&format!("image: {}\nstop_timeout: 1s\n{env}  - name: EXIT_AT_START\n    value: \"1\"", image("v2")));
    heard.push(deploy(&["deploy"]));
    heard.push(app.haloy(&["restart"]).ok().to_string());
    haloyd.restart();
    for words in [&["status"][..], &["status", "--json"], &["rollback-targets", "--json"], &["attach", "--json"], &["logs"]] {
        heard.push(deploy(words));
    }
    let app_path = format!("/v1/apps/{}", app.name);
    for path in
        ["/v1/apps", &app_path, &format!("{app_path}/deployments"), "/v1/jobs/2", "/v1/jobs/2/events", "/v1/jobs/3", "/v1/jobs/3/events"]
    {
        let answer = haloyd.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        heard.push(answer.body);
    }
    heard.push(haloyd.log());
    for text in &heard {
        assert!(!text.contains(&written) && !text.contains(&looked_up), "a value was shown: {text}");
    }
    let environment = env_of(&haloyd, &app.containers()[0].id);
    assert!(environment.contains(&format!("LOOKED_UP={looked_up}")), "the repetition has the value: {environment:?}");

    for folder in [haloyd.data_dir(), haloyd.config_dir()] {
        let found = files_that_contain(&folder, &[&written, &looked_up, haloyd.token()]);
        assert!(found.is_empty(), "{found:?}");
    }
}
