//! `haloy config`: the reference, the schema, and where the values of a file come from.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::program::{Home, binary, has};
use crate::terminal_support::OnTerminal;

const FILE: &str = "\
name: unused
replicas: 2
env:
  - name: SECRET
    value: hunter2
  - name: TOKEN
    from:
      env: SHOP_TOKEN
api_token:
  value: hunter2
targets:
  web:
    image: nginx:1.29
    server: one.example.com
    replicas: 3
    labels:
      com.example.team: \"a: b\"
  db:
    image: postgres:18
    server: two.example.com
    preset: database
";

fn home() -> Home {
    let home = Home::new();
    home.write("haloy.yaml", FILE);
    home
}

/// As for `haloy deploy`.
#[test]
fn targets_are_chosen_by_their_names_or_their_apps() {
    let home = Home::new();
    home.write("haloy.yaml", "image: nginx:1.29\ntargets:\n  prod: {name: shop}\n  test: {name: shop-test}\n  db: {}\n");
    for (words, expected) in [("shop", json!(["prod"])), ("db, shop", json!(["prod", "db"])), ("test,shop-test", json!(["test"]))] {
        let list = home.haloy(&["config", "show", "--json", "-t", words]).json();
        let names: Vec<_> = list.as_array().expect("a list").iter().map(|target| target["target"].clone()).collect();
        assert_eq!(json!(names), expected, "{words}");
    }
    has(&home.haloy(&["config", "show", "-t", "prd"]).fails(2), &["`prd`", "did you mean `prod`?"]);
}

#[test]
fn all_keys_in_short_and_one_in_full() {
    let home = Home::new();
    let all = home.haloy(&["config", "docs"]).ok();
    has(
        &all,
        &[
            "Which app, and where\n",
            "  name ",
            "What runs\n",
            "  replicas ",
            "Once for a file\n",
            "  targets ",
            "  apps ",
            "write `targets`",
        ],
    );
    assert!(all.lines().all(|line| line.chars().count() <= 100), "{all}");
    assert!(!all.contains('\u{1b}'), "no colour where no terminal is");
    has(&all, &["`haloy config docs KEY` says more"]);

    let key = home.haloy(&["config", "docs", "image.build_config"]).ok();
    has(
        &key,
        &[
            "image.build_config  object\n",
            "also        buildConfig\n",
            "formerly    builder\n",
            "in targets  yes\n",
            "Example\n  build_config:\n    context: .\n",
            "Keys\n",
            "  context ",
            "  platform ",
        ],
    );
    has(
        &home.haloy(&["config", "docs", "drainTimeout"]).ok(),
        &["drain_timeout  time like `90s` or `2m`, 0 to 24h\n", "default     30s\n"],
    );
    has(&home.haloy(&["config", "docs", "image.registry.username"]).ok(), &["image.registry.username", ", required"]);
    has(&home.haloy(&["config", "docs", "source"]).ok(), &["of an earlier generation: write `image`"]);
    has(&home.haloy(&["config", "docs", "secret_providers.1password"]).ok(), &["secret_providers.onepassword", "  vault ", "  item "]);
    has(&home.haloy(&["config", "docs", "targets"]).ok(), &["in targets  no, once for a file"]);
    has(&home.haloy(&["config", "docs", "build_config"]).ok(), &["image.build_config  "]);
    has(&home.haloy(&["config", "docs", "secretName"]).ok(), &["env[].secret_name  "]);
    has(&home.haloy(&["config", "docs", "path"]).fails(2), &["there is no key `path`", "`health_check.path` or "]);
    let refusal = "error: there is no key `replica`\n\nhint: did you mean `replicas`?\n";
    assert_eq!(home.haloy(&["config", "docs", "replica"]).fails(2), refusal);
}

#[test]
fn the_reference_for_programs_and_as_a_document() {
    let home = Home::new();
    let key = home.haloy(&["config", "docs", "env", "--json"]).json();
    assert_eq!((&key["path"], &key["in_targets"], &key["keys"][0]["name"]), (&json!("env"), &json!(true), &json!("name")));
    let groups = home.haloy(&["config", "docs", "--json"]).json();
    assert_eq!(groups[0]["keys"][0]["name"], "name");
    let refused = home.haloy(&["config", "docs", "--json", "imag"]);
    assert_eq!((refused.code, &refused.json()["hint"]), (Some(2), &json!("did you mean `image`?")));
    let document = home.haloy(&["config", "docs", "--markdown"]).ok();
    has(
        &document,
        &["# The keys of haloy.yaml\n", "## What runs\n", "### `image.registry.username`\n", "```yaml\nusername:\n", "### `env[].name`"],
    );
    assert!(!home.haloy(&["config", "docs", "image", "--markdown"]).ok().contains("### `env"));
}

#[test]
fn a_terminal_gets_its_width_and_colour() {
    let home = Home::new();
    let (code, screen) = OnTerminal::start(home.command(binary()).args(["config", "docs", "image"])).end();
    has(&screen, &["\u{1b}[1mimage\u{1b}[0m", "\u{1b}[1mExample"]);
    assert_eq!(code, Some(0));
}

