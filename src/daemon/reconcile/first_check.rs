//! The first health checks of an app whose check is a command, made by us.
//!
//! The engine makes its first check one whole interval after the start (only from API 1.44 on it can be
//! told otherwise), and a deployment would wait for that. So the same command is run by us until it
//! succeeds once or the engine has a verdict; from then on the engine's counts alone.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use super::health::{Report, lock};
use super::plan::Fitness;
use crate::daemon::clock::Clock;
use crate::docker::{ContainerId, Docker};
use crate::wire::ProbeReport;

/// The pauses between the checks grow from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(1);

pub struct FirstCheck {
    pub docker: Docker,
    pub id: ContainerId,
    pub words: Vec<String>,
    pub timeout: Duration,
    pub report: Arc<Mutex<Report>>,
    pub clock: Clock,
    pub nudge: Arc<Notify>,
}

impl FirstCheck {
    pub async fn run(self) {
        let mut pause = FIRST_PAUSE;
        while lock(&self.report).fitness == Fitness::Unknown {
            // Nobody can end a check that hangs: the engine's own patience has to do.
            let Ok((code, output)) = self.docker.exec(&self.id, &self.words, self.timeout).await else { return };
            if self.note(code == 0, output) {
                return self.nudge.notify_one();
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Whether it was the success that everybody waits for.
    fn note(&self, passed: bool, answer: String) -> bool {
        let mut report = lock(&self.report);
        if report.fitness != Fitness::Unknown {
            return false;
        }
        report.probe = Some(ProbeReport { target: target(&self.words), answer });
        if passed {
            report.fitness = Fitness::Passing { since: self.clock.now() };
        }
        passed
    }
}

pub fn target(words: &[String]) -> String {
    format!("command `{}`", words.join(" "))
}
