//! What a configuration may say and this release does not do yet: told before anything is changed.

use std::collections::BTreeSet;

use crate::config::Target;
use crate::wire::PullPolicy;

use super::error::ClientError;

/// Images that do not exist yet are not for this release. The error that a deploy of the targets ends with.
pub fn cannot_build<'a>(targets: impl IntoIterator<Item = &'a Target>) -> Option<ClientError> {
    let built: Vec<_> = targets.into_iter().filter_map(|target| Some((&target.spec, target.image.build.as_ref()?))).collect();
    let (spec, build) = built.first()?;
    Some(ClientError::CannotBuild {
        apps: built.iter().map(|(spec, _)| spec.name.to_string()).collect(),
        image: spec.image.clone(),
        context: build.context().to_owned(),
    })
}

/// A login that is written and not used should not be found out by a failed pull. For each image a
/// warning, and what to do instead.
pub fn unused_logins<'a>(targets: impl IntoIterator<Item = &'a Target>) -> Vec<(String, String)> {
    let pulled = targets.into_iter().filter(|target| target.spec.pull_policy != PullPolicy::Never && target.image.build.is_none());
    let mut told = BTreeSet::new();
    let logins = pulled.filter_map(|target| Some((&target.spec.image, target.image.registry.as_ref()?)));
    let new = logins.filter(|(image, _)| told.insert(image.as_str()));
    new.map(|(image, registry)| {
        let warning = format!("`image.registry` is not used by this release: the server pulls `{image}` without a login");
        let instead = format!(
            "run `docker login {}` and `docker pull {image}` on the server, and write `pull_policy: never` below `image:`",
            registry.server
        );
        (warning, instead)
    })
    .collect()
}
