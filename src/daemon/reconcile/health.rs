//! Health monitors: one task for each container that is probed. They publish facts and decide
//! nothing; a flip nudges the loop.
//!
//! A container is `Unknown` until its first success, passes at once then, fails after some misses in
//! a row (three, unless the app says otherwise) and passes again after two successes (rise). One that
//! does not become healthy within half a minute of a restart counts as failing too.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::checks::{self, Pace};
use super::first_check::{self, FirstCheck};
use super::plan::{Fitness, Millis};
use crate::daemon::clock::Clock;
use crate::docker::{ContainerId, Docker, HealthCheck, HealthCheckStatus};
use crate::error::chain;
use crate::wire::{ProbeReport, StatusRange};

const RISE: u32 = 2;
/// Between two probes of a container that does not pass, unless the app wants more of them anyway.
const IMPATIENT: Duration = Duration::from_secs(1);
/// The first probe of a new container follows its start; the pauses then grow to `IMPATIENT`.
const EAGER: Duration = Duration::from_millis(40);
/// From when on a container that was never healthy counts as failing, not as starting.
const START_GRACE: Duration = Duration::from_secs(30);
/// How long a container without a check must stay up until it counts as healthy.
const STAYS_UP: Millis = 1_000;

/// How the health of a container is found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// GET; 2xx and 3xx pass, or `status` alone. Redirects are not followed.
    Http { address: SocketAddr, path: String, host: String, status: Option<StatusRange> },
    /// A connection that is accepted passes.
    Tcp { address: SocketAddr },
    /// Made by the engine: a command of the app's, or the image's HEALTHCHECK.
    Engine { health: HealthCheck, command: Option<Vec<String>> },
    /// None of them: running is all that can be known.
    Runs,
}

/// What is known of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub fitness: Fitness,
    pub probe: Option<ProbeReport>,
}

/// A running container and how to check it.
pub struct Subject {
    pub id: ContainerId,
    /// Another start of the same container is another life.
    pub started_at: Option<Timestamp>,
    pub check: Check,
    pub pace: Pace,
}

/// Owns the probe tasks. Dropping it ends them.
pub struct Monitor {
    docker: Docker,
    clock: Clock,
    nudge: Arc<Notify>,
    watched: HashMap<ContainerId, Watched>,
}

struct Watched {
    started_at: Option<Timestamp>,
    check: Check,
    report: Arc<Mutex<Report>>,
    /// When this life was first seen.
    since: Millis,
    probe: Option<AbortHandle>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(probe) = &self.probe {
            probe.abort();
        }
    }
}

impl Monitor {
    pub fn new(docker: Docker, clock: Clock, nudge: Arc<Notify>) -> Self {
        Self { docker, clock, nudge, watched: HashMap::new() }
    }

    /// Watches exactly these containers from now on.
    pub fn watch(&mut self, subjects: Vec<Subject>) {
        let now = self.clock.now();
        let mut before = std::mem::take(&mut self.watched);
        for subject in subjects {
            let known = before.remove(&subject.id).filter(|w| w.started_at == subject.started_at && same_kind(&w.check, &subject.check));
            let mut watched = known.unwrap_or_else(|| self.begin(&subject, now));
            watched.judge_without_probe(subject.check, now);
            self.watched.insert(subject.id, watched);
        }
    }

    pub fn report(&self, id: &ContainerId) -> Report {
        match self.watched.get(id) {
            Some(watched) => lock(&watched.report).clone(),
            None => Report { fitness: Fitness::Unknown, probe: None },
        }
    }

    /// When a container that only has to stay up will have done so.
    pub fn wake_at(&self) -> Option<Millis> {
        let waiting = |w: &&Watched| w.check == Check::Runs && lock(&w.report).fitness == Fitness::Unknown;
        self.watched.values().filter(waiting).map(|w| w.since + STAYS_UP).min()
    }

