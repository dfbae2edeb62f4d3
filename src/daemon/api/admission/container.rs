//! The rules of how an app's containers are created, checked, named and connected.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::kernel::{CAPABILITIES, LEAST_CPU, LEAST_MEMORY, LIMITS, is_signal, is_tmpfs_option};
use crate::names::{
    OWN_LABELS, is_argument, is_container_path, is_host_name, is_http_host, is_label_name, is_plain, is_url_path, is_user, is_working_dir,
};
use crate::wire::{ContainerOptions, ExtraHost, HealthCheck, HttpProbe, Probe, Tmpfs, Ulimit};

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
    rule(options.working_dir.as_deref().is_some_and(|path| !is_working_dir(path)), "working_dir`: an absolute path");
    rule(options.labels.keys().any(|name| name.starts_with(OWN_LABELS)), "labels`: `dev.haloy.…` belongs to haloy");
    rule(options.labels.keys().any(|name| !is_label_name(name)), "labels`: a name without blanks and `=`");
    rule(options.resources.memory.is_some_and(|bytes| bytes.get() < LEAST_MEMORY), "resources.memory`: at least 6 MiB (6291456)");
    rule(options.resources.cpus.is_some_and(|cpus| cpus.get() < LEAST_CPU), "resources.cpus`: at least 10 thousandths");
    rule(options.stop_signal.as_deref().is_some_and(|signal| !is_signal(signal)), "stop_signal`: a signal's name, like `SIGQUIT`");
    for (field, names) in [("cap_add", &options.cap_add), ("cap_drop", &options.cap_drop)] {
        let message = format!("{field}`: names of capabilities, like `NET_ADMIN`, or `ALL`");
        rule(names.iter().any(|name| !CAPABILITIES.contains(&name.as_str())), &message);
    }
    if let Some(logging) = &options.logging {
        rule(!is_plain(&logging.driver), "logging.driver`: a driver's name, like `json-file`");
        rule(logging.options.keys().any(|name| !is_plain(name)), "logging.options`: a name without blanks");
    }
    check_ulimits(&options.ulimits, mistakes);
    check_hosts(&options.extra_hosts, mistakes);
    check_tmpfs(&options.tmpfs, mistakes);
}

/// A program and its arguments. An empty list would mean the image's own, which leaving it out says better.
pub fn check_words(field: &str, words: Option<&[String]>, mistakes: &mut Mistakes) {
    let Some(words) = words else { return };
    if words.is_empty() {
        mistakes.push(format!("`spec.{field}`: at least one word"));
    }
    if !words.iter().all(|word| is_argument(word)) {
        mistakes.push(format!("`spec.{field}`: a word cannot contain a NUL character"));
    }
}

fn check_ulimits(ulimits: &[Ulimit], mistakes: &mut Mistakes) {
    let mut names = BTreeSet::new();
    for (index, Ulimit { name, soft, hard }) in ulimits.iter().enumerate() {
        let mut refuse = |rule: String| mistakes.push(format!("`spec.container.ulimits[{index}]`: {rule}"));
        if !LIMITS.contains(&name.as_str()) {
            refuse(format!("`{name}` is none of {}", LIMITS.join(", ")));
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
        if !is_host_name(name) {
            refuse("a host name of letters, digits, `-`, `_` and `.`");
        }
        if address != "host-gateway" && address.parse::<IpAddr>().is_err() {
            refuse("an IP address or `host-gateway`");
        }
    }
}

fn check_tmpfs(tmpfs: &[Tmpfs], mistakes: &mut Mistakes) {
    for (index, Tmpfs { path, options }) in tmpfs.iter().enumerate() {
        let mut refuse = |rule: String| mistakes.push(format!("`spec.container.tmpfs[{index}]`: {rule}"));
        if !is_container_path(path) {
            refuse(format!("path `{path}` in the container is not absolute"));
        }
        let mut options = options.iter().flat_map(|options| options.split(','));
        if let Some(unknown) = options.find(|option| !is_tmpfs_option(option)) {
            refuse(format!("`{unknown}` is not an option; they are `size=64m`, `mode=1777` and the like, separated by commas"));
        }
    }
}

pub fn check_health(check: &HealthCheck, mistakes: &mut Mistakes) {
    match &check.probe {
        Probe::Standard | Probe::None | Probe::Tcp { .. } => {}
        Probe::Command(words) => check_words("health_check.probe.command", Some(words), mistakes),
        Probe::Http(HttpProbe { path, host, status, .. }) => {
            let mut refuse = |rule: &str| mistakes.push(format!("`spec.health_check.probe.http.{rule}"));
            if !is_url_path(path) {
                refuse("path`: begins with `/` and is written as in a URL");
            }
            if host.as_deref().is_some_and(|host| !is_http_host(host)) {
                refuse("host`: a host name, with or without a port");
            }
            if status.is_some_and(|status| status.first > status.last || status.first < 100 || status.last > 599) {
                refuse("status`: from 100 to 599, the first not above the last");
            }
        }
    }
}
