//! `haloy validate-config`, and how mistakes in a configuration look from every command.

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
    has(&run.stderr, &["warning: `SHOP_KEY` is not set here, a deploy needs it"]);
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
