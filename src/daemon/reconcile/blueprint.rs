//! From a deployment to the containers that it runs in: what the engine is asked to create.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use super::checks;
use crate::daemon::store::{Prepared, Release};
use crate::docker::{self, ContainerSpec, EngineCheck, Owner, Purpose, VolumeMount};
use crate::names::OWN_LABELS;
use crate::secret::Secret;
use crate::wire::{AppSpec, ContainerOptions, Mount, MountSource, Naming};

/// One replica.
pub fn replica(release: &Release, prepared: &Prepared, slot: u16, env: Vec<(String, Secret)>) -> ContainerSpec {
    let spec = &release.spec;
    let owner = Owner { app: spec.name.clone(), deployment: release.id, slot };
    ContainerSpec {
        name: fixed_name(spec).map_or_else(|| owner.container_name(), str::to_owned),
        owner,
        purpose: Purpose::Replica,
        image: prepared.image_id.clone(),
        env,
        labels: labels(spec, prepared.port),
        network: spec.network().to_owned(),
        // A name that several share would lead to newcomers that are not healthy yet.
        aliases: fixed_name(spec).map(str::to_owned).into_iter().collect(),
        mounts: mounts(spec),
        stop_timeout: Duration::from_secs(spec.stop_timeout.into()),
        check: checks::of_engine(spec),
        options: options(&spec.container),
    }
}

/// The container of the release command: like a replica, but that nobody finds or checks it.
pub fn release_command(release: &Release, image: &str, words: &[String], env: Vec<(String, Secret)>) -> ContainerSpec {
    let spec = &release.spec;
    ContainerSpec {
        name: release_name(release),
        owner: Owner { app: spec.name.clone(), deployment: release.id, slot: 1 },
        purpose: Purpose::Release,
        image: image.to_owned(),
        env,
        labels: own_labels(spec),
        network: spec.network().to_owned(),
        aliases: Vec::new(),
        mounts: mounts(spec),
        stop_timeout: Duration::from_secs(spec.stop_timeout.into()),
        check: EngineCheck::Off,
        options: docker::ContainerOptions { command: Some(words.to_vec()), ..options(&spec.container) },
    }
}

/// The name of the container of a release command.
pub fn release_name(release: &Release) -> String {
    format!("{}-{}-release", release.spec.name, release.id)
}

/// The one name that the app's container has in every deployment, for apps that want that.
pub fn fixed_name(spec: &AppSpec) -> Option<&str> {
    (spec.naming_strategy == Naming::Static).then(|| spec.name.as_str())
}

fn mounts(spec: &AppSpec) -> Vec<VolumeMount> {
    let mount = |mount: &Mount| {
        let source = match &mount.source {
            MountSource::Volume(name) => name.clone(),
            MountSource::Host(path) => path.clone(),
        };
        VolumeMount { source, target: mount.target.clone(), options: mount.options.clone() }
    };
    spec.volumes.iter().map(mount).collect()
}

fn options(options: &ContainerOptions) -> docker::ContainerOptions {
    let ContainerOptions { resources, .. } = options;
    docker::ContainerOptions {
        command: options.command.clone(),
        entrypoint: options.entrypoint.clone(),
        user: options.user.clone(),
        working_dir: options.working_dir.clone(),
        memory: resources.memory.map(Into::into),
        cpus: resources.cpus.map(Into::into),
        pids: resources.pids.map(Into::into),
        stop_signal: options.stop_signal.clone(),
        shm_size: options.shm_size.map(Into::into),
        ulimits: options.ulimits.iter().map(|u| docker::Ulimit { name: u.name.clone(), soft: u.soft, hard: u.hard }).collect(),
        cap_add: options.cap_add.clone(),
        cap_drop: options.cap_drop.clone(),
        read_only: options.read_only,
        tmpfs: options.tmpfs.iter().map(|tmpfs| (tmpfs.path.clone(), tmpfs.options.clone().unwrap_or_default())).collect(),
        extra_hosts: options.extra_hosts.iter().map(|host| (host.name.clone(), host.address.clone())).collect(),
        logging: options.logging.as_ref().map(|logging| (logging.driver.clone(), logging.options.clone())),
    }
}

fn own_labels(spec: &AppSpec) -> BTreeMap<String, String> {
    spec.container.labels.clone().into_iter().filter(|(name, _)| !name.starts_with(OWN_LABELS)).collect()
}

/// The user's own, and those that tell people and other tools how the app is routed.
fn labels(spec: &AppSpec, port: NonZeroU16) -> BTreeMap<String, String> {
    let mut labels = own_labels(spec);
    labels.insert("dev.haloy.port".to_owned(), port.to_string());
    if let Some(path) = checks::path(spec) {
        labels.insert("dev.haloy.health-check-path".to_owned(), path.to_owned());
    }
    if let Some(email) = &spec.acme_email {
        labels.insert("dev.haloy.acme.email".to_owned(), email.clone());
    }
    for (index, domain) in spec.domains.iter().enumerate() {
        labels.insert(format!("dev.haloy.domain.{index}"), domain.domain.to_string());
        for (alias_index, alias) in domain.aliases.iter().enumerate() {
            labels.insert(format!("dev.haloy.domain.{index}.alias.{alias_index}"), alias.to_string());
        }
    }
    labels
}
