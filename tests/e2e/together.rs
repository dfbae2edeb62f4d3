//! Several apps and several jobs: what waits for what, and what does not.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::app::{App, image, wait_for};
use crate::haloyd::{Haloyd, get, signal};

/// An app whose health check passes only after `delay`.
fn late(version: &str, delay: Duration) -> String {
    let env = [("VERSION", version.to_owned()), ("HEALTH_DELAY_MS", delay.as_millis().to_string())];
    let env: String = env.iter().map(|(name, value)| format!("  - name: {name}\n    value: \"{value}\"\n")).collect();
    format!("image: {}\ntls: off\nstop_timeout: 1s\nenv:\n{env}", image("v1"))
}

fn version(haloyd: &Haloyd, app: &App<'_>) -> Option<String> {
    get(haloyd.http_addr(), "/", &[("host", &app.domain)]).expect("the proxy answers").header("x-version").map(str::to_owned)
}

/// 30 s stand for the minute that a slow app may take.
#[test]
fn a_slow_app_does_not_delay_another() {
    const DELAY: Duration = Duration::from_secs(30);
    let haloyd = Haloyd::start();
    let (slow, fast) = (App::new(&haloyd, "slow"), App::new(&haloyd, "fast"));
    slow.configure_web(&late("s1", DELAY)).haloy(&["deploy", "--detach"]).ok();
    let began = Instant::now();
    for round in 1..=3 {
        let name = format!("f{round}");
        let said = fast.configure_web(&late(&name, Duration::ZERO)).haloy(&["deploy"]).ok();
        assert_eq!(version(&haloyd, &fast), Some(name));
        println!("the fast app was deployed in {:?}", said.took);
        if began.elapsed() < DELAY {
            assert_eq!(slow.status()["job"]["phase"], "checking");
        }
    }
    assert!(began.elapsed() < DELAY, "three fast deploys took {:?}", began.elapsed());
    let said = slow.haloy(&["attach"]).ok();
    assert!(said.stderr.contains("is deployed"), "{said}");
    assert!(began.elapsed() > DELAY - Duration::from_secs(1));
    assert_eq!(version(&haloyd, &slow).as_deref(), Some("s1"));
}

#[test]
fn deploys_of_one_app_queue() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "queue");
    app.configure_web(&late("q1", Duration::from_millis(1500))).haloy(&["deploy", "--detach"]).ok();
    let said = app.configure_web(&late("q2", Duration::ZERO)).haloy(&["deploy"]).ok();
    assert!(said.stderr.contains(&format!("job 2 waits for 1 earlier job of `{}`\n", app.name)), "{said}");
    assert_eq!(version(&haloyd, &app).as_deref(), Some("q2"));
    let job = |number: u32| -> serde_json::Value {
        serde_json::from_str(&haloyd.get(&format!("/v1/jobs/{number}")).body).expect("a job is JSON")
    };
    let (first, second) = (job(1), job(2));
    assert_eq!((&first["phase"], &second["phase"]), (&"done".into(), &"done".into()), "{first} {second}");
    assert!(first["finished_at"].as_str() < second["finished_at"].as_str(), "{first} {second}");
    assert_eq!(app.containers().len(), 1);
}

#[test]
fn deploys_at_the_same_moment_come_one_after_the_other() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "crowd");
    app.configure_web(&late("c1", Duration::ZERO));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| app.haloy(&["deploy"]).ok());
        }
    });
    let jobs: serde_json::Value = serde_json::from_str(&haloyd.get("/v1/jobs").body).expect("jobs are JSON");
    let mut jobs: Vec<(u64, &str, &str)> = jobs.as_array().expect("a list").iter().map(told).collect();
    jobs.sort_unstable();
    assert!(jobs.len() == 4 && jobs.is_sorted_by_key(|job| (job.1, job.2)), "later jobs have later deployments and ends: {jobs:?}");
    assert_eq!(app.status()["deployment"], jobs[3].1);
    let containers = app.containers();
    assert!(containers.len() == 1 && containers[0].deployment == jobs[3].1, "{containers:?}");
}

