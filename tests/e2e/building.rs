//! From a Dockerfile to a running app: built here, sent there, and settled by its digest.

use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::app::{App, wait_for};
use crate::haloyd::{Haloyd, get};
use crate::load::Load;
use crate::project::{self, Built};

const DRAIN: Duration = Duration::from_secs(2);

/// What the app answers over plain HTTP.
fn answers(haloyd: &Haloyd, app: &App<'_>) -> String {
    get(haloyd.http_addr(), "/", &[("host", &app.domain)]).map(|answer| answer.body).unwrap_or_default()
}

fn serving_image(haloyd: &Haloyd, app: &App<'_>) -> String {
    let container = &app.containers().into_iter().find(|container| container.running).expect("a container").id;
    let output = haloyd.docker(&["inspect", "--format", "{{.Image}}", container]);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn the_simplest_configuration_builds_sends_what_is_missing_and_runs_it_under_load() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "built");
    let _built = Built::of(&app);
    fs::write(
        app.folder().join("haloy.yaml"),
        format!("name: {}\nserver: {}\ndomains: [{}]\ndrain_timeout: 2s\n", app.name, haloyd.api_addr(), app.domain),
    )
    .expect("write");
    project::write_context(app.folder(), "v1");
    let first = app.haloy(&["deploy"]).ok();
    assert!(first.stderr.contains("(0 of 2 layers were there"), "{first}");
    let load = Load::start(&app, haloyd.https_addr(), DRAIN);

    project::write_context(app.folder(), "v2");
    let second = app.haloy(&["deploy"]).ok();
    assert!(second.stderr.contains("(1 of 2 layers were there"), "{second}");
    load.wait_for_version("v2");
    let again = app.haloy(&["deploy"]).ok();
    assert!(again.stderr.contains("uploaded 0 B") && again.stderr.contains("(2 of 2 layers were there"), "{again}");

    let local = haloyd.docker(&["image", "inspect", "--format", "{{.Id}}", &app.name]);
    assert_eq!(serving_image(&haloyd, &app), String::from_utf8_lossy(&local.stdout).trim(), "exactly those bytes");
    let targets = app.haloy(&["rollback-targets", "--json"]).ok().json();
    let back = app.haloy(&["rollback", targets[2]["id"].as_str().expect("an id")]).ok();
    assert!(back.stderr.contains("is rolled back to"), "{back}");
    load.wait_for_version("v1");
    println!("{}", load.finish());
}

/// The image of a deployment is gone from the engine; the server's own registry still has it.
#[test]
fn a_rollback_brings_back_an_image_that_was_deleted_by_hand() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "deleted");
    let _built = Built::of(&app);
    for version in ["v1", "v2"] {
        project::write(&app, version, "tls: off\n");
        app.haloy(&["deploy"]).ok();
    }
    let targets = app.haloy(&["rollback-targets", "--json"]).ok().json();
    let first = targets[1]["id"].as_str().expect("an id").to_owned();
    let id = targets[1]["image_id"].as_str().expect("an image").to_owned();
    let removed = haloyd.docker(&["image", "rm", "--force", &id]);
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    assert!(!haloyd.docker(&["image", "inspect", &id]).status.success(), "it is gone");
    app.haloy(&["rollback", &first]).ok();
    assert!(answers(&haloyd, &app).contains("v1"), "{}", answers(&haloyd, &app));
    assert_eq!(serving_image(&haloyd, &app), id);
}

/// `nginx` is what people build, too; what runs is what was built here, whatever else has that name.
#[test]
fn an_image_named_like_a_public_one_is_never_replaced() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "nginx");
    let name = format!("nginx-{}", app.name);
    let _built = Built::named(&name);
    let rest = format!("tls: off\nimage: {{repository: {name}, build: true, pull_policy: always}}\n");
    project::write(&app, "mine", &rest);
    app.haloy(&["deploy"]).ok();
    let id = serving_image(&haloyd, &app);
    // Somebody else's image takes the name on the server.
    assert!(haloyd.docker(&["tag", "haloy-test-app:v2", &name]).status.success());
    app.haloy(&["restart"]).ok();
    assert_eq!(serving_image(&haloyd, &app), id);
    assert!(answers(&haloyd, &app).contains("mine"));
}

