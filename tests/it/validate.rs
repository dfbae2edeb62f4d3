//! `haloy validate-config`, and how mistakes in a configuration look from every command.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::program::{Home, has};

#[test]
fn a_valid_configuration_is_summed_up() {
    let home = Home::new();
    home.write(
        "haloy.yaml",
        "name: shop\nserver: haloy.example.com\nimage: shop:v2\ndomains:\n  - domain: shop.example.com\nenv:\n  - name: KEY\n    from:\n      env: SHOP_KEY\n",
    );
    let run = home.haloy(&["validate-config"]);
    has(
        &run.stdout,
        &[
            "ok: ",
            "haloy.yaml\n",
            "app       shop\n",
            "image     shop:v2\n",
            "server    haloy.example.com\n",
            "domains   shop.example.com\n",
            "replicas  1\n",
        ],
    );
    has(&run.stderr, &["warning: `SHOP_KEY` is not set here, a deploy needs it (haloy.yaml:9:12, `env[0].from.env`)\n"]);
    run.ok();
    let valid = home.haloy(&["validate-config", "haloy.yaml", "--json"]).json();
    assert_eq!((&valid["ok"], &valid["targets"][0]["spec"]["name"]), (&json!(true), &json!("shop")));
    assert_eq!(valid["targets"][0]["missing_env"], json!(["SHOP_KEY"]));
    has(&home.haloy(&["deploy"]).fails(2), &["SHOP_KEY"]);
}