#[test]
fn the_schema_is_the_committed_one() {
    let printed = Home::new().haloy(&["config", "schema"]).ok();
    let committed = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/haloy.schema.json")).expect("the schema");
    assert!(printed == committed, "`packaging/haloy.schema.json` is not what `haloy config schema` prints");
}

#[test]
fn every_value_is_shown_with_its_origin_and_no_secret_is() {
    let home = home();
    let shown = home.haloy(&["config", "show"]).ok();
    assert!(!shown.contains("hunter2"), "{shown}");
    has(
        &shown,
        &[
            "# web\n",
            "name: web ",
            "# haloy.yaml:12, the target's key\n",
            "server: one.example.com ",
            "# haloy.yaml:14\n",
            "api_token.value: ********",
            "# haloy.yaml:10\n",
            "replicas: 3 ",
            "env[0].name: SECRET",
            "env[0].value: ********",
            "env[1].from.env: SHOP_TOKEN",
            "# haloy.yaml:8\n",
            "labels.com.example.team: \"a: b\"",
            "# deploy_timeout: 2m  # default\n",
            "# db\n",
            "deployment_strategy: replace",
            "# haloy.yaml:21, by the preset\n",
        ],
    );
    let one = home.haloy(&["config", "show", "--target", "db"]).ok();
    assert!(one.starts_with("# db\n") && !one.contains("nginx"), "{one}");
    let json = home.haloy(&["config", "show", "--json", "-t", "web"]);
    assert!(!json.stdout.contains("hunter2"), "{}", json.stdout);
    let json = json.json();
    let settings = json[0]["settings"].as_array().expect("settings");
    let setting = |key: &str| settings.iter().find(|setting| setting["key"] == key).unwrap_or_else(|| panic!("no `{key}` in {settings:?}"));
    assert_eq!((&setting("replicas")["value"], &setting("replicas")["line"]), (&json!("3"), &json!(15)));
    assert_eq!((&setting("env[0].value")["value"], &setting("env[0].value")["masked"]), (&json!(null), &json!(true)));
    assert_eq!((&setting("tls")["origin"], &setting("tls")["default"]), (&json!("default"), &json!("auto")));
    let refusal = home.haloy(&["config", "show", "--target", "wbe"]).fails(2);
    has(&refusal, &["error: `haloy.yaml` has no target `wbe`\n", "did you mean `web`?"]);
}

#[test]
fn why_a_value_is_what_it_is() {
    let home = home();
    let why = |key: &str| home.haloy(&["config", "show", "--why", key]).ok();
    has(
        &why("replicas"),
        &[
            "# web\n",
            "replicas: 3\n  haloy.yaml:15\n  it wins over haloy.yaml:2, at the root of the file\n",
            "# db\n",
            "replicas: 1\n  haloy.yaml:21, by the preset\n",
        ],
    );
    for key in ["targets.web.replicas", "web.replicas"] {
        assert_eq!(why(key), "# web\nreplicas: 3\n  haloy.yaml:15\n  it wins over haloy.yaml:2, at the root of the file\n", "{key}");
    }
    has(&why("db.drain_timeout"), &["# db\ndrain_timeout: not written\n"]);
    assert!(why("targets.web").starts_with("# web\nname: web ") && !why("web").contains("# db"));
    has(&why("targets.replicas"), &["# web\nreplicas: 3\n", "# db\nreplicas: 1\n"]);
    has(&why("pull_policy"), &["# db\nimage.pull_policy: if_missing\n"]);
    has(&home.haloy(&["config", "show", "--why", "targets.wbe.replicas"]).fails(2), &["no target `wbe`", "did you mean `web`?"]);
    has(&why("drainTimeout"), &["drain_timeout: not written\n  default: 30s\n"]);
    has(&why("env[1]"), &["env[1].name: TOKEN\n", "env[1].from.env: SHOP_TOKEN\n"]);
    assert!(!why("env[1]").contains("env[0]"));
    has(&why("env.name"), &["env[0].name: SECRET\n", "env[1].name: TOKEN\n"]);
    has(&why("labels"), &["labels.com.example.team: \"a: b\"\n", "# db\nlabels: not written\n"]);
    has(&why("secret_providers"), &["once for the file"]);
    has(&home.haloy(&["config", "show", "--why", "replica"]).fails(2), &["there is no key `replica`", "did you mean `replicas`?"]);
}

#[test]
fn a_file_with_mistakes_is_explained() {
    let home = Home::new();
    home.write("haloy.yaml", "name: shop\nimage: nginx\nport: 70000\n");
    has(&home.haloy(&["config", "show"]).fails(2), &["haloy.yaml:3:7", "70000"]);
    has(&home.haloy(&["config", "show", "elsewhere"]).fails(2), &["there is no configuration file"]);
}

#[test]
fn an_app_of_a_list_is_asked_for_by_its_place() {
    let home = Home::new();
    home.write("haloy.yaml", "apps:\n  - {name: shop, image: 'shop:1', replicas: 2}\n  - {name: blog, image: 'blog:1', replicas: 3}\n");
    let why = home.haloy(&["config", "show", "--why", "apps[1].replicas"]).ok();
    has(&why, &["replicas: 3\n"]);
    assert!(!why.contains("replicas: 2"), "{why}");
}
