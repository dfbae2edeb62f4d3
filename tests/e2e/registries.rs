//! Private registries: Debian's docker-registry with TLS and a login, and every way an image goes there and comes from there.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::app::{App, image};
use crate::haloyd::{Haloyd, get};
use crate::project::{self, Built};
use crate::registry::{PASSWORD, Registry, USER};

fn login(haloyd: &Haloyd, app: &App<'_>, host: &str, password: &str) -> (Option<i32>, String) {
    let mut command = app.command(&["server", "registry", "login", host, "--username", USER, "--password-stdin"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run the client");
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), password.as_bytes()).expect("write");
    let output = child.wait_with_output().expect("wait");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains(password) && !haloyd.log().contains(password), "{said}");
    (output.status.code(), said)
}

fn answers(haloyd: &Haloyd, app: &App<'_>) -> String {
    get(haloyd.http_addr(), "/", &[("host", &app.domain)]).map(|answer| answer.body).unwrap_or_default()
}

fn configure(app: &App<'_>, image: &str) {
    app.configure_web(&format!("tls: off\ndrain_timeout: 1s\nstop_timeout: 1s\n{image}"));
}

#[test]
fn the_servers_login_is_checked_before_it_is_kept_and_used_by_pulls() {
    let (haloyd, registry) = (Haloyd::start(), Registry::start());
    let reference = registry.push(&image("v1"), "shop:1");
    let app = App::new(&haloyd, "private");
    configure(&app, &format!("image: {reference}\n"));
    let refused = app.haloy(&["deploy"]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.stderr.contains("could not pull the image") && refused.stderr.contains("haloy server registry login"), "{refused}");

    let (code, said) = login(&haloyd, &app, &registry.host, "wrong");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("does not accept the login") && said.contains("hint: check user name and password"), "{said}");
    assert!(app.haloy(&["server", "registry", "list"]).ok().stderr.contains("keeps no login"), "nothing was saved");

    let (code, said) = login(&haloyd, &app, &registry.host, PASSWORD);
    assert_eq!(code, Some(0), "{said}");
    let listed = app.haloy(&["server", "registry", "list", "--json"]).ok();
    assert_eq!((&listed.json()[0]["server"], &listed.json()[0]["username"]), (&json!(registry.host), &json!(USER)));
    app.haloy(&["deploy"]).ok();
    assert!(answers(&haloyd, &app).contains("v1"));
    for file in ["haloy.db", "haloy.db-wal"] {
        let bytes = std::fs::read(haloyd.data_dir().join("db").join(file)).unwrap_or_default();
        assert!(!bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes()), "{file} holds the password");
    }
    app.haloy(&["server", "registry", "logout", &registry.host]).ok();
    let unknown = app.haloy(&["server", "registry", "logout", &registry.host]);
    assert_eq!(unknown.code, 1, "{unknown}");
}

