//! `docker build`: the arguments that a recipe comes to, and the image that comes out.

use super::docker::{Backend, Docker};
use super::error::ImageError;
use super::recipe::Recipe;
use crate::client::exit_status;
use crate::env;
use crate::names::Digest;

/// What is known of the machine that builds.
#[derive(Debug, Clone)]
pub struct Builder {
    pub docker: Docker,
    /// What it builds without being told.
    platform: String,
    backend: Backend,
}

impl Builder {
    pub async fn of(docker: Docker) -> Result<Self, ImageError> {
        let (platform, backend) = tokio::join!(docker.platform(), docker.backend());
        Ok(Self { platform: platform?, backend, docker })
    }

    /// Secrets can be mounted, and need not be arguments.
    pub fn mounts_secrets(&self) -> bool {
        self.backend != Backend::Classic
    }

    /// Builds it, `say`ing what the build prints. `exposed`: the secrets that are arguments all the same.
    pub async fn build(&self, recipe: &Recipe, exposed: &[&str], say: impl Fn(&str)) -> Result<Digest, ImageError> {
        let folder = tempfile::tempdir().map_err(ImageError::Spool)?;
        let id_file = folder.path().join("id");
        let mut command = self.docker.command(self.words(recipe, exposed));
        if self.backend == Backend::BuildKit {
            command.env(env::DOCKER_BUILDKIT, "1");
        }
        command.arg("--iidfile").arg(&id_file).arg(&recipe.place.context);
        command.envs(recipe.args.iter().map(|arg| (arg.name.as_str(), arg.value.expose())));
        let (status, words) = self.docker.run(command, say).await?;
        let image = recipe.image.to_string();
        if !status.success() {
            return Err(ImageError::Build { image, outcome: exit_status::in_words(status), words });
        }
        let id = std::fs::read_to_string(&id_file).map_err(ImageError::Spool)?;
        id.trim().parse().map_err(|_| ImageError::Archive { reason: format!("`docker build` names the image `{}`", id.trim()) })
    }

    /// All but the file for the id and the context. Values are in the environment: arguments can be seen by everybody.
    fn words(&self, recipe: &Recipe, exposed: &[&str]) -> Vec<String> {
        let build: &[&str] = if self.backend == Backend::Buildx { &["buildx", "build", "--load"] } else { &["build"] };
        let mut words: Vec<String> = build.iter().copied().chain(["--tag", recipe.image.as_str()]).map(str::to_owned).collect();
        let mut option = |name: &str, value: &str| words.extend([format!("--{name}"), value.to_owned()]);
        if let Some(dockerfile) = &recipe.place.dockerfile {
            option("file", &dockerfile.to_string_lossy());
        }
        // The classic builder takes the flag for something special; BuildKit may have been told another default.
        let is_needed = |platform: &str| self.mounts_secrets() || platform != self.platform;
        if let Some(platform) = recipe.platform.as_ref().filter(|platform| is_needed(platform)) {
            option("platform", platform);
        }
        if let Some(target) = &recipe.target {
            option("target", target);
        }
        recipe.cache_from.iter().for_each(|value| option("cache-from", value));
        recipe.cache_to.iter().for_each(|value| option("cache-to", value));
        recipe.ssh.iter().for_each(|value| option("ssh", value));
        for arg in &recipe.args {
            let mounted = arg.is_secret && self.mounts_secrets();
            if mounted {
                option("secret", &format!("id={name},env={name}", name = arg.name));
            }
            if !mounted || exposed.contains(&arg.name.as_str()) {
                option("build-arg", &arg.name);
            }
        }
        words.extend(recipe.flags.iter().cloned());
        words
    }
}
