//! What distinguishes one build from another: targets with equal recipes share an image.

use std::path::Path;

use super::dockerfile::{self, Place};
use super::error::ImageError;
use crate::config::secrets::FetchedSecrets;
use crate::config::{ArgValue, Build, BuildsOn, ConfigError, Environment, Target};
use crate::names::ImageRef;
use crate::secret::Secret;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    pub image: ImageRef,
    pub place: Place,
    pub args: Vec<Arg>,
    /// What the image is built for, when that is known.
    pub platform: Option<String>,
    pub target: Option<String>,
    pub cache_from: Vec<String>,
    pub cache_to: Vec<String>,
    pub ssh: Vec<String>,
    pub flags: Vec<String>,
    pub on: BuildsOn,
}

/// A build argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    pub name: String,
    pub value: Secret,
    /// It comes from a secret provider.
    pub is_secret: bool,
}

#[derive(Debug)]
pub enum RecipeError {
    Image(ImageError),
    Config(ConfigError),
}

impl Recipe {
    /// The recipe of a target that is built. `platform`: what its server runs.
    pub fn of(
        target: &Target,
        build: &Build,
        folder: &Path,
        environment: &Environment,
        secrets: &FetchedSecrets,
        platform: Option<String>,
    ) -> Result<Self, RecipeError> {
        let image = target.spec.image.clone();
        let place = dockerfile::find(image.as_str(), build, folder).map_err(RecipeError::Image)?;
        let values = target.resolve_build_args(environment, secrets).map_err(RecipeError::Config)?;
        let args = values.into_iter().map(|(name, value)| Arg { is_secret: is_secret(target, build, &name), name, value }).collect();
        Ok(Self {
            image,
            place,
            args,
            platform: build.platform.clone().or(platform),
            target: build.target.clone(),
            cache_from: build.cache_from.clone(),
            cache_to: build.cache_to.clone(),
            ssh: build.ssh.clone(),
            flags: build.flags.clone(),
            on: build.on,
        })
    }

    /// Arguments whose values stay in the image's history although they are secrets: the Dockerfile declares them.
    pub fn exposed(&self, folder: &Path) -> Vec<&str> {
        let declared = self.place.dockerfile.as_deref().map(|path| dockerfile::arguments(&folder.join(path))).unwrap_or_default();
        self.args.iter().filter(|arg| arg.is_secret && declared.contains(&arg.name)).map(|arg| arg.name.as_str()).collect()
    }
}

fn is_secret(target: &Target, build: &Build, name: &str) -> bool {
    let of_env = || target.env.iter().any(|entry| entry.name == name && entry.value.secret_reference().is_some());
    match build.args.iter().find(|arg| arg.name == name).map(|arg| &arg.value) {
        Some(ArgValue::Sourced(value)) => value.secret_reference().is_some(),
        Some(ArgValue::Variable) => of_env(),
        None => false,
    }
}
