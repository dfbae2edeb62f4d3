//! Which of the three programs runs: decided by the name the binary was called by, or by its first word.
//!
//! `haloyd` is the daemon and `haloyadm` the admin tool; any other name is the client, so that a
//! renamed download (`haloy-1.2.0-linux-amd64`) works. The name is a convenience and grants nothing.

use std::ffi::OsString;
use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persona {
    Client,
    Daemon,
    Admin,
}

/// A program and its arguments, with the words the user typed to reach it.
#[derive(Debug, PartialEq, Eq)]
pub struct Invocation {
    pub persona: Persona,
    /// The program as typed (`haloyd`, `haloy daemon`, `haloy-1.2.0`): help and errors use it.
    pub program: String,
    /// The arguments after the program's name.
    pub args: Vec<OsString>,
}

/// Reads the persona from `args`, the process's arguments with the program's name first.
pub fn choose(args: Vec<OsString>) -> Invocation {
    let mut args = args.into_iter();
    let typed = args.next().map(|name| file_name(&name)).unwrap_or_else(|| "haloy".to_owned());
    let mut rest: Vec<OsString> = args.collect();

    let by_name = match stem(&typed) {
        "haloyd" => Persona::Daemon,
        "haloyadm" => Persona::Admin,
        _ => Persona::Client,
    };
    if by_name != Persona::Client {
        return Invocation { persona: by_name, program: typed, args: rest };
    }
    let by_word = match rest.first().and_then(|word| word.to_str()) {
        Some("daemon") => Persona::Daemon,
        Some("admin") => Persona::Admin,
        _ => return Invocation { persona: Persona::Client, program: typed, args: rest },
    };
    let word = rest.remove(0);
    Invocation { persona: by_word, program: format!("{typed} {}", word.to_string_lossy()), args: rest }
}

fn file_name(path: &OsString) -> String {
    Path::new(path)
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "haloy".to_owned())
}

fn stem(name: &str) -> &str {
    name.strip_suffix(".exe").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(typed: &[&str], persona: Persona, program: &str, rest: &[&str]) {
        let invocation = choose(typed.iter().map(OsString::from).collect());
        let expected = Invocation { persona, program: program.to_owned(), args: rest.iter().map(OsString::from).collect() };
        assert_eq!(invocation, expected, "typed: {typed:?}");
    }

    #[test]
    fn name_and_first_word_choose_the_program() {
        check(&["haloy", "deploy"], Persona::Client, "haloy", &["deploy"]);
        check(&["/usr/local/bin/haloyd", "--debug"], Persona::Daemon, "haloyd", &["--debug"]);
        check(&["./haloyadm", "init"], Persona::Admin, "haloyadm", &["init"]);
        check(&["haloy", "daemon", "--debug"], Persona::Daemon, "haloy daemon", &["--debug"]);
        check(&["haloy", "admin", "init"], Persona::Admin, "haloy admin", &["init"]);
        check(&["haloy-1.2.0-linux-amd64", "status"], Persona::Client, "haloy-1.2.0-linux-amd64", &["status"]);
        check(&["haloy-1.2.0-linux-amd64", "daemon"], Persona::Daemon, "haloy-1.2.0-linux-amd64 daemon", &[]);
        check(&["haloyd.exe"], Persona::Daemon, "haloyd.exe", &[]);
        check(&["haloyd", "admin"], Persona::Daemon, "haloyd", &["admin"]);
        check(&[], Persona::Client, "haloy", &[]);
    }
}
