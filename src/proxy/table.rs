//! The routing table that one worker serves: a snapshot made fast to look into. It is never changed,
//! only replaced, and looking into it takes no lock.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;
use http::HeaderValue;

use super::counters::{PerWorker, RouteCounters};
use super::snapshot::{Backend, Policy, Snapshot};
use super::upstream::Upstream;

#[derive(Default)]
pub(super) struct Table {
    hosts: HashMap<Box<str>, Host>,
    /// For all others.
    nameless: Host,
    /// Token → key authorization.
    challenges: HashMap<Box<str>, Bytes>,
}

#[derive(Default)]
struct Host {
    /// An alias: the domain that it stands for.
    canonical: Option<Box<str>>,
    /// The longest prefix first.
    routes: Vec<Rc<Route>>,
}

pub(super) struct Route {
    pub name: Box<str>,
    /// Without a slash at the end: `` for all.
    prefix: Box<str>,
    pub policy: Policy,
    /// The policy's, as a header has it.
    pub strict_transport: Option<HeaderValue>,
    pub introduction: Option<HeaderValue>,
    groups: Vec<Group>,
    worker: usize,
    counters: PerWorker<RouteCounters>,
}

struct Group {
    weight: i64,
    /// Smooth weighted round robin: grows by the weight each turn, the richest is chosen and pays for it.
    credit: Cell<i64>,
    next: Cell<usize>,
    upstreams: Vec<Rc<Upstream>>,
}

/// What the table says about a host and path.
pub(super) enum Found<'a> {
    Route(&'a Rc<Route>),
    /// An alias of the domain; the route is the one that serves the path there.
    Alias(&'a str, Option<&'a Rc<Route>>),
    Unknown,
}

impl Table {
    /// `counters` are those of the snapshot's routes, in order; `upstream` gives the worker's view of a backend.
    pub(super) fn new(
        snapshot: &Snapshot,
        worker: usize,
        counters: &[PerWorker<RouteCounters>],
        mut upstream: impl FnMut(&Backend) -> Rc<Upstream>,
    ) -> Self {
        let mut hosts: HashMap<Box<str>, Host> = HashMap::new();
        let mut nameless = Host::default();
        for (route, counters) in snapshot.routes.iter().zip(counters) {
            let groups = route.groups.iter().filter(|group| group.weight > 0 && !group.backends.is_empty()).map(|group| Group {
                weight: i64::from(group.weight),
                credit: Cell::new(0),
                // Workers begin at different replicas, so that few requests spread too.
                next: Cell::new(worker),
                upstreams: group.backends.iter().map(&mut upstream).collect(),
            });
            let shared = Rc::new(Route {
                name: route.name.as_str().into(),
                prefix: route.path_prefix.trim_end_matches('/').into(),
                policy: route.policy.clone(),
                strict_transport: route.policy.strict_transport.as_deref().and_then(|value| HeaderValue::from_str(value).ok()),
                introduction: route.policy.introduction.as_ref().and_then(|secret| HeaderValue::from_str(secret.expose()).ok()),
                groups: groups.collect(),
                worker,
                counters: counters.clone(),
            });
            if route.hosts.is_empty() {
                nameless.routes.push(Rc::clone(&shared));
            }
            for host in &route.hosts {
                hosts.entry(host.as_str().into()).or_default().routes.push(Rc::clone(&shared));
            }
        }
        for (alias, canonical) in &snapshot.redirects {
            hosts.entry(alias.as_str().into()).or_default().canonical = Some(canonical.as_str().into());
        }
        for host in hosts.values_mut() {
            host.routes.sort_by_key(|route| std::cmp::Reverse(route.prefix.len()));
        }
        let answers = snapshot.challenges.http.iter();
        let challenges = answers.map(|(token, answer)| (token.as_str().into(), Bytes::from(answer.clone()))).collect();
        Self { hosts, nameless, challenges }
    }

