//! From the decisions about all apps to the one table that the proxy serves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::observe::{address, backend_id};
use super::plan::Plan;
use crate::daemon::store::AppIntent;
use crate::docker::{Container, ContainerId};
use crate::proxy::{Backend, Certificates, Group, Policy, Proxy, Route, Snapshot};
use crate::wire::Tls;

/// The only writer of the proxy's table.
pub struct Publisher {
    proxy: Arc<Proxy>,
    certificates: Certificates,
    file: PathBuf,
    published: Arc<Snapshot>,
    generation: u64,
    /// The file holds an older table: it could not be written.
    is_unsaved: bool,
    /// In the table before the last change; until every worker has adopted that, they count as routed.
    leaving: BTreeSet<ContainerId>,
}

impl Publisher {
    /// `first` is what the proxy was started with.
    pub fn new(proxy: Arc<Proxy>, certificates: Certificates, file: PathBuf, first: Arc<Snapshot>) -> Self {
        Self { proxy, certificates, file, published: first, generation: 0, is_unsaved: false, leaving: BTreeSet::new() }
    }

    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Every container that a worker may still send a request to.
    pub fn routed(&mut self) -> BTreeSet<ContainerId> {
        if self.proxy.adopted() >= self.generation {
            self.leaving.clear();
        }
        ids(&self.published).chain(self.leaving.iter().cloned()).collect()
    }

    /// Publishes the table when it differs from the one that is served.
    pub fn publish(&mut self, routes: Vec<Route>, redirects: BTreeMap<crate::names::Domain, crate::names::Domain>) {
        if routes == self.published.routes && redirects == self.published.redirects {
            if self.is_unsaved {
                self.save();
            }
            return;
        }
        let snapshot = Arc::new(Snapshot { routes, redirects, certificates: self.certificates.clone() });
        let before: BTreeSet<ContainerId> = ids(&self.published).collect();
        self.leaving.extend(before);
        self.generation = self.proxy.publish(Arc::clone(&snapshot));
        self.published = snapshot;
        self.save();
    }

    /// The table is served whether it can be saved or not; only a restart would begin with an older one.
    fn save(&mut self) {
        let saved = self.published.save(&self.file);
        if let (Err(error), false) = (&saved, self.is_unsaved) {
            tracing::error!(error = crate::error::chain(error), "could not save the routing table; trying again with every look");
        }
        self.is_unsaved = saved.is_err();
    }
}

fn ids(snapshot: &Snapshot) -> impl Iterator<Item = ContainerId> {
    snapshot.routes.iter().flat_map(|r| &r.groups).flat_map(|g| &g.backends).map(|b| ContainerId(b.id.0.to_string()))
}

/// The route of one app and the redirects of its aliases. An app without domains gets a route
/// without hosts: nothing leads there, and its containers are in the table like all others.
pub fn route(
    app: &AppIntent,
    containers: &[Container],
    plan: &Plan,
    redirects: &mut BTreeMap<crate::names::Domain, crate::names::Domain>,
) -> Option<Route> {
    let release = [&app.rollout, &app.serving].into_iter().flatten().find(|release| Some(release.id) == plan.serve)?;
    for domain in &release.spec.domains {
        redirects.extend(domain.aliases.iter().map(|alias| (alias.clone(), domain.domain.clone())));
    }
    let unspecified = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
    let backend = |id: &ContainerId| {
        let container = containers.iter().find(|c| c.id == *id)?;
        let address = match address(container, release) {
            Some(address) => address,
            None if release.spec.domains.is_empty() => unspecified,
            None => return None,
        };
        Some(Backend { id: backend_id(id), address })
    };
    let backends: Vec<Backend> = plan.table.iter().filter_map(backend).collect();
    Some(Route {
        name: app.app.to_string(),
        hosts: release.spec.domains.iter().map(|d| d.domain.clone()).collect(),
        path_prefix: "/".to_owned(),
        policy: Policy { redirect_to_https: release.spec.tls == Tls::Auto, ..Policy::default() },
        groups: vec![Group { weight: 1, backends }],
    })
}