#[test]
fn all_mistakes_come_at_once_with_their_place() {
    let home = Home::new();
    home.write("haloy.yaml", "name: shop\nimage: shop\nreplica: 2\nport: 70000\n");
    for args in [&["validate-config"][..], &["deploy"], &["status"]] {
        let run = home.haloy(args);
        has(&run.stderr, &["haloy.yaml:3:1", "replica", "haloy.yaml:4:7", "70000", "error: the configuration has 2 mistakes"]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    }
    let run = home.haloy(&["validate-config", "--json"]);
    let invalid = run.json();
    assert_eq!((run.code, &invalid["ok"], invalid["mistakes"].as_array().map(Vec::len)), (Some(2), &json!(false), Some(2)));
    assert_eq!((&invalid["mistakes"][0]["line"], &invalid["mistakes"][0]["column"]), (&json!(3), &json!(1)));

    let missing = Home::new();
    assert_eq!(missing.haloy(&["validate-config", "--json"]).json()["error"], "there is no configuration file");
    has(&missing.haloy(&["validate-config"]).fails(2), &["error: there is no configuration file", "hint:"]);
}

const TARGETS: &str = "\
env:
  - name: LOG_LEVEL
    value: info
  - name: DATABASE_URL
    from: {env: SHOP_DATABASE}
  - name: FULL_URL
    value: ${DATABASE_URL}/shop
image:
  repository: ghcr.io/ada/shop
  build_config:
    context: app
    args:
      - name: NPM_TOKEN
        from: {env: SHOP_NPM}
api_token: SHOP_TOKEN
targets:
  production:
    server: prod.example.com
    replicas: 2
  staging:
    server: staging.example.com
";

#[test]
fn several_targets_are_summed_up_with_what_each_needs() {
    let home = Home::new();
    home.write("haloy.yaml", TARGETS);
    home.write(".env", "SHOP_NPM=hunter2\n");
    home.write(".env.production", "SHOP_DATABASE=hunter2\n");
    let run = home.haloy(&["validate-config"]);
    has(
        &run.stdout,
        &[
            "target    production\n  app       production\n  image     ghcr.io/ada/shop (to be built)\n  server    prod.example.com\n",
            "target    staging\n  app       staging\n",
        ],
    );
    has(
        &run.stderr,
        &[
            "warning: `SHOP_DATABASE` is not set here, a deploy of staging needs it (haloy.yaml:5:17, `env[1].from.env`)\n",
            "warning: `SHOP_TOKEN` is not set here, a deploy of production, staging needs it (haloy.yaml:15:12, `api_token`)\n",
            "warning: the build context `app` is not a directory\n",
            "haloy.yaml:11:14",
        ],
    );
    assert_eq!(run.stderr.matches("is not a directory").count(), 1, "{}", run.stderr);
    run.ok();
    let json = home.haloy(&["validate-config", "--json"]).json();
    assert_eq!(json["targets"][1]["missing_env"], json!(["SHOP_DATABASE", "SHOP_TOKEN"]));
    assert_eq!((&json["targets"][0]["resolved"], &json["warnings"][0]["line"]), (&json!(null), &json!(11)));
    home.write("app/Dockerfile", "FROM scratch\n");
    assert_eq!(home.haloy(&["validate-config", "--json"]).json()["warnings"], json!([]));
}

#[test]
fn the_resolved_configuration_shows_secrets_after_a_warning_or_masks_them() {
    let home = Home::new();
    home.write("haloy.yaml", TARGETS);
    home.write("app/Dockerfile", "FROM scratch\n");
    home.write(".env", "SHOP_NPM=hunter2\nSHOP_DATABASE=postgres://hunter2\nSHOP_TOKEN=hunter3\n");
    let open = home.haloy(&["validate-config", "--show-resolved-config"]);
    has(&open.stderr, &["warning: secrets are shown in the open", "`--mask-secrets`"]);
    has(
        &open.ok(),
        &[
            "# target production\nname: production\n",
            "api_token: hunter3\n",
            "  - name: DATABASE_URL\n    value: postgres://hunter2\n  - name: FULL_URL\n    value: postgres://hunter2/shop\n",
            "      - name: NPM_TOKEN\n        value: hunter2\n",
            "---\n# target staging\n",
        ],
    );
    let masked = home.haloy(&["validate-config", "--show-resolved-config", "--mask-secrets"]);
    assert_eq!(masked.stderr, "");
    assert!(!masked.stdout.contains("hunter"), "{}", masked.stdout);
    has(
        &masked.ok(),
        &["api_token: from env SHOP_TOKEN\n", "value: \"********\"\n", "value: from env SHOP_DATABASE\n", "value: from env SHOP_NPM\n"],
    );
    let one = home.haloy(&["validate-config", "--show-resolved-config", "--mask-secrets", "-t", "staging"]).ok();
    assert!(one.starts_with("# target staging\n") && !one.contains("production"), "{one}");
    has(&home.haloy(&["validate-config", "--targets", "stagign"]).fails(2), &["no target `stagign`", "did you mean `staging`?"]);
    let all = home.haloy(&["validate-config", "--all"]).ok();
    has(&all, &["target    production\n", "target    staging\n"]);
    let json = home.haloy(&["validate-config", "--show-resolved-config", "--mask-secrets", "--json"]).json();
    assert_eq!(json["targets"][0]["resolved"]["env"][1], json!({ "name": "DATABASE_URL", "value": "from env SHOP_DATABASE" }));
    assert_eq!(json["targets"][0]["resolved"]["image"]["build"]["context"], "app");
    has(&home.haloy(&["validate-config", "--mask-secrets"]).fails(2), &["--show-resolved-config"]);

    home.write(".env", "");
    let refused = home.haloy(&["validate-config", "--show-resolved-config"]);
    assert_eq!(refused.stdout, "", "nothing of what could be looked up");
    has(&refused.fails(2), &["the environment variable `SHOP_DATABASE` is empty or not set", "haloy.yaml:5"]);
}

#[test]
fn secrets_of_providers_are_fetched_only_to_be_shown() {
    let home = Home::new();
    let tool = home.write("tool", "#!/bin/sh\necho run >> runs\nprintf '{\"password\": \"hunter2\"}'\n");
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).expect("executable");
    home.write(
        "haloy.yaml",
        "name: shop\nimage: nginx\nsecret_providers: {command: {db: {run: [./tool]}}}\nenv:\n  - name: PASSWORD\n    from: {secret: 'command:db.password'}\n",
    );
    home.haloy(&["validate-config"]).ok();
    let masked = home.haloy(&["validate-config", "--show-resolved-config", "--mask-secrets"]).ok();
    has(&masked, &["value: from secret command:db:password\n"]);
    assert!(!home.path().join("runs").exists(), "nobody asked for a value");
    has(&home.haloy(&["validate-config", "--show-resolved-config"]).ok(), &["name: PASSWORD\n    value: hunter2\n"]);
    home.write("tool", "#!/bin/sh\necho 'vault is sealed' >&2\nexit 3\n");
    let refused = home.haloy(&["validate-config", "--show-resolved-config", "--json"]);
    has(&refused.stderr, &["secret_providers.command.db", "vault is sealed"]);
    assert!(refused.code != Some(0) && refused.json()["error"].is_string());
}

/// A token where the name of its variable belongs.
#[test]
fn what_is_pasted_in_the_wrong_place_is_not_shown() {
    let home = Home::new();
    home.write("haloy.yaml", "name: shop\nimage: nginx\napi_token: haloy_hunter2\nenv:\n  - hunter2\n");
    let masked = &["validate-config", "--show-resolved-config", "--mask-secrets"];
    for args in [&["validate-config"][..], &["validate-config", "--json"], masked, &[&masked[..], &["--json"]].concat()] {
        let run = home.haloy(args);
        assert!(!run.stderr.contains("hunter2") && !run.stdout.contains("hunter2"), "{run:?}");
    }
}

#[test]
fn what_a_login_needs_is_missing_like_everything_else() {
    let home = Home::new();
    let login = "registry:\n    username: {from: {env: SHOP_USER}}\n    password: {value: hunter2}\n";
    home.write("haloy.yaml", &format!("name: shop\nimage:\n  repository: ghcr.io/ada/shop\n  tag: v2\n  {login}"));
    let run = home.haloy(&["validate-config"]);
    has(&run.stderr, &["warning: `SHOP_USER` is not set here, a deploy needs it"]);
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    let json = home.haloy(&["validate-config", "--json"]).json();
    assert_eq!(json["targets"][0]["missing_env"], json!(["SHOP_USER"]));
}
