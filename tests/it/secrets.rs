//! Secrets that providers keep, from the configuration to the request: the providers' programs are played.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::deploy;
use crate::fake_api::{Answer, End, FakeApi, accepted, phase};
use crate::program::{Home, Run, binary, has, run};
use crate::terminal_support::OnTerminal;

const DEPLOY: &str = "POST /v1/apps/shop/deploy";
const EVENTS: &str = "GET /v1/jobs/7/events";

const ITEM: &str = r#"{"id": "6tlhx", "title": "Shop Database", "category": "LOGIN", "fields": [
  {"id": "username", "type": "STRING", "purpose": "USERNAME", "label": "username", "value": "shop"},
  {"id": "password", "type": "CONCEALED", "purpose": "PASSWORD", "label": "password", "value": "hunter2"}]}"#;

const ENV: &str = "  - name: DB_USER
    from: {secret: onepassword:db.username}
  - name: DB_PASSWORD
    from: {secret: \"onepassword:db:password\"}
  - name: API_KEY
    from: {secret: command:keys.api.key}
secret_providers:
  onepassword:
    db:
      vault: Production
      item: Shop Database
  command:
    keys:
      run: [\"keys\", \"for shop\"]
";

const OP: [&str; 7] = ["item", "get", "Shop Database", "--vault", "Production", "--format", "json"];

fn server() -> FakeApi {
    let api = FakeApi::start();
    api.on(DEPLOY, [accepted(7, 0)]).on(EVENTS, [Answer::Events(vec![phase(1, 0, "done")], End::Close)]);
    api
}

/// A program of the home that takes exactly `arguments`, then does what `script` says.
fn program(home: &Home, name: &str, arguments: &[&str], script: &str) {
    let expected: String = arguments.iter().map(|argument| format!("{argument}|")).collect();
    let check = format!("[ \"$(printf '%s|' \"$@\")\" = '{expected}' ] || {{ echo \"unexpected arguments: $*\" >&2; exit 99; }}");
    let text = format!("#!/bin/sh\n{check}\necho run >> \"$0.runs\"\n{script}\n");
    let file = home.path().join("programs").join(name);
    std::fs::create_dir_all(home.path().join("programs")).expect("create directory");
    // Written by another process: while this one forks for a test beside, its own open files cannot be run.
    let mut shell = Command::new("/bin/sh");
    let mut shell = shell.args(["-c", "cat > \"$0\" && chmod +x \"$0\""]).arg(file).stdin(Stdio::piped()).spawn().expect("a shell");
    shell.stdin.take().expect("piped").write_all(text.as_bytes()).expect("write");
    assert!(shell.wait().expect("wait").success());
}

fn path(home: &Home) -> OsString {
    std::env::join_paths([home.path().join("programs").as_path(), Path::new("/usr/bin"), Path::new("/bin")]).expect("paths")
}

fn command(home: &Home, args: &[&str]) -> Command {
    let mut command = home.command(binary());
    command.env("PATH", path(home)).args(args);
    command
}

#[track_caller]
fn holds_no_secret(run: &Run) {
    assert!(!format!("{}{}", run.stdout, run.stderr).contains("hunter"), "{run:?}");
}

#[test]
fn a_deploy_sends_what_the_providers_keep() {
    let api = server();
    let home = deploy::home(&api, ENV);
    program(&home, "op", &OP, &format!("cat <<'END'\n{ITEM}\nEND"));
    program(&home, "keys", &["for shop"], "echo '{\"api\": {\"key\": \"hunter3\"}}'");
    let run = run(&mut command(&home, &["deploy"]));
    holds_no_secret(&run);
    assert!(!run.stderr.contains("waiting for"), "there is no terminal: {}", run.stderr);
    run.ok();
    let request = &api.received_on(DEPLOY)[0];
    let expected = [("GREETING", "hello"), ("DB_USER", "shop"), ("DB_PASSWORD", "hunter2"), ("API_KEY", "hunter3")];
    assert_eq!(request.body["env"], json!(expected.map(|(name, value)| json!({ "name": name, "value": value }))));
    assert!(!request.body["spec"].to_string().contains("hunter"), "the server's history has references alone");
    assert_eq!(home.read("programs/op.runs"), "run\n", "two references, one source");
}

#[test]
fn everything_that_is_wrong_is_told_at_once_and_nothing_is_sent() {
    let api = server();
    let home = deploy::home(&api, ENV);
    program(&home, "op", &OP, "echo \"[ERROR] not signed in with $OP_SERVICE_ACCOUNT_TOKEN\" >&2; exit 6");
    let run = run(command(&home, &["deploy"]).env("OP_SERVICE_ACCOUNT_TOKEN", "ops_hunter4"));
    holds_no_secret(&run);
    let expected = "\
error: `secret_providers.onepassword.db` could not be read: `op` failed with exit code 6
  last words
    [ERROR] not signed in with *****

hint: is it signed in? try `op whoami`, then `op signin`; in CI set OP_SERVICE_ACCOUNT_TOKEN

error: `secret_providers.command.keys` needs the program `keys`, which was not found

hint: check `secret_providers.command.keys.run`
";
    assert_eq!(run.fails(1), expected);
    assert!(api.received_on(DEPLOY).is_empty());
}

#[test]
fn a_misspelled_key_is_a_misuse() {
    let api = server();
    let home = deploy::home(&api, ENV);
    program(&home, "op", &OP, &format!("cat <<'END'\n{ITEM}\nEND"));
    program(&home, "keys", &["for shop"], "echo '{\"api\": {\"kez\": \"hunter3\"}}'");
    let run = run(&mut command(&home, &["deploy", "--json"]));
    holds_no_secret(&run);
    let error = run.json();
    assert_eq!(error["error"], "`secret_providers.command.keys` has no key `api.key`");
    assert_eq!(error["hint"], "did you mean `api.kez`?");
    has(&run.fails(2), &["error: `secret_providers.command.keys` has no key `api.key`\n\nhint: did you mean `api.kez`?\n"]);
}

#[test]
fn who_waits_is_told_what_for_and_no_names() {
    let api = server();
    let home = deploy::home(&api, ENV);
    program(&home, "op", &OP, &format!("until [ -e \"$0.go\" ]; do sleep 0.05; done\ncat <<'END'\n{ITEM}\nEND"));
    program(&home, "keys", &["for shop"], "echo '{\"api\": {\"key\": \"hunter3\"}}'");
    let mut terminal = OnTerminal::start(&mut command(&home, &["deploy"]));
    terminal.shows("waiting for 1Password (op)…");
    home.write("programs/op.go", "");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    for name in ["hunter", "Production", "Shop Database"] {
        assert!(!screen.contains(name), "{screen}");
    }
    let (_, after) = screen.split_once("waiting for 1Password (op)…").expect("shown");
    assert!(after.contains("\x1b[2K"), "the line is taken away: {screen:?}");
}
