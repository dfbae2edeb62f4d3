//! Crashes: of haloyd in the middle of deploys, of the Docker Engine under a running app.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::app::{App, Said, image, wait_for};
use crate::haloyd::{self, Answer, Haloyd};

/// What the app answers over plain HTTP at this moment.
fn ask(haloyd: &Haloyd, app: &App<'_>) -> std::io::Result<Answer> {
    haloyd::get(haloyd.http_addr(), "/", &[("host", &app.domain)])
}

/// The last job, once it has come to an end.
fn ended_job(app: &App<'_>) -> Option<serde_json::Value> {
    let job = app.status()["job"].clone();
    ["done", "failed"].contains(&job["phase"].as_str()?).then_some(job)
}

#[test]
fn haloyd_is_killed_twenty_times_in_the_middle_of_deploys() {
    const ROUNDS: u32 = 20;
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "killed");
    let configure = |version: &str| {
        let image = image("v1");
        let env = format!("env:\n  - name: VERSION\n    value: {version}\n  - name: START_DELAY_MS\n    value: \"50\"");
        app.configure_web(&format!("tls: off\nimage: {image}\nreplicas: 2\nstop_timeout: 1s\ndrain_timeout: 1s\n{env}"));
    };
    configure("r0");
    app.haloy(&["deploy"]).ok();
    let random = RandomState::new();
    let (mut before, mut phases, mut new_versions) = ("r0".to_owned(), BTreeSet::new(), 0);
    for round in 1..=ROUNDS {
        let version = format!("r{round}");
        configure(&version);
        let last_job = app.status()["job"]["id"].as_u64().expect("it was deployed");
        let began = Instant::now();
        let deploy = app.command(&["deploy"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start the client");
        // Every other time within the first steps: they are short.
        let span = if round % 2 == 0 { 1600 } else { 300 };
        let moment = Duration::from_millis(random.hash_one(round) % span);
        std::thread::sleep(moment);
        haloyd.kill9();
        haloyd.restart();
        let answer = ask(&haloyd, &app).unwrap_or_else(|error| panic!("round {round}, killed after {moment:?}: {error}"));
        assert_eq!(answer.status, 200, "round {round}, killed after {moment:?}: {answer:?}");

        let job = wait_for(Duration::from_secs(20), "the job ends", || ended_job(&app));
        let said = Said::from((deploy.wait_with_output().expect("wait for the client"), began.elapsed()));
        let accepted = job["id"].as_u64() != Some(last_job);
        let done = accepted && job["phase"] == "done";
        // The job may have been written down and the answer not have come: the client says so.
        let unsure = said.code == 1 && said.stderr.contains("hint: it may have arrived: look with `haloy status`");
        assert!(said.code == i32::from(!done) || unsure, "round {round}, killed after {moment:?}: {job}\n{said}");
        if accepted {
            let attached = app.haloy(&["attach"]);
            assert_eq!(attached.code, i32::from(!done), "round {round}: {attached}");
        }
        let expected = if done { version } else { before };
        assert_only_this_serves(&haloyd, &app, &expected);
        phases.insert(last_phase_before_the_crash(&said));
        new_versions += u32::from(done);
        before = expected;
    }
    println!("{new_versions} of {ROUNDS} deploys came through; killed in {phases:?}");
    assert!(new_versions > 0);
}

/// For the account: how far the client saw the job come before its first complaint.
fn last_phase_before_the_crash(said: &Said) -> String {
    let until = said.stderr.lines().take_while(|line| line.contains(" s  ")).last();
    until.and_then(|line| line.split(" s  ").last()).map_or_else(|| "not accepted yet".to_owned(), |phase| phase.trim().to_owned())
}

/// Nothing runs or lies around beside two replicas of this version, and they serve.
#[track_caller]
fn assert_only_this_serves(haloyd: &Haloyd, app: &App<'_>, version: &str) {
    let look = || {
        let (status, containers) = (app.status(), app.containers());
        let deployment = status["deployment"].as_str().unwrap_or_default().to_owned();
        let clean = containers.len() == 2 && containers.iter().all(|c| c.running && c.deployment == deployment);
        (status["state"] == "running" && clean).then_some(deployment)
    };
    let deployment = wait_for(Duration::from_secs(20), "only one deployment is left", look);
    let answer = ask(haloyd, app).expect("the app answers");
    assert_eq!((answer.status, answer.header("x-version")), (200, Some(version)), "{answer:?}");
    assert_eq!(answer.header("x-deployment"), Some(deployment.as_str()));
}
