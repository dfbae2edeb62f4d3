//! Creating a container: our description of it in the engine's words.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig, NetworkingConfig, ResourcesUlimits,
    RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::CreateContainerOptionsBuilder;

use super::connection::{CHANGE, Docker};
use super::error::DockerError;
use super::labels;
use super::naming::Holder;
use super::networks::is_user_defined;
use super::types::{CheckPace, ContainerId, ContainerOptions, ContainerSpec, EngineCheck, Purpose, Ulimit, VolumeMount};

/// So long a health check may fail without counting, unless it succeeds before.
const START_PERIOD: Duration = Duration::from_secs(30);
/// Between two checks of a container that was never healthy, by engines that know such a pause (API 1.44).
const START_INTERVAL: Duration = Duration::from_secs(1);

impl Docker {
    /// Creates the container without starting it. When its name is held by the container of the same
    /// owner, that one is the answer: an earlier attempt got through.
    pub async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId, DockerError> {
        let attempt = self.try_create(spec).await;
        if !attempt.as_ref().is_err_and(DockerError::is_conflict) {
            return attempt;
        }
        match self.holder(&spec.name, &spec.owner.app).await? {
            Holder::Ours { id, owner, purpose, leaving: false } if owner == spec.owner && purpose == spec.purpose => Ok(id),
            Holder::Ours { .. } => attempt,
            Holder::Foreign => Err(DockerError::NameTaken { name: spec.name.clone() }),
            Holder::Nobody => self.try_create(spec).await,
        }
    }

    async fn try_create(&self, spec: &ContainerSpec) -> Result<ContainerId, DockerError> {
        let options = CreateContainerOptionsBuilder::new().name(&spec.name).build();
        let body = create_body(spec, self.instance());
        let created = self
            .call("create container", &spec.name, CHANGE, |client| {
                let (options, body) = (options.clone(), body.clone());
                async move { client.create_container(Some(options), body).await }
            })
            .await?;
        for warning in &created.warnings {
            tracing::debug!(container = %spec.name, %warning, "the engine warns about a new container");
        }
        Ok(ContainerId(created.id))
    }
}

/// The body holds secrets in the clear. The client library offers bodies to the `log` facade at debug
/// level, so nothing in this program may ever install a logger for that facade.
fn create_body(spec: &ContainerSpec, instance: &str) -> ContainerCreateBody {
    let env = spec.env.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect();
    let options = &spec.options;
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        env: Some(env),
        labels: Some(labels::of_container(&spec.owner, spec.purpose, instance, &spec.labels)),
        cmd: options.command.clone(),
        entrypoint: options.entrypoint.clone(),
        user: options.user.clone(),
        working_dir: options.working_dir.clone(),
        stop_signal: options.stop_signal.clone(),
        stop_timeout: i64::try_from(whole_seconds(spec.stop_timeout)).ok(),
        healthcheck: health_config(&spec.check),
        networking_config: aliases(spec),
        host_config: Some(host_config(spec)),
        ..Default::default()
    }
}

fn host_config(spec: &ContainerSpec) -> HostConfig {
    let options = &spec.options;
    let restart = match spec.purpose {
        Purpose::Replica => RestartPolicyNameEnum::UNLESS_STOPPED,
        Purpose::Release => RestartPolicyNameEnum::NO,
    };
    let bytes = |bytes: Option<u64>| bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    HostConfig {
        network_mode: Some(spec.network.clone()),
        binds: Some(spec.mounts.iter().map(bind).collect()),
        restart_policy: Some(RestartPolicy { name: Some(restart), maximum_retry_count: None }),
        log_config: Some(log_config(options)),
        // Without a limit for swap the engine allows as much again: what `docker run --memory` does.
        memory: bytes(options.memory),
        nano_cpus: options.cpus.map(|thousandths| i64::from(thousandths) * 1_000_000),
        pids_limit: options.pids.map(i64::from),
        shm_size: bytes(options.shm_size),
        ulimits: Some(options.ulimits.iter().map(ulimit).collect()),
        cap_add: Some(options.cap_add.clone()),
        cap_drop: Some(options.cap_drop.clone()),
        readonly_rootfs: Some(options.read_only),
        tmpfs: Some(options.tmpfs.clone().into_iter().collect()),
        extra_hosts: Some(options.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect()),
        ..Default::default()
    }
}