/// Number, deployment and end of a job.
fn told(job: &serde_json::Value) -> (u64, &str, &str) {
    assert_eq!(job["phase"], "done", "{job}");
    let text = |key: &str| job[key].as_str().unwrap_or_default();
    (job["id"].as_u64().unwrap_or_default(), text("deployment"), text("finished_at"))
}

#[test]
fn who_leaves_a_deploy_can_come_back() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "leave");
    let said = app.configure_web(&late("l1", Duration::from_secs(2))).haloy(&["deploy", "--detach"]).ok();
    assert!(said.stderr.contains("is accepted as job 1\n\nhint: watch it with `haloy attach"), "{said}");
    let said = app.haloy(&["attach"]).ok();
    assert!(said.stderr.contains("checking health"), "{said}");
    assert!(said.stderr.contains(&format!("`{}` is deployed", app.name)), "{said}");

    app.configure_web(&late("l2", Duration::from_secs(2)));
    let mut deploy = app.command(&["deploy"]).stderr(Stdio::piped()).spawn().expect("start the client");
    let mut lines = BufReader::new(deploy.stderr.take().expect("it has a stderr")).lines().map_while(Result::ok);
    assert!(lines.by_ref().any(|line| line.contains("starting containers")), "it got so far");
    signal(deploy.id(), "INT");
    let rest: Vec<String> = lines.collect();
    assert_eq!(deploy.wait().expect("wait for the client").code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line == "detached, job 2 goes on"), "{rest:?}");
    assert!(rest.iter().any(|line| line.starts_with("hint: watch it again with `haloy attach")), "{rest:?}");
    let done = || (app.status()["job"]["phase"] == "done").then_some(());
    wait_for(Duration::from_secs(15), "the job ends without a client", done);
    assert_eq!(version(&haloyd, &app).as_deref(), Some("l2"));
    let said = app.haloy(&["attach", "2"]).ok();
    assert!(said.stderr.contains("is deployed"), "{said}");
}

#[test]
fn a_domain_belongs_to_one_app() {
    let haloyd = Haloyd::start();
    let (owner, other) = (App::new(&haloyd, "owner"), App::new(&haloyd, "other"));
    owner.configure_web(&late("o1", Duration::ZERO)).haloy(&["deploy"]).ok();
    let rest = format!("domains:\n  - domain: {}\nimage: {}", owner.domain, image("v1"));
    let said = other.configure(&rest).haloy(&["deploy"]);
    assert_eq!(said.code, 1, "{said}");
    let refused = format!("error: domain `{}` already belongs to app `{}`\n", owner.domain, owner.name);
    assert!(said.stderr.starts_with(&refused), "{said}");
    assert!(other.containers().is_empty());
    assert_eq!(version(&haloyd, &owner).as_deref(), Some("o1"));
}

#[test]
fn a_redeploy_is_quick() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "quick");
    let ready = |version: &str| late(version, Duration::ZERO) + "  - name: START_DELAY_MS\n    value: \"50\"";
    app.configure_web(&ready("0")).haloy(&["deploy"]).ok();
    for round in 1..=3 {
        let name = round.to_string();
        app.configure_web(&ready(&name));
        let (switched, done) = std::thread::scope(|scope| {
            let began = Instant::now();
            let deploy = scope.spawn(|| app.haloy(&["deploy"]).ok());
            wait_for(Duration::from_secs(20), "the new version answers", || (version(&haloyd, &app).as_ref() == Some(&name)).then_some(()));
            let switched = began.elapsed();
            deploy.join().expect("the deploy succeeds");
            (switched, began.elapsed())
        });
        println!("redeploy {round}: traffic switched after {switched:?}, done after {done:?}");
        // The figures to reach on a quiet machine are 1 s and 3 s.
        assert!(switched < Duration::from_secs(10) && done < Duration::from_secs(15), "{switched:?} {done:?}");
    }
}