    fn begin(&self, subject: &Subject, now: Millis) -> Watched {
        let report = Arc::new(Mutex::new(Report { fitness: Fitness::Unknown, probe: None }));
        let probe = match &subject.check {
            Check::Http { .. } | Check::Tcp { .. } => {
                let (check, pace) = (subject.check.clone(), subject.pace);
                let prober = Prober { check, pace, report: Arc::clone(&report), clock: self.clock, nudge: Arc::clone(&self.nudge) };
                Some(tokio::spawn(prober.run()).abort_handle())
            }
            Check::Engine { health, command: Some(words) } if health.status == HealthCheckStatus::Starting => {
                let first = FirstCheck {
                    docker: self.docker.clone(),
                    id: subject.id.clone(),
                    words: words.clone(),
                    timeout: subject.pace.timeout,
                    report: Arc::clone(&report),
                    clock: self.clock,
                    nudge: Arc::clone(&self.nudge),
                };
                Some(tokio::spawn(first.run()).abort_handle())
            }
            Check::Engine { .. } | Check::Runs => None,
        };
        Watched { started_at: subject.started_at, check: subject.check.clone(), report, since: now, probe }
    }
}

/// Whether a check goes on where the other began: the engine's verdict may change, an address may not.
fn same_kind(a: &Check, b: &Check) -> bool {
    a == b || matches!((a, b), (Check::Engine { .. }, Check::Engine { .. }))
}

impl Watched {
    fn judge_without_probe(&mut self, check: Check, now: Millis) {
        let mut report = lock(&self.report);
        match &check {
            Check::Engine { health, .. } => {
                report.fitness = match (health.status, report.fitness) {
                    (HealthCheckStatus::Healthy, passing @ Fitness::Passing { .. }) => passing,
                    (HealthCheckStatus::Healthy, _) => Fitness::Passing { since: now },
                    // The first check was ours, and it passed.
                    (HealthCheckStatus::Starting, passing @ Fitness::Passing { .. }) => passing,
                    (HealthCheckStatus::Starting, _) => Fitness::Unknown,
                    (HealthCheckStatus::Unhealthy, _) => Fitness::Failing,
                };
                let said = report.probe.take().map(|probe| probe.answer).filter(|_| health.status == HealthCheckStatus::Starting);
                let answer = health.output.clone().or(said).unwrap_or_else(|| "no output yet".to_owned());
                report.probe = Some(ProbeReport { target: target(&check), answer });
            }
            Check::Runs if report.fitness == Fitness::Unknown && now.saturating_sub(self.since) >= STAYS_UP => {
                report.fitness = Fitness::Passing { since: now };
            }
            Check::Runs | Check::Http { .. } | Check::Tcp { .. } => {}
        }
        drop(report);
        self.check = check;
    }
}

/// The task of one probed container.
struct Prober {
    check: Check,
    pace: Pace,
    report: Arc<Mutex<Report>>,
    clock: Clock,
    nudge: Arc<Notify>,
}

