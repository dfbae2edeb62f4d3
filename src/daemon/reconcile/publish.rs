//! From the decision about an app to its part of the table that the proxy serves.

use std::collections::BTreeMap;

use super::observe::{address, backend_id};
use super::plan::Plan;
use crate::daemon::store::AppIntent;
use crate::docker::{Container, ContainerId};
use crate::names::Domain;
use crate::proxy::{Backend, Group, Policy, Route};
use crate::wire::Tls;

/// The route of one app and the redirects of its aliases. An app without domains gets a route
/// without hosts: nothing leads there, and its containers are in the table like all others.
pub fn route(app: &AppIntent, containers: &[Container], plan: &Plan, redirects: &mut BTreeMap<Domain, Domain>) -> Option<Route> {
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
        policy: Policy {
            redirect_to_https: release.spec.tls == Tls::Auto,
            strict_transport: release.spec.hsts.map(|hsts| hsts.to_string()),
            ..Policy::default()
        },
        groups: vec![Group { weight: 1, backends }],
    })
}
