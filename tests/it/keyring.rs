//! Tokens in the user's keyring: a real one on a bus of the test's own, and one that never answers.

use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::fake_api::{Answer, FakeApi, TOKEN};
use crate::program::{Home, binary, has, run};

const VERSION: &str = "GET /v1/version";

fn version() -> Answer {
    Answer::Json(200, json!({ "version": "9.9.9", "api": 1, "docker": null }))
}

#[test]
fn a_keyring_that_answers_keeps_the_token() {
    let api = FakeApi::start();
    api.on(VERSION, [version()]);
    let home = Home::new();
    let script = r#"
        set -e
        printf password | gnome-keyring-daemon --unlock --components=secrets > /dev/null 2>&1
        "$HALOY" server add "$SERVER" "$TOKEN"
        "$HALOY" server list
        test ! -s .config/haloy/.env
        cp -r .config/haloy elsewhere
        "$HALOY" server delete "$SERVER"
        cp elsewhere/client.yaml .config/haloy/client.yaml
        "$HALOY" server registry list && exit 9
        cat .config/haloy/client.yaml
    "#;
    let mut command = home.command("dbus-run-session");
    command.args(["--", "sh", "-c", script]).env("HALOY", binary()).env("SERVER", &api.address).env("TOKEN", TOKEN);
    command.env("XDG_RUNTIME_DIR", home.path()).env_remove("DBUS_SESSION_BUS_ADDRESS").stdin(Stdio::null());
    let run = run(&mut command);
    has(&run.stderr, &["is added; its token is in the keyring", "is forgotten"]);
    has(&run.stdout, &["up     9.9.9 ", "  keyring  ", "    keyring: true"]);
    has(&run.stderr, &["is in the keyring, which does not give it: No matching credential found"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(api.received()[0].headers.get("authorization").map(String::as_str), Some(&*format!("Bearer {TOKEN}")));
}

#[test]
fn a_keyring_that_never_answers_is_not_waited_for() {
    let api = FakeApi::start();
    api.on(VERSION, [version()]);
    let home = Home::new();
    let bus = home.path().join("bus");
    let _silent = UnixListener::bind(&bus).expect("bind");
    let began = Instant::now();
    let mut command = home.command(binary());
    command.args(["server", "add", &api.address, TOKEN]).env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", bus.display()));
    let run = run(&mut command);
    has(&run.stderr, &["is added; its token is in `"]);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    has(&home.read(".config/haloy/.env"), &[TOKEN]);
}