/// The engine's default would let one chatty app fill the server's disk.
fn log_config(options: &ContainerOptions) -> HostConfigLogConfig {
    match &options.logging {
        Some((driver, options)) => HostConfigLogConfig { typ: Some(driver.clone()), config: Some(options.clone().into_iter().collect()) },
        None => HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([("max-size".to_owned(), "10m".to_owned()), ("max-file".to_owned(), "3".to_owned())])),
        },
    }
}

/// An empty test means the image's own, and so does each number that is absent.
fn health_config(check: &EngineCheck) -> Option<HealthConfig> {
    let nanoseconds = |time: Option<Duration>| time.map(|time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX));
    let with = |test: Vec<String>, pace: &CheckPace| HealthConfig {
        test: Some(test),
        interval: nanoseconds(pace.interval),
        timeout: nanoseconds(pace.timeout),
        retries: pace.retries.map(i64::from),
        ..Default::default()
    };
    match check {
        EngineCheck::Image(pace) if *pace == CheckPace::default() => None,
        EngineCheck::Image(pace) => Some(with(Vec::new(), pace)),
        EngineCheck::Off => Some(with(vec!["NONE".to_owned()], &CheckPace::default())),
        EngineCheck::Command { words, pace } => Some(HealthConfig {
            start_period: nanoseconds(Some(START_PERIOD)),
            start_interval: nanoseconds(Some(START_INTERVAL)),
            ..with(std::iter::once("CMD".to_owned()).chain(words.iter().cloned()).collect(), pace)
        }),
    }
}

/// The engine's own networks know no names.
fn aliases(spec: &ContainerSpec) -> Option<NetworkingConfig> {
    let wanted = !spec.aliases.is_empty() && is_user_defined(&spec.network);
    let endpoint = || EndpointSettings { aliases: Some(spec.aliases.clone()), ..Default::default() };
    wanted.then(|| NetworkingConfig { endpoints_config: Some(HashMap::from([(spec.network.clone(), endpoint())])) })
}

fn ulimit(limit: &Ulimit) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(limit.name.clone()), soft: Some(limit.soft), hard: Some(limit.hard) }
}

fn bind(mount: &VolumeMount) -> String {
    let VolumeMount { source, target, options } = mount;
    match options {
        Some(options) => format!("{source}:{target}:{options}"),
        None => format!("{source}:{target}"),
    }
}

