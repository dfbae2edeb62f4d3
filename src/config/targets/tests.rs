//! What a target is made of.

use std::path::Path;

use figment::value::Value;

use super::inherit;
use crate::config::document::Document;
use crate::config::error::ConfigError;
use crate::config::findings::Findings;
use crate::config::keys;
use crate::config::source::Format;

/// Each target's name and values as JSON.
fn merged(text: &str) -> Vec<(Option<String>, serde_json::Value)> {
    let document = document(text);
    let mut findings = Findings::new(&document);
    let targets = inherit(&document, &mut findings);
    findings.finish().unwrap_or_else(|error| panic!("{}", report(&error)));
    targets.into_iter().map(|target| (target.name, json(&target.values))).collect()
}

fn one(text: &str) -> serde_json::Value {
    merged(text).remove(0).1
}

fn document(text: &str) -> Document {
    Document::parse(Path::new("haloy.yaml"), Format::Yaml, text, &keys::APP).unwrap_or_else(|error| panic!("{}", report(&error)))
}

fn report(error: &ConfigError) -> String {
    error.all_mistakes(false).unwrap_or_else(|| error.to_string())
}

fn mistakes(text: &str) -> String {
    let document = document(text);
    let mut findings = Findings::new(&document);
    inherit(&document, &mut findings);
    report(&findings.finish().expect_err("mistakes"))
}

fn json(value: &Value) -> serde_json::Value {
    serde_json::to_value(value).expect("JSON")
}

