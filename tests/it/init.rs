//! `haloy init`: a first configuration that is right at once.

use std::fs;

use serde_json::json;

use crate::program::{Home, binary, has, run};

#[test]
fn what_is_there_becomes_a_file_that_is_valid() {
    let home = Home::new();
    home.write("shop/Dockerfile", "FROM scratch\nEXPOSE 3000\n");
    home.write("shop/package.json", r#"{"name": "@acme/Web Shop", "scripts": {"start": "node server.js"}}"#);
    let run = home.haloy(&["init", "shop"]);
    has(
        &run.stderr,
        &[
            "found Dockerfile: it EXPOSEs 3000\n",
            "found package.json: a Node.js package `Web Shop`\n",
            "`shop/haloy.yaml` is written\n",
            "next:\n  haloy server add HOST --token-stdin\n  haloy deploy shop\n",
        ],
    );
    run.ok();
    let text = home.read("shop/haloy.yaml");
    let first = text.lines().next().expect("a line");
    assert!(first.starts_with("# yaml-language-server: $schema=https://") && first.ends_with("/packaging/haloy.schema.json"), "{first}");
    has(&text, &["\nname: web-shop\n", "\n#server: haloy.example.com\n", "the Dockerfile EXPOSEs 3000.\n#port: 3000\n"]);
    let valid = home.haloy(&["validate-config", "shop"]);
    assert_eq!(valid.stderr, "");
    has(&valid.ok(), &["app       web-shop\n"]);

    let refused = home.haloy(&["init", "shop", "--format", "toml"]);
    has(&refused.fails(2), &["error: `shop/haloy.yaml` is there already", "hint: check it with `haloy validate-config"]);
    assert_eq!(home.read("shop/haloy.yaml"), text);
    assert_eq!(fs::read_dir(home.path().join("shop")).expect("list").count(), 3);
}

#[test]
fn flags_say_the_rest_in_every_format() {
    for (format, shown) in
        [("yaml", "domains:\n  - shop.example.com\n"), ("toml", "domains = [\"shop.example.com\"]\n"), ("json", "\"shop.example.com\"")]
    {
        let home = Home::new();
        home.write("Dockerfile", "FROM scratch\n");
        let args =
            ["--name", "shop", "--server", "haloy.example.com", "--domain", "shop.example.com", "--port", "3000", "--format", format];
        let run = home.haloy(&[&["init"], &args[..]].concat());
        has(&run.stderr, &["\n  haloy server add haloy.example.com --token-stdin\n  haloy deploy\n"]);
        run.ok();
        has(&home.read(&format!("haloy.{format}")), &[shown]);
        let valid = home.haloy(&["validate-config", "--json"]);
        let json = valid.json();
        assert_eq!(json["warnings"], json!([]), "{json}");
        let spec = &json["targets"][0]["spec"];
        assert_eq!(
            (&spec["name"], &spec["port"], &spec["domains"][0]["domain"]),
            (&json!("shop"), &json!(3000), &json!("shop.example.com"))
        );
        assert_eq!(json["targets"][0]["server"], "haloy.example.com");
    }
}

#[test]
fn names_that_yaml_takes_for_something_else_are_texts() {
    for name in ["2048", "true", "null", "no", "1.5", "1e3", "0x1f", "inf"] {
        let home = Home::new();
        home.write(&format!("{name}/Dockerfile"), "FROM scratch\n");
        let mut init = home.command(binary());
        run(init.arg("init").current_dir(home.path().join(name))).ok();
        let valid = home.haloy(&["validate-config", &format!("./{name}"), "--json"]).json();
        assert_eq!(valid["targets"][0]["spec"]["name"], json!(name), "{valid}");
    }
    let home = Home::new();
    home.write("Dockerfile", "FROM scratch\n");
    home.haloy(&["init", "--server", "[::1]:9999", "--domain", "1.example.com"]).ok();
    let valid = home.haloy(&["validate-config", "--json"]).json();
    assert_eq!((&valid["targets"][0]["server"], valid["ok"].as_bool()), (&json!("[::1]:9999"), Some(true)), "{valid}");
}

/// Everything that the file proposes is right, too.
#[test]
fn what_is_commented_out_can_be_used() {
    for format in ["yaml", "toml"] {
        let home = Home::new();
        home.write("Dockerfile", "FROM scratch\nEXPOSE 80\nEXPOSE 443\n");
        home.haloy(&["init", "--format", format]).ok();
        let file = format!("haloy.{format}");
        let text = home.read(&file);
        let uncommented = |line: &str| line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', ':'])).map(str::to_owned);
        let is_body = |line: &str| line.starts_with("#  ");
        let lines: Vec<String> = text
            .lines()
            .map(|line| uncommented(line).or_else(|| is_body(line).then(|| line[1..].to_owned())).unwrap_or_else(|| line.to_owned()))
            .collect();
        home.write(&file, &format!("{}\n", lines.join("\n")));
        let run = home.haloy(&["validate-config", "--json"]);
        let json = run.json();
        assert_eq!((&json["ok"], &json["warnings"]), (&json!(true), &json!([])), "{}\n{json}", lines.join("\n"));
        assert_eq!(json["targets"][0]["spec"]["env"][1]["name"], "DATABASE_URL");
        assert_eq!(json["targets"][0]["spec"]["port"], 80);
    }
}

#[test]
fn without_a_dockerfile_it_says_what_one_has_to_do() {
    let home = Home::new();
    home.write("go.mod", "module example.com/shop\n");
    let run = home.haloy(&["init"]);
    has(&run.stderr, &["found go.mod: a Go module `shop`\n", "warning: there is no Dockerfile yet: write one that builds with `go build`"]);
    run.ok();

    let home = Home::new();
    let json = home.haloy(&["init", "--json", "--name", "shop"]).json();
    assert_eq!((&json["file"], &json["has_dockerfile"], &json["found"]), (&json!("haloy.yaml"), &json!(false), &json!([])));
    assert_eq!(json["next"][2], "haloy deploy");
    let again = home.haloy(&["init", "--json"]);
    assert_eq!((again.code, &again.json()["error"]), (Some(2), &json!("`haloy.yaml` is there already")));
}

#[test]
fn misuse_writes_nothing() {
    let home = Home::new();
    for (args, said) in [
        (&["init", "--name", "My App"][..], "app name `My App` is not valid"),
        (&["init", "--domain", "https://a.example.com"], "write the host name alone"),
        (&["init", "--port", "0"], "0 is not in 1..=65535"),
        (&["init", "--server", "a b"], "`a b` is not a server"),
        (&["init", "nowhere"], "`nowhere` is not a directory"),
    ] {
        has(&home.haloy(args).fails(2), &["error: ", said]);
    }
    assert_eq!(fs::read_dir(home.path()).expect("list").count(), 0);
}
