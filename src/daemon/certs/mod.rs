//! Certificates: what the apps need is ordered, renewed and served without anybody thinking of it.
//!
//! ```text
//! store (who serves what) ─┐
//! cert-storage/ (files) ───┼─► decide (pure) ──► order (ACME) ──► cert-storage/
//! what was tried ──────────┘                        │ challenges      │
//!                                                   └──► trust ◄──────┘ ──► the proxy's table
//! ```
//!
//! Orders never hold traffic or a deploy up: the proxy serves its self-signed certificate until there is a better one,
//! and an old one until a new one is proven. Failures wait longer each time, across restarts too, so that an authority is
//! not asked too often. Files that somebody places in `cert-storage/` count like those that were ordered.
//!
//! What must never happen here: waiting in front of a request; a private key in a log, an answer or the database.

mod acme;
mod decide;
mod desk;
mod storage;
mod trust;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use acme::{AcmeError, Authority};
pub use desk::{BringError, Desk};
use storage::Stored;
pub use storage::{Storage, choose};
pub use trust::Trust;

use self::acme::{Advice, Refused, Wish};
use self::decide::{Decision, Want, decide, pause, wants, within};
use super::front::Front;
use super::store::{CertificateRecord, Store, StoreError};
use crate::crypto;
use crate::error::{Report as _, chain};
use crate::names::Domain;
use crate::secret::Secret;
use crate::wire::{Certificate, CertificateProblem, CertificateSource, CertificateState, LeftOut, ServedCertificate};
use crate::x509::Leaf;

/// Files are looked at this often.
const TICK: Duration = Duration::from_secs(5);
/// Changes come in bursts; one look serves them all.
const SETTLE: Duration = Duration::from_millis(100);
/// Orders at once.
const AT_ONCE: usize = 4;
/// Until an authority that says nothing about renewals is asked again.
const UNADVISED: Duration = Duration::from_secs(6 * 3600);
/// With less than this share of its life left, one that nobody renews is told of.
const NEAR_END: f64 = 0.15;

/// What is shown of certificates; replaced whole.
pub type Shown = Arc<Vec<Certificate>>;

/// Owns the orders and what is known of certificates.
pub struct Keeper {
    store: Store,
    storage: Storage,
    trust: Arc<Trust>,
    authority: Arc<Authority>,
    front: watch::Receiver<Front>,
    shown: watch::Sender<Shown>,
    nudge: Arc<Notify>,
    orders: JoinSet<Outcome>,
    under_way: BTreeSet<Domain>,
}

/// What became of what was asked of the authority.
enum Outcome {
    Ordered {
        record: CertificateRecord,
        issued: Option<Secret>,
    },
    /// About the renewal of this certificate.
    Advised {
        domain: Domain,
        leaf: Leaf,
        advice: Option<Advice>,
    },
}

/// An order, and what it follows on.
struct Job {
    record: CertificateRecord,
    served: Option<Stored>,
    failures: u32,
    email: Option<String>,
}

impl Keeper {
    /// `storage` as it was scanned for the table that is served already.
    pub fn new(store: Store, storage: Storage, trust: Trust, authority: Authority, front: watch::Receiver<Front>) -> Self {
        Self {
            store,
            storage,
            trust: Arc::new(trust),
            authority: Arc::new(authority),
            front,
            shown: watch::channel(Shown::default()).0,
            nudge: Arc::default(),
            orders: JoinSet::new(),
            under_way: BTreeSet::new(),
        }
    }

    /// The way in for others.
    pub fn desk(&self) -> Desk {
        Desk::new(self.storage.folder().to_owned(), self.store.clone(), self.shown.subscribe(), Arc::clone(&self.nudge))
    }

