//! Constant load on one app, and the account of it: every request with its end, every failure with its reason.
//!
//! All kinds of visitors come at once (see [`visitors`](crate::visitors)), in one thread with a runtime
//! of its own. A visitor never tries again: what fails once has failed.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::app::{App, wait_for};
use crate::visitors::{self, Answer, Kind};

/// Between the first answer of a new deployment and our note of it; machines that test are busy.
const SLACK: Duration = Duration::from_millis(500);

/// One request, or one conversation over a WebSocket.
#[derive(Debug, Clone)]
pub struct Visit {
    pub kind: Kind,
    pub began: Instant,
    pub ended: Instant,
    /// Who answered, as far as that was heard.
    pub answer: Option<Answer>,
    pub failure: Option<String>,
}

#[derive(Default)]
struct Account {
    visits: Vec<Visit>,
}

/// Where the visitors go, and where they write down what happened.
#[derive(Clone)]
pub struct Book {
    pub https: SocketAddr,
    pub domain: String,
    account: Arc<Mutex<Account>>,
    stop: Arc<AtomicBool>,
}

impl Book {
    pub fn is_closing(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    pub fn note(&self, visit: Visit) {
        self.account.lock().unwrap_or_else(PoisonError::into_inner).visits.push(visit);
    }
}

/// Visitors at work.
pub struct Load {
    book: Book,
    drain: Duration,
    began: Instant,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Begins to visit `app` over HTTPS at `https`; `drain` is the app's `drain_timeout`. Returns once
    /// every kind of visitor has been answered.
    pub fn start(app: &App<'_>, https: SocketAddr, drain: Duration) -> Self {
        let book = Book { https, domain: app.domain.clone(), account: Arc::default(), stop: Arc::default() };
        let thread = thread::Builder::new().name("load".to_owned());
        let visiting = book.clone();
        let thread = thread.spawn(move || visitors::run(visiting)).expect("start the load");
        let load = Self { book, drain, began: Instant::now(), thread: Some(thread) };
        wait_for(Duration::from_secs(20), "every kind of visitor is served", || {
            let visits = load.visits();
            Kind::ALL.iter().all(|kind| *kind == Kind::WebSocket || visits.iter().any(|v| v.kind == *kind)).then_some(())
        });
        load
    }

    /// All visits that have ended.
    pub fn visits(&self) -> Vec<Visit> {
        self.book.account.lock().unwrap_or_else(PoisonError::into_inner).visits.clone()
    }

    /// When `version` first answered a request that began after `from`.
    pub fn first_answer(&self, version: &str, from: Instant) -> Option<Instant> {
        let account = self.book.account.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |v: &&Visit| v.began >= from && v.answer.as_ref().is_some_and(|a| a.version == version);
        account.visits.iter().filter(is_it).map(|v| v.ended).min()
    }

    /// Waits until `version` answers requests that begin now.
    #[track_caller]
    pub fn wait_for_version(&self, version: &str) {
        let from = Instant::now();
        wait_for(Duration::from_secs(10), &format!("{version} answers"), || self.first_answer(version, from));
    }

    /// Lets the visitors go on for a while: what a change breaks late shows now.
    pub fn go_on(&self, time: Duration) {
        thread::sleep(time);
    }

    /// Ends it. Complains about the first failed request or cut stream.
    #[track_caller]
    pub fn finish(self) -> Report {
        let report = self.end();
        assert!(report.failures.is_empty(), "{report}");
        report
    }

    /// Ends it and accounts for it.
    pub fn end(mut self) -> Report {
        self.book.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the load does not panic");
        }
        Report::of(self.visits(), self.began, self.drain)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.book.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What became of all visits.
pub struct Report {
    pub visits: Vec<Visit>,
    pub failures: Vec<Visit>,
    began: Instant,
}

impl Report {
    /// A WebSocket may be closed once its deployment was replaced and the drain deadline has passed.
    fn of(visits: Vec<Visit>, began: Instant, drain: Duration) -> Self {
        let replaced_at = |deployment: &str| {
            let newer = |v: &&Visit| v.kind != Kind::WebSocket && v.answer.as_ref().is_some_and(|a| a.deployment.as_str() > deployment);
            visits.iter().filter(newer).map(|v| v.ended).min()
        };
        let forgiven = |visit: &Visit| {
            visit.kind == Kind::WebSocket
                && visit.answer.as_ref().and_then(|a| replaced_at(&a.deployment)).is_some_and(|at| visit.ended + SLACK >= at + drain)
        };
        let failures = visits.iter().filter(|v| v.failure.is_some() && !forgiven(v)).cloned().collect();
        Self { failures, visits, began }
    }

    pub fn count(&self, kind: Kind) -> usize {
        self.visits.iter().filter(|v| v.kind == kind).count()
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = format!("{} of {} visits failed\n", self.failures.len(), self.visits.len());
        for kind in Kind::ALL {
            let slowest = self.visits.iter().filter(|v| v.kind == kind).map(|v| v.ended - v.began).max().unwrap_or_default();
            let failed = self.failures.iter().filter(|v| v.kind == kind).count();
            let _ = writeln!(text, "  {:<28} {:>6} visits {failed:>4} failed, slowest {slowest:?}", format!("{kind:?}"), self.count(kind));
        }
        let mut deployments: Vec<(String, Instant)> = Vec::new();
        for visit in &self.visits {
            let Some(answer) = &visit.answer else { continue };
            let name = format!("{} {}", answer.deployment, answer.version);
            match deployments.iter_mut().find(|(known, _)| *known == name) {
                Some((_, first)) => *first = (*first).min(visit.ended),
                None => deployments.push((name, visit.ended)),
            }
        }
        for (name, first) in deployments {
            let _ = writeln!(text, "  {name} first answered at {:.2} s", (first - self.began).as_secs_f64());
        }
        for visit in self.failures.iter().take(20) {
            let (from, to) = ((visit.began - self.began).as_secs_f64(), (visit.ended - self.began).as_secs_f64());
            let reason = visit.failure.as_deref().unwrap_or_default();
            let _ = writeln!(text, "  {from:.3}–{to:.3} s {:?} {:?}: {reason}", visit.kind, visit.answer);
        }
        f.write_str(&text)
    }
}
