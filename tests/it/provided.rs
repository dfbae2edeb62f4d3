//! Secrets of providers on their way into deploys and requests.

use serde_json::{Value, json};

use crate::deploy::home;
use crate::fake_api::{Answer, FakeApi, TOKEN, accepted};
use crate::program::{Home, has};

/// A program that notes each of its runs and prints its secrets.
fn provider(home: &Home) -> String {
    let script = format!("#!/bin/sh\necho run >> runs\necho '{{\"token\": \"{TOKEN}\", \"key\": \"hunter2\", \"other\": \"hunter3\"}}'\n");
    let path = home.write("vault.sh", &script);
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
    "secret_providers:\n  command:\n    vault: {run: [./vault.sh]}\n".to_owned()
}

fn runs(home: &Home) -> usize {
    std::fs::read_to_string(home.path().join("runs")).map_or(0, |text| text.lines().count())
}

#[test]
fn one_look_serves_the_variables_and_tokens_of_all_targets() {
    let api = FakeApi::start();
    api.on("GET /v1/version", [Answer::Json(200, json!({ "version": "1", "api": 1, "docker": null }))]);
    api.on("POST /v1/apps/eu/deploy", [accepted(7, 0)]).on("POST /v1/apps/us/deploy", [accepted(8, 0)]);
    let home = Home::new();
    let env = |key: &str| format!("    env: [{{name: KEY, from: {{secret: 'command:vault.{key}'}}}}]\n");
    let text = format!(
        "{}image: shop:v2\nserver: {}\napi_token: {{from: {{secret: 'command:vault:token'}}}}\ntargets:\n  eu:\n{}  us:\n{}",
        provider(&home),
        api.address,
        env("key"),
        env("other")
    );
    home.write("haloy.yaml", &text);
    home.haloy(&["deploy", "--all", "--detach"]).ok();
    let sent = |app: &str| api.received_on(&format!("POST /v1/apps/{app}/deploy"))[0].clone();
    for (app, value) in [("eu", "hunter2"), ("us", "hunter3")] {
        assert_eq!(sent(app).body["env"], json!([{ "name": "KEY", "value": value }]));
        assert_eq!(sent(app).headers["authorization"], format!("Bearer {TOKEN}"));
        assert!(!sent(app).body["spec"].to_string().contains("hunter"));
    }
    assert_eq!(runs(&home), 1);
    home.haloy(&["deploy", "-t", "eu", "--detach"]).ok();
    assert_eq!(runs(&home), 2);
}

#[test]
fn a_token_is_looked_up_when_it_is_sent() {
    let (api, other) = (FakeApi::start(), FakeApi::start());
    let status = json!({
        "name": "shop", "state": "running", "deployment": null, "image": null, "domains": [],
        "replicas_wanted": 1, "replicas": [], "job": null,
    });
    api.on("GET /v1/apps/shop", [Answer::Json(200, status.clone())]).on("GET /v1/version", [Answer::Json(200, Value::Null)]);
    other.on("GET /v1/apps/shop", [Answer::Json(200, status)]);
    let home = home(&other, "");
    let provider = provider(&home);
    let file = |key: &str| {
        let env = "env: [{name: KEY, from: {secret: 'command:vault.none'}}]";
        format!(
            "name: shop\nimage: shop\nserver: {}\napi_token: {{from: {{secret: 'command:vault.{key}'}}}}\n{env}\n{provider}",
            api.address
        )
    };
    home.write("haloy.yaml", &file("token"));
    home.haloy(&["status"]).ok();
    home.haloy(&["version"]).ok();
    assert_eq!(runs(&home), 2, "the variable, which nobody needs here, is not missed");
    home.haloy(&["status", "--server", &other.address]).ok();
    home.haloy(&["validate-config"]).ok();
    assert_eq!(runs(&home), 2, "the token is not for that server");
    home.write("haloy.yaml", &file("tokn"));
    has(&home.haloy(&["status"]).fails(2), &["tokn", "hint: did you mean `token`?"]);
    has(&home.haloy(&["deploy"]).fails(2), &["none", "tokn"]);
    assert!(api.received().iter().all(|request| request.line.starts_with("GET ")));
}

/// What signs a tool in may be in a `.env` file.
#[test]
fn programs_find_what_is_in_env_files() {
    let home = Home::new();
    let path = home.write("vault.sh", "#!/bin/sh\necho \"$VAULT_TOKEN$OWN\" >&2\nprintf %s \"${VAULT_TOKEN:?is missing}\"\n");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
    let env = "env: [{name: KEY, from: {secret: 'command:vault'}}]\n";
    let file = format!(
        "image: shop\nserver: localhost\ntargets: {{shop: {{}}}}\nsecret_providers: {{command: {{vault: {{run: [./vault.sh]}}}}}}\n{env}"
    );
    home.write("haloy.yaml", &file);
    let show = || home.haloy(&["validate-config", "--show-resolved-config"]);
    has(&show().stderr, &["VAULT_TOKEN: is missing"]);
    home.write(".env", "VAULT_TOKEN=hunter2-of-all\n");
    home.write(".env.shop", "OWN=hunter3\n");
    has(&show().ok(), &["value: hunter2-of-all\n"]);
    home.write("vault.sh", "#!/bin/sh\necho \"no access with $VAULT_TOKEN\" >&2\nexit 1\n");
    let error = show().fails(1);
    has(&error, &["no access with *****\n"]);
    assert!(!error.contains("hunter"), "{error}");
}
