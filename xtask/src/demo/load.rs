//! Visitors of the demo's app: some stay on one connection, some come anew for each request.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::https::{Https, HttpsLine};
use crate::http::Answer;

/// Visitors of each kind.
const VISITORS: usize = 4;
/// Between two requests of one visitor, so that the two cores of a small machine have time for the deploy as well.
const PAUSE: Duration = Duration::from_millis(5);

/// One request and what became of it.
#[derive(Debug, Clone)]
struct Visit {
    ended: Instant,
    took: Duration,
    /// The version that answered, or why nobody did.
    outcome: Result<String, String>,
}

/// What happened between two instants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub requests: usize,
    pub failures: usize,
    pub slowest: Duration,
    /// How requests failed, in a few words each.
    pub reasons: Vec<String>,
}

/// Visitors at work, until this is dropped.
pub struct Load {
    visits: Arc<Mutex<Vec<Visit>>>,
    stop: Arc<AtomicBool>,
    visitors: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(https: &Https) -> Self {
        let visits = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let visitors = (0..2 * VISITORS).map(|number| {
            let visitor = Visitor { https: https.clone(), stays: number % 2 == 0, visits: Arc::clone(&visits), stop: Arc::clone(&stop) };
            thread::spawn(move || visitor.run())
        });
        let visitors = visitors.collect();
        Self { visits, stop, visitors }
    }

    /// What happened from `from` until now.
    pub fn tally(&self, from: Instant) -> Tally {
        tally(&self.visits.lock().unwrap_or_else(PoisonError::into_inner), from)
    }

    /// When `version` first answered after `from`.
    pub fn first_answer(&self, version: &str, from: Instant) -> Option<Instant> {
        let visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        visits.iter().filter(|visit| visit.ended > from && visit.outcome.as_deref() == Ok(version)).map(|visit| visit.ended).min()
    }

    pub fn visitors(&self) -> usize {
        self.visitors.len()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for visitor in self.visitors.drain(..) {
            let _ = visitor.join();
        }
    }
}

fn tally(visits: &[Visit], from: Instant) -> Tally {
    let mut tally = Tally::default();
    for visit in visits.iter().filter(|visit| visit.ended > from) {
        tally.requests += 1;
        tally.slowest = tally.slowest.max(visit.took);
        if let Err(reason) = &visit.outcome {
            tally.failures += 1;
            if !tally.reasons.contains(reason) {
                tally.reasons.push(reason.clone());
            }
        }
    }
    tally
}

struct Visitor {
    https: Https,
    /// Keeps its connection as long as the server does.
    stays: bool,
    visits: Arc<Mutex<Vec<Visit>>>,
    stop: Arc<AtomicBool>,
}

impl Visitor {
    fn run(&self) {
        let mut line = None;
        while !self.stop.load(Ordering::SeqCst) {
            let began = Instant::now();
            let answer = self.visit(&mut line);
            let keeps = self.stays && answer.as_ref().is_ok_and(|answer| !answer.last);
            if !keeps {
                line = None;
            }
            let outcome = match answer {
                Ok(answer) if answer.status == 200 => Ok(answer.version),
                Ok(answer) => Err(format!("status {}", answer.status)),
                Err(error) => Err(error.to_string()),
            };
            let visit = Visit { ended: Instant::now(), took: began.elapsed(), outcome };
            self.visits.lock().unwrap_or_else(PoisonError::into_inner).push(visit);
            thread::sleep(PAUSE);
        }
    }

    fn visit(&self, line: &mut Option<HttpsLine>) -> io::Result<Answer> {
        let line = match line {
            Some(line) => line,
            None => line.insert(self.https.connect()?),
        };
        line.get("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_counts_what_ended_after_its_beginning() {
        let start = Instant::now();
        let visit = |after: u64, outcome: Result<&str, &str>| Visit {
            ended: start + Duration::from_millis(after),
            took: Duration::from_millis(after),
            outcome: outcome.map(str::to_owned).map_err(str::to_owned),
        };
        let visits = [visit(1, Ok("v1")), visit(5, Err("status 502")), visit(9, Ok("v2"))];
        let tally = tally(&visits, start + Duration::from_millis(2));
        let expected = Tally { requests: 2, failures: 1, slowest: Duration::from_millis(9), reasons: vec!["status 502".to_owned()] };
        assert_eq!(tally, expected);
    }
}
