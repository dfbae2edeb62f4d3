//! What must not matter: the order of keys, the format, and whether a target says again what it inherits.

use proptest::prelude::*;
use serde_json::Value;

use super::written::Node;
use super::*;

/// Keys that may stand at the root and in a target, with values that go together; wrong ones too.
const KEYS: &[(&str, &[&str])] = &[
    ("server", &[r#""a.example.com""#, r#""b.example.com""#, r#""no server""#]),
    ("replicas", &["1", "2", "\"3\"", "0"]),
    ("port", &["3000", "\"8080\"", "\"http\""]),
    ("protected", &["true", "false"]),
    ("health_check_path", &["\"/up\"", "\"/\"", "\"up\""]),
    ("health_check", &[r#"{"path": "/h", "interval": "7s"}"#, r#"{"tcp": true}"#, r#"{"command": "true", "retries": 2}"#]),
    (
        "env",
        &[
            r#"[{"name": "A", "value": "1"}, {"name": "B", "from": {"env": "B"}}]"#,
            r#"[{"name": "A", "value": "${C}"}, {"value": "2", "name": "C"}]"#,
            "[]",
        ],
    ),
    ("env_merge", &["true", "false"]),
    ("volumes", &[r#"["data:/data"]"#, r#"["/etc/ssl:/ssl:ro", "cache:/cache"]"#, r#"["./data:/data"]"#]),
    ("network", &["\"backend\"", "\"host\"", "\"bridge\""]),
    ("acme_email", &["\"a@example.com\"", "\"nobody\""]),
    ("tls", &["\"off\"", "\"auto\""]),
    ("hsts", &["true", r#"{"max_age": "1h"}"#, r#"{"include_subdomains": true, "preload": true}"#, "\"on\""]),
    ("min_ready_seconds", &["3", "\"10s\""]),
    ("deploy_timeout", &["\"5m\"", "60"]),
    ("drain_timeout", &["0", "\"90s\""]),
    ("stop_timeout", &["5", "\"1m\""]),
    ("command", &["\"bin/app --all\"", r#"["bin/app", "--all"]"#]),
    ("release_command", &["\"bin/migrate\""]),
    ("labels", &[r#"{"team": "shop", "row": "2"}"#, "{}"]),
    ("resources", &[r#"{"memory": "512m", "cpus": 1.5}"#, r#"{"pids": 100}"#]),
    ("ulimits", &[r#"{"nofile": 1024, "nproc": {"soft": 10, "hard": 20}}"#]),
    ("tmpfs", &[r#"["/tmp:size=64m"]"#]),
    ("cap_drop", &[r#"["ALL"]"#]),
    ("logging", &[r#"{"driver": "local", "options": {"max-size": "5m", "max-file": "3"}}"#]),
    ("pre_deploy", &[r#"["make"]"#, "[]"]),
    ("api_token", &["\"TOKEN\"", r#"{"from": {"env": "TOKEN"}}"#]),
];

/// Whole images, as the root has them.
const IMAGES: &[&str] = &[
    "\"nginx:1\"",
    r#"{"repository": "ghcr.io/acme/shop", "tag": "2", "pull_policy": "if_missing"}"#,
    r#"{"repository": "ghcr.io/acme/shop:3", "history": {"strategy": "local", "count": 4}}"#,
    r#"{"repository": "ghcr.io/acme/shop", "tag": "4", "registry": {"username": {"value": "u"}, "password": {"from": {"env": "P"}}}}"#,
];

/// Parts, as targets have them over those.
const PARTS: &[&str] = &[
    "\"caddy:2\"",
    r#"{"tag": "9"}"#,
    r#"{"pull_policy": "never"}"#,
    r#"{"history": {"strategy": "none"}}"#,
    r#"{"registry": {"server": "registry.example.com", "username": {"value": "v"}, "password": {"from": {"env": "Q"}}}}"#,
    r#"{"repository": "ghcr.io/acme/other:5"}"#,
];

/// What a preset decides for a target over the root; `database` decides `protected`, too.
const PRESET: [&str; 3] = ["deployment_strategy", "naming_strategy", "replicas"];

fn some_keys() -> impl Strategy<Value = Vec<(String, Node)>> {
    let one = |(key, values): &(&'static str, &'static [&'static str])| {
        let key = (*key).to_owned();
        prop::option::weighted(0.3, prop::sample::select(values.to_vec()))
            .prop_map(move |value| value.map(|json| (key.clone(), Node::json(json))))
    };
    KEYS.iter().map(one).collect::<Vec<_>>().prop_map(|keys| keys.into_iter().flatten().collect())
}

fn preset() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::weighted(0.2, prop::sample::select(vec!["database", "service"]))
}

fn root() -> impl Strategy<Value = Node> {
    (some_keys(), prop::sample::select(IMAGES.to_vec()), preset()).prop_map(|(keys, image, preset)| {
        let mut root = Node::Map(keys);
        root.put("image", Node::json(image));
        with_preset(&mut root, preset);
        root
    })
}

fn target() -> impl Strategy<Value = Node> {
    (some_keys(), prop::option::of(prop::sample::select(PARTS.to_vec())), preset()).prop_map(|(keys, image, preset)| {
        let mut target = Node::Map(keys);
        if let Some(image) = image {
            target.put("image", Node::json(image));
        }
        with_preset(&mut target, preset);
        target
    })
}

fn with_preset(node: &mut Node, preset: Option<&str>) {
    if let Some(preset) = preset {
        node.put("preset", Node::Scalar(preset.into()));
    }
}

fn with_targets(root: &Node, targets: Vec<(&str, Node)>) -> Node {
    let mut file = root.clone();
    file.put("targets", Node::Map(targets.into_iter().map(|(name, node)| (name.to_owned(), node)).collect()));
    file
}

/// What a file means, or what is wrong with it; without the order of targets and without places.
fn meaning(node: &Node, ending: &str) -> Result<Vec<Value>, Vec<String>> {
    let text = node.written_as(ending);
    match read_text(&format!("haloy.{ending}"), &text) {
        Ok((targets, _)) => {
            let mut targets: Vec<Value> = targets.iter().map(resolved_target).collect();
            targets.sort_by_key(|target| target["name"].to_string());
            Ok(targets)
        }
        Err(error) => {
            let mut messages: Vec<String> =
                error.mistakes().into_iter().map(|mistake| format!("{:?} {}", mistake.key, mistake.message)).collect();
            messages.sort_unstable();
            Err(messages)
        }
    }
}

/// A target with everything that it inherits, image aside.
fn repeating(root: &Node, target: &Node) -> Node {
    let mut whole = target.clone();
    let Node::Map(entries) = root else { panic!("no object") };
    let preset = target.get("preset");
    let is_database = preset == Some(&Node::Scalar("database".into()));
    for (key, node) in entries {
        let decided = preset.is_some() && PRESET.contains(&key.as_str()) || is_database && key == "protected";
        if target.get(key).is_none() && !decided && !matches!(key.as_str(), "image" | "preset" | "env_merge") {
            whole.put(key, node.clone());
        }
    }
    whole
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_keys_does_not_matter(root in root(), east in target(), west in target(), mut seed in any::<u64>()) {
        let file = with_targets(&root, vec![("east", east), ("west", west)]);
        let shuffled = file.shuffled(&mut seed);
        for ending in ["yaml", "toml", "json"] {
            prop_assert_eq!(meaning(&file, ending), meaning(&shuffled, ending), "{}\n{}", file.written_as(ending), shuffled.written_as(ending));
        }
    }

    #[test]
    fn the_format_does_not_matter(root in root(), east in target()) {
        let file = with_targets(&root, vec![("east", east)]);
        let yaml = meaning(&file, "yaml");
        for ending in ["toml", "json"] {
            prop_assert_eq!(&yaml, &meaning(&file, ending), "{}\n{}", file.written_as("yaml"), file.written_as(ending));
        }
    }

    /// Inheriting twice is inheriting once.
    #[test]
    fn a_target_that_repeats_what_it_inherits_means_the_same(root in root(), own in target()) {
        let once = with_targets(&root, vec![("east", own.clone())]);
        let again = with_targets(&root, vec![("east", repeating(&root, &own))]);
        match (meaning(&once, "yaml"), meaning(&again, "yaml")) {
            (Err(_), Err(_)) => {}
            (once_means, again_means) => prop_assert_eq!(once_means, again_means, "{}\n{}", once.written_as("yaml"), again.written_as("yaml")),
        }
    }

    /// A target is a file of its own that says the same by itself.
    #[test]
    fn a_target_is_like_a_file_of_its_own(root in root(), mut own in target()) {
        own.take("image");
        own.take("env_merge");
        let mut root = root;
        root.take("env_merge");
        let inherited = with_targets(&root, vec![("east", own.clone())]);
        let root_alone = with_targets(&root, vec![("east", Node::Map(Vec::new()))]);
        let mut alone = repeating(&root, &own);
        let mut image = root.get("image").cloned().expect("an image");
        if let Some(preset) = root.get("preset").filter(|_| own.get("preset").is_none()) {
            alone.put("preset", preset.clone());
        }
        if own.get("preset").is_some() {
            image.take("pull_policy");
            image.take("history");
        }
        alone.put("image", image);
        alone.put("name", Node::Scalar("east".into()));
        match (meaning(&inherited, "json"), meaning(&alone, "json")) {
            (Ok(mut inherited_means), Ok(mut alone_means)) => {
                for target in inherited_means.iter_mut().chain(&mut alone_means) {
                    target["name"] = Value::Null;
                }
                prop_assert_eq!(inherited_means, alone_means, "{}\n{}", inherited.written_as("json"), alone.written_as("json"));
            }
            // What is wrong at the root is wrong although the target has a value of its own.
            (Err(_), Ok(_)) if meaning(&root_alone, "json").is_err() => {}
            (inherited_means, alone_means) => {
                prop_assert_eq!(inherited_means.is_ok(), alone_means.is_ok(), "{:?} {:?}", inherited_means, alone_means);
            }
        }
    }
}

/// The same for every key alone, with every preset.
#[test]
fn each_key_alone_is_inherited_like_it_is_repeated() {
    for (key, values) in KEYS {
        for value in *values {
            for (above, below) in [(None, None), (Some("database"), None), (None, Some("service")), (Some("service"), Some("database"))] {
                for merge in ["true", "false"] {
                    let mut root = Node::json(r#"{"image": "nginx:1", "env_merge": true}"#);
                    root.put(key, Node::json(value));
                    with_preset(&mut root, above);
                    let mut own = Node::Map(vec![("env_merge".to_owned(), Node::json(merge))]);
                    with_preset(&mut own, below);
                    let once = with_targets(&root, vec![("east", own.clone())]);
                    let again = with_targets(&root, vec![("east", repeating(&root, &own))]);
                    let (once_means, again_means) = (meaning(&once, "yaml"), meaning(&again, "yaml"));
                    let both_wrong = once_means.is_err() && again_means.is_err();
                    assert!(
                        both_wrong || once_means == again_means,
                        "{once_means:?}\n{again_means:?}\n{}\n{}",
                        once.written_as("yaml"),
                        again.written_as("yaml")
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_merged_with_nothing_stays() {
    for text in [
        "name: app\nimage: b\npreset: service\nenv_merge: true\nenv: [{name: A, value: 1}]\n",
        "image: b\ntargets: {a: {env_merge: true, env: [{name: A, value: 1}]}}\n",
        "image: b\ntargets: {app: {preset: database, env_merge: true, env: [{name: A, value: 1}]}}\n",
        "image: b\nenv_merge: true\nenv: [{name: A, value: 1}]\ntargets: {app: {preset: database}}\n",
    ] {
        assert_eq!(spec(text).env.len(), 1, "{text}");
    }
}
