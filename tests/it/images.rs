//! What a deploy does about images on this machine, seen through a `docker` that notes how it is called.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::fake_api::{Answer, FakeApi, TOKEN, accepted};
use crate::program::{Home, Run, has};

const DEPLOY: &str = "POST /v1/apps/shop/deploy";
const ID: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const DIGEST: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// Says what the real one says in the same places; every call is a line of `calls`.
const DOCKER: &str = r#"#!/bin/sh
printf '%s\n' "$*" >> "$HOME/calls"
case "$1 $2" in
"version "*) echo linux/amd64 ;;
"buildx version") test -e "$HOME/buildx" ;;
"build "*|"buildx build")
    test -z "$DOCKER_BUILDKIT" || echo "DOCKER_BUILDKIT=$DOCKER_BUILDKIT" >> "$HOME/environment"
    echo "Step 1/1 : FROM scratch"
    env | grep -E '^(A|NPM_TOKEN|PASSED|KEY)=' | sort >> "$HOME/environment"
    test ! -e "$HOME/broken" || { echo "COPY failed: no such file" >&2; exit 1; }
    while [ $# -gt 0 ]; do if [ "$1" = --iidfile ]; then printf 'ID' > "$2"; fi; shift; done ;;
"image tag") ;;
"image push")
    cp "$DOCKER_CONFIG/config.json" "$HOME/pushed-with"
    test ! -e "$HOME/denied" || { echo "denied: requested access to the resource is denied" >&2; exit 1; }
    echo "v1: digest: DIGEST size: 528" ;;
*) echo "unexpected: $*" >&2; exit 64 ;;
esac
"#;

/// A home with a `docker` of its own, a Dockerfile and a configuration.
fn home(api: &FakeApi, config: &str) -> Home {
    let home = Home::new();
    let docker = home.write("bin/docker", &DOCKER.replace("ID'", &format!("{ID}'")).replace("DIGEST", DIGEST));
    std::fs::set_permissions(&docker, std::fs::Permissions::from_mode(0o755)).expect("executable");
    home.write("Dockerfile", "FROM scratch\n");
    home.write("haloy.yaml", &format!("name: shop\nserver: {}\n{config}", api.address));
    home.haloy(&["server", "add", &api.address, TOKEN]).ok();
    api.on("GET /v1/version", [Answer::Json(200, json!({ "version": "1", "api": 1, "docker": null, "platform": "linux/amd64" }))]);
    api.on(DEPLOY, [accepted(7, 0)]);
    home
}

fn haloy(home: &Home, words: &[&str]) -> Run {
    haloy_with(home, words, "")
}

/// With what the user says of BuildKit.
fn haloy_with(home: &Home, words: &[&str], buildkit: &str) -> Run {
    let path = format!("{}:/usr/bin:/bin", home.path().join("bin").display());
    crate::program::run(
        home.command(crate::program::binary()).args(words).env("PATH", path).env("PASSED", "through").env("DOCKER_BUILDKIT", buildkit),
    )
}

/// The calls of `docker build`, their temporary file left out.
fn builds(home: &Home) -> Vec<String> {
    let calls = std::fs::read_to_string(home.path().join("calls")).unwrap_or_default();
    let builds = calls.lines().filter(|line| line.starts_with("build ") || line.starts_with("buildx build "));
    builds
        .map(|line| {
            let (before, after) = line.split_once("--iidfile ").expect("an id file");
            format!("{before}{}", after.split_once(' ').expect("a context").1)
        })
        .collect()
}

