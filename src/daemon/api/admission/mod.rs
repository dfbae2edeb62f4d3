//! Which deploys are let in: the rules of a spec that its types cannot say, checked again here
//! because not every client is ours. Never repeats an environment value.

mod container;
mod contradiction;

use std::collections::BTreeSet;

use super::refusal::Refusal;
use crate::names::{
    AppName, MAX_REPLICAS, is_container_path, is_email, is_env_name, is_host_path, is_network_name, is_url_path, is_volume_name,
};
use crate::wire::contradictions::contradictions;
use crate::wire::{AppSpec, DeployRequest, EnvValue, Mount, MountSource};

/// Characters in a line of the history that the client words: a name, a commit.
const LONGEST_NOTE: usize = 256;

/// Refuses a deploy that breaks a rule, with all the rules that it breaks.
pub fn check(app: &AppName, request: &DeployRequest) -> Result<(), Refusal> {
    if request.spec.name != *app {
        let title = format!("the request is for app `{app}` and its spec for app `{}`", request.spec.name);
        return Err(Refusal::invalid(title));
    }
    let mut mistakes = Vec::new();
    check_spec(&request.spec, &mut mistakes);
    check_env(&request.spec, &request.env, &mut mistakes);
    check_note("performer", request.performer.as_deref(), &mut mistakes);
    check_note("git_commit", request.git_commit.as_deref(), &mut mistakes);
    if mistakes.is_empty() {
        return Ok(());
    }
    Err(Refusal::invalid("the spec is not valid").detail(mistakes.join("; ")).hint("run `haloy validate-config`"))
}

fn check_spec(spec: &AppSpec, mistakes: &mut Vec<String>) {
    if !(1..=MAX_REPLICAS).contains(&spec.replicas) {
        mistakes.push(format!("`spec.replicas`: 1 to {MAX_REPLICAS}"));
    }
    if spec.acme_email.as_deref().is_some_and(|email| !is_email(email)) {
        mistakes.push("`spec.acme_email`: it is not an e-mail address".to_owned());
    }
    if spec.deploy_timeout == 0 {
        mistakes.push("`spec.deploy_timeout`: at least 1 second".to_owned());
    }
    if spec.health_check_path.as_deref().is_some_and(|path| !is_url_path(path)) {
        mistakes.push("`spec.health_check_path`: begins with `/` and is written as in a URL".to_owned());
    }
    if spec.network.as_deref().is_some_and(|name| !is_network_name(name)) {
        mistakes.push("`spec.network`: letters, digits, `_`, `.` and `-`".to_owned());
    }
    let mut hosts = BTreeSet::new();
    for host in spec.domains.iter().flat_map(|d| std::iter::once(&d.domain).chain(&d.aliases)) {
        if !hosts.insert(host) {
            mistakes.push(format!("`spec.domains`: `{host}` is there twice"));
        }
    }
    let mut targets = BTreeSet::new();
    for (index, mount) in spec.volumes.iter().enumerate() {
        check_mount(index, mount, mistakes);
        if !targets.insert(&mount.target) {
            mistakes.push(format!("`spec.volumes[{index}]`: `{}` is mounted over twice", mount.target));
        }
    }
    container::check_options(&spec.container, mistakes);
    container::check_words("release_command", spec.release_command.as_deref(), mistakes);
    if let Some(check) = &spec.health_check {
        container::check_health(check, mistakes);
    }
    mistakes.extend(contradictions(spec).into_iter().map(|found| contradiction::explain(found, spec)));
}

fn check_mount(index: usize, mount: &Mount, mistakes: &mut Vec<String>) {
    match &mount.source {
        MountSource::Volume(name) if !is_volume_name(name) => {
            mistakes.push(format!("`spec.volumes[{index}]`: `{name}` is not a volume's name"));
        }
        MountSource::Host(path) if !is_host_path(path) => {
            mistakes.push(format!("`spec.volumes[{index}]`: host path `{path}` is not absolute"));
        }
        MountSource::Volume(_) | MountSource::Host(_) => {}
    }
    if !is_container_path(&mount.target) {
        mistakes.push(format!("`spec.volumes[{index}]`: path `{}` in the container is not absolute", mount.target));
    }
    if mount.options.as_deref().is_some_and(|options| options.contains(':')) {
        mistakes.push(format!("`spec.volumes[{index}]`: options are separated by commas"));
    }
}

