//! Installs Debian packages without letting their services start.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::{Need, is_root};
use crate::command;
use crate::failure::{Attempt as _, Failure, Outcome};

/// Debian asks this script before a package starts its service.
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// Services that come with our packages and would sit on ports 80 and 443 after the next boot.
const UNWANTED_SERVICES: &[&str] = &["docker-registry", "haproxy", "nginx"];

/// Installs what brings the missing programs, or says what to install.
pub fn install(missing: &[&Need]) -> Outcome {
    if !command::exists("apt-get") || !is_root() {
        return Err(Failure::new(advice(missing)));
    }
    println!("setup: installing what brings {}", programs(missing));
    // Somebody's broken third-party source must not stop us; what is really unknown fails below.
    let refreshed = apt_get(&["update", "-qq"]);
    let packages = distinct(missing.iter().map(|need| available(need.packages)));
    let quiet = ServicesStayDown::ensure()?;
    let installed = apt_get(&[&["install", "-qq", "--no-install-recommends"], packages.as_slice()].concat());
    drop(quiet);
    if installed.is_err() {
        refreshed?;
    }
    installed?;
    for service in UNWANTED_SERVICES.iter().filter(|service| missing.iter().any(|need| need.program == **service)) {
        // Without systemd there is nothing to disable.
        command::succeeds(Command::new("systemctl").args(["disable", service]));
    }
    match missing.iter().find(|need| !command::exists(need.program)) {
        None => Ok(()),
        Some(need) => Err(Failure::new(format!("{} brought no `{}`", packages.join(" "), need.program))),
    }
}

fn apt_get(words: &[&str]) -> Outcome {
    let mut apt = Command::new("apt-get");
    apt.args(["-y", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]).args(words);
    let noisy = command::output(apt.env("DEBIAN_FRONTEND", "noninteractive").env("PATH", command::path_with_sbin()));
    noisy.map(drop)
}

/// The first package that this release has; the last one if apt knows none of them, for its own error message.
fn available(packages: &'static [&'static str]) -> &'static str {
    let known = |package: &&&str| {
        let policy = command::output(Command::new("apt-cache").args(["policy", package])).unwrap_or_default();
        policy.lines().any(|line| line.trim_start().starts_with("Candidate:") && !line.contains("(none)"))
    };
    packages.iter().find(known).unwrap_or(&packages[packages.len() - 1])
}

fn advice(missing: &[&Need]) -> String {
    let packages = distinct(missing.iter().map(|need| need.packages[need.packages.len() - 1])).join(" ");
    format!(
        "this machine lacks {}\n\nhint: on Debian or Ubuntu run `sudo apt-get update && sudo apt-get install -y {packages}`,\n      \
         elsewhere install the programs with the system's package manager; then run this again",
        programs(missing)
    )
}

fn programs(missing: &[&Need]) -> String {
    missing.iter().map(|need| need.program).collect::<Vec<_>>().join(", ")
}

fn distinct(packages: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut packages: Vec<_> = packages.collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// While this lives, installed packages do not start their services. A policy that is already there is respected.
struct ServicesStayDown {
    ours: bool,
}

impl ServicesStayDown {
    fn ensure() -> Outcome<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        let guard = Self { ours: true };
        // 101: "action forbidden by policy".
        let written = fs::write(POLICY, "#!/bin/sh\nexit 101\n");
        written.and_then(|()| fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))).attempt(|| format!("write {POLICY}"))?;
        Ok(guard)
    }
}

impl Drop for ServicesStayDown {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::{NEEDS, Purpose};

    #[test]
    fn the_advice_names_programs_and_packages() {
        let missing: Vec<_> = NEEDS.iter().filter(|need| need.purposes.contains(&Purpose::Demo)).collect();
        let advice = advice(&missing);
        assert!(advice.starts_with("this machine lacks docker, dockerd, iptables\n"), "{advice}");
        assert!(advice.contains("install -y docker.io iptables`"), "{advice}");
    }
}