impl Prober {
    async fn run(self) {
        let began = self.clock.now();
        let (mut hits, mut misses, mut pause) = (0, 0, EAGER);
        loop {
            let (healthy, answer) = match tokio::time::timeout(self.pace.timeout, probe(&self.check)).await {
                Ok(answered) => answered,
                Err(_) => (false, format!("no answer within {} s", self.pace.timeout.as_secs())),
            };
            (hits, misses) = if healthy { (hits + 1, 0) } else { (0, misses + 1) };
            let fitness = self.judge(hits, misses, began);
            self.publish(fitness, answer);
            pause = match fitness {
                Fitness::Passing { .. } if misses == 0 => self.pace.interval,
                Fitness::Unknown => (pause * 3 / 2).min(IMPATIENT),
                Fitness::Passing { .. } | Fitness::Failing => IMPATIENT.min(self.pace.interval),
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn judge(&self, hits: u32, misses: u32, began: Millis) -> Fitness {
        let present = lock(&self.report).fitness;
        let now = self.clock.now();
        match present {
            Fitness::Unknown if hits > 0 => Fitness::Passing { since: now },
            Fitness::Unknown if u128::from(now - began) > START_GRACE.as_millis() => Fitness::Failing,
            Fitness::Passing { .. } if misses >= u32::from(self.pace.retries) => Fitness::Failing,
            Fitness::Failing if hits >= RISE => Fitness::Passing { since: now },
            unchanged => unchanged,
        }
    }

    fn publish(&self, fitness: Fitness, answer: String) {
        let mut report = lock(&self.report);
        let flipped = report.fitness != fitness;
        *report = Report { fitness, probe: Some(ProbeReport { target: target(&self.check), answer }) };
        drop(report);
        if flipped {
            self.nudge.notify_one();
        }
    }
}

fn target(check: &Check) -> String {
    match check {
        Check::Http { address, path, .. } => format!("GET http://{address}{path}"),
        Check::Tcp { address } => format!("TCP {address}"),
        Check::Engine { command: Some(words), .. } => first_check::target(words),
        Check::Engine { command: None, .. } => "HEALTHCHECK of the image".to_owned(),
        Check::Runs => "running".to_owned(),
    }
}

async fn probe(check: &Check) -> (bool, String) {
    match check {
        Check::Http { address, path, host, status: expected } => match get(*address, path, host).await {
            Ok((status, body)) => judge(status, &body, *expected),
            Err(error) => (false, chain(error.as_ref())),
        },
        Check::Tcp { address } => match TcpStream::connect(address).await {
            Ok(_) => (true, "connected".to_owned()),
            Err(error) => (false, error.to_string()),
        },
        Check::Engine { .. } | Check::Runs => (true, String::new()),
    }
}

/// Whether an answer passes, and what is said of it.
fn judge(status: http::StatusCode, body: &str, expected: Option<StatusRange>) -> (bool, String) {
    let code = status.as_u16();
    let passes = expected.map_or(status.is_success() || status.is_redirection(), |e| (e.first..=e.last).contains(&code));
    let wanted = if passes || expected.is_none() { String::new() } else { format!(", not {}", checks::expected(expected)) };
    let text = if passes || body.is_empty() { String::new() } else { format!(": {body}") };
    (passes, format!("HTTP {code}{wanted}{text}"))
}

/// One request on a connection of its own; answers with the status and the beginning of a body.
async fn get(address: SocketAddr, path: &str, host: &str) -> Result<(http::StatusCode, String), Box<dyn std::error::Error + Send + Sync>> {
    const SHOWN: usize = 200;
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = AbortOnDrop(tokio::spawn(connection).abort_handle());
    let request = http::Request::get(path)
        .header(http::header::HOST, host)
        .header(http::header::USER_AGENT, concat!("haloy-health-check/", env!("CARGO_PKG_VERSION")))
        .header(http::header::CONNECTION, "close")
        .body(Empty::<bytes::Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { break };
        text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if text.len() >= SHOWN {
            break;
        }
    }
    drop(driver);
    text.truncate(SHOWN);
    Ok((status, String::from_utf8_lossy(&text).trim().to_owned()))
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Every holder only copies in or out, so a poisoned lock still holds a whole value.
pub fn lock(report: &Mutex<Report>) -> std::sync::MutexGuard<'_, Report> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_by_what_is_expected() {
        let judged = |code: u16, body: &str, expected: Option<(u16, u16)>| {
            let expected = expected.map(|(first, last)| StatusRange { first, last });
            judge(http::StatusCode::from_u16(code).unwrap(), body, expected)
        };
        assert_eq!(judged(302, "moved", None), (true, "HTTP 302".to_owned()));
        assert_eq!(judged(503, "no database", None), (false, "HTTP 503: no database".to_owned()));
        assert_eq!(judged(200, "ok", Some((204, 204))), (false, "HTTP 200, not 204: ok".to_owned()));
        assert_eq!(judged(302, "", Some((200, 299))), (false, "HTTP 302, not 200 to 299".to_owned()));
        assert_eq!(judged(401, "who are you", Some((401, 401))), (true, "HTTP 401".to_owned()));
    }
}
