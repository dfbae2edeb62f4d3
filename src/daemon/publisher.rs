//! The only writer of the proxy's table. Two bring what belongs in it: the reconcile loop the routes, the keeper of
//! certificates the certificates and the answers to challenges. Each replaces its own part and leaves the other's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::docker::ContainerId;
use crate::error::chain;
use crate::names::Domain;
use crate::proxy::{Certificates, Challenges, Proxy, Route, Snapshot};

pub struct Publisher {
    proxy: Arc<Proxy>,
    file: PathBuf,
    state: Mutex<State>,
}

struct State {
    published: Arc<Snapshot>,
    /// The API's own routes, beside those of the apps.
    front: Vec<Route>,
    generation: u64,
    /// The file holds an older table: it could not be written.
    is_unsaved: bool,
    /// In the table before the last change; until every worker has adopted that, they count as routed.
    leaving: BTreeSet<ContainerId>,
}

impl Publisher {
    /// `first` is what the proxy was started with.
    pub fn new(proxy: Arc<Proxy>, file: PathBuf, first: Arc<Snapshot>) -> Self {
        let state = State { published: first, front: Vec::new(), generation: 0, is_unsaved: false, leaving: BTreeSet::new() };
        Self { proxy, file, state: Mutex::new(state) }
    }

    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Every container that a worker may still send a request to.
    pub fn routed(&self) -> BTreeSet<ContainerId> {
        let mut state = self.state();
        if self.proxy.adopted() >= state.generation {
            state.leaving.clear();
        }
        ids(&state.published).chain(state.leaving.iter().cloned()).collect()
    }

    /// Publishes the routes when they differ from those that are served.
    pub fn route(&self, mut routes: Vec<Route>, redirects: BTreeMap<Domain, Domain>) {
        let mut state = self.state();
        routes.extend(state.front.clone());
        if routes != state.published.routes || redirects != state.published.redirects {
            let before: BTreeSet<ContainerId> = ids(&state.published).collect();
            state.leaving.extend(before);
            let Snapshot { certificates, challenges, .. } = (*state.published).clone();
            self.publish(&mut state, Snapshot { routes, redirects, certificates, challenges });
            self.save(&mut state);
        } else if state.is_unsaved {
            self.save(&mut state);
        }
    }

    /// Publishes the API's own routes in place of those before.
    pub fn front(&self, front: Vec<Route>) {
        let mut state = self.state();
        let Snapshot { mut routes, redirects, certificates, challenges } = (*state.published).clone();
        let others = |route: &Route| state.front.iter().chain(&front).all(|own| own.name != route.name);
        routes.retain(others);
        routes.extend(front.clone());
        state.front = front;
        self.publish(&mut state, Snapshot { routes, redirects, certificates, challenges });
        self.save(&mut state);
    }

    /// Publishes certificates and answers to challenges. [`Proxy::adopted`] tells when every worker has them.
    pub fn trust(&self, certificates: Certificates, challenges: Challenges) -> u64 {
        let mut state = self.state();
        let Snapshot { routes, redirects, .. } = (*state.published).clone();
        self.publish(&mut state, Snapshot { routes, redirects, certificates, challenges });
        state.generation
    }

    fn publish(&self, state: &mut State, snapshot: Snapshot) {
        state.published = Arc::new(snapshot);
        state.generation = self.proxy.publish(Arc::clone(&state.published));
    }

    /// The table is served whether it can be saved or not; only a restart would begin with an older one.
    fn save(&self, state: &mut State) {
        let saved = state.published.save(&self.file);
        if let (Err(error), false) = (&saved, state.is_unsaved) {
            tracing::error!(error = chain(error), "could not save the routing table; trying again with every look");
        }
        state.is_unsaved = saved.is_err();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ids(snapshot: &Snapshot) -> impl Iterator<Item = ContainerId> {
    snapshot.routes.iter().flat_map(|r| &r.groups).flat_map(|g| &g.backends).map(|b| ContainerId(b.id.0.to_string()))
}