/// One value for each variable, in the order of the spec.
fn check_env(spec: &AppSpec, values: &[EnvValue], mistakes: &mut Vec<String>) {
    let mut names = BTreeSet::new();
    for (index, variable) in spec.env.iter().enumerate() {
        let name = &variable.name;
        if !is_env_name(name) {
            mistakes.push(format!("`spec.env[{index}]`: the name must be made of letters, digits and `_`, and not begin with a digit"));
        } else if !names.insert(name) {
            mistakes.push(format!("`spec.env[{index}]`: `{name}` is there twice"));
        }
    }
    if spec.env.len() != values.len() {
        mistakes.push(format!("`env`: {} values for the {} entries of `spec.env`", values.len(), spec.env.len()));
        return;
    }
    for (index, (variable, value)) in spec.env.iter().zip(values).enumerate() {
        if variable.name != value.name {
            mistakes.push(format!("`env[{index}]`: it is not the value of `{}`, as the order of `spec.env` wants", variable.name));
        }
        if value.value.expose().contains('\0') {
            mistakes.push(format!("`env[{index}]`: a value cannot contain a NUL character"));
        }
    }
}

fn check_note(field: &str, note: Option<&str>, mistakes: &mut Vec<String>) {
    if note.is_some_and(|note| note.chars().count() > LONGEST_NOTE) {
        mistakes.push(format!("`{field}`: at most {LONGEST_NOTE} characters"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{self, Target};
    use crate::secret::Secret;
    use crate::wire::EnvVar;

    /// What is said of a valid request after `change`.
    fn said(change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut request = json!({
            "spec": {
                "name": "shop", "image": "shop:1", "replicas": 2, "health_check_path": "/health?full=1",
                "acme_email": "kim@example.com", "min_ready_seconds": 59, "deploy_timeout": 60,
                "domains": [{ "domain": "shop.example.com", "aliases": ["www.example.com"] }],
                "env": [{ "name": "A", "source": "value" }, { "name": "_b1", "source": { "env": "B" } }],
                "volumes": [{ "source": { "volume": "data" }, "target": "/data" }, { "source": { "host": "/srv" }, "target": "/srv", "options": "ro,z" }],
                "health_check": { "probe": { "http": { "path": "/up", "host": "a.example.com:80", "status": { "first": 200, "last": 299 } } }, "retries": 5 },
                "release_command": ["bin/migrate", ""],
                "container": {
                    "command": ["serve", ""], "entrypoint": [""], "user": "app:1000", "working_dir": "/", "labels": { "team": "blue" },
                    "resources": { "memory": 6291456, "cpus": 10, "pids": 1 }, "stop_signal": "SIGRTMIN+3", "shm_size": 1,
                    "ulimits": [{ "name": "nofile", "soft": 1024, "hard": -1 }, { "name": "core", "soft": -1, "hard": -1 }],
                    "cap_add": ["NET_ADMIN"], "cap_drop": ["ALL"], "tmpfs": [{ "path": "/tmp", "options": "size=64m,mode=1777" }],
                    "extra_hosts": [{ "name": "db", "address": "host-gateway" }, { "name": "six", "address": "fd00::1" }],
                    "logging": { "driver": "local", "options": { "max-size": "1m" } },
                },
            },
            "env": [{ "name": "A", "value": "hunter2" }, { "name": "_b1", "value": "" }],
            "performer": "ö".repeat(256), "git_commit": "abc123",
        });
        change(&mut request);
        let request = serde_json::from_value(request).expect("request");
        let app = "shop".parse().expect("app");
        match check(&app, &request) {
            Ok(()) => String::new(),
            Err(refusal) => format!("{}: {}", refusal.problem.title, refusal.problem.detail.unwrap_or_default()),
        }
    }

    #[test]
    fn a_valid_request_passes() {
        assert_eq!(said(|_| ()), "");
    }

    #[test]
    fn every_rule_is_told() {
        let table: &[(&str, serde_json::Value, &str)] = &[
            ("/spec/name", json!("blog"), "for app `shop` and its spec for app `blog`"),
            ("/spec/replicas", json!(0), "`spec.replicas`: 1 to 100"),
            ("/spec/replicas", json!(1000), "`spec.replicas`: 1 to 100"),
            ("/spec/acme_email", json!("kim"), "`spec.acme_email`: it is not an e-mail address"),
            ("/spec/deploy_timeout", json!(0), "`spec.deploy_timeout`: at least 1 second"),
            ("/spec/min_ready_seconds", json!(60), "`spec.min_ready_seconds`: shorter than `spec.deploy_timeout` (60 seconds)"),
            ("/performer", json!("k".repeat(257)), "`performer`: at most 256 characters"),
            ("/git_commit", json!("a".repeat(257)), "`git_commit`: at most 256 characters"),
            ("/spec/health_check_path", json!("health"), "`spec.health_check_path`: begins with `/`"),
            ("/spec/health_check_path", json!("/he alth"), "as in a URL"),
            ("/spec/domains/0/aliases/0", json!("shop.example.com"), "`shop.example.com` is there twice"),
            ("/spec/env/0/name", json!("9A"), "`spec.env[0]`: the name must be"),
            ("/spec/env/0/name", json!("A=B"), "`spec.env[0]`: the name must be"),
            ("/spec/env/1/name", json!("A"), "`A` is there twice"),
            ("/spec/volumes/0/target", json!("data"), "path `data` in the container is not absolute"),
            ("/spec/volumes/0/target", json!("/data:ro"), "path `/data:ro` in the container is not absolute"),
            ("/spec/volumes/1/source/host", json!("./srv"), "host path `./srv` is not absolute"),
            ("/spec/volumes/0/source/volume", json!("da/ta"), "`da/ta` is not a volume's name"),
            ("/spec/volumes/0/target", json!("/srv"), "mounted over twice"),
            ("/spec/volumes/0/target", json!("/tmp"), "`spec.container.tmpfs[0]`: `/tmp` is mounted over twice"),
            ("/spec/container/tmpfs/0/path", json!("tmp"), "path `tmp` in the container is not absolute"),
            ("/spec/container/tmpfs/0/options", json!("size=1m:ro"), "`size=1m:ro` is not an option"),
            ("/spec/container/command", json!([]), "`spec.container.command`: at least one word"),
            ("/spec/container/entrypoint", json!(["a\0"]), "`spec.container.entrypoint`: a word cannot contain a NUL"),
            ("/spec/container/user", json!("a:b:c"), "`spec.container.user`: `user`, `uid`"),
            ("/spec/container/working_dir", json!("srv"), "`spec.container.working_dir`: an absolute path"),
            ("/spec/container/labels", json!({ "dev.haloy.role": "x" }), "`spec.container.labels`: `dev.haloy.…` belongs to haloy"),
            ("/spec/container/labels", json!({ "a b": "x" }), "`spec.container.labels`: a name without blanks"),
            ("/spec/container/resources/memory", json!(6291455), "`spec.container.resources.memory`: at least 6 MiB"),
            ("/spec/container/resources/cpus", json!(9), "`spec.container.resources.cpus`: at least 10"),
            ("/spec/container/cap_drop/0", json!("NET_ADMIN"), "`spec.container.cap_add`: `NET_ADMIN` is in `cap_drop`, too"),
            ("/spec/container/stop_signal", json!("quit"), "`spec.container.stop_signal`: a signal's name"),
            ("/spec/container/ulimits/0/name", json!("files"), "`files` is none of core, cpu"),
            ("/spec/container/ulimits/0/name", json!("core"), "`core` is there twice"),
            ("/spec/container/ulimits/0/hard", json!(1), "the soft limit is at most the hard one"),
            ("/spec/container/cap_add/0", json!("net admin"), "`spec.container.cap_add`: names of capabilities"),
            ("/spec/container/cap_drop/0", json!("KILLS"), "`spec.container.cap_drop`: names of capabilities"),
            ("/spec/container/extra_hosts/0/address", json!("localhost"), "`spec.container.extra_hosts[0]`: an IP address"),
            ("/spec/container/extra_hosts/0/name", json!("a:b"), "`spec.container.extra_hosts[0]`: a host name"),
            ("/spec/container/logging/driver", json!(""), "`spec.container.logging.driver`: a driver's name"),
            ("/spec/release_command", json!([]), "`spec.release_command`: at least one word"),
            ("/spec/health_check/probe", json!({ "command": [] }), "`spec.health_check.probe.command`: at least one word"),
            ("/spec/health_check/probe/http/path", json!("up"), "`spec.health_check.probe.http.path`: begins with"),
            ("/spec/health_check/probe/http/host", json!("a\r\nb"), "`spec.health_check.probe.http.host`: a host name"),
            ("/spec/health_check/probe/http/status/last", json!(199), "`spec.health_check.probe.http.status`: from 100 to 599"),
            ("/env", json!([]), "0 values for the 2 entries of `spec.env`"),
            ("/env/0/name", json!("_b1"), "`env[0]`: it is not the value of `A`"),
            ("/env/0/value", json!("hunter2\0"), "`env[0]`: a value cannot contain a NUL"),
        ];
        for (place, value, expected) in table {
            let said = said(|request| *request.pointer_mut(place).expect("place") = value.clone());
            assert!(said.contains(expected), "{place}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn one_name_and_one_address_are_for_one_container() {
        let with = |changes: &[(&str, serde_json::Value)]| {
            said(|request| changes.iter().for_each(|(field, value)| request["spec"][*field] = value.clone()))
        };
        let (naming, replace) = (("naming_strategy", json!("static")), ("deployment_strategy", json!("replace")));
        let (host, one) = (("network", json!("host")), ("replicas", json!(1)));
        assert_eq!(with(&[naming.clone(), replace.clone(), one.clone()]), "");
        let both = with(&[naming]);
        assert!(both.contains("`static` needs `deployment_strategy: replace`") && both.contains("`static` allows one replica"), "{both}");
        assert_eq!(with(&[host.clone(), replace.clone(), one]), "");
        let both = with(std::slice::from_ref(&host));
        assert!(both.contains("`spec.replicas`: 1 on the network `host`") && both.contains("`replace` on the network `host`"), "{both}");
        let worker = [host, ("domains", json!([])), ("health_check_path", json!(null)), ("health_check", json!(null))];
        assert_eq!(with(&worker), "", "a worker without a port runs beside itself");
        assert!(with(&[("network", json!("none"))]).contains("`spec.network`: without a network"));
    }

    /// Who validated a file is not sent back by the server, when the hooks have run already.
    #[test]
    fn what_a_valid_file_says_is_let_in() {
        let paths = config::tests::valid_files();
        assert!(paths.len() > 60, "only {} files", paths.len());
        for path in paths {
            let config = config::load(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            for Target { spec, .. } in config.targets {
                let value = |variable: &EnvVar| EnvValue { name: variable.name.clone(), value: Secret::new("") };
                let env = spec.env.iter().map(value).collect();
                let request = DeployRequest { env, spec, performer: None, git_commit: None, login: None, image_of: None };
                let refusal = check(&request.spec.name, &request).err().map(|refusal| refusal.problem);
                assert_eq!(refusal, None, "{}", path.display());
            }
        }
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let said = said(|request| {
            request["spec"]["replicas"] = json!(0);
            request["spec"]["health_check_path"] = json!("x");
        });
        assert!(said.contains("replicas") && said.contains("health_check_path"), "{said}");
    }
}
