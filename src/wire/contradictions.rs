//! What is fine by itself in a spec and cannot be together. Pure: whoever reads a spec, from a file or from a
//! request, finds the same contradictions and has words of their own for them.

use std::collections::BTreeMap;

use super::app::{AppSpec, Hsts, Naming, Strategy, Tls};
use super::container::Probe;

/// Two parts of a spec that exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contradiction<'a> {
    /// A replica must be healthy for as long as the deployment may take, or longer.
    ReadyTime,
    /// The app cannot have one name for ever.
    StaticName(StaticName),
    /// Several replicas would listen on one port of the server.
    HostNetworkReplicas,
    /// Two versions side by side would listen on one port of the server.
    HostNetworkRolling,
    /// Visitors have no way to an app without a network.
    NoNetworkDomains,
    /// Nor has a health check that asks over the network.
    NoNetworkCheck,
    /// `container.tmpfs` of this index lies over a volume.
    TmpfsOverVolume { index: usize },
    /// `container.tmpfs` of this index lies over an earlier one.
    TmpfsTwice { index: usize, first: usize },
    /// Only who terminates TLS knows whether a visitor came over HTTPS.
    HstsWithoutTls,
    /// The lists of domains that browsers have built in want more.
    HstsPreload,
    /// A capability is added and dropped.
    Capability { name: &'a str },
}

/// What speaks against `naming_strategy: static`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaticName {
    /// Two versions side by side would have one name.
    Rolling,
    /// Several replicas would have one name.
    Replicas,
    /// The app's name is too short for a container: Docker wants two characters.
    Short,
}

/// All contradictions of a spec.
pub fn contradictions(spec: &AppSpec) -> Vec<Contradiction<'_>> {
    let mut found = Vec::new();
    found.extend((spec.min_ready_seconds >= spec.deploy_timeout).then_some(Contradiction::ReadyTime));
    found.extend(of_naming(spec));
    found.extend(of_network(spec));
    found.extend(of_hsts(spec));
    found.extend(of_tmpfs(spec));
    let added = spec.container.cap_add.iter().filter(|name| spec.container.cap_drop.contains(name));
    found.extend(added.map(|name| Contradiction::Capability { name }));
    found
}

/// One name can be held by one container at a time.
fn of_naming(spec: &AppSpec) -> Vec<Contradiction<'static>> {
    if spec.naming_strategy != Naming::Static {
        return Vec::new();
    }
    let rules = [
        (spec.deployment_strategy != Strategy::Replace, Contradiction::StaticName(StaticName::Rolling)),
        (spec.replicas > 1, Contradiction::StaticName(StaticName::Replicas)),
        (spec.name.as_str().len() < 2, Contradiction::StaticName(StaticName::Short)),
    ];
    broken(&rules)
}

/// On the host's network every container has the same address; without a network it has none.
fn of_network(spec: &AppSpec) -> Vec<Contradiction<'static>> {
    let asked = is_asked_over_network(spec);
    let listens = asked || !spec.domains.is_empty() || spec.port.is_some();
    match spec.network() {
        AppSpec::HOST_NETWORK => broken(&[
            (listens && spec.replicas > 1, Contradiction::HostNetworkReplicas),
            (listens && spec.deployment_strategy != Strategy::Replace, Contradiction::HostNetworkRolling),
        ]),
        // A port that nobody reaches does no harm.
        AppSpec::NO_NETWORK => {
            broken(&[(!spec.domains.is_empty(), Contradiction::NoNetworkDomains), (asked, Contradiction::NoNetworkCheck)])
        }
        _ => Vec::new(),
    }
}

/// Whether the spec wants a health check that needs the container's address, whatever its image says.
fn is_asked_over_network(spec: &AppSpec) -> bool {
    match spec.health_check.as_ref().map(|check| &check.probe) {
        Some(Probe::Http(_) | Probe::Tcp { .. }) => true,
        Some(Probe::Command(_) | Probe::None) => false,
        Some(Probe::Standard) | None => spec.health_check_path.is_some(),
    }
}

fn of_hsts(spec: &AppSpec) -> Vec<Contradiction<'static>> {
    let Some(hsts) = spec.hsts else { return Vec::new() };
    let is_listable = hsts.include_subdomains && hsts.max_age >= Hsts::YEAR;
    broken(&[(spec.tls == Tls::Off, Contradiction::HstsWithoutTls), (hsts.preload && !is_listable, Contradiction::HstsPreload)])
}

