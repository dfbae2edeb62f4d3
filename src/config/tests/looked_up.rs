//! What only shows when values are looked up: the order of the environment, secrets, build arguments, logins.

use super::*;
use crate::config::secrets::{Provider, SecretRef};

const TEXT: &str = "name: shop
secret_providers:
  onepassword:
    shop: {vault: Production, item: Shop}
image:
  repository: ghcr.io/acme/shop
  registry:
    username: acme
    password: {from: {secret: onepassword:shop.registry}}
  build_config:
    args:
      - {name: MODE, value: fast}
      - {name: NPM_TOKEN, from: {secret: onepassword:shop:npm}}
env:
  - {name: URL, value: \"postgres://app:${PASSWORD}@${HOST}/$${HOST}\", build_arg: true}
  - {name: PASSWORD, from: {secret: onepassword:shop.password}}
  - {name: HOST, value: db}
  - {name: MODE, value: slow, build_arg: true}
";

fn target(text: &str) -> Target {
    let (mut targets, _) = read_text("haloy.yaml", text).unwrap_or_else(|error| panic!("{}", plain(&error)));
    targets.remove(0)
}

fn reference(key: &str) -> SecretRef {
    SecretRef { provider: Provider::OnePassword, source: "shop".to_owned(), key: Some(key.to_owned()) }
}

fn secrets(keys: &[&str]) -> FetchedSecrets {
    FetchedSecrets::new(keys.iter().map(|key| (reference(key), Secret::new(format!("{SECRET}-{key}")))))
}

/// An environment that has nothing but the process's own variables.
fn nothing() -> Environment {
    Environment::new(Path::new("/nonexistent"), Path::new("/nonexistent"), None)
}

fn mistakes(error: &ConfigError) -> Vec<(String, String)> {
    let text = plain(error);
    assert!(!text.contains(SECRET) && !format!("{error:?}").contains(SECRET), "{text}");
    error.mistakes().into_iter().map(|mistake| (mistake.key.unwrap_or_default(), mistake.message)).collect()
}

#[test]
fn values_stand_in_each_other_and_secrets_among_them() {
    let target = target(TEXT);
    let values = target.resolve_env(&nothing(), &secrets(&["password"])).expect("all there");
    let values: Vec<_> = values.iter().map(|value| (value.name.as_str(), value.value.expose())).collect();
    let url = format!("postgres://app:{SECRET}-password@db/${{HOST}}");
    assert_eq!(values, [("URL", url.as_str()), ("PASSWORD", "hunter2-password"), ("HOST", "db"), ("MODE", "slow")]);
}

#[test]
fn each_step_asks_for_its_own_secrets() {
    let target = target(TEXT);
    assert_eq!(Vec::from_iter(target.secret_references()), [reference("password")]);
    assert_eq!(
        Vec::from_iter(target.build_secret_references()),
        [reference("npm"), reference("password")],
        "a variable that is an argument has it"
    );
    assert_eq!(Vec::from_iter(target.registry_secret_references()), [reference("registry")]);
}

#[test]
fn build_arguments_win_over_the_environment_and_have_its_values() {
    let target = target(TEXT);
    let args = target.resolve_build_args(&nothing(), &secrets(&["password", "npm"])).expect("all there");
    let args: Vec<_> = args.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    let url = format!("postgres://app:{SECRET}-password@db/${{HOST}}");
    assert_eq!(args, [("MODE", "fast"), ("NPM_TOKEN", "hunter2-npm"), ("URL", url.as_str())]);
    let error = target.resolve_build_args(&nothing(), &secrets(&["password"])).expect_err("one is missing");
    let key = "image.build_config.args[1].from.secret".to_owned();
    assert_eq!(mistakes(&error), [(key, "the secret `onepassword:shop:npm` was not found".to_owned())]);
}

#[test]
fn the_login_of_the_registry() {
    let target = target(TEXT);
    let login = target.resolve_registry(&nothing(), &secrets(&["registry"])).expect("all there").expect("a login");
    assert_eq!((login.server.as_str(), login.username.expose(), login.password.expose()), ("ghcr.io", "acme", "hunter2-registry"));
    assert!(!format!("{target:?}{login:?}").contains(SECRET));
    let error = target.resolve_registry(&nothing(), &FetchedSecrets::default()).expect_err("the password is missing");
    assert_eq!(mistakes(&error)[0].0, "image.registry.password.from.secret");
}

#[test]
fn the_registry_is_that_of_the_image() {
    let server = |repository: &str, more: &str| {
        let text = format!("name: a\nimage:\n  repository: {repository}\n  registry: {{{more} username: a, password: b}}\n");
        target(&text).image.registry.expect("a login").server
    };
    for (repository, registry) in [
        ("ghcr.io/acme/shop", "ghcr.io"),
        ("registry.example.com:5000/shop:1", "registry.example.com:5000"),
        ("localhost/shop", "localhost"),
        ("acme/shop", "docker.io"),
        ("shop", "docker.io"),
        ("index.docker.io/acme/shop", "docker.io"),
    ] {
        assert_eq!(server(repository, ""), registry, "{repository}");
    }
    assert_eq!(server("acme/shop", "server: \"https://index.docker.io/v1/\","), "docker.io");
    assert_eq!(server("ghcr.io/acme/shop", "server: GHCR.IO,"), "ghcr.io");
}

#[test]
fn circles_and_floods_are_mistakes_at_their_place() {
    let text = "name: a\nimage: b:1\nenv:\n  - {name: A, value: \"hunter2 ${B}\"}\n  - {name: B, value: \"${A}\"}\n  - {name: C, value: \"${C}\"}\n";
    let error = read_text("haloy.yaml", text).expect_err("two circles");
    let expected = [("env[0].value", "the values of `A` and `B` contain each other"), ("env[2].value", "the value of `C` contains itself")];
    assert_eq!(mistakes(&error), expected.map(|(key, message)| (key.to_owned(), message.to_owned())));
    let mut text = format!("name: a\nimage: b:1\nenv:\n  - {{name: V0, value: {}}}\n", "x".repeat(1000));
    (1..20).for_each(|n| text.push_str(&format!("  - {{name: V{n}, value: \"{}\"}}\n", format!("${{V{}}}", n - 1).repeat(10))));
    let flood = [("env[3].value".to_owned(), "with this value the environment is larger than 1 MiB".to_owned())];
    assert_eq!(mistakes(&read_text("haloy.yaml", &text).expect_err("a flood")), flood);
    // What comes from elsewhere counts when it is looked up.
    let text = format!(
        "name: a\nimage: b:1\nsecret_providers: {{command: {{it: {{run: x}}}}}}\nenv:\n  - {{name: V, from: {{secret: 'command:it'}}}}\n  - {{name: W, value: \"{}\"}}\n",
        "${V}".repeat(600)
    );
    let target = target(&text);
    let secrets = target.secret_references().into_iter().map(|reference| (reference, Secret::new("x".repeat(2000))));
    let error = target.resolve_env(&nothing(), &FetchedSecrets::new(secrets)).expect_err("a flood");
    assert_eq!(mistakes(&error)[0].0, "env[1].value");
}

#[test]
fn what_is_missing_is_named_unless_it_may_be_a_secret() {
    let text = "name: a\nimage: b:1\nenv:\n  - HALOY_TEST_UNSET\n  - {name: haloy_test_unset}\n  - hunter2\n  - {name: S, from: {secret: session-key}}\n";
    let error = target(text).resolve_env(&nothing(), &FetchedSecrets::default()).expect_err("nothing is set");
    let unset = |name: &str| format!("the environment variable {name} is empty or not set");
    let expected = [
        ("env[0]", unset("`HALOY_TEST_UNSET`")),
        ("env[1].name", unset("`haloy_test_unset`")),
        ("env[2]", unset("named here")),
        ("env[3].from.secret", "the server keeps no secrets of its own yet".to_owned()),
    ];
    assert_eq!(mistakes(&error), expected.map(|(key, message)| (key.to_owned(), message)));
    let inherited = "name: a\nimage: b:1\nenv: [HALOY_TEST_UNSET]\ntargets: {east: {}}\n";
    let error = target(inherited).resolve_env(&nothing(), &FetchedSecrets::default()).expect_err("nothing is set");
    assert_eq!((error.mistakes()[0].line, mistakes(&error)[0].0.as_str()), (3, "env[0]"));
}

#[test]
fn an_image_is_built_when_the_file_says_so() {
    let built = |image: &str| {
        let target = target(&format!("name: shop\n{image}"));
        (target.spec.image.to_string(), target.image.build.is_some())
    };
    for (image, reference, is_built) in [
        ("", "shop", true),
        ("image: nginx:1", "nginx:1", false),
        ("image: shop", "shop", false),
        ("image: {tag: v2}", "shop:v2", true),
        ("image: {history: {count: 3}}", "shop", true),
        ("image: {build_config: {context: web}}", "shop", true),
        ("image: {repository: acme/shop}", "acme/shop", false),
        ("image: {repository: acme/shop, build: true}", "acme/shop", true),
        ("image: {repository: acme/shop, builder: {}}", "acme/shop", true),
        ("image: {repository: acme/shop, build: false, build_config: {context: .}}", "acme/shop", false),
        ("image: {build: false}", "shop", false),
    ] {
        assert_eq!(built(image), (reference.to_owned(), is_built), "{image}");
    }
}

#[test]
fn keys_that_do_nothing_are_warned_of_where_they_are_written() {
    for (text, warnings) in [
        ("image: b:1\nacme_email: a@example.com\n", vec!["`acme_email` does nothing without `domains`"]),
        ("image: b:1\ntls: auto\n", vec!["`tls` does nothing without `domains`"]),
        ("image: b:1\nhsts: true\n", vec!["`hsts` does nothing without `domains`"]),
        (
            "image: b:1\nhealth_check_path: /a\nhealth_check: {tcp: true}\n",
            vec!["`health_check_path` does nothing beside `health_check.tcp`"],
        ),
        (
            "image: b:1\nhealth_check_path: /a\nhealth_check: {path: /b}\n",
            vec!["`health_check_path` does nothing beside `health_check.path`"],
        ),
        ("image: b:1\nhealth_check_path: /a\nhealth_check: {path: /a}\n", vec![]),
        ("image: {repository: b, history: {pattern: v*}}\n", vec!["`pattern` does nothing without `strategy: registry`"]),
        ("image: {repository: b, history: {strategy: none, count: 3}}\n", vec!["`count` does nothing with `strategy: none`"]),
        ("image: {repository: b, build: false, build_config: {}}\n", vec!["`build_config` does nothing with `build: false`"]),
        (
            "image: {registry: {username: a, password: b}, build_config: {push: server}}\n",
            vec!["`registry` does nothing: the built image goes straight to the server"],
        ),
        (
            "image: {repository: ghcr.io/b, registry: {server: other.example, username: a, password: b}}\n",
            vec!["the image is not of this registry but of `ghcr.io`: nobody logs in to `other.example`"],
        ),
        ("image: b:1\nhealth_check: {none: true, retries: 2}\n", vec!["`retries` does nothing with `none: true`"]),
        ("image: b:1\nlogging: {driver: jurnald}\n", vec!["`jurnald` is not a logging driver that every engine has"]),
        (
            "image: b:1\nacme_email: a@example.com\ntargets: {east: {}, west: {domains: [a.example.com]}}\n",
            vec!["`name` is not used here: with `targets`, each app is called like its target"],
        ),
    ] {
        let (_, found) = read_text("haloy.yaml", &format!("name: a\n{text}")).unwrap_or_else(|error| panic!("{text}{}", plain(&error)));
        assert_eq!(found.iter().map(|warning| warning.message.as_str()).collect::<Vec<_>>(), warnings, "{text}");
    }
}
