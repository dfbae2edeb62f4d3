//! How an app's health is found out: what its spec says, with what the engine checks itself.

use std::num::NonZeroU16;
use std::time::Duration;

use crate::docker::{CheckPace, EngineCheck};
use crate::wire::{AppSpec, HealthCheck, Probe, StatusRange};

/// The one way in which the containers of a deployment are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way<'a> {
    /// By the engine: with this program inside the container, else as the image says.
    Engine(Option<&'a [String]>),
    Http {
        path: &'a str,
        /// The app's when absent.
        port: Option<NonZeroU16>,
        host: Option<&'a str>,
        /// 200 to 399 when absent.
        status: Option<StatusRange>,
    },
    /// On the app's port when there is none.
    Tcp(Option<NonZeroU16>),
    /// Running is all that can be known.
    Runs,
}

/// `engine_checks`: the engine has a verdict, because the container was created with a HEALTHCHECK.
pub fn way(spec: &AppSpec, engine_checks: bool) -> Way<'_> {
    match probe(spec) {
        Some(Probe::Http(http)) => Way::Http { path: &http.path, port: http.port, host: http.host.as_deref(), status: http.status },
        Some(Probe::Tcp { port }) => Way::Tcp(*port),
        Some(Probe::Command(words)) => Way::Engine(Some(words)),
        Some(Probe::None) => Way::Runs,
        Some(Probe::Standard) | None if engine_checks => Way::Engine(None),
        Some(Probe::Standard) | None => standard(spec),
    }
}

fn probe(spec: &AppSpec) -> Option<&Probe> {
    spec.health_check.as_ref().map(|check| &check.probe)
}

/// HTTP for apps that serve it, a connection for a worker with a port, staying up for the rest: where there is no
/// network, a port cannot be connected to.
fn standard(spec: &AppSpec) -> Way<'_> {
    let path = spec.health_check_path.as_deref().or((!spec.domains.is_empty()).then_some("/"));
    match path {
        Some(path) => Way::Http { path, port: None, host: None, status: None },
        None if spec.port.is_some() && spec.network() != AppSpec::NO_NETWORK => Way::Tcp(None),
        None => Way::Runs,
    }
}

/// The path that other tools are told about.
pub fn path(spec: &AppSpec) -> Option<&str> {
    match way(spec, false) {
        Way::Http { path, .. } => Some(path),
        Way::Engine(_) | Way::Tcp(_) | Way::Runs => None,
    }
}

/// The part that the engine is to take.
pub fn of_engine(spec: &AppSpec) -> EngineCheck {
    let pace = spec.health_check.as_ref().map(pace_of).unwrap_or_default();
    match probe(spec) {
        Some(Probe::Standard) | None => EngineCheck::Image(pace),
        Some(Probe::Command(words)) => {
            let ours = Pace::of(spec);
            let pace = CheckPace { interval: Some(ours.interval), timeout: Some(ours.timeout), retries: Some(ours.retries) };
            EngineCheck::Command { words: words.clone(), pace }
        }
        Some(Probe::Http(_) | Probe::Tcp { .. } | Probe::None) => EngineCheck::Off,
    }
}

fn pace_of(check: &HealthCheck) -> CheckPace {
    let seconds = |seconds: Option<std::num::NonZeroU32>| seconds.map(|seconds| Duration::from_secs(seconds.get().into()));
    CheckPace { interval: seconds(check.interval), timeout: seconds(check.timeout), retries: check.retries.map(NonZeroU16::get) }
}

/// How our own probes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between two probes of a container that passes.
    pub interval: Duration,
    /// A probe that takes longer has failed.
    pub timeout: Duration,
    /// So many failures in a row make a container unhealthy.
    pub retries: u16,
}

impl Pace {
    const DEFAULT: Self = Self { interval: Duration::from_secs(5), timeout: Duration::from_secs(5), retries: 3 };

    pub fn of(spec: &AppSpec) -> Self {
        let own = spec.health_check.as_ref().map(pace_of).unwrap_or_default();
        Self {
            interval: own.interval.unwrap_or(Self::DEFAULT.interval),
            timeout: own.timeout.unwrap_or(Self::DEFAULT.timeout),
            retries: own.retries.unwrap_or(Self::DEFAULT.retries),
        }
    }
}

/// Status codes as people write them.
pub fn expected(status: Option<StatusRange>) -> String {
    match status {
        None => "2xx or 3xx".to_owned(),
        Some(StatusRange { first, last }) if first == last => first.to_string(),
        Some(StatusRange { first, last }) => format!("{first} to {last}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(rest: Value) -> AppSpec {
        let mut spec = json!({ "name": "shop", "image": "shop:1", "replicas": 1 });
        spec.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn an_explicit_probe_wins_over_the_image() {
        let with = |probe: Value| spec(json!({ "health_check": { "probe": probe }, "domains": [{ "domain": "a.example.com" }] }));
        let http = with(json!({ "http": { "path": "/up", "port": 9000, "status": { "first": 204, "last": 204 } } }));
        let status = Some(StatusRange { first: 204, last: 204 });
        assert_eq!(way(&http, true), Way::Http { path: "/up", port: NonZeroU16::new(9000), host: None, status });
        assert_eq!(of_engine(&http), EngineCheck::Off);
        let tcp = with(json!({ "tcp": {} }));
        assert_eq!((way(&tcp, true), of_engine(&tcp)), (Way::Tcp(None), EngineCheck::Off));
        let none = with(json!("none"));
        assert_eq!((way(&none, true), of_engine(&none)), (Way::Runs, EngineCheck::Off));
        let command = with(json!({ "command": ["ready"] }));
        assert_eq!(way(&command, true), Way::Engine(Some(&["ready".to_owned()][..])));
        let pace = CheckPace { interval: Some(Duration::from_secs(5)), timeout: Some(Duration::from_secs(5)), retries: Some(3) };
        assert_eq!(of_engine(&command), EngineCheck::Command { words: vec!["ready".to_owned()], pace });
    }

    #[test]
    fn without_one_the_image_speaks_first_then_the_spec() {
        let http = |path| Way::Http { path, port: None, host: None, status: None };
        let table = [
            (json!({ "domains": [{ "domain": "a.example.com" }] }), http("/")),
            (json!({ "health_check_path": "/health" }), http("/health")),
            (json!({ "health_check": { "interval": 9 }, "port": 5432 }), Way::Tcp(None)),
            (json!({ "network": "none", "port": 5432 }), Way::Runs),
            (json!({}), Way::Runs),
        ];
        for (rest, expected) in table {
            let spec = spec(rest);
            assert_eq!(way(&spec, false), expected);
            assert_eq!(way(&spec, true), Way::Engine(None));
        }
        let paced = spec(json!({ "health_check": { "interval": 9, "retries": 7 } }));
        let pace = CheckPace { interval: Some(Duration::from_secs(9)), timeout: None, retries: Some(7) };
        assert_eq!(of_engine(&paced), EngineCheck::Image(pace));
        assert_eq!(Pace::of(&paced), Pace { interval: Duration::from_secs(9), timeout: Duration::from_secs(5), retries: 7 });
    }
}
