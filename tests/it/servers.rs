//! Which server, which token: `server add`, `list`, `delete`, and what is said when one is missing.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::fake_api::{Answer, FakeApi, TOKEN, problem};
use crate::program::{Home, has};

const VERSION: &str = "GET /v1/version";
const APP: &str = "GET /v1/apps/shop";

fn config(more: &str) -> String {
    format!("name: shop\nimage: shop\n{more}")
}

fn version() -> Answer {
    Answer::Json(200, json!({ "version": "9.9.9", "api": 1, "docker": null }))
}

/// Who was asked with which token, told apart by the tokens that the fake server refuses.
fn asked_with(api: &FakeApi) -> String {
    let requests = api.received();
    requests.last().and_then(|request| request.headers.get("authorization").cloned()).unwrap_or_default()
}

#[test]
fn servers_are_added_listed_and_deleted() {
    let home = Home::new();
    has(&home.haloy(&["server", "list"]).stderr, &["no server is known", "haloy server add HOST --token-stdin"]);
    has(&home.haloy(&["server", "add", "https://Haloy.Example.com/", "haloy_one"]).stderr, &["✓ `haloy.example.com` is added"]);
    home.haloy_reads("haloy_two\n", &["server", "add", "localhost", "--token-stdin"]).ok();

    has(
        &home.read(".config/haloy/client.yaml"),
        &["servers:", "\"haloy.example.com\":", "token_env: \"HALOY_API_TOKEN_HALOY_EXAMPLE_COM\""],
    );
    has(&home.read(".config/haloy/.env"), &["HALOY_API_TOKEN_HALOY_EXAMPLE_COM=haloy_one\n", "HALOY_API_TOKEN_LOCALHOST=haloy_two\n"]);
    for name in ["client.yaml", ".env"] {
        let mode = std::fs::metadata(home.path().join(".config/haloy").join(name)).expect("file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let list = home.haloy(&["server", "list"]).ok();
    has(
        &list,
        &["SERVER", "TOKEN", "haloy.example.com  no answer", ".env   HALOY_API_TOKEN_HALOY_EXAMPLE_COM", "localhost          no answer"],
    );
    assert!(!list.contains("haloy_one"), "tokens are never listed");
    has(&home.haloy(&["server", "list", "--help"]).ok(), &["Usage: haloy server list [OPTIONS]\n", "--json", "--help"]);
    assert!(!home.haloy(&["server", "add", "--help"]).ok().contains("--config"), "it means nothing there");
    assert_eq!(home.haloy(&["server", "list", "--json"]).json()[0]["has_token"], true);

    has(&home.haloy(&["server", "add", "localhost", "haloy_three"]).fails(2), &["`localhost` is already known", "--force"]);
    home.haloy(&["server", "add", "localhost", "haloy_three", "--force"]).ok();
    has(&home.read(".config/haloy/.env"), &["HALOY_API_TOKEN_LOCALHOST=haloy_three\n"]);
    home.haloy(&["server", "delete", "localhost"]).ok();
    assert!(!home.read(".config/haloy/.env").contains("haloy_three"));
    has(&home.haloy(&["server", "delete", "localhost"]).fails(2), &["`localhost` is not known", "known servers: haloy.example.com"]);
    has(&home.haloy(&["server", "add", "a b", "haloy_x"]).fails(2), &["`a b` is not a server"]);
    has(
        &home.haloy(&["server", "add", "localhost"]).fails(2),
        &["no API token for `localhost` is given", "`haloy server add localhost --token-stdin`"],
    );
    has(&home.haloy_reads("", &["server", "add", "other", "--token-stdin"]).fails(2), &["token"]);
}

#[test]
fn the_list_says_how_each_server_is() {
    let api = FakeApi::start();
    api.on(VERSION, [version()]);
    let home = Home::new();
    home.haloy(&["server", "add", &api.address, TOKEN]).ok();
    home.haloy(&["server", "add", "127.0.0.1:1", "haloy_two"]).ok();
    let run = home.haloy(&["server", "list"]);
    has(
        &run.stdout,
        &["SERVER", "STATE", "VERSION", "CERTIFICATE", "127.0.0.1:1      no answer", &format!("{}  up         9.9.9 ", api.address)],
    );
    has(&run.stderr, &["warning: `127.0.0.1:1`: could not connect", "refused", "\n  hint: "]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let list = home.haloy(&["server", "list", "--json"]).json();
    assert_eq!(list[0]["reachable"], false);
    assert!(list[0]["problem"].as_str().is_some_and(|problem| problem.contains("refused")), "{list}");
    let up = json!({ "host": api.address, "reachable": true, "version": "9.9.9", "token_in": "file", "has_token": true,
        "problem": null, "hint": null, "certificate": null, "token_env": list[1]["token_env"] });
    assert_eq!(list[1], up);
}

#[test]
fn the_token_of_the_configuration_comes_first() {
    let api = FakeApi::start();
    let home = Home::new();
    home.write("haloy.yaml", &config(&format!("server: {}\napi_token:\n  from:\n    env: SHOP_TOKEN\n", api.address)));
    home.haloy(&["server", "add", &api.address, "haloy_added", "--force"]).ok();
    home.write(".env", &format!("SHOP_TOKEN={TOKEN}\n"));
    home.haloy(&["status"]);
    assert_eq!(asked_with(&api), format!("Bearer {TOKEN}"));
    home.write(".env", "");
    has(&home.haloy(&["status"]).fails(2), &["SHOP_TOKEN"]);
}

#[test]
fn the_token_of_the_configuration_is_for_its_own_server_alone() {
    let api = FakeApi::start();
    let home = Home::new();
    home.write("haloy.yaml", &config("server: other.example.com\napi_token:\n  value: haloy_of_other\n"));
    for command in [&["status"][..], &["status", "shop"], &["version"], &["deploy"]] {
        let args = [command, &["--server", &api.address]].concat();
        let error = home.haloy(&args).fails(2);
        has(
            &error,
            &[
                &format!("error: no API token for `{}`, looked for `HALOY_API_TOKEN_127_0_0_1_", api.address),
                ".config/haloy/.env`\n\nhint:",
            ],
        );
        assert!(!error.contains("api_token"), "the file has nothing to say about another server: {error}");
    }
    assert!(api.received().is_empty(), "no other server may see it");
    home.haloy(&["server", "add", &api.address, "haloy_added", "--force"]).ok();
    home.haloy(&["status", "--server", &api.address]);
    assert_eq!(asked_with(&api), "Bearer haloy_added");
    // A file that names no server leaves it to the user whose token it is.
    home.write("haloy.yaml", &config(&format!("api_token:\n  value: {TOKEN}\n")));
    home.haloy(&["status", "--server", &api.address]);
    assert_eq!(asked_with(&api), format!("Bearer {TOKEN}"));
}

#[test]
fn a_broken_env_file_is_in_the_way_of_those_alone_who_need_it() {
    let api = FakeApi::start();
    api.on(VERSION, [version()]);
    let home = Home::new();
    let server = format!("server: {}\n", api.address);
    home.haloy(&["server", "add", &api.address, TOKEN]).ok();
    home.write(".env", "no value here\n");
    home.write("haloy.yaml", &config(&server));
    has(&home.haloy(&["version"]).ok(), &["server  9.9.9"]);
    home.haloy(&["validate-config"]).ok();

    let broken = "`.env`, line 1 is not `NAME=value`";
    home.write("haloy.yaml", &config(&format!("{server}api_token: SHOP_TOKEN\n")));
    has(&home.haloy(&["status"]).fails(2), &[broken]);
    home.write("haloy.yaml", &config(&format!("{server}env:\n  - name: KEY\n    from:\n      env: SHOP_KEY\n")));
    has(&home.haloy(&["deploy"]).fails(2), &[broken]);
    has(&home.haloy(&["validate-config"]).fails(2), &[broken]);
    has(&home.haloy(&["version"]).ok(), &["server  9.9.9"]);

    home.write(".config/haloy/.env", "no value here\n");
    home.write("haloy.yaml", &config(&format!("{server}api_token:\n  value: {TOKEN}\n")));
    has(&home.haloy(&["version"]).ok(), &["server  9.9.9"]);
}

#[test]
fn a_missing_token_says_where_it_was_looked_for() {
    let home = Home::new();
    home.write("haloy.yaml", &config("server: haloy.example.com\n"));
    let expected = [
        "error: no API token for `haloy.example.com`, looked for `api_token` in `",
        "haloy.yaml` and for `HALOY_API_TOKEN_HALOY_EXAMPLE_COM` in the environment and in `",
        ".config/haloy/.env`\n\nhint: run `haloy admin api token` on the server, \
         then here `haloy server add haloy.example.com --token-stdin --force`",
    ];
    has(&home.haloy(&["deploy"]).fails(2), &expected);
}

#[test]
fn a_token_is_tried_before_it_is_stored() {
    let api = FakeApi::start();
    api.on(VERSION, [version()]);
    let home = Home::new();
    let error = home.haloy(&["server", "add", &api.address, "haloy_wrong"]).fails(1);
    has(&error, &[&format!("error: `{}` refused the token from you", api.address), "caused by: the token is not known", "hint: "]);
    assert!(!home.path().join(".config/haloy/.env").exists(), "nothing is stored");
    let run = home.haloy(&["server", "add", &api.address, "haloy_wrong", "--force"]);
    has(&run.stderr, &["warning: it is not checked: `", "refused the token", "is added"]);
    run.ok();
    let run = home.haloy(&["server", "add", &api.address, TOKEN, "--force"]);
    let file = home.path().join(".config/haloy/.env");
    assert_eq!(run.stderr, format!("✓ `{}` is added; its token is in `{}`\n", api.address, file.display()));
    let address = FakeApi::start().address.clone();
    let run = home.haloy(&["server", "add", &address, TOKEN]);
    has(&run.stderr, &["warning: it is not checked: could not connect to `", "is added"]);
    run.ok();
}

#[test]
fn the_variable_alone_is_enough() {
    let api = FakeApi::start();
    let home = Home::new();
    home.write("haloy.yaml", &config(&format!("server: {}\n", api.address)));
    let variable = api.address.replace(['.', ':'], "_");
    home.write(".config/haloy/.env", &format!("HALOY_API_TOKEN_{variable}={TOKEN}\n"));
    home.haloy(&["status"]);
    assert_eq!(asked_with(&api), format!("Bearer {TOKEN}"));
}

#[test]
fn the_server_is_chosen_by_flag_then_file_then_the_only_one() {
    let api = FakeApi::start();
    api.on(VERSION, [version()]);
    let home = Home::new();
    home.write("haloy.yaml", &config(""));
    has(&home.haloy(&["status"]).fails(2), &["error: no server is chosen", "hint:", "--server", "haloy server add"]);
    home.haloy(&["server", "add", &api.address, TOKEN]).ok();
    has(&home.haloy(&["version"]).ok(), &["server  9.9.9"]);
    home.haloy(&["server", "add", "other.example.com", TOKEN]).ok();
    has(&home.haloy(&["status"]).fails(2), &["several servers are configured and none is chosen: ", "other.example.com", "hint:"]);
    has(&home.haloy(&["version", "-s", &api.address]).ok(), &["server  9.9.9"]);
    has(&home.haloy(&["status", "-s", "not/a/server"]).fails(2), &["`not/a/server` is not a server"]);
}

#[test]
fn a_server_that_is_down_is_named() {
    let home = Home::new();
    let address = FakeApi::start().address.clone();
    home.write("haloy.yaml", &config(&format!("server: {address}\napi_token:\n  value: {TOKEN}\n")));
    let error = home.haloy(&["deploy"]).fails(1);
    has(
        &error,
        &[
            &format!("error: could not connect to `{address}`"),
            "caused by: Connection refused",
            "hint: start the daemon here with `haloy daemon`, or the way to a server with `ssh -N -L ",
            ":127.0.0.1:9999 SERVER`",
        ],
    );
    home.write("haloy.yaml", &config(&format!("server: haloy.invalid\napi_token:\n  value: {TOKEN}\n")));
    has(&home.haloy(&["deploy"]).fails(1), &["could not connect to `haloy.invalid:443`", "hint: check the server's name"]);
}

#[test]
fn the_unix_socket_needs_no_token() {
    let home = Home::new();
    let socket = home.path().join("api.sock");
    let api = FakeApi::on_socket(&socket);
    api.on(VERSION, [version()]).on(APP, [version()]);
    for server in [socket.display().to_string(), format!("unix:{}", socket.display())] {
        has(&home.haloy(&["version", "--server", &server]).ok(), &["server  9.9.9 (unix:/"]);
    }
    assert_eq!(asked_with(&api), "");
    api.on(APP, [problem(401, "unauthorized", "a token is needed", None)]);
    let error = home.haloy(&["status", "shop", "--server", &socket.display().to_string()]).fails(1);
    has(&error, &["api.sock` wants a token, and none was sent\n  caused by: a token is needed\n\nhint: "]);
}
