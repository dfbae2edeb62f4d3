//! Which route a host and a path lead to.

use super::super::counters::Registry;
use super::super::snapshot::{BackendId, Group as GroupSpec, Route as RouteSpec};
use super::*;

fn route(name: &str, host: &str, prefix: &str, groups: &[(u32, &[&str])]) -> RouteSpec {
    let backends = |ids: &[&str]| ids.iter().map(|&id| Backend { id: BackendId(id.into()), address: ([127, 0, 0, 1], 1).into() }).collect();
    RouteSpec {
        name: name.to_owned(),
        hosts: vec![host.parse().expect("domain")],
        path_prefix: prefix.to_owned(),
        policy: Policy::default(),
        groups: groups.iter().map(|&(weight, ids)| GroupSpec { weight, backends: backends(ids) }).collect(),
    }
}

fn table(snapshot: &Snapshot) -> Table {
    let registry = Registry::new(1);
    let (routes, backends) = registry.enroll(snapshot, 1, 0);
    let mut upstreams: HashMap<BackendId, Rc<Upstream>> = HashMap::new();
    Table::new(snapshot, 0, &routes, |backend| {
        let new = || Upstream::new(backend.id.clone(), backend.address, 0, backends[&backend.id].clone(), 1);
        upstreams.entry(backend.id.clone()).or_insert_with(new).clone()
    })
}

fn found(table: &Table, host: &str, path: &str) -> String {
    match table.find(host, path) {
        Found::Route(route) => route.name.to_string(),
        Found::Alias(canonical, route) => format!("→ {canonical} ({})", route.map_or("none", |route| &*route.name)),
        Found::Unknown => "unknown".to_owned(),
    }
}

#[test]
fn the_longest_prefix_at_a_slash_wins() {
    let routes = vec![
        route("all", "a.example", "/", &[]),
        route("api", "a.example", "/api", &[]),
        route("v2", "a.example", "/api/v2/", &[]),
        route("part", "b.example", "/only", &[]),
    ];
    let mut snapshot = Snapshot { routes, ..Default::default() };
    snapshot.redirects.insert("www.a.example".parse().expect("domain"), "a.example".parse().expect("domain"));
    let table = table(&snapshot);
    for (host, path, expected) in [
        ("a.example", "/", "all"),
        ("A.Example", "/apix", "all"),
        ("a.example", "/api", "api"),
        ("a.example", "/api/x", "api"),
        ("a.example", "/api/v2", "v2"),
        ("a.example", "/api/v2/x", "v2"),
        ("a.example", "*", "all"),
        ("b.example", "/only/x", "part"),
        ("b.example", "/", "unknown"),
        ("c.example", "/", "unknown"),
        ("www.a.example", "/api/x", "→ a.example (api)"),
    ] {
        assert_eq!(found(&table, host, path), expected, "{host}{path}");
    }
}

fn picks(table: &Table, count: usize, now: u64) -> Vec<String> {
    let Found::Route(route) = table.find("a.example", "/") else { panic!("no route") };
    (0..count).filter_map(|_| route.pick(now, &[])).map(|upstream| upstream.id.0.to_string()).collect()
}

#[test]
fn replicas_take_turns_and_groups_their_weight() {
    let one = Snapshot { routes: vec![route("a", "a.example", "/", &[(1, &["x", "y", "z"])])], ..Default::default() };
    assert_eq!(picks(&table(&one), 6, 0), ["x", "y", "z", "x", "y", "z"]);
    let two = Snapshot { routes: vec![route("a", "a.example", "/", &[(9, &["old"]), (1, &["new"]), (0, &["off"])])], ..Default::default() };
    let chosen = picks(&table(&two), 100, 0);
    assert_eq!((chosen.iter().filter(|id| *id == "new").count(), chosen.iter().filter(|id| *id == "off").count()), (10, 0));
    let none = Snapshot { routes: vec![route("a", "a.example", "/", &[(1, &[])])], ..Default::default() };
    assert!(picks(&table(&none), 1, 0).is_empty());
}

#[test]
fn a_failing_replica_is_left_out_for_a_growing_while_but_never_the_last() {
    let snapshot = Snapshot { routes: vec![route("a", "a.example", "/", &[(1, &["x", "y"])])], ..Default::default() };
    let table = table(&snapshot);
    let Found::Route(route) = table.find("a.example", "/") else { panic!("no route") };
    let all: Vec<_> = (0..2).filter_map(|_| route.pick(0, &[])).collect();
    let fail = |at: usize, now| (0..3).for_each(|_| all[at].failed(now));
    fail(0, 0);
    assert_eq!(picks(&table, 3, 500), ["y", "y", "y"]);
    assert!(picks(&table, 2, 1500).contains(&"x".to_owned()), "it is tried again");
    fail(0, 2000);
    assert!(!picks(&table, 2, 3500).contains(&"x".to_owned()), "the second time takes longer");
    fail(1, 3500);
    assert_eq!(picks(&table, 2, 3600).len(), 2, "with nobody else left they are used");
    assert!(route.pick(3600, &all).is_none(), "what failed this request is not asked twice");
}
