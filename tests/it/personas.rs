//! One binary, three programs: by name, by link, by copy, by word; each named as it was typed.

use std::fs;
use std::os::unix::fs::symlink;

use crate::program::{Home, binary, has, run};

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn argv0_chooses_the_program_and_its_name() {
    let home = Home::new();
    for (name, usage, line) in [
        ("haloy", "Usage: haloy [OPTIONS] <COMMAND>", "Deploys containerised apps"),
        ("/usr/local/bin/haloy", "Usage: haloy [OPTIONS] <COMMAND>", "Deploys containerised apps"),
        ("haloy-1.2.0-linux-amd64", "Usage: haloy-1.2.0-linux-amd64 [OPTIONS] <COMMAND>", "Deploys containerised apps"),
        ("whatever", "Usage: whatever [OPTIONS] <COMMAND>", "Deploys containerised apps"),
        ("haloyadm", "Usage: haloyadm <COMMAND>", "administers this machine"),
        ("./haloyadm", "Usage: haloyadm <COMMAND>", "administers this machine"),
    ] {
        let help = home.called(name, &["--help"]).ok();
        has(&help, &[line, usage]);
        let program = usage.split(' ').nth(1).expect("a name");
        assert_eq!(home.called(name, &["--version"]).ok(), format!("{program} {VERSION}\n"), "{name}");
    }
}

#[test]
fn links_and_renamed_copies_work() {
    let home = Home::new();
    for (name, program) in [("haloyadm", "haloyadm"), ("haloy", "haloy"), ("haloy-nightly", "haloy-nightly")] {
        let link = home.path().join("bin").join(name);
        fs::create_dir_all(link.parent().expect("bin")).expect("create bin");
        symlink(binary(), &link).expect("link");
        assert_eq!(run(home.command(&link).arg("--version")).ok(), format!("{program} {VERSION}\n"));
    }
    let copy = home.path().join("haloy-1.2.0-linux-amd64");
    // A hard link is the same file under another name, without copying megabytes.
    fs::hard_link(binary(), &copy).or_else(|_| fs::copy(binary(), &copy).map(drop)).expect("copy");
    assert_eq!(run(home.command(&copy).arg("--version")).ok(), format!("haloy-1.2.0-linux-amd64 {VERSION}\n"));
    has(&run(home.command(&copy).args(["admin", "init", "--help"])).ok(), &["Usage: haloy-1.2.0-linux-amd64 admin init [OPTIONS]"]);
}

#[test]
fn words_choose_the_program_too() {
    let home = Home::new();
    assert_eq!(home.haloy(&["admin", "--version"]).ok(), format!("haloy admin {VERSION}\n"));
    has(&home.haloy(&["admin", "--help"]).ok(), &["Usage: haloy admin <COMMAND>", "init", "api"]);
    has(&home.haloy(&["admin", "api", "token", "--help"]).ok(), &["Usage: haloy admin api token [OPTIONS]"]);
    has(&home.called("haloyadm", &["api", "token", "--help"]).ok(), &["Usage: haloyadm api token [OPTIONS]"]);
    // Only as the first word: anywhere else it would be ambiguous.
    has(&home.haloy(&["--server", "localhost", "daemon", "--debug"]).fails(2), &["error: `daemon` must come first: `haloy daemon …`"]);
}

#[test]
fn usage_errors_name_the_program_as_typed() {
    let home = Home::new();
    has(&home.haloy(&["dploy"]).fails(2), &["unrecognized subcommand 'dploy'", "'deploy'", "Usage: haloy [OPTIONS] <COMMAND>"]);
    has(&home.haloy(&["deploy", "--detatch"]).fails(2), &["unexpected argument '--detatch'", "'--detach'", "Usage: haloy deploy"]);
    has(&home.called("haloy-1.2.0", &["server", "add"]).fails(2), &["<HOST>", "Usage: haloy-1.2.0 server add"]);
    has(&home.haloy(&["admin", "initt"]).fails(2), &["'initt'", "Usage: haloy admin <COMMAND>"]);
    has(&home.called("haloyadm", &["init", "--no"]).fails(2), &["'--no'", "Usage: haloyadm init"]);
    has(&home.haloy(&["logs", "--since", "yesterday"]).fails(2), &["'yesterday' for '--since <TIME>'", "neither a time span like `10m`"]);
    has(&home.haloy(&["logs", "--deployment", "12"]).fails(2), &["it has 14 digits, like 20261121093000"]);
}

#[test]
fn help_shows_all_programs_and_examples() {
    let home = Home::new();
    let help = home.haloy(&["help"]).ok();
    has(&help, &["deploy", "status", "logs", "rollback", "stop", "attach", "server", "daemon", "admin", "Examples:", "Exit codes: 0 done"]);
    assert_eq!(help, home.haloy(&["--help"]).ok());
    assert_eq!(help, home.haloy(&[]).fails(2), "without a command the same is said, as an error");
    for command in ["deploy", "status", "logs", "rollback", "stop", "attach", "completion"] {
        has(&home.haloy(&["help", command]).ok(), &[&format!("Usage: haloy {command}"), "Examples:"]);
    }
    let deploy = home.haloy(&["deploy", "-h"]).ok();
    has(&deploy, &["-t, --targets <NAME,…>", "--no-logs", "--detach", "--json", "-c, --config <PATH>", "-s, --server <SERVER>"]);
    for command in ["completion", "server", "daemon"] {
        let text = home.haloy(&["help", command]).ok();
        assert!(!text.contains("--config <") && !text.contains("--server <"), "they mean nothing there: {text}");
    }
    assert!(!home.haloy(&["validate-config", "--help"]).ok().contains("--server"));
    has(&home.haloy(&["help", "daemon"]).ok(), &["`haloy daemon --help`"]);
    assert!(!help.contains('\u{1b}'), "no colour where no terminal is");
}

#[test]
fn completions_for_every_shell() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = home.haloy(&["completion", shell]).ok();
        for word in ["deploy", "rollback-targets", "validate-config", "detach", "server"] {
            assert!(script.contains(word), "{shell} does not complete `{word}`");
        }
    }
    has(&home.haloy(&["completion", "tcsh"]).fails(2), &["invalid value 'tcsh'", "bash"]);
}