#[test]
fn every_key_of_a_build_has_its_argument_and_no_value_is_one() {
    let api = FakeApi::start();
    let config = "image:\n  repository: shop\n  tag: v1\n  build_config:\n    context: app\n    dockerfile: Web\n    platform: linux/arm64\n    \
        target: final\n    cache_from: [type=local]\n    cache_to: [type=inline]\n    ssh: [default]\n    flags: [--no-cache]\n    \
        args:\n      - {name: A, value: one}\n      - {name: NPM_TOKEN, from: {secret: 'command:vault:key'}}\n      - PASSED\n\
        env:\n  - {name: KEY, value: hunter3, build_arg: true}\n\
        secret_providers:\n  command:\n    vault: {run: [./vault.sh]}\n";
    let home = home(&api, config);
    home.write("app/Web", "FROM scratch\nARG A\n");
    let vault = home.write("vault.sh", "#!/bin/sh\necho '{\"key\": \"hunter2\"}'\n");
    std::fs::set_permissions(&vault, std::fs::Permissions::from_mode(0o755)).expect("executable");
    assert_eq!(haloy(&home, &["build"]).ok(), format!("shop:v1 {ID}\n"));
    let args = "--build-arg A --build-arg NPM_TOKEN --build-arg PASSED --build-arg KEY";
    let expected = |args: &str| {
        format!(
            "build --tag shop:v1 --file app/Web --platform linux/arm64 --target final --cache-from type=local --cache-to type=inline \
             --ssh default {args} --no-cache app"
        )
    };
    assert_eq!(builds(&home), [expected(args)]);
    assert_eq!(home.read("environment"), "A=one\nKEY=hunter3\nNPM_TOKEN=hunter2\nPASSED=through\n");

    // The classic builder has no other way for a secret, which stays in the image when the Dockerfile declares it.
    home.write("app/Web", "FROM scratch\nARG NPM_TOKEN\n");
    let warning = "warning: the Dockerfile declares `NPM_TOKEN` with `ARG`";
    has(&haloy(&home, &["build"]).stderr, &[warning, "hint: build with Docker's buildx plugin", "--mount=type=secret,id=NPM_TOKEN"]);

    // BuildKit mounts secrets; only what the Dockerfile declares is an argument as well, and that is told.
    home.write("buildx", "");
    home.write("app/Web", "FROM scratch\nARG A\n");
    haloy(&home, &["build"]).ok();
    let mounted = "--build-arg A --secret id=NPM_TOKEN,env=NPM_TOKEN --build-arg PASSED --build-arg KEY";
    let loaded = |args: &str| expected(args).replacen("build ", "buildx build --load ", 1);
    assert_eq!(builds(&home)[2], loaded(mounted));
    home.write("app/Web", "FROM scratch\nARG NPM_TOKEN\n");
    let told = haloy(&home, &["build"]);
    has(&told.stderr, &[warning, "hint: leave the `ARG` out", "--mount=type=secret,id=NPM_TOKEN"]);
    assert!(builds(&home)[3].contains("--secret id=NPM_TOKEN,env=NPM_TOKEN --build-arg NPM_TOKEN"));
    let said = format!("{}{}{}", told.stdout, told.stderr, home.read("calls"));
    assert!(!said.contains("hunter"), "{said}");
}

#[test]
fn what_is_missing_is_told_with_all_places_before_anything_is_asked() {
    let api = FakeApi::start();
    let home = home(&api, "pre_deploy: ['touch before']\nimage:\n  build_config: {context: app, dockerfile: Web}\n");
    let refused = haloy(&home, &["deploy"]).fails(2);
    has(&refused, &["error: the build context `app` of `shop` is not a directory", "app`", "hint: `context` is relative"]);
    home.write("app/x", "");
    let refused = haloy(&home, &["deploy"]).fails(2);
    let place = |name: &str| home.path().join(name).display().to_string();
    has(
        &refused,
        &["error: there is no Dockerfile for `shop`: looked for", &place("Web"), " and ", &place("app/Web"), "hint: write a Dockerfile"],
    );
    assert!(api.received_on(DEPLOY).is_empty() && !home.path().join("before").exists());
}

#[test]
fn a_build_that_fails_shows_its_step_and_deploys_nothing() {
    let api = FakeApi::start();
    let home = home(&api, "");
    home.write("broken", "");
    for quiet in [&["deploy"][..], &["deploy", "--no-logs"]] {
        let failed = haloy(&home, quiet).fails(1);
        has(&failed, &["error: the build of `shop` failed with exit code 1", "COPY failed: no such file", "hint: nothing was deployed"]);
    }
    let json = haloy(&home, &["deploy", "--json"]).json();
    assert!(json["error"].as_str().is_some_and(|error| error.contains("COPY failed")), "{json}");
    assert!(api.received_on(DEPLOY).is_empty());
}

