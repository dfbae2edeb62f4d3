//! The rules of how an app's containers are created, checked, named and connected.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::is_path;
use crate::names::is_container_path;
use crate::wire::{AppSpec, ContainerOptions, ExtraHost, HealthCheck, HttpProbe, Naming, Probe, Strategy, Tmpfs, Ulimit};

/// The engine's own minimum.
const LEAST_MEMORY: u64 = 6 << 20;
/// Thousandths of a processor; the engine's own minimum.
const LEAST_CPU: u32 = 10;
/// What setrlimit(2) knows, as the engine writes it.
const ULIMITS: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

type Mistakes = Vec<String>;

pub fn check_options(options: &ContainerOptions, mistakes: &mut Mistakes) {
    check_words("container.command", options.command.as_deref(), mistakes);
    check_words("container.entrypoint", options.entrypoint.as_deref(), mistakes);
    let mut rule = |broken: bool, message: &str| {
        if broken {
            mistakes.push(format!("`spec.container.{message}"));
        }
    };
    rule(options.user.as_deref().is_some_and(|user| !is_user(user)), "user`: `user`, `uid`, `user:group` or `uid:gid`");
    rule(options.working_dir.as_deref().is_some_and(|path| !is_absolute(path)), "working_dir`: an absolute path");
    rule(options.labels.keys().any(|name| name.starts_with("dev.haloy.")), "labels`: `dev.haloy.…` belongs to haloy");
    rule(options.labels.keys().any(|name| !is_plain(name)), "labels`: a name without blanks");
    rule(options.resources.memory.is_some_and(|bytes| bytes.get() < LEAST_MEMORY), "resources.memory`: at least 6 MiB (6291456)");
    rule(options.resources.cpus.is_some_and(|cpus| cpus.get() < LEAST_CPU), "resources.cpus`: at least 10 thousandths");
    rule(options.stop_signal.as_deref().is_some_and(|signal| !is_signal(signal)), "stop_signal`: a signal's name, like `SIGQUIT`");
    for (field, names) in [("cap_add", &options.cap_add), ("cap_drop", &options.cap_drop)] {
        let message = format!("{field}`: names of capabilities, like `NET_ADMIN`, or `ALL`");
        rule(names.iter().any(|name| !is_capability(name)), &message);
    }
    if let Some(logging) = &options.logging {
        rule(!is_plain(&logging.driver), "logging.driver`: a driver's name, like `json-file`");
        rule(logging.options.keys().any(|name| !is_plain(name)), "logging.options`: a name without blanks");
    }
    check_ulimits(&options.ulimits, mistakes);
    check_hosts(&options.extra_hosts, mistakes);
}

/// A program and its arguments. An empty list would mean the image's own, which leaving it out says better.
pub fn check_words(field: &str, words: Option<&[String]>, mistakes: &mut Mistakes) {
    let Some(words) = words else { return };
    if words.is_empty() {
        mistakes.push(format!("`spec.{field}`: at least one word"));
    }
    if words.iter().any(|word| word.contains('\0')) {
        mistakes.push(format!("`spec.{field}`: a word cannot contain a NUL character"));
    }
}

fn check_ulimits(ulimits: &[Ulimit], mistakes: &mut Mistakes) {
    let mut names = BTreeSet::new();
    for (index, Ulimit { name, soft, hard }) in ulimits.iter().enumerate() {
        let mut refuse = |rule: String| mistakes.push(format!("`spec.container.ulimits[{index}]`: {rule}"));
        if !ULIMITS.contains(&name.as_str()) {
            refuse(format!("`{name}` is none of {}", ULIMITS.join(", ")));
        } else if !names.insert(name) {
            refuse(format!("`{name}` is there twice"));
        }
        let unlimited = |limit: i64| if limit == -1 { i64::MAX } else { limit };
        if *soft < -1 || *hard < -1 || unlimited(*soft) > unlimited(*hard) {
            refuse("the soft limit is at most the hard one; -1 is unlimited".to_owned());
        }
    }
}

fn check_hosts(hosts: &[ExtraHost], mistakes: &mut Mistakes) {
    for (index, ExtraHost { name, address }) in hosts.iter().enumerate() {
        let mut refuse = |rule: &str| mistakes.push(format!("`spec.container.extra_hosts[{index}]`: {rule}"));
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            refuse("a host name of letters, digits, `-`, `_` and `.`");
        }
        if address != "host-gateway" && address.parse::<IpAddr>().is_err() {
            refuse("an IP address or `host-gateway`");
        }
    }
}