    /// `host` in any letter case, `path` without its query.
    pub(super) fn find(&self, host: &str, path: &str) -> Found<'_> {
        let Some(entry) = self.host(host) else { return Found::Unknown };
        match &entry.canonical {
            Some(canonical) => Found::Alias(canonical, self.hosts.get(canonical).and_then(|target| target.route(path))),
            None => entry.route(path).map_or(Found::Unknown, Found::Route),
        }
    }

    /// The route for a host that the table does not know, over a connection that was made for none that it knows.
    pub(super) fn nameless(&self, name: Option<&str>, host: &str, path: &str) -> Option<&Rc<Route>> {
        let is_unknown = |name: &str| self.host(name).is_none();
        (is_unknown(host) && name.is_none_or(is_unknown)).then(|| self.nameless.route(path))?
    }

    /// Whether requests for the host may come over a connection that was made for the name: both lead to one app, or
    /// the host to none.
    pub(super) fn agree(&self, name: &str, host: &str) -> bool {
        name.eq_ignore_ascii_case(host) || self.owner(host).is_none_or(|owner| self.owner(name) == Some(owner))
    }

    fn owner(&self, host: &str) -> Option<&str> {
        let entry = self.host(host)?;
        let entry = entry.canonical.as_ref().map_or(Some(entry), |canonical| self.hosts.get(canonical))?;
        entry.routes.first().map(|route| &*route.name)
    }

    /// The answer to an HTTP-01 challenge, when the path is one of ours.
    pub(super) fn challenge(&self, path: &str) -> Option<&Bytes> {
        if self.challenges.is_empty() {
            return None;
        }
        self.challenges.get(path.strip_prefix("/.well-known/acme-challenge/")?)
    }

    fn host(&self, host: &str) -> Option<&Host> {
        if host.bytes().any(|b| b.is_ascii_uppercase()) {
            return self.hosts.get(host.to_ascii_lowercase().as_str());
        }
        self.hosts.get(host)
    }
}

impl Host {
    fn route(&self, path: &str) -> Option<&Rc<Route>> {
        self.routes.iter().find(|route| route.serves(path))
    }
}

impl Route {
    fn serves(&self, path: &str) -> bool {
        path.strip_prefix(&*self.prefix).is_some_and(|rest| self.prefix.is_empty() || rest.is_empty() || rest.starts_with('/'))
    }

    pub(super) fn counters(&self) -> &RouteCounters {
        &self.counters[self.worker]
    }

    /// The next backend, none of `avoid`. Ejected ones come only when there are no others.
    pub(super) fn pick(&self, now: u64, avoid: &[Rc<Upstream>]) -> Option<Rc<Upstream>> {
        let first = self.turn()?;
        let good = |upstream: &Rc<Upstream>| !upstream.is_ejected(now) && !avoid.iter().any(|a| Rc::ptr_eq(a, upstream));
        let any = |upstream: &Rc<Upstream>| !avoid.iter().any(|a| Rc::ptr_eq(a, upstream));
        let others = || self.groups.iter().filter(|group| !std::ptr::eq(*group, first));
        first
            .pick(good)
            .or_else(|| others().find_map(|group| group.pick(good)))
            .or_else(|| first.pick(any))
            .or_else(|| others().find_map(|group| group.pick(any)))
            .cloned()
    }

    /// The group whose turn it is.
    fn turn(&self) -> Option<&Group> {
        if let [only] = self.groups.as_slice() {
            return Some(only);
        }
        for group in &self.groups {
            group.credit.set(group.credit.get() + group.weight);
        }
        let richest = self.groups.iter().max_by_key(|group| group.credit.get())?;
        let total: i64 = self.groups.iter().map(|group| group.weight).sum();
        richest.credit.set(richest.credit.get() - total);
        Some(richest)
    }
}

impl Group {
    /// The next in turn that is acceptable.
    fn pick(&self, acceptable: impl Fn(&Rc<Upstream>) -> bool) -> Option<&Rc<Upstream>> {
        let count = self.upstreams.len();
        let begin = self.next.get() % count;
        let chosen = (0..count).map(|step| (begin + step) % count).find(|&at| acceptable(&self.upstreams[at]))?;
        self.next.set(chosen + 1);
        Some(&self.upstreams[chosen])
    }
}

#[cfg(test)]
#[path = "table/tests.rs"]
mod tests;