#[test]
fn without_docker_the_way_round_it_is_told() {
    let api = FakeApi::start();
    let home = home(&api, "");
    let run = crate::program::run(home.command(crate::program::binary()).args(["deploy"]).env("PATH", "/nonexistent"));
    has(&run.fails(1), &["error: there is no `docker` on this machine to build `shop` with", "hint: install Docker", "on: server"]);
}

#[test]
fn targets_with_equal_builds_share_one_and_others_do_not() {
    let api = FakeApi::start();
    api.on("POST /v1/apps/eu/deploy", [accepted(7, 0)]).on("POST /v1/apps/us/deploy", [accepted(8, 0)]);
    let registry = "registry: {username: {value: ada}, password: {from: {env: PASSED}}}";
    let root = format!("image:\n  repository: ghcr.io/ada/shop\n  tag: v1\n  {registry}\n  build_config: {{}}\n");
    let home = home(&api, "");
    let file = |us: &str| format!("server: {}\n{root}targets:\n  eu: {{}}\n  us: {us}\n", api.address);
    home.write("haloy.yaml", &file("{}"));
    haloy(&home, &["deploy", "--all", "--detach"]).ok();
    assert_eq!(builds(&home).len(), 1, "one build");
    let pushes = || home.read("calls").lines().filter(|line| line.starts_with("image push")).count();
    assert_eq!(pushes(), 1, "and one push");
    for app in ["eu", "us"] {
        let sent = &api.received_on(&format!("POST /v1/apps/{app}/deploy"))[0].body;
        assert_eq!(sent["spec"]["pin"], json!({ "pushed": DIGEST }));
        assert_eq!(sent["login"], json!({ "server": "ghcr.io", "username": "ada", "password": "through" }));
    }
    home.write("haloy.yaml", &file("{image: {build_config: {args: [{name: A, value: two}]}}}"));
    haloy(&home, &["deploy", "--all", "--detach"]).ok();
    assert_eq!(builds(&home).len(), 3, "another argument is another build");
}

#[test]
fn a_push_uses_the_login_of_the_file_and_says_why_it_failed() {
    let api = FakeApi::start();
    let image = "image:\n  repository: ghcr.io/ada/shop\n  tag: v1\n  registry: {username: {value: ada}, password: {value: hunter2}}\n  build: true\n";
    let home = home(&api, image);
    home.write(".docker/config.json", r#"{"auths":{"ghcr.io":{"auth":"other"}},"currentContext":"default"}"#);
    let run = haloy(&home, &["deploy", "--detach"]);
    assert!(!format!("{}{}", run.stderr, home.read("calls")).contains("hunter2"));
    run.ok();
    let config: serde_json::Value = serde_json::from_str(&home.read("pushed-with")).expect("JSON");
    assert_eq!(config, json!({ "auths": { "ghcr.io": { "auth": "YWRhOmh1bnRlcjI=" } }, "currentContext": "default" }));
    home.write("denied", "");
    let failed = haloy(&home, &["deploy"]).fails(1);
    has(&failed, &["error: could not push `ghcr.io/ada/shop:v1`: denied:", "hint: check `username` and `password` of `image.registry`"]);
}

#[test]
fn the_login_of_an_image_that_exists_goes_with_the_deploy() {
    let api = FakeApi::start();
    let registry = "registry: {username: {value: ada}, password: {from: {env: SHOP_TOKEN}}}";
    let home = home(&api, &format!("image:\n  repository: ghcr.io/ada/shop\n  tag: v2\n  {registry}\n"));
    has(&haloy(&home, &["deploy", "--detach"]).fails(2), &["the environment variable `SHOP_TOKEN` is empty or not set"]);
    home.write(".env", "SHOP_TOKEN=hunter2\n");
    let run = haloy(&home, &["deploy", "--detach"]);
    assert!(!run.stderr.contains("hunter2"));
    run.ok();
    let sent = &api.received_on(DEPLOY)[0].body;
    assert_eq!(sent["login"], json!({ "server": "ghcr.io", "username": "ada", "password": "hunter2" }));
    assert_eq!((&sent["spec"]["pin"], sent["spec"].to_string().contains("hunter2")), (&json!(null), false));
}

#[test]
fn building_alone_needs_no_server() {
    let api = FakeApi::start();
    let home = home(&api, "");
    home.write("haloy.yaml", "name: shop\n");
    home.haloy(&["server", "delete", &api.address]).ok();
    let said = haloy(&home, &["build", "--json"]).ok();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&said).expect("JSON"), json!([{ "image": "shop", "id": ID }]));
    home.write("haloy.yaml", "name: shop\nimage: nginx:1\n");
    has(&haloy(&home, &["build"]).stderr, &["`shop` is not built: its image is `nginx:1`"]);
    home.write("haloy.yaml", "name: shop\nimage: {build_config: {on: server}}\n");
    has(&haloy(&home, &["build"]).fails(2), &["error: no server is chosen"]);
}