/// File systems in memory lie over nothing else. `targets` has what is mounted already.
pub fn check_tmpfs<'a>(tmpfs: &'a [Tmpfs], targets: &mut BTreeSet<&'a String>, mistakes: &mut Mistakes) {
    for (index, Tmpfs { path, options }) in tmpfs.iter().enumerate() {
        let mut refuse = |rule: String| mistakes.push(format!("`spec.container.tmpfs[{index}]`: {rule}"));
        if !is_container_path(path) {
            refuse(format!("path `{path}` in the container is not absolute"));
        } else if !targets.insert(path) {
            refuse(format!("`{path}` is mounted over twice"));
        }
        if options.as_deref().is_some_and(|options| options.contains([':', ' ', '\0'])) {
            refuse("options are separated by commas".to_owned());
        }
    }
}

pub fn check_health(check: &HealthCheck, mistakes: &mut Mistakes) {
    match &check.probe {
        Probe::Standard | Probe::None | Probe::Tcp { .. } => {}
        Probe::Command(words) => check_words("health_check.probe.command", Some(words), mistakes),
        Probe::Http(HttpProbe { path, host, status, .. }) => {
            let mut refuse = |rule: &str| mistakes.push(format!("`spec.health_check.probe.http.{rule}"));
            if !is_path(path) {
                refuse("path`: begins with `/` and is written as in a URL");
            }
            if host.as_deref().is_some_and(|host| !is_plain(host) || !host.is_ascii() || host.contains('/')) {
                refuse("host`: a host name, with or without a port");
            }
            if status.is_some_and(|status| status.first > status.last || status.first < 100 || status.last > 599) {
                refuse("status`: from 100 to 599, the first not above the last");
            }
        }
    }
}

/// One name can be held by one container at a time.
pub fn check_naming(spec: &AppSpec, mistakes: &mut Mistakes) {
    if spec.naming_strategy != Naming::Static {
        return;
    }
    if spec.deployment_strategy != Strategy::Replace {
        mistakes.push(
            "`spec.naming_strategy`: `static` needs `deployment_strategy: replace`, because two containers cannot share a name".to_owned(),
        );
    }
    if spec.replicas > 1 {
        mistakes.push("`spec.naming_strategy`: `static` allows one replica".to_owned());
    }
    if spec.name.as_str().len() < 2 {
        mistakes.push("`spec.naming_strategy`: `static` needs an app name of two characters or more".to_owned());
    }
}

/// On the host's network every container has the same address; without a network it has none.
pub fn check_network(spec: &AppSpec, mistakes: &mut Mistakes) {
    if !needs_port(spec) {
        return;
    }
    match spec.network() {
        "host" => {
            if spec.replicas > 1 {
                mistakes.push("`spec.replicas`: 1 on the network `host`, where two containers cannot listen on the same port".to_owned());
            }
            if spec.deployment_strategy != Strategy::Replace {
                mistakes.push(
                    "`spec.deployment_strategy`: `replace` on the network `host`, where the new version cannot listen on the port before the old one has stopped"
                        .to_owned(),
                );
            }
        }
        "none" => mistakes.push("`spec.network`: without a network nobody reaches the app's port".to_owned()),
        _ => {}
    }
}

fn needs_port(spec: &AppSpec) -> bool {
    let probed = spec.health_check.as_ref().is_some_and(|check| matches!(check.probe, Probe::Http(_) | Probe::Tcp { .. }));
    !spec.domains.is_empty() || spec.port.is_some() || spec.health_check_path.is_some() || probed
}

fn is_user(user: &str) -> bool {
    let name = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.$".contains(&b));
    match user.split_once(':') {
        Some((user, group)) => name(user) && name(group),
        None => name(user),
    }
}

fn is_absolute(path: &str) -> bool {
    path.starts_with('/') && !path.contains('\0')
}

fn is_signal(signal: &str) -> bool {
    !signal.is_empty() && signal.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"+-".contains(&b))
}

fn is_capability(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
}

/// Something written, and nothing that would end a word or a line.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}
