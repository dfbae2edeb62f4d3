//! `haloyadm init` and `api token`: a server's files, all or none.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::program::{Home, has};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o777
}

/// All files below a directory with what they hold.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("list") {
            let path = entry.expect("entry").path();
            if path.is_dir() { folders.push(path) } else { files.push((path.display().to_string(), fs::read(&path).expect("read"))) }
        }
    }
    files.sort();
    files
}

fn tokens(home: &Home) -> Vec<Value> {
    serde_json::from_str(&home.read(".config/haloy/tokens.json")).expect("a list")
}

#[test]
fn a_local_install_has_all_that_a_daemon_needs() {
    let home = Home::new();
    let run = home.called("haloyadm", &["init", "--local-install"]);
    let token = run.stdout.trim().to_owned();
    assert!(token.len() == 70 + 1 + 43 && token.starts_with("haloy_"), "a token and the pin of the server's key: {token}");
    let (config, data) = (home.path().join(".config/haloy"), home.path().join(".local/share/haloy"));
    has(
        &run.stderr,
        &[
            "✓ this machine is set up\n",
            &format!("configuration  {}\n", config.display()),
            "API token, shown this once:\n",
            &format!("haloyd --config-dir {} --data-dir {}\n", config.display(), data.display()),
            "it asks for the token, and on this machine the host is localhost:\n  haloy server add ",
            " --token-stdin\n",
        ],
    );
    assert!(!run.stderr.contains(&token), "the token is on stdout alone: {}", run.stderr);
    run.ok();
    for folder in [&config, &data, &data.join("db"), &data.join("cert-storage")] {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    for name in ["haloyd.yaml", "age_identity.txt", "tokens.json"] {
        assert_eq!(mode(&config.join(name)), 0o600, "{name}");
    }
    has(&home.read(".config/haloy/age_identity.txt"), &["# public key: age1", "\nAGE-SECRET-KEY-1"]);
    assert!(!home.read(".config/haloy/tokens.json").contains(&token), "only the digest is kept");
    assert_eq!(mode(&data.join("cert-storage/default.pem")), 0o600);
    let another = home.called("haloyadm", &["api", "token", "--local-install"]);
    assert_eq!(another.stdout.trim().split_once('.').map(|(_, pin)| pin), token.split_once('.').map(|(_, pin)| pin), "one server, one key");
    another.ok();
    // The line that it printed works as it is; so does the token as a word.
    home.haloy_reads(&format!("{token}\n"), &["server", "add", "localhost", "--token-stdin"]).ok();
    home.haloy(&["server", "add", "localhost", &token, "--force"]).ok();
}

#[test]
fn a_second_init_changes_nothing_unless_told_to() {
    let home = Home::new();
    let first = home.haloy(&["admin", "init", "--local-install"]);
    has(&first.stderr, &["haloy daemon --config-dir"]);
    first.ok();
    let before = files(home.path());
    let error = home.haloy(&["admin", "init", "--local-install"]).fails(2);
    has(
        &error,
        &[
            "error: this machine is already set up: `",
            ".config/haloy/haloyd.yaml` exists",
            "hint: make another token with `haloy admin api token --local-install`",
            "--override",
        ],
    );
    assert_eq!(files(home.path()), before);

    let identity = home.read(".config/haloy/age_identity.txt");
    home.write(".config/haloy/haloyd.yaml", "debug: true\n");
    let again = home.haloy(&["admin", "init", "--local-install", "--override", "--json"]);
    assert!(again.json()["token"].as_str().is_some_and(|token| token.starts_with("haloy_")));
    assert!(!home.read(".config/haloy/haloyd.yaml").contains("debug: true"));
    assert_eq!(home.read(".config/haloy/age_identity.txt"), identity, "what is sealed must stay readable");
    assert_eq!(tokens(&home).len(), 2, "tokens that are in use stay valid");
}

#[test]
fn directories_may_be_chosen() {
    let home = Home::new();
    let run = home.haloy(&["admin", "init", "--config-dir", "etc dir", "--data-dir", "data"]);
    has(&run.stderr, &["haloy daemon --config-dir 'etc dir' --data-dir data"]);
    run.ok();
    assert!(home.path().join("etc dir/haloyd.yaml").exists() && home.path().join("data/db").is_dir());
    let other = Home::new();
    let (config, data) = (other.path().join("c"), other.path().join("d"));
    let mut command = other.command(crate::program::binary());
    crate::program::run(command.args(["admin", "init"]).env("HALOY_CONFIG_DIR", &config).env("HALOY_DATA_DIR", &data)).ok();
    assert!(config.join("haloyd.yaml").exists() && data.join("cert-storage").is_dir());
}

#[test]
fn a_failed_init_leaves_nothing_half_made() {
    let home = Home::new();
    // A file where the data directory should be.
    home.write(".local/share/haloy", "in the way");
    let before = files(home.path());
    let error = home.haloy(&["admin", "init", "--local-install"]).fails(1);
    has(&error, &["error: could not create directory `", ".local/share/haloy"]);
    assert_eq!(files(home.path()), before);
    assert!(!home.path().join(".config").exists(), "directories that were made are gone, too");

    fs::remove_file(home.path().join(".local/share/haloy")).expect("remove");
    home.write(".config/haloy/tokens.json", "not json");
    let before = files(home.path());
    has(&home.haloy(&["admin", "init", "--local-install"]).fails(1), &["tokens.json` is damaged", "caused by:", "hint:"]);
    assert_eq!(files(home.path()), before);
    assert!(!home.path().join(".local/share/haloy").exists());

    home.write(".config/haloy/tokens.json", "[]");
    home.write(".config/haloy/age_identity.txt", "AGE-SECRET-KEY-1NONSENSE\n");
    let before = files(home.path());
    let error = home.haloy(&["admin", "init", "--local-install"]).fails(1);
    has(&error, &["the identity in `", "age_identity.txt` cannot be used", "caused by:"]);
    assert!(!error.contains("NONSENSE"), "a key is never shown");
    assert_eq!(files(home.path()), before);
}

#[test]
fn tokens_are_made_one_after_the_other() {
    let home = Home::new();
    has(
        &home.haloy(&["admin", "api", "token", "--local-install"]).fails(2),
        &["this machine is not set up", "hint: run `haloy admin init --local-install` first"],
    );
    has(
        &home.called("haloyadm", &["api", "token", "--config-dir", "an etc"]).fails(2),
        &["hint: run `haloyadm init --config-dir 'an etc'` first"],
    );
    home.haloy(&["admin", "init", "--local-install"]).ok();
    let run = home.called("haloyadm", &["api", "token", "--local-install", "--name", "ci"]);
    has(&run.stderr, &["not shown again", "haloy server add ", " --token-stdin`"]);
    let token = run.ok();
    assert_eq!(token.trim_end().len(), 70 + 1 + 43, "the token alone is on stdout");
    let json = home.haloy(&["admin", "api", "token", "--local-install", "--json"]).json();
    assert_ne!(json["token"], token.trim());
    let names: Vec<Value> = tokens(&home).into_iter().map(|token| token["name"].clone()).collect();
    assert_eq!(names, ["init", "ci", "token"]);
}

#[test]
fn tokens_have_scopes_and_ends_and_are_revoked() {
    let home = Home::new();
    home.haloy(&["admin", "init", "--local-install"]).ok();
    let words =
        ["admin", "api", "token", "--local-install", "--name", "ci", "--scope", "deploy", "--app", "shop", "--expires", "90d", "--json"];
    let made = home.haloy(&words).json();
    let listed = home.haloy(&["admin", "api", "tokens", "--local-install", "--json"]).json();
    let ci = &listed[1];
    assert_eq!((&ci["id"], &ci["name"], &ci["scope"], &ci["app"]), (&made["id"], &json!("ci"), &json!("deploy"), &json!("shop")));
    assert_eq!((&listed[0]["scope"], &listed[0]["expires_at"]), (&json!("admin"), &Value::Null));
    let table = home.haloy(&["admin", "api", "tokens", "--local-install"]).ok();
    has(&table, &["ID", "NAME", "SCOPE", "init", "admin", "never", "ci", "deploy", "shop"]);
    assert!(!table.contains(made["token"].as_str().expect("a token")));
    for wrong in [["--scope", "root"], ["--expires", "90"], ["--app", "not an app"]] {
        home.haloy(&[&["admin", "api", "token", "--local-install"], &wrong[..]].concat()).fails(2);
    }
    let id = made["id"].as_str().expect("an id");
    has(&home.haloy(&["admin", "api", "revoke", id, "--local-install"]).stderr, &["✓ the token `ci`", "is revoked"]);
    has(
        &home.haloy(&["admin", "api", "revoke", id, "--local-install"]).fails(2),
        &["no token with the id", "hint: `haloy admin api tokens --local-install`"],
    );
    assert_eq!(tokens(&home).len(), 1);
}