#[test]
fn the_user_chooses_the_builder() {
    let api = FakeApi::start();
    let home = home(&api, "image: {build_config: {platform: linux/amd64}}\n");
    let build = |wish: &str| {
        haloy_with(&home, &["build"], wish).ok();
        builds(&home).pop().expect("a build")
    };
    assert_eq!(build("1"), "build --tag shop --file ./Dockerfile --platform linux/amd64 .");
    assert_eq!(home.read("environment"), "DOCKER_BUILDKIT=1\nPASSED=through\n");
    assert_eq!(build(""), "build --tag shop --file ./Dockerfile .", "the classic builder needs no word for its own platform");
    home.write("buildx", "");
    assert_eq!(build("1"), "buildx build --load --tag shop --file ./Dockerfile --platform linux/amd64 .");
    assert_eq!(build("0"), "build --tag shop --file ./Dockerfile .");
}

#[test]
fn only_what_a_build_needs_is_looked_up_for_it() {
    let api = FakeApi::start();
    let home = home(
        &api,
        "env:\n  - {name: KEY, from: {secret: 'command:vault:key'}}\nsecret_providers: {command: {vault: {run: [./vault.sh]}}}\n",
    );
    let vault = home.write("vault.sh", "#!/bin/sh\ntouch \"$HOME/asked\"\necho '{\"key\": \"hunter2\"}'\n");
    std::fs::set_permissions(&vault, std::fs::Permissions::from_mode(0o755)).expect("executable");
    haloy(&home, &["build"]).ok();
    assert!(!home.path().join("asked").exists());
    haloy(&home, &["deploy", "--detach"]).fails(1);
    assert!(home.path().join("asked").exists());
}

#[test]
fn a_server_that_is_away_is_found_out_before_anything_is_built() {
    let api = FakeApi::start();
    let home = home(&api, "image: {build_config: {platform: linux/amd64}}\n");
    let config = home.read("haloy.yaml").replace(&api.address, "http://127.0.0.1:9");
    home.write("haloy.yaml", &format!("{config}api_token: {{value: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}}\n"));
    has(&haloy(&home, &["deploy"]).fails(1), &["error: could not connect to `127.0.0.1:9`"]);
    assert!(builds(&home).is_empty());
}

#[test]
fn what_the_server_builds_is_pushed_nowhere() {
    let api = FakeApi::start();
    let registry = "repository: ghcr.io/ada/shop\n  registry: {username: {value: ada}, password: {value: hunter2}}";
    let home = home(&api, &format!("image:\n  {registry}\n  build_config: {{on: server, push: registry}}\n"));
    has(&haloy(&home, &["deploy"]).fails(2), &["what the server builds stays there", "help: leave `push` out"]);
}
