//! What a deploy says about images that it cannot get.

use crate::deploy::home;
use crate::fake_api::{FakeApi, accepted};
use crate::program::has;

const DEPLOY: &str = "POST /v1/apps/shop/deploy";

#[test]
fn an_image_that_must_be_built_is_refused_before_anything_changes() {
    let api = FakeApi::start();
    let home = home(&api, "");
    home.write("Dockerfile", "FROM scratch\n");
    home.write("haloy.yaml", &format!("name: shop\nserver: {}\npre_deploy: ['touch before']\n", api.address));
    let expected = "error: the image of `shop` must be built, and this release of haloy cannot build yet\n\n\
                    hint: build it on the server with `docker build -t shop:latest .` and write \
                    `image: {repository: shop, tag: latest, build: false, pull_policy: never}`\n";
    let error = home.haloy(&["deploy"]).fails(2);
    assert!(error.ends_with(expected), "{error}");
    assert!(api.received_on(DEPLOY).is_empty() && !home.path().join("before").exists());
    home.write(
        "haloy.yaml",
        &format!("name: shop\nserver: {}\nimage: {{repository: shop, tag: latest, build: false, pull_policy: never}}\n", api.address),
    );
    api.on(DEPLOY, [accepted(7, 0)]);
    home.haloy(&["deploy", "--detach"]).ok();
    let spec = &api.received_on(DEPLOY)[0].body["spec"];
    assert_eq!((&spec["image"], &spec["pull_policy"]), (&"shop:latest".into(), &"never".into()), "the hint is right");
}

#[test]
fn a_registry_login_that_is_not_used_is_told() {
    let api = FakeApi::start();
    api.on(DEPLOY, [accepted(7, 0)]);
    let home = home(&api, "");
    let image = "repository: ghcr.io/ada/shop\n  tag: v2\n  registry:\n    username: {value: ada}\n    password: {value: hunter2}\n";
    let file = |more: &str| format!("name: shop\nserver: {}\nimage:\n  {image}{more}", api.address);
    home.write("haloy.yaml", &file(""));
    let said = home.haloy(&["deploy", "--detach"]).stderr;
    has(
        &said,
        &[
            "warning: `image.registry` is not used by this release: the server pulls `ghcr.io/ada/shop:v2` without a login\n",
            "hint: run `docker login ghcr.io` and `docker pull ghcr.io/ada/shop:v2` on the server",
        ],
    );
    assert!(!said.contains("hunter2"));
    home.write("haloy.yaml", &file("  pull_policy: never\n"));
    assert!(!home.haloy(&["deploy", "--detach"]).stderr.contains("registry"));
}
