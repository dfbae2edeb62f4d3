//! To the image's own registry: `docker push`, with the configuration's login and without touching the user's own.
//!
//! Docker reads logins from a file of its configuration directory. The push gets a directory of its own with that one
//! login in it; contexts and plugins of the user's directory are there, too.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::docker::Docker;
use super::error::{ImageError, PushFailure};
use crate::config::registry_address;
use crate::env;
use crate::files;
use crate::names::{Digest, ImageRef};
use crate::wire::RegistryLogin;

/// What of the user's directory a push may need.
const SHARED: [&str; 2] = ["contexts", "cli-plugins"];

/// Pushes an image of the local engine; the digest under which its registry has it.
pub async fn push(docker: &Docker, image: &ImageRef, id: &Digest, login: &RegistryLogin, say: impl Fn(&str)) -> Result<Digest, ImageError> {
    let folder = tempfile::tempdir().map_err(ImageError::Spool)?;
    write_config(folder.path(), login, &user_config()).map_err(ImageError::Spool)?;
    let name = with_tag(image);
    // The tag may have been moved by another build since.
    docker.ask(&["image", "tag", id.as_str(), &name]).await?;
    let mut command = docker.command(["image", "push"]);
    command.arg(&name).env("DOCKER_CONFIG", folder.path());
    let (status, words) = docker.run(command, say).await?;
    if !status.success() {
        return Err(ImageError::Push { image: name, kind: PushFailure::read(&words), words });
    }
    let digest = words.lines().rev().find_map(pushed_digest);
    let known = || async {
        let prefix = format!("{}@", image.repository());
        let found = docker.inspect(id.as_str()).await?.digests.iter().find_map(|entry| entry.strip_prefix(&prefix)?.parse().ok());
        found.ok_or_else(|| ImageError::Archive { reason: "`docker image push` names no digest".to_owned() })
    };
    match digest {
        Some(digest) => Ok(digest),
        None => known().await,
    }
}

fn with_tag(image: &ImageRef) -> String {
    format!("{}:{}", image.repository(), image.tag().unwrap_or("latest"))
}

/// `1.0: digest: sha256:… size: 528`
fn pushed_digest(line: &str) -> Option<Digest> {
    let (_, rest) = line.split_once("digest: ")?;
    rest.split_whitespace().next()?.parse().ok()
}

fn user_config() -> PathBuf {
    let home = || env::read(env::HOME).or_else(|| env::read(env::USERPROFILE)).map(|home| Path::new(&home).join(".docker"));
    env::read(env::DOCKER_CONFIG).map(PathBuf::from).or_else(home).unwrap_or_default()
}

fn write_config(folder: &Path, login: &RegistryLogin, user: &Path) -> io::Result<()> {
    let auth = BASE64_STANDARD.encode(format!("{}:{}", login.username.expose(), login.password.expose()));
    let mut config = json!({ "auths": { registry_address(&login.server): { "auth": auth } } });
    let own: Value = fs::read(user.join("config.json")).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    for key in ["currentContext", "proxies", "cliPluginsExtraDirs"] {
        if let Some(value) = own.get(key) {
            config[key] = value.clone();
        }
    }
    let text = serde_json::to_vec(&config).expect("invariant: our own values serialise");
    files::write_private(&folder.join("config.json"), &text).map_err(|error| error.source)?;
    SHARED.iter().filter(|name| user.join(name).is_dir()).try_for_each(|name| share(&user.join(name), &folder.join(name)))
}

#[cfg(unix)]
fn share(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(std::path::absolute(from)?, to)
}

#[cfg(not(unix))]
fn share(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)?.flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            share(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn the_login_is_the_only_one_and_contexts_are_the_users() {
        let (user, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(user.path().join("contexts")).unwrap();
        fs::write(user.path().join("config.json"), r#"{"auths":{"ghcr.io":{"auth":"b3RoZXI="}},"credsStore":"x","currentContext":"far"}"#)
            .unwrap();
        let login = RegistryLogin { server: "docker.io".to_owned(), username: Secret::new("ada"), password: Secret::new("hunter2") };
        write_config(folder.path(), &login, user.path()).unwrap();
        let config: Value = serde_json::from_slice(&fs::read(folder.path().join("config.json")).unwrap()).unwrap();
        let auths = json!({ "https://index.docker.io/v1/": { "auth": "YWRhOmh1bnRlcjI=" } });
        assert_eq!(config, json!({ "auths": auths, "currentContext": "far" }));
        assert!(folder.path().join("contexts").is_dir() && !folder.path().join("cli-plugins").exists());
    }

    #[test]
    fn the_digest_is_read_from_the_last_line() {
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(pushed_digest(&format!("1.0: digest: {digest} size: 528")), Some(digest.parse().unwrap()));
        assert_eq!(pushed_digest("5f70bf18a086: Pushed"), None);
        assert_eq!(with_tag(&"ghcr.io/you/app".parse().unwrap()), "ghcr.io/you/app:latest");
    }
}