    /// Runs until `stop`. An order in hand is given up: the next start orders anew.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut changes = self.store.changes();
        let mut served = BTreeSet::new();
        loop {
            if let Err(error) = self.look(&mut served).await {
                tracing::error!(error = chain(&error), "could not look after the certificates; trying again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                Some(ended) = self.orders.join_next() => match ended {
                    Ok(outcome) => self.conclude(outcome).await,
                    Err(error) => tracing::error!(%error, "an order for a certificate was given up"),
                },
                () = self.nudge.notified() => {}
                Ok(()) = self.front.changed() => {}
                Ok(()) = changes.changed() => tokio::time::sleep(SETTLE).await,
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Looks at files, wants and records once, serves what there is and orders what is missing.
    async fn look(&mut self, served: &mut BTreeSet<String>) -> Result<(), StoreError> {
        self.storage.scan();
        let now = Timestamp::now();
        let fingerprints: BTreeSet<String> =
            self.storage.stored().filter(|s| now < s.leaf.not_after).map(|s| s.leaf.fingerprint.clone()).collect();
        if *served != fingerprints {
            self.trust.certify(choose(self.storage.stored(), now));
            *served = fingerprints;
        }
        let wants = wants(&self.store.intents().await?, self.front.borrow().domain.as_ref());
        let records = self.store.certificate_records().await?;
        let records: BTreeMap<Domain, CertificateRecord> = records.into_iter().map(|record| (record.domain.clone(), record)).collect();
        for want in &wants {
            let record = records.get(&want.domain);
            let stored = self.stored_for(want, now).cloned();
            let decision = decide(want, stored.as_ref().map(|stored| &stored.leaf), record, self.authority.is_private(), now);
            let ours = stored.as_ref().zip(record).filter(|(stored, record)| record.fingerprint.as_ref() == Some(&stored.leaf.fingerprint));
            let asks = ours.filter(|(_, record)| record.ask_at.is_none_or(|at| at <= now));
            if self.orders.len() >= AT_ONCE || self.under_way.contains(&want.domain) {
                continue;
            }
            if let Decision::Order(names) = decision {
                self.begin(want, names, stored, record.cloned());
            } else if let Some((stored, _)) = asks {
                self.ask(want, stored.clone());
            }
        }
        self.show(&wants, &records, now);
        Ok(())
    }

    /// The best certificate for what is wanted: one for all names rather than for some.
    fn stored_for(&self, want: &Want, now: Timestamp) -> Option<&Stored> {
        let covered = |leaf: &Leaf| want.names.iter().filter(|name| leaf.covers(name)).count();
        let candidates = self.storage.stored().filter(|stored| stored.leaf.covers(&want.domain));
        candidates.max_by_key(|stored| (now < stored.leaf.not_after, covered(&stored.leaf), stored.leaf.not_after))
    }

    fn begin(&mut self, want: &Want, names: BTreeSet<Domain>, served: Option<Stored>, before: Option<CertificateRecord>) {
        tracing::info!(domain = %want.domain, "ordering a certificate");
        self.under_way.insert(want.domain.clone());
        let before = before.filter(|record| record.names == names);
        let mut record = CertificateRecord::new(want.domain.clone(), names);
        record.fingerprint = before.as_ref().and_then(|before| before.fingerprint.clone());
        let failures = before.and_then(|before| before.problem).map_or(0, |problem| problem.failures);
        let job = Job { record, served, failures, email: self.email(want) };
        let (authority, trust) = (Arc::clone(&self.authority), Arc::clone(&self.trust));
        self.orders.spawn(async move { order(&authority, &trust, job).await });
    }

    /// Asks when the authority wants the certificate renewed.
    fn ask(&mut self, want: &Want, stored: Stored) {
        self.under_way.insert(want.domain.clone());
        let (authority, domain, email) = (Arc::clone(&self.authority), want.domain.clone(), self.email(want));
        self.orders.spawn(async move {
            let advice = authority.advice(&stored.key.cert[0], email.as_deref()).await.unwrap_or_else(|error| {
                tracing::debug!(%domain, error = chain(&error), "the authority does not say when to renew");
                None
            });
            Outcome::Advised { domain, leaf: stored.leaf, advice }
        });
    }

    fn email(&self, want: &Want) -> Option<String> {
        want.email.clone().or_else(|| self.front.borrow().email.clone())
    }

    async fn conclude(&mut self, outcome: Outcome) {
        let domain = match outcome {
            Outcome::Ordered { record, issued } => {
                let domain = record.domain.clone();
                self.keep(record, issued).await;
                domain
            }
            Outcome::Advised { domain, leaf, advice } => {
                if let Err(error) = self.heed(&domain, &leaf, advice).await {
                    tracing::error!(%domain, error = chain(&error), "could not note when to renew a certificate");
                }
                domain
            }
        };
        self.under_way.remove(&domain);
    }

    /// Notes when the authority wants the certificate renewed, unless there is another one by now.
    async fn heed(&self, domain: &Domain, leaf: &Leaf, advice: Option<Advice>) -> Result<(), StoreError> {
        let records = self.store.certificate_records().await?;
        let is_it = |record: &CertificateRecord| record.domain == *domain && record.fingerprint.as_ref() == Some(&leaf.fingerprint);
        let record = records.into_iter().find(is_it);
        let Some(mut record) = record else { return Ok(()) };
        let pause = advice.as_ref().map_or(UNADVISED, |advice| advice.pause);
        record.ask_at = Timestamp::now().checked_add(pause).ok();
        if let Some(Advice { from, to, .. }) = advice {
            let dice = f64::from(u32::from_be_bytes(crypto::random::<4>())) / f64::from(u32::MAX);
            record.renew_at = Some(within(from, to, record.renew_at, dice).max(leaf.earliest_renewal()));
        }
        self.store.save_certificate_record(record).await
    }

    /// Writes down what became of an order: first the certificate, then that it is ours.
    async fn keep(&self, mut record: CertificateRecord, issued: Option<Secret>) {
        let domain = record.domain.clone();
        if let Some(pem) = issued {
            match self.storage.write(domain.as_str(), &pem) {
                Ok(()) => tracing::info!(%domain, "the certificate is here"),
                Err(error) => record.problem = Some(problem(chain(&error), None, 1, false)),
            }
        }
        if let Some(problem) = &record.problem {
            let failed =
                if record.left_out.is_empty() { "an order for a certificate failed" } else { "a certificate is without some aliases" };
            tracing::warn!(%domain, reason = problem.reason, next_attempt = %problem.next_attempt, "{failed}");
        }
        if let Err(error) = self.store.save_certificate_record(record).await {
            tracing::error!(%domain, error = chain(&error), "could not note an order for a certificate");
        }
    }

    fn show(&self, wants: &[Want], records: &BTreeMap<Domain, CertificateRecord>, now: Timestamp) {
        let mut shown: Vec<Certificate> = wants.iter().map(|want| self.wanted(want, records.get(&want.domain), now)).collect();
        let used: BTreeSet<&str> = shown.iter().filter_map(|shown| Some(shown.served.as_ref()?.fingerprint.as_str())).collect();
        let others = self.storage.stored().filter(|stored| !used.contains(stored.leaf.fingerprint.as_str()));
        let others: Vec<Certificate> = others.map(|stored| unwanted(stored, records, now)).collect();
        shown.extend(others);
        let shown = Arc::new(shown);
        self.shown.send_if_modified(|before| {
            let differs = **before != *shown;
            if differs {
                *before = Arc::clone(&shown);
            }
            differs
        });
    }

    /// What is shown of one that an app wants.
    fn wanted(&self, want: &Want, record: Option<&CertificateRecord>, now: Timestamp) -> Certificate {
        let leaf = self.stored_for(want, now).map(|stored| &stored.leaf);
        let decision = decide(want, leaf, record, self.authority.is_private(), now);
        let record = record.filter(|record| want.names.is_superset(&record.names));
        let ours = leaf.is_some_and(|leaf| record.is_some_and(|record| record.fingerprint.as_ref() == Some(&leaf.fingerprint)));
        let problem = record.and_then(|record| record.problem.clone());
        let valid = leaf.filter(|leaf| now < leaf.not_after);
        let state = match (valid, &decision) {
            (None, Decision::NotPublic) => CertificateState::SelfSigned,
            _ if self.under_way.contains(&want.domain) && !ours => CertificateState::Ordering,
            (Some(leaf), _) if !ours && leaf.life_left(now) < NEAR_END => CertificateState::Expiring,
            (Some(_), _) => CertificateState::Valid,
            (None, _) if problem.is_some() => CertificateState::Failed,
            (None, _) => CertificateState::Ordering,
        };
        Certificate {
            name: want.domain.to_string(),
            app: want.app.clone(),
            state,
            served: leaf.map(|leaf| served(leaf, ours)),
            renew_at: leaf.filter(|_| ours).map(|leaf| record.and_then(|record| record.renew_at).unwrap_or(leaf.renewal())),
            left_out: record.map(|record| record.left_out.clone()).unwrap_or_default(),
            problem,
        }
    }
}

/// A certificate that no app wants: brought ahead of time, or left from one that is gone.
fn unwanted(stored: &Stored, records: &BTreeMap<Domain, CertificateRecord>, now: Timestamp) -> Certificate {
    let ours = records.values().any(|record| record.fingerprint.as_ref() == Some(&stored.leaf.fingerprint));
    let state = if stored.leaf.life_left(now) < NEAR_END { CertificateState::Expiring } else { CertificateState::Valid };
    Certificate {
        name: stored.name.clone(),
        app: None,
        state,
        served: Some(served(&stored.leaf, ours)),
        renew_at: None,
        left_out: Vec::new(),
        problem: None,
    }
}

fn served(leaf: &Leaf, ours: bool) -> ServedCertificate {
    ServedCertificate {
        names: leaf.names.iter().cloned().collect(),
        source: if ours { CertificateSource::Acme } else { CertificateSource::File },
        issuer: leaf.issuer.clone(),
        not_before: leaf.not_before,
        not_after: leaf.not_after,
        fingerprint: leaf.fingerprint.clone(),
    }
}

/// Orders, and once more without the aliases that failed: the others do not wait for them.
async fn order(authority: &Authority, trust: &Arc<Trust>, job: Job) -> Outcome {
    let Job { mut record, served, failures, email } = job;
    let ours = served.as_ref().filter(|served| record.fingerprint.as_ref() == Some(&served.leaf.fingerprint));
    let (replaces, email) = (ours.map(|served| &served.key.cert[0]), email.as_deref());
    let mut names: Vec<Domain> = record.names.iter().cloned().collect();
    let mut result = authority.order(trust, &Wish { names: &names, email, replaces }).await;
    if let Err(AcmeError::Names(refused)) = &result
        && let Some(rest) = without(&names, refused, &record.domain)
    {
        let left_out =
            refused.iter().filter_map(|refused| Some(LeftOut { name: refused.name.parse().ok()?, reason: refused.detail.clone() }));
        record.left_out = left_out.collect();
        record.left_out.sort_by(|a, b| a.name.cmp(&b.name));
        let error = result.as_ref().err();
        record.problem = error.map(|error| problem(error.reason(), error.hint(), failures + 1, false));
        let is_enough = |leaf: &Leaf| rest.iter().all(|name| leaf.covers(name)) && Timestamp::now() < leaf.renewal();
        if served.as_ref().is_some_and(|served| is_enough(&served.leaf)) {
            return Outcome::Ordered { record, issued: None };
        }
        names = rest;
        result = authority.order(trust, &Wish { names: &names, email, replaces }).await;
    }
    let issued = match result {
        Ok(pem) => {
            let leaf = Stored::read("issued", pem.expose()).map(|stored| stored.leaf);
            record.fingerprint = leaf.ok().map(|leaf| leaf.fingerprint);
            Some(pem)
        }
        Err(error) => {
            record.problem = Some(problem(error.reason(), error.hint(), failures + 1, error.is_rate_limit()));
            None
        }
    };
    Outcome::Ordered { record, issued }
}

/// The names that did not fail; none when the domain itself did.
fn without(names: &[Domain], refused: &[Refused], domain: &Domain) -> Option<Vec<Domain>> {
    let failed = |name: &Domain| refused.iter().any(|refused| refused.name == name.as_str());
    let rest: Vec<Domain> = names.iter().filter(|name| !failed(name)).cloned().collect();
    (!failed(domain) && rest.len() < names.len()).then_some(rest)
}

fn problem(reason: String, hint: Option<String>, failures: u32, rate_limited: bool) -> CertificateProblem {
    let dice = crypto::random::<1>()[0];
    let pause = pause(failures, dice).max(if rate_limited { pause(4, dice) } else { Duration::ZERO });
    let next_attempt = Timestamp::now().checked_add(pause).unwrap_or(Timestamp::MAX);
    CertificateProblem { reason, hint, failures, next_attempt }
}