#[test]
fn the_server_builds_for_clients_without_docker() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "remote");
    let rest = "tls: off\nimage:\n  build_config:\n    on: server\n    args: [{name: GREETING, value: hello}]\n";
    project::write(&app, "v1", rest);
    fs::write(app.folder().join(".dockerignore"), "secret\n").expect("write");
    fs::write(app.folder().join("secret"), "not for the server").expect("write");
    let without_docker = |words: &[&str]| {
        let output = app.command(words).env("PATH", "/nonexistent").output().expect("run the client");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = without_docker(&["deploy"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("building `") && said.contains("Successfully built"), "{said}");
    assert!(answers(&haloyd, &app).contains("v1"));
    fs::write(app.folder().join("Dockerfile"), "FROM scratch\nCOPY secret /\n").expect("write");
    let (code, said) = without_docker(&["deploy"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("COPY failed") && said.contains("hint: nothing was deployed"), "{said}");
    assert!(answers(&haloyd, &app).contains("v1"));
}

#[test]
fn an_upload_that_is_not_here_is_not_deployed() {
    let haloyd = Haloyd::start();
    let app = crate::spec::app(&haloyd, "missing");
    let digest = format!("sha256:{}", "a".repeat(64));
    let request = crate::spec::request(&app, "shop:1", &[], json!({ "pin": { "uploaded": digest } }));
    let answer = crate::spec::send(&haloyd, &app, &request);
    assert_eq!(answer.status, 409, "{answer:?}");
    assert!(answer.body.contains("was not uploaded to this server"), "{answer:?}");
}

/// Old images go by themselves once there are more than the history wants; a user's own names stay.
#[test]
fn the_history_keeps_so_many_versions_and_prune_the_rest() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "history");
    let (_built, own) = (Built::of(&app), Built::named("haloy-own-name:1"));
    let mut ids = Vec::new();
    for version in ["v1", "v2", "v3"] {
        project::write(&app, version, "tls: off\nimage: {build: true, history: {count: 2}}\n");
        app.haloy(&["deploy"]).ok();
        ids.push(serving_image(&haloyd, &app));
        if version == "v2" {
            // The second version is somebody's own, too.
            assert!(haloyd.docker(&["tag", &ids[1], "haloy-own-name:1"]).status.success());
        }
    }
    let here = |id: &str| haloyd.docker(&["image", "inspect", id]).status.success();
    wait_for(Duration::from_secs(20), "the first version goes", || (!here(&ids[0])).then_some(()));
    assert!(here(&ids[1]) && here(&ids[2]));
    let targets = app.haloy(&["rollback-targets", "--json"]).ok().json();
    let kept: Vec<bool> = targets.as_array().expect("a list").iter().map(|t| t["image_kept"].as_bool().expect("a bool")).collect();
    assert_eq!(kept, [true, true, false]);
    let oldest = targets[2]["id"].as_str().expect("an id");
    let refused = app.haloy(&["rollback", oldest]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.stderr.contains("is not kept any more") && refused.stderr.contains("history.count"), "{refused}");

    let unasked = app.haloy(&["prune", "--keep", "1"]);
    assert!(unasked.code == 2 && unasked.stderr.contains("hint: add `--yes`"), "{unasked}");
    let would = app.haloy(&["prune", "--keep", "1", "--dry-run", "--json"]).ok().json();
    assert_eq!(would["dry_run"], true);
    assert_eq!(would["items"], json!([]), "the second version's image stays under its owner's name: {would}");
    app.haloy(&["prune", "--keep", "1", "--yes"]).ok();
    assert!(here(&ids[1]), "its owner has it");
    drop(own);
    assert!(!here(&ids[1]), "and haloy's names of it are gone");
    assert!(here(&ids[2]) && answers(&haloyd, &app).contains("v3"));
    let none = app.haloy(&["rollback"]);
    assert_eq!(none.code, 1, "{none}");
}

#[test]
fn an_older_image_runs_with_todays_configuration() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "mixed");
    let _built = Built::of(&app);
    for version in ["v1", "v2"] {
        project::write(&app, version, "tls: off\n");
        app.haloy(&["deploy"]).ok();
    }
    project::write(&app, "v3", "tls: off\nreplicas: 2\n");
    app.haloy(&["rollback", "--current-config"]).ok();
    assert!(answers(&haloyd, &app).contains("v1"));
    assert_eq!(app.status()["replicas_wanted"], 2);
}

/// A secret that was changed since is looked up anew; one that is nowhere keeps its value, and that is told.
#[test]
fn a_rollback_looks_secrets_up_anew() {
    let haloyd = Haloyd::start();
    let app = App::new(&haloyd, "renewed");
    let _built = Built::of(&app);
    let env = "tls: off\nenv:\n  - {name: A, from: {env: SHOP_A}}\n  - {name: B, from: {env: SHOP_B}}\n";
    fs::write(app.folder().join(".env"), "SHOP_A=old-a\nSHOP_B=old-b\n").expect("write");
    for version in ["v1", "v2"] {
        project::write(&app, version, env);
        app.haloy(&["deploy"]).ok();
    }
    fs::write(app.folder().join(".env"), "SHOP_A=new-a\n").expect("write");
    let back = app.haloy(&["rollback"]).ok();
    assert!(back.stderr.contains("warning: `B` cannot be looked up here and keep the values"), "{back}");
    let container = app.containers().into_iter().find(|container| container.running).expect("a container").id;
    let env = haloyd.docker(&["inspect", "--format", "{{.Config.Env}}", &container]);
    let env = String::from_utf8_lossy(&env.stdout).into_owned();
    assert!(env.contains("A=new-a") && env.contains("B=old-b"), "{env}");
}

/// Two targets on two servers share an image: it is built once, read once, and sent to both.
#[test]
fn several_servers_get_one_image() {
    let (first, second) = (Haloyd::start(), Haloyd::start());
    let (here, there) = (App::new(&first, "one"), App::new(&second, "two"));
    first.client(&["server", "add", &second.api_addr().to_string(), second.token()]);
    let image = format!("shared-{}", here.name);
    let _built = Built::named(&image);
    project::write_context(here.folder(), "v1");
    let target =
        |app: &App<'_>, haloyd: &Haloyd| format!("  {}: {{server: '{}', domains: [{}]}}\n", app.name, haloyd.api_addr(), app.domain);
    let targets = format!("{}{}", target(&here, &first), target(&there, &second));
    let text = format!("image: {{repository: {image}, build: true}}\ntls: off\nhealth_check_path: /health\ntargets:\n{targets}");
    fs::write(here.folder().join("haloy.yaml"), text).expect("write");
    let said = here.haloy(&["deploy", "--all"]).ok();
    assert_eq!(said.stderr.matches(&format!("building `{image}`")).count(), 1, "{said}");
    assert_eq!(said.stderr.matches("uploading to").count(), 1, "{said}");
    for server in [&first, &second] {
        assert!(said.stderr.contains(&format!("`{}`", server.api_addr())), "{said}");
    }
    assert!(answers(&first, &here).contains("v1") && answers(&second, &there).contains("v1"));
}