/// Rounded up: a grace period is never cut.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::docker::types::Owner;
    use crate::secret::Secret;

    fn spec() -> ContainerSpec {
        let mount = |source: &str, options: Option<&str>| VolumeMount {
            source: source.to_owned(),
            target: "/data".to_owned(),
            options: options.map(str::to_owned),
        };
        ContainerSpec {
            name: "shop-20261121093000-1".to_owned(),
            owner: Owner { app: "shop".parse().unwrap(), deployment: "20261121093000".parse().unwrap(), slot: 1 },
            purpose: Purpose::Replica,
            image: "sha256:00".to_owned(),
            env: vec![("KEY".to_owned(), Secret::new("a=b"))],
            labels: BTreeMap::new(),
            network: "haloy-public".to_owned(),
            aliases: Vec::new(),
            mounts: vec![mount("data", None), mount("/srv", Some("ro"))],
            stop_timeout: Duration::from_millis(10_500),
            check: EngineCheck::Image(CheckPace::default()),
            options: ContainerOptions::default(),
        }
    }

    fn asked(spec: &ContainerSpec) -> Value {
        serde_json::to_value(create_body(spec, "main")).unwrap()
    }

    #[test]
    fn what_the_engine_is_asked_to_create() {
        let body = asked(&spec());
        assert_eq!(body["Env"], json!(["KEY=a=b"]));
        assert_eq!(body["StopTimeout"], 11);
        assert_eq!(body["Labels"]["dev.haloy.instance"], "main");
        assert_eq!(body["HostConfig"]["Binds"], json!(["data:/data", "/srv:/data:ro"]));
        assert_eq!(body["HostConfig"]["RestartPolicy"], json!({"Name": "unless-stopped"}));
        assert_eq!(body["HostConfig"]["LogConfig"], json!({"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}));
        for absent in ["Cmd", "Entrypoint", "User", "Healthcheck", "NetworkingConfig"] {
            assert_eq!(body[absent], Value::Null, "{absent}");
        }
    }

    #[test]
    fn every_option_has_its_place() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let options = ContainerOptions {
            command: Some(words(&["serve", "-v"])),
            entrypoint: Some(words(&["/app"])),
            user: Some("1000:1000".to_owned()),
            working_dir: Some("/srv".to_owned()),
            memory: Some(64 << 20),
            cpus: Some(1500),
            pids: Some(100),
            stop_signal: Some("SIGQUIT".to_owned()),
            shm_size: Some(1 << 20),
            ulimits: vec![Ulimit { name: "nofile".to_owned(), soft: 1024, hard: -1 }],
            cap_add: words(&["NET_ADMIN"]),
            cap_drop: words(&["ALL"]),
            read_only: true,
            tmpfs: BTreeMap::from([("/tmp".to_owned(), "size=64m".to_owned())]),
            extra_hosts: vec![("db".to_owned(), "host-gateway".to_owned())],
            logging: Some(("local".to_owned(), BTreeMap::from([("max-size".to_owned(), "1m".to_owned())]))),
        };
        let body = asked(&ContainerSpec { options, aliases: words(&["shop"]), purpose: Purpose::Release, ..spec() });
        assert_eq!((&body["Cmd"], &body["Entrypoint"]), (&json!(["serve", "-v"]), &json!(["/app"])));
        assert_eq!((&body["User"], &body["WorkingDir"], &body["StopSignal"]), (&json!("1000:1000"), &json!("/srv"), &json!("SIGQUIT")));
        assert_eq!(body["NetworkingConfig"]["EndpointsConfig"]["haloy-public"]["Aliases"], json!(["shop"]));
        assert_eq!(body["Labels"]["dev.haloy.role"], "release");
        let host = &body["HostConfig"];
        let expected = json!({
            "Memory": 64 << 20, "NanoCpus": 1_500_000_000, "PidsLimit": 100, "ShmSize": 1 << 20,
            "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": -1}], "CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"],
            "ReadonlyRootfs": true, "Tmpfs": {"/tmp": "size=64m"}, "ExtraHosts": ["db:host-gateway"],
            "LogConfig": {"Type": "local", "Config": {"max-size": "1m"}}, "RestartPolicy": {"Name": "no"},
        });
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&host[key], value, "{key}");
        }
        assert_eq!(host["MemorySwap"], Value::Null);
    }

    #[test]
    fn the_engines_networks_get_no_aliases() {
        for network in ["host", "none", "bridge", "container:db"] {
            let spec = ContainerSpec { network: network.to_owned(), aliases: vec!["shop".to_owned()], ..spec() };
            assert_eq!(asked(&spec)["NetworkingConfig"], Value::Null, "{network}");
        }
    }

    #[test]
    fn health_checks_in_the_engines_words() {
        let pace = CheckPace { interval: Some(Duration::from_secs(2)), timeout: None, retries: Some(4) };
        let check = |check: EngineCheck| asked(&ContainerSpec { check, ..spec() })["Healthcheck"].clone();
        assert_eq!(check(EngineCheck::Image(CheckPace::default())), Value::Null);
        assert_eq!(check(EngineCheck::Image(pace)), json!({"Test": [], "Interval": 2_000_000_000_u64, "Retries": 4}));
        assert_eq!(check(EngineCheck::Off), json!({"Test": ["NONE"]}));
        assert_eq!(
            check(EngineCheck::Command { words: vec!["pg_isready".to_owned()], pace }),
            json!({"Test": ["CMD", "pg_isready"], "Interval": 2_000_000_000_u64, "Retries": 4,
                "StartPeriod": 30_000_000_000_u64, "StartInterval": 1_000_000_000})
        );
    }
}
