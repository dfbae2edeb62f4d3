//! What is said to a client whose spec contradicts itself.

use crate::wire::AppSpec;
use crate::wire::contradictions::{Contradiction, StaticName};

/// The field and the rule that it breaks.
pub fn explain(found: Contradiction<'_>, spec: &AppSpec) -> String {
    let rule = match found {
        Contradiction::ReadyTime => {
            return format!("`spec.min_ready_seconds`: shorter than `spec.deploy_timeout` ({} seconds)", spec.deploy_timeout);
        }
        Contradiction::StaticName(StaticName::Rolling) => {
            "`spec.naming_strategy`: `static` needs `deployment_strategy: replace`, because two containers cannot share a name"
        }
        Contradiction::StaticName(StaticName::Replicas) => "`spec.naming_strategy`: `static` allows one replica",
        Contradiction::StaticName(StaticName::Short) => "`spec.naming_strategy`: `static` needs an app name of two characters or more",
        Contradiction::HostNetworkReplicas => {
            "`spec.replicas`: 1 on the network `host`, where two containers cannot listen on the same port"
        }
        Contradiction::HostNetworkRolling => {
            "`spec.deployment_strategy`: `replace` on the network `host`, where the new version cannot listen on the port before the old \
             one has stopped"
        }
        Contradiction::NoNetworkDomains => "`spec.network`: without a network nobody reaches the app under its domains",
        Contradiction::NoNetworkCheck => "`spec.network`: without a network a health check over HTTP or TCP reaches nothing",
        Contradiction::TmpfsOverVolume { index } | Contradiction::TmpfsTwice { index, .. } => {
            let path = &spec.container.tmpfs[index].path;
            return format!("`spec.container.tmpfs[{index}]`: `{path}` is mounted over twice");
        }
        Contradiction::HstsWithoutTls => "`spec.hsts`: null with `tls: off`, where something else terminates TLS",
        Contradiction::HstsPreload => "`spec.hsts.preload`: needs `include_subdomains` and a `max_age` of 31536000 or more",
        Contradiction::Capability { name } => return format!("`spec.container.cap_add`: `{name}` is in `cap_drop`, too"),
    };
    rule.to_owned()
}