/// The login of the file comes first, even when it is wrong: that is what the file says.
#[test]
fn the_files_login_outranks_the_servers() {
    let (haloyd, registry) = (Haloyd::start(), Registry::start());
    let reference = registry.push(&image("v1"), "shop:1");
    let app = App::new(&haloyd, "own-login");
    configure(&app, "image: unused\n");
    login(&haloyd, &app, &registry.host, PASSWORD);
    let (repository, _) = reference.rsplit_once(':').expect("a tag");
    let wrong = "registry: {username: {value: ada}, password: {value: wrong-one}}";
    configure(&app, &format!("image:\n  repository: {repository}\n  tag: '1'\n  {wrong}\n"));
    let refused = app.haloy(&["deploy"]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(
        refused.stderr.contains(&format!("with the login for `{}`", registry.host)) && !refused.stderr.contains("wrong-one"),
        "{refused}"
    );
    configure(&app, &format!("image:\n  repository: {repository}\n  tag: '1'\n  {}\n", registry.login()));
    app.haloy(&["deploy"]).ok();
    assert!(answers(&haloyd, &app).contains("v1"));
}

#[test]
fn a_built_image_is_pushed_and_pulled_by_its_digest_and_gone_back_to_without_the_registry() {
    let (haloyd, mut registry) = (Haloyd::start(), Registry::start());
    let app = App::new(&haloyd, "pushed");
    let repository = format!("{}/{}", registry.host, app.name);
    let _built = Built::named(&format!("{repository}:latest"));
    let image = format!("tls: off\nimage:\n  repository: {repository}\n  {}\n  build: true\n", registry.login());
    for version in ["v1", "v2"] {
        project::write(&app, version, &image);
        let said = app.haloy(&["deploy"]).ok();
        assert!(said.stderr.contains("pushing `"), "{said}");
        assert!(answers(&haloyd, &app).contains(version));
    }
    // The tag means the second one by now; the local image of the first one is enough.
    registry.stop();
    app.haloy(&["rollback"]).ok();
    assert!(answers(&haloyd, &app).contains("v1"));
    registry.start_again();
    app.haloy(&["deploy"]).ok();
    assert!(answers(&haloyd, &app).contains("v2"));
}

#[test]
fn pull_policies_ask_the_registry_when_they_say() {
    let (haloyd, registry) = (Haloyd::start(), Registry::start());
    let reference = registry.push(&image("v1"), "shop:stable");
    let (repository, tag) = reference.rsplit_once(':').expect("a tag");
    let app = App::new(&haloyd, "policy");
    let with = |policy: &str| {
        configure(&app, &format!("image:\n  repository: {repository}\n  tag: {tag}\n  pull_policy: {policy}\n  {}\n", registry.login()));
    };
    with("never");
    let refused = app.haloy(&["deploy"]);
    assert!(refused.code == 1 && refused.stderr.contains("`pull_policy: never` forbids to pull it"), "{refused}");
    with("if_missing");
    app.haloy(&["deploy"]).ok();
    assert!(answers(&haloyd, &app).contains("v1"));
    // The tag moves on, and the name is the first version's on the server.
    let moved = registry.push(&image("v2"), "other:1");
    let copied = Command::new("skopeo")
        .args(["copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--src-creds", &format!("{USER}:{PASSWORD}"), "--dest-creds"])
        .args([&format!("{USER}:{PASSWORD}"), &format!("docker://{moved}"), &format!("docker://{reference}")])
        .output()
        .expect("run skopeo");
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    app.haloy(&["deploy"]).ok();
    assert!(answers(&haloyd, &app).contains("v1"), "it is there");
    with("always");
    app.haloy(&["deploy"]).ok();
    assert!(answers(&haloyd, &app).contains("v2"), "it was asked for");
}

#[test]
fn prune_leaves_a_name_alone_that_means_another_image_by_now() {
    let (haloyd, registry) = (Haloyd::start(), Registry::start());
    let (old, new) = (registry.push(&image("v1"), "shop:old"), registry.push(&image("v2"), "shop:new"));
    let app = App::new(&haloyd, "names");
    for reference in [&old, &new] {
        let (repository, tag) = reference.rsplit_once(':').expect("a tag");
        configure(&app, &format!("image:\n  repository: {repository}\n  tag: {tag}\n  {}\n", registry.login()));
        app.haloy(&["deploy"]).ok();
    }
    let docker = |words: &[&str]| {
        let output = Command::new("docker").args(words).output().expect("run docker");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    docker(&["tag", &image("healthcheck"), &old]);
    let mine = docker(&["image", "inspect", "--format", "{{.Id}}", &old]);
    let own = format!("haloy/{}", app.name);
    let held = || docker(&["image", "ls", "--format", "{{.Tag}}", &own]).lines().count();
    assert_eq!(held(), 2);
    app.haloy(&["prune", "--keep", "1", "--yes"]).ok();
    assert_eq!(held(), 1, "the old version's own name is gone");
    assert_eq!(docker(&["image", "inspect", "--format", "{{.Id}}", &old]), mine);
    docker(&["rmi", &old]);
}

#[test]
fn versions_of_the_registry_can_be_gone_to_by_their_tags() {
    let (haloyd, registry) = (Haloyd::start(), Registry::start());
    for (version, tag) in [("v1", "v1.9"), ("v2", "v1.10"), ("v1", "latest")] {
        registry.push(&image(version), &format!("shop:{tag}"));
    }
    let app = App::new(&haloyd, "tags");
    let history = "history: {strategy: registry, count: 5, pattern: 'v*'}";
    let with = |tag: &str| {
        let image = format!("image:\n  repository: {}/shop\n  tag: {tag}\n  {}\n  {history}\n", registry.host, registry.login());
        configure(&app, &image);
    };
    with("latest");
    let refused = app.haloy(&["deploy"]);
    assert!(refused.code == 2 && refused.stderr.contains("`latest`"), "{refused}");
    with("v1.10");
    app.haloy(&["deploy"]).ok();
    assert!(answers(&haloyd, &app).contains("v2"));
    let targets = app.haloy(&["rollback-targets"]).ok();
    let (new, old) = (targets.stdout.find("\nv1.10").expect("v1.10"), targets.stdout.find("\nv1.9").expect("v1.9"));
    assert!(new < old && !targets.stdout.contains("\nlatest"), "{targets}");
    app.haloy(&["rollback", "--tag", "v1.9"]).ok();
    assert!(answers(&haloyd, &app).contains("v1"));
    let impossible = app.haloy(&["rollback", "--tag", "v1 9"]);
    assert!(impossible.code == 1 && impossible.stderr.contains("cannot go to the tag `v1 9`"), "{impossible}");
    let unknown = app.haloy(&["rollback", "--tag", "latest"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("cannot go to the tag `latest`"), "{unknown}");
}

/// docker, skopeo and the engine against the server's own registry.
#[test]
fn standard_clients_push_and_pull() {
    let haloyd = Haloyd::start();
    let host = haloyd.api_addr().to_string();
    let config = haloyd.folder().join("docker");
    std::fs::create_dir_all(&config).expect("create");
    let docker = |words: &[&str]| {
        let output = Command::new("docker").args(words).env("DOCKER_CONFIG", &config).output().expect("run docker");
        (output.status.success(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    };
    assert!(!docker(&["login", "--username", "any", "--password", "wrong", &host]).0);
    assert!(docker(&["login", "--username", "any", "--password", haloyd.token(), &host]).0);
    let (pushed, _built) = (format!("{host}/team/shop:1"), Built::named(&format!("{host}/team/shop:1")));
    assert!(docker(&["tag", &image("v1"), &pushed]).0);
    let (ok, said) = docker(&["push", &pushed]);
    assert!(ok, "{said}");
    let digest = said.split("digest: ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a digest").to_owned();
    assert!(docker(&["image", "rm", &pushed]).0);
    let (ok, said) = docker(&["pull", &pushed]);
    assert!(ok && said.contains(&digest), "{said}");
    let (ok, said) = docker(&["pull", &format!("{host}/team/shop@{digest}")]);
    assert!(ok, "{said}");

    let creds = format!("any:{}", haloyd.token());
    let skopeo = |words: &[&str]| {
        let output = Command::new("skopeo").args(words).output().expect("run skopeo");
        assert!(output.status.success(), "skopeo {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let there = format!("docker://{host}/team/shop:2");
    let tls = ["--dest-tls-verify=false", "--dest-creds", &creds];
    skopeo(&[&["copy"], &tls[..], &[&format!("docker-daemon:{}", image("v2")), &there]].concat());
    let listed = skopeo(&["list-tags", "--tls-verify=false", "--creds", &creds, &format!("docker://{host}/team/shop")]);
    assert!(listed.contains("\"1\"") && listed.contains("\"2\""), "{listed}");
    let folder = format!("dir:{}", haloyd.folder().join("copy").display());
    skopeo(&["copy", "--src-tls-verify=false", "--src-creds", &creds, &there, &folder]);
    skopeo(&["delete", "--tls-verify=false", "--creds", &creds, &there]);
    let listed = skopeo(&["list-tags", "--tls-verify=false", "--creds", &creds, &format!("docker://{host}/team/shop")]);
    assert!(!listed.contains("\"2\""), "{listed}");
    haloyd.docker(&["image", "rm", &format!("{host}/team/shop@{digest}")]);
}