#[test]
fn a_target_takes_what_it_does_not_say_from_the_root() {
    let text = "
name: shop
image: {repository: ghcr.io/me/shop, tag: latest, history: {strategy: local, count: 3}}
replicas: 2
port: 3000
env: [{name: A, value: '1'}, {name: B, value: '2'}]
labels: {team: one, tier: web}
targets:
  west:
  east:
    image: {tag: v2}
    replicas: 1
    env: [{name: C, value: '3'}]
    labels: {team: two}
    port:
";
    let targets = merged(text);
    assert_eq!(targets.iter().map(|(name, _)| name.as_deref()).collect::<Vec<_>>(), [Some("west"), Some("east")]);
    let (west, east) = (&targets[0].1, &targets[1].1);
    assert_eq!((&west["name"], &west["replicas"], &west["image"]["tag"]), (&"west".into(), &2.into(), &"latest".into()));
    assert_eq!(west["env"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        east["image"],
        serde_json::json!({"repository": "ghcr.io/me/shop", "tag": "v2", "history": {"strategy": "local", "count": 3}})
    );
    assert_eq!(east["env"], serde_json::json!([{"name": "C", "value": "3"}]), "as a whole");
    assert_eq!(east["labels"], serde_json::json!({"team": "two"}), "as a whole");
    assert_eq!((&east["replicas"], &east["port"]), (&1.into(), &3000.into()), "a key without a value is none");
}

#[test]
fn env_is_merged_by_name_when_asked() {
    let text = "
env: [{name: A, value: base}, {name: B, value: base}]
targets:
  t:
    env_merge: true
    env: [{name: C, value: own}, {name: A, value: own}, D]
";
    let expected = serde_json::json!([
        {"name": "A", "value": "own"}, {"name": "B", "value": "base"}, {"name": "C", "value": "own"}, "D",
    ]);
    assert_eq!(one(text)["env"], expected);
}

#[test]
fn images_are_merged_field_by_field() {
    let base = "image: {repository: ghcr.io/me/shop, tag: v1, registry: {username: {value: me}, password: {from: {env: P}}}, build_config: {context: app, platform: linux/arm64}}\ntargets:\n  t:\n    image: ";
    for (own, expected) in [
        (
            "{build_config: {push: server}}",
            serde_json::json!({"repository": "ghcr.io/me/shop", "tag": "v1",
                "registry": {"username": {"value": "me"}, "password": {"from": {"env": "P"}}},
                "build_config": {"context": "app", "platform": "linux/arm64", "push": "server"}}),
        ),
        (
            "{registry: {password: {value: x}}, build_config: {context: other}}",
            serde_json::json!({"repository": "ghcr.io/me/shop", "tag": "v1",
                "registry": {"username": {"value": "me"}, "password": {"value": "x"}},
                "build_config": {"context": "other", "platform": "linux/arm64"}}),
        ),
        (
            "ghcr.io/me/other:v3",
            serde_json::json!({"repository": "ghcr.io/me/other:v3", "registry": {"username": {"value": "me"}, "password": {"from": {"env": "P"}}}}),
        ),
        // A login stays with its registry.
        ("postgres:18", serde_json::json!({"repository": "postgres:18"})),
        (
            "{tag: , repository: , registry: {password: }}",
            serde_json::json!({"repository": "ghcr.io/me/shop", "tag": "v1",
                "registry": {"username": {"value": "me"}, "password": {"from": {"env": "P"}}},
                "build_config": {"context": "app", "platform": "linux/arm64"}}),
        ),
    ] {
        assert_eq!(one(&format!("{base}{own}\n"))["image"], expected, "{own}");
    }
    let text = "image: ghcr.io/me/shop:v1\ntargets:\n  t:\n    image: {tag: v2}\n";
    assert_eq!(one(text)["image"], serde_json::json!({"repository": "ghcr.io/me/shop", "tag": "v2"}));
}

#[test]
fn images_are_chosen_by_their_key() {
    let text = "
image: {repository: base, build_config: {context: .}}
images: {web: {repository: me/web, tag: v1}, db: 'postgres:18'}
targets:
  a: {image_key: web}
  b: {image_key: db, preset: database}
  c: {}
";
    let targets = merged(text);
    assert_eq!(targets[0].1["image"], serde_json::json!({"repository": "me/web", "tag": "v1"}));
    let db = serde_json::json!({"repository": "postgres:18", "pull_policy": "if_missing", "history": {"strategy": "none"}});
    assert_eq!(targets[1].1["image"], db);
    assert_eq!(targets[2].1["image"]["repository"], "base");
    assert_eq!(one("images: {web: 'me/web:1'}\nimage_key: web\n")["image"], "me/web:1");
}

#[test]
fn a_preset_stands_between_target_and_root() {
    let text = "
deployment_strategy: rolling
replicas: 3
image: {repository: base, tag: v1, build_config: {context: .}, history: {strategy: local, count: 9}}
targets:
  db: {preset: database, image: 'postgres:18', protected: false}
  cache: {preset: service, image: {repository: redis, tag: '7', pull_policy: always}}
";
    let targets = merged(text);
    let db = &targets[0].1;
    assert_eq!((&db["deployment_strategy"], &db["naming_strategy"], &db["replicas"]), (&"replace".into(), &"static".into(), &1.into()));
    assert_eq!(db["protected"], false, "what the target says wins");
    let image = serde_json::json!({"repository": "postgres:18", "pull_policy": "if_missing", "history": {"strategy": "none"}});
    assert_eq!(db["image"], image);
    assert_eq!((&targets[1].1["image"]["pull_policy"], &targets[1].1["protected"]), (&"always".into(), &serde_json::Value::Null));
    let root = one("preset: database\nname: db\nimage: {repository: postgres, tag: '18', history: {strategy: local, count: 2}}\n");
    assert_eq!((&root["protected"], &root["image"]["history"]["strategy"]), (&true.into(), &"local".into()));
}

#[test]
fn earlier_generations_are_understood() {
    let text = "
apps:
  - name: one
    source: {image: {repository: me/one, tag: '1'}}
    deploymentsToKeep: 7
    apiTokenEnv: TOKEN
  - name: two
    source: {dockerfile: {path: ./Dockerfile, buildContext: ., buildArgs: {A: b}}}
  - name: three
    image: {repository: x, source: local}
";
    let targets = merged(text);
    assert_eq!(targets.iter().map(|(name, _)| name.as_deref()).collect::<Vec<_>>(), [Some("one"), Some("two"), Some("three")]);
    assert_eq!(targets[0].1["image"], serde_json::json!({"repository": "me/one", "tag": "1", "history": {"count": 7}}));
    assert_eq!(targets[0].1["api_token"], "TOKEN");
    let build = serde_json::json!({"dockerfile": "./Dockerfile", "context": ".", "args": [{"name": "A", "value": "b"}]});
    assert_eq!(targets[1].1["image"]["build_config"], build);
    assert_eq!(targets[2].1["image"], serde_json::json!({"repository": "x", "pull_policy": "never"}));
}

#[test]
fn what_cannot_be_inherited_is_explained() {
    for (text, wanted) in [
        ("targets: [a, b]\n", "`targets` must be an object, not a list"),
        ("targets:\n  a: 5\n", "`targets.a` must be an object, not a number"),
        ("apps: [{name: a}]\ntargets: {b: {}}\n", "`targets` and `apps` exclude each other"),
        ("images: {web: 'a:1'}\ntargets:\n  t: {image_key: wbe}\n", "did you mean `web`?"),
        ("targets:\n  t: {image_key: web}\n", "`images` has no `web`"),
        ("images: {web: 'a:1'}\ntargets:\n  t: {image_key: web, image: 'b:1'}\n", "`image` and `image_key` exclude each other"),
        ("source: {image: {repository: a}}\nimage: b\n", "`source` and `image` exclude each other"),
        ("source: me/app:1\n", "`source` must be an object, not a string"),
        ("source: {dockerfile: Dockerfile}\n", "`source.dockerfile` must be an object, not a string"),
    ] {
        let said = mistakes(text);
        assert!(said.contains(wanted), "{text}:\n{said}");
    }
}

#[test]
fn targets_cannot_blow_a_file_up() {
    let mut text = "env:\n".to_owned();
    (0..20_000).for_each(|n| text.push_str(&format!("- A{n}\n")));
    text.push_str("targets:\n");
    (0..100).for_each(|n| text.push_str(&format!("  t{n}:\n")));
    assert!(mistakes(&text).contains("grows too large"));
}

#[test]
fn a_value_of_an_earlier_generation_takes_no_other_away() {
    assert_eq!(one("deploymentsToKeep: 3\nimage: [nginx]\n")["image"], serde_json::json!(["nginx"]), "its reader complains");
}

#[test]
fn long_lists_are_merged_in_no_time() {
    let mut text = "env:\n".to_owned();
    (0..50_000).for_each(|n| text.push_str(&format!("- A{n}\n")));
    text.push_str("targets:\n  t:\n    env_merge: true\n    env: [A7, B]\n");
    assert_eq!(one(&text)["env"].as_array().map(Vec::len), Some(50_001));
}
