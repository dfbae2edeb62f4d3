//! Deploys through the API itself: a spec as the server takes it, without the client and its haloy.yaml.

use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{App, image, wait_for};
use crate::haloyd::{Answer, Haloyd};

/// How a job ended, and what it said on its way.
#[derive(Debug)]
pub struct Ended {
    pub job: Value,
    pub notes: Vec<String>,
}

impl Ended {
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.job["phase"], "done", "{self:#?}");
        self
    }

    /// The failure of a job that failed.
    #[track_caller]
    pub fn failure(&self) -> &Value {
        assert_eq!(self.job["phase"], "failed", "{self:#?}");
        &self.job["failure"]
    }

    #[track_caller]
    pub fn failed(&self, reason: &str) -> &Self {
        let said = self.failure()["reason"].as_str().unwrap_or_default();
        assert!(said.contains(reason), "no `{reason}` in {self:#?}");
        self
    }

    #[track_caller]
    pub fn hints(&self, hint: &str) -> &Self {
        let said = self.failure()["hint"].as_str().unwrap_or_default();
        assert!(said.contains(hint), "no `{hint}` in {self:#?}");
        self
    }
}

/// An app that is deployed here; its haloy.yaml is there for the client's other commands alone.
pub fn app<'a>(haloyd: &'a Haloyd, name: &str) -> App<'a> {
    let app = App::new(haloyd, name);
    app.configure(&format!("image: {}", image("v1")));
    app
}

/// A deploy of one container of `image` with its domain, and what `changes` adds to the spec or replaces in it.
pub fn request(app: &App<'_>, image: &str, env: &[(&str, &str)], changes: Value) -> Value {
    let mut spec = json!({
        "name": app.name, "image": image, "replicas": 1, "domains": [{ "domain": app.domain }], "health_check_path": "/health",
        "stop_timeout": 1, "drain_timeout": 2,
        "env": env.iter().map(|(name, _)| json!({ "name": name, "source": "value" })).collect::<Vec<_>>(),
    });
    for (key, value) in changes.as_object().expect("an object") {
        spec[key] = value.clone();
    }
    json!({ "spec": spec, "env": env.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect::<Vec<_>>() })
}

/// Sends the request; answers with what the server says to that.
pub fn send(haloyd: &Haloyd, app: &App<'_>, request: &Value) -> Answer {
    haloyd.post(&format!("/v1/apps/{}/deploy", app.name), request)
}

/// Sends the request and waits for the end of the job.
#[track_caller]
pub fn deploy(haloyd: &Haloyd, app: &App<'_>, request: &Value) -> Ended {
    end_of(haloyd, job_of(&send(haloyd, app, request)))
}

/// The job of a request that was accepted.
#[track_caller]
pub fn job_of(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 202, "{answer:?}");
    let accepted: Value = serde_json::from_str(&answer.body).expect("JSON");
    accepted["job"].as_u64().expect("a job")
}

#[track_caller]
pub fn end_of(haloyd: &Haloyd, job: u64) -> Ended {
    let ended = wait_for(Duration::from_secs(60), "the job ends", || ended(haloyd, job));
    Ended { job: ended, notes: notes(haloyd, &format!("/v1/jobs/{job}")) }
}

/// The job, once it has ended.
pub fn ended(haloyd: &Haloyd, job: u64) -> Option<Value> {
    let job: Value = serde_json::from_str(&haloyd.get(&format!("/v1/jobs/{job}")).body).expect("JSON");
    (!job["finished_at"].is_null()).then_some(job)
}

/// The lines of a job for people.
pub fn notes(haloyd: &Haloyd, job: &str) -> Vec<String> {
    let events = haloyd.get(&format!("{job}/events")).body;
    let note = |data: &str| serde_json::from_str::<Value>(data).ok()?["message"].as_str().map(str::to_owned);
    events.lines().filter_map(|line| line.strip_prefix("data:")).filter_map(note).collect()
}
