//! The labels that say what is ours, and the owner that they spell.

use std::collections::{BTreeMap, HashMap};

use super::types::{Owner, Purpose};
use crate::names::{AppName, DeployId, InvalidName};

/// What the thing is for: one of the `ROLE_` values.
pub const ROLE: &str = "dev.haloy.role";
pub const APP: &str = "dev.haloy.appName";
pub const DEPLOYMENT: &str = "dev.haloy.deployment-id";
/// The replica's number within its deployment, from 1.
pub const SLOT: &str = "dev.haloy.slot";
/// Which daemon it belongs to, where several share an engine.
pub const INSTANCE: &str = "dev.haloy.instance";

/// A replica of an app.
pub const ROLE_APP: &str = "app";
/// A release command of an app, in a container of its own.
pub const ROLE_RELEASE: &str = "release";
pub const ROLE_NETWORK: &str = "network";
pub const ROLE_VOLUME: &str = "volume";

/// Why a container that claims to be ours cannot be attributed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableLabels {
    #[error("label `{label}` is missing")]
    Missing { label: &'static str },
    #[error("label `{label}` cannot be read")]
    Invalid { label: &'static str, source: InvalidName },
    #[error("label `{label}` is not a number from 1 to 65535: `{value}`")]
    Number { label: &'static str, value: String },
}

/// All labels of a container: those asked for, and over them those that say whose it is.
pub(super) fn of_container(owner: &Owner, purpose: Purpose, instance: &str, others: &BTreeMap<String, String>) -> HashMap<String, String> {
    let mut labels: HashMap<String, String> = others.clone().into_iter().collect();
    labels.extend([
        (ROLE.to_owned(), role(purpose).to_owned()),
        (APP.to_owned(), owner.app.to_string()),
        (DEPLOYMENT.to_owned(), owner.deployment.to_string()),
        (SLOT.to_owned(), owner.slot.to_string()),
        (INSTANCE.to_owned(), instance.to_owned()),
    ]);
    labels
}

/// The role of containers for this purpose.
pub(super) fn role(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Replica => ROLE_APP,
        Purpose::Release => ROLE_RELEASE,
    }
}

/// Labels of a thing that is no container.
pub(super) fn of_role(role: &str, instance: &str) -> HashMap<String, String> {
    HashMap::from([(ROLE.to_owned(), role.to_owned()), (INSTANCE.to_owned(), instance.to_owned())])
}

/// Whether the labels say that it has this role for this instance.
pub(super) fn is_ours(labels: &HashMap<String, String>, role: &str, instance: &str) -> bool {
    labels.get(ROLE).is_some_and(|value| value == role) && labels.get(INSTANCE).is_some_and(|value| value == instance)
}

/// Reads back what [`of_container`] wrote.
pub(super) fn owner(labels: &HashMap<String, String>) -> Result<Owner, UnreadableLabels> {
    let text = |label: &'static str| labels.get(label).map(String::as_str).ok_or(UnreadableLabels::Missing { label });
    let app: AppName = text(APP)?.parse().map_err(|source| UnreadableLabels::Invalid { label: APP, source })?;
    let deployment: DeployId = text(DEPLOYMENT)?.parse().map_err(|source| UnreadableLabels::Invalid { label: DEPLOYMENT, source })?;
    let slot = text(SLOT)?;
    match slot.parse::<u16>() {
        Ok(number) if number > 0 => Ok(Owner { app, deployment, slot: number }),
        _ => Err(UnreadableLabels::Number { label: SLOT, value: slot.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> Owner {
        Owner { app: "shop".parse().unwrap(), deployment: "20261121093000".parse().unwrap(), slot: 2 }
    }

    #[test]
    fn an_owner_survives_the_trip_and_nobody_can_overwrite_it() {
        let others = BTreeMap::from([
            ("team".to_owned(), "blue".to_owned()),
            (APP.to_owned(), "not-shop".to_owned()),
            (ROLE.to_owned(), "king".to_owned()),
        ]);
        let labels = of_container(&shop(), Purpose::Replica, "main", &others);
        assert_eq!(owner(&labels), Ok(shop()));
        assert_eq!(labels.get("team").map(String::as_str), Some("blue"));
        assert_eq!(labels.get("dev.haloy.role").map(String::as_str), Some("app"));
        assert_eq!(labels.get("dev.haloy.deployment-id").map(String::as_str), Some("20261121093000"));
        assert!(is_ours(&labels, ROLE_APP, "main"));
        assert!(!is_ours(&labels, ROLE_APP, "other") && !is_ours(&labels, ROLE_VOLUME, "main"));
    }

    #[test]
    fn labels_that_lie_are_refused() {
        let with = |label: &str, value: &str| {
            let mut labels = of_container(&shop(), Purpose::Replica, "main", &BTreeMap::new());
            labels.insert(label.to_owned(), value.to_owned());
            owner(&labels).map_err(|error| error.to_string())
        };
        assert_eq!(with(SLOT, "0"), Err("label `dev.haloy.slot` is not a number from 1 to 65535: `0`".to_owned()));
        assert_eq!(with(APP, "No!"), Err("label `dev.haloy.appName` cannot be read".to_owned()));
        assert!(with(DEPLOYMENT, "yesterday").is_err() && with(SLOT, "70000").is_err());
        assert_eq!(owner(&HashMap::new()), Err(UnreadableLabels::Missing { label: APP }));
    }
}