/// File systems in memory lie over nothing else.
fn of_tmpfs(spec: &AppSpec) -> Vec<Contradiction<'static>> {
    let mut seen = BTreeMap::new();
    let check = |(index, path): (usize, &'_ str)| {
        if spec.volumes.iter().any(|mount| mount.target == path) {
            return Some(Contradiction::TmpfsOverVolume { index });
        }
        let first = *seen.entry(path.to_owned()).or_insert(index);
        (first != index).then_some(Contradiction::TmpfsTwice { index, first })
    };
    spec.container.tmpfs.iter().map(|tmpfs| tmpfs.path.as_str()).enumerate().filter_map(check).collect()
}

fn broken(rules: &[(bool, Contradiction<'static>)]) -> Vec<Contradiction<'static>> {
    rules.iter().filter(|(broken, _)| *broken).map(|(_, rule)| *rule).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(changes: Value) -> String {
        let mut spec = json!({ "name": "shop", "image": "shop:1", "replicas": 1 });
        spec.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        let spec: AppSpec = serde_json::from_value(spec).expect("a spec");
        contradictions(&spec).iter().map(|found| format!("{found:?}")).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn names_and_times() {
        for (changes, expected) in [
            (json!({}), ""),
            (json!({ "min_ready_seconds": 119 }), ""),
            (json!({ "min_ready_seconds": 120 }), "ReadyTime"),
            (
                json!({ "naming_strategy": "static", "replicas": 2, "name": "a" }),
                "StaticName(Rolling), StaticName(Replicas), StaticName(Short)",
            ),
            (json!({ "naming_strategy": "static", "deployment_strategy": "replace" }), ""),
            (json!({ "name": "a", "replicas": 2 }), ""),
        ] {
            assert_eq!(found(changes.clone()), expected, "{changes}");
        }
    }

    #[test]
    fn networks() {
        let domains = json!([{ "domain": "a.example.com" }]);
        let command = json!({ "probe": { "command": ["ready"] } });
        for (changes, expected) in [
            (json!({ "network": "host", "replicas": 2 }), ""),
            (json!({ "network": "host", "port": 80, "deployment_strategy": "replace" }), ""),
            (json!({ "network": "host", "port": 80 }), "HostNetworkRolling"),
            (json!({ "network": "host", "port": 80, "health_check": command }), "HostNetworkRolling"),
            (json!({ "network": "host", "health_check_path": "/up", "replicas": 2 }), "HostNetworkReplicas, HostNetworkRolling"),
            (json!({ "network": "host", "health_check_path": "/up", "health_check": { "probe": "none" }, "replicas": 2 }), ""),
            (json!({ "network": "none", "replicas": 2 }), ""),
            (json!({ "network": "none", "port": 80 }), ""),
            (json!({ "network": "none", "port": 80, "health_check": command }), ""),
            (json!({ "network": "none", "health_check_path": "/up", "health_check": { "probe": "none" } }), ""),
            (json!({ "network": "none", "health_check_path": "/up" }), "NoNetworkCheck"),
            (json!({ "network": "none", "health_check": { "probe": { "tcp": {} } } }), "NoNetworkCheck"),
            (json!({ "network": "none", "domains": domains, "health_check": command }), "NoNetworkDomains"),
        ] {
            assert_eq!(found(changes.clone()), expected, "{changes}");
        }
    }

    #[test]
    fn strict_transport() {
        for (changes, expected) in [
            (json!({ "hsts": { "max_age": 0 } }), ""),
            (json!({ "hsts": { "max_age": 1 }, "tls": "off" }), "HstsWithoutTls"),
            (json!({ "hsts": { "max_age": 31536000, "include_subdomains": true, "preload": true } }), ""),
            (json!({ "hsts": { "max_age": 31535999, "include_subdomains": true, "preload": true } }), "HstsPreload"),
            (json!({ "hsts": { "max_age": 31536000, "preload": true } }), "HstsPreload"),
        ] {
            assert_eq!(found(changes.clone()), expected, "{changes}");
        }
    }

    #[test]
    fn mounts_and_capabilities() {
        let tmpfs = json!([{ "path": "/a" }, { "path": "/b" }, { "path": "/a" }]);
        let volumes = json!([{ "source": { "volume": "data" }, "target": "/b" }]);
        let mounts = json!({ "container": { "tmpfs": tmpfs }, "volumes": volumes });
        assert_eq!(found(mounts), "TmpfsOverVolume { index: 1 }, TmpfsTwice { index: 2, first: 0 }");
        let capabilities = json!({ "container": { "cap_add": ["NET_ADMIN", "KILL"], "cap_drop": ["KILL", "ALL"] } });
        assert_eq!(found(capabilities), "Capability { name: \"KILL\" }");
    }
}
