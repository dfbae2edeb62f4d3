//! Gives this machine what the other tasks need: packages, and a Docker Engine that answers.
//!
//! It does nothing twice, installs only what is missing, never stops or reconfigures a service that it did not
//! bring itself, and where it cannot help (no root, no apt) it says exactly what to install.

mod engine;
mod packages;

use crate::command;
use crate::failure::{Failure, Outcome};
use crate::words::Words;

/// What the machine is to be ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Demo,
    Test,
    Bench,
}

/// A program that has to be there.
#[derive(Debug, PartialEq, Eq)]
pub struct Need {
    program: &'static str,
    /// Debian packages that bring it; the first that the release has is taken.
    packages: &'static [&'static str],
    purposes: &'static [Purpose],
    /// Needed only where we have to start the engine ourselves.
    for_own_engine: bool,
}

const NEEDS: &[Need] = &[
    Need { program: "docker", packages: &["docker-cli", "docker.io"], purposes: ALL, for_own_engine: false },
    Need { program: "dockerd", packages: &["docker.io"], purposes: ALL, for_own_engine: true },
    Need { program: "iptables", packages: &["iptables"], purposes: ALL, for_own_engine: true },
    // Tests of a restarted engine and of a full disk bring their own network and mounts.
    Need { program: "ip", packages: &["iproute2"], purposes: &[Purpose::Test], for_own_engine: false },
    Need { program: "nsenter", packages: &["util-linux"], purposes: &[Purpose::Test], for_own_engine: false },
    Need { program: "unshare", packages: &["util-linux"], purposes: &[Purpose::Test], for_own_engine: false },
    Need { program: "mount", packages: &["mount"], purposes: &[Purpose::Test], for_own_engine: false },
    // Standard clients of registries, and a registry with logins.
    Need { program: "skopeo", packages: &["skopeo"], purposes: &[Purpose::Test, Purpose::Bench], for_own_engine: false },
    Need { program: "docker-registry", packages: &["docker-registry"], purposes: &[Purpose::Test, Purpose::Bench], for_own_engine: false },
    Need { program: "htpasswd", packages: &["apache2-utils"], purposes: &[Purpose::Test], for_own_engine: false },
    // A certificate authority and a DNS server of the tests' own.
    Need { program: "pebble", packages: &["pebble"], purposes: &[Purpose::Test], for_own_engine: false },
    // A keyring on a bus of the tests' own.
    Need { program: "gnome-keyring-daemon", packages: &["gnome-keyring"], purposes: &[Purpose::Test], for_own_engine: false },
    Need { program: "dbus-run-session", packages: &["dbus-daemon"], purposes: &[Purpose::Test], for_own_engine: false },
    Need { program: "haproxy", packages: &["haproxy"], purposes: &[Purpose::Bench], for_own_engine: false },
    Need { program: "nginx", packages: &["nginx-light"], purposes: &[Purpose::Bench], for_own_engine: false },
    Need { program: "wrk", packages: &["wrk"], purposes: &[Purpose::Bench], for_own_engine: false },
    Need { program: "h2load", packages: &["nghttp2-client"], purposes: &[Purpose::Bench], for_own_engine: false },
    Need { program: "openssl", packages: &["openssl"], purposes: &[Purpose::Test, Purpose::Bench], for_own_engine: false },
    Need { program: "taskset", packages: &["util-linux"], purposes: &[Purpose::Bench], for_own_engine: false },
];
const ALL: &[Purpose] = &[Purpose::Demo, Purpose::Test, Purpose::Bench];

/// `cargo xtask setup [--for test|demo|bench]`.
pub fn main(mut words: Words) -> Outcome {
    let purposes = match words.value("--for")?.as_deref() {
        None => ALL,
        Some("demo") => &[Purpose::Demo],
        Some("test") => &[Purpose::Test],
        Some("bench") => &[Purpose::Bench],
        Some(other) => return Err(Failure::new(format!("--for {other}: it is test, demo or bench"))),
    };
    words.end()?;
    ready(purposes)?;
    println!("setup: everything is there, the Docker Engine answers");
    Ok(())
}

/// Makes the machine ready for one purpose; silent when it is already.
pub fn ready_for(purpose: Purpose) -> Outcome {
    ready(&[purpose])
}

fn ready(purposes: &[Purpose]) -> Outcome {
    if !cfg!(target_os = "linux") {
        let advice = "haloy's server side runs on Linux only: use a Linux machine with Docker";
        return Err(Failure::new(advice));
    }
    let answer = engine::ping();
    let missing = missing(NEEDS, purposes, answer.is_err(), command::exists);
    if let Err(reason) = &answer {
        // Installing packages would not help then.
        engine::can_be_started(reason)?;
    }
    if !missing.is_empty() {
        packages::install(&missing)?;
    }
    if answer.is_err() { engine::start() } else { Ok(()) }
}

fn missing<'a>(needs: &'a [Need], purposes: &[Purpose], own_engine: bool, exists: impl Fn(&str) -> bool) -> Vec<&'a Need> {
    needs
        .iter()
        .filter(|need| need.purposes.iter().any(|purpose| purposes.contains(purpose)))
        .filter(|need| own_engine || !need.for_own_engine)
        .filter(|need| !exists(need.program))
        .collect()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// As sd_booted(3) decides it.
fn systemd_runs() -> bool {
    std::path::Path::new("/run/systemd/system").is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(purposes: &[Purpose], own_engine: bool, there: &[&str]) -> Vec<&'static str> {
        missing(NEEDS, purposes, own_engine, |program| there.contains(&program)).iter().map(|need| need.program).collect()
    }

    #[test]
    fn only_what_the_purpose_lacks_is_missing() {
        assert_eq!(programs(&[Purpose::Demo], true, &[]), ["docker", "dockerd", "iptables"]);
        assert_eq!(programs(&[Purpose::Demo], true, &["docker", "iptables"]), ["dockerd"]);
        assert_eq!(programs(&[Purpose::Demo], false, &["docker"]), [""; 0]);
        assert_eq!(
            programs(&[Purpose::Bench], false, &["docker", "nginx", "wrk", "openssl", "taskset", "skopeo"]),
            ["docker-registry", "haproxy", "h2load"]
        );
    }
}
