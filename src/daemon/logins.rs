//! Which login a pull uses: the deployment's own where it is for the image's registry, else the server's, else none.

use zeroize::Zeroizing;

use super::store::{Store, StoreError};
use crate::config;
use crate::crypto::{CryptoError, Identity};
use crate::docker::Login;
use crate::error::Report;
use crate::names::ImageRef;
use crate::wire::RegistryLogin;

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the stored login to the image's registry cannot be opened")]
    Open(#[source] CryptoError),
    #[error("the stored login to the image's registry is damaged")]
    Damaged(#[source] serde_json::Error),
}

impl Report for LoginError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Store(source) => source.hint(),
            Self::Open(_) | Self::Damaged(_) => Some("give it again: `haloy deploy`, or `haloy server registry login`".to_owned()),
        }
    }
}

/// `own`: the sealed login that the deployment came with.
pub async fn for_image(store: &Store, identity: &Identity, image: &ImageRef, own: Option<Vec<u8>>) -> Result<Option<Login>, LoginError> {
    let registry = config::registry_of(image);
    if let Some(own) = own {
        let login = open(identity, own).await?;
        if login.server == registry {
            return Ok(Some(login));
        }
    }
    match store.login(registry.to_owned()).await? {
        Some(sealed) => open(identity, sealed).await.map(Some),
        None => Ok(None),
    }
}

/// As the engine takes it.
pub fn of_wire(login: RegistryLogin) -> Login {
    let RegistryLogin { server, username, password } = login;
    Login { server, username, password }
}

/// The login as JSON, sealed; what [`for_image`] opens.
pub fn seal(identity: &Identity, login: &RegistryLogin) -> Result<Vec<u8>, CryptoError> {
    identity.seal(&Zeroizing::new(serde_json::to_vec(login).expect("invariant: our own types serialise")))
}

async fn open(identity: &Identity, sealed: Vec<u8>) -> Result<Login, LoginError> {
    let identity = identity.clone();
    let opened = tokio::task::spawn_blocking(move || identity.open(&sealed)).await;
    let plain = opened.expect("invariant: opening a sealed value does not panic").map_err(LoginError::Open)?;
    serde_json::from_slice(&plain).map(of_wire).map_err(LoginError::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[tokio::test]
    async fn the_deployments_own_login_comes_first_where_it_belongs() {
        let dir = tempfile::tempdir().unwrap();
        let (store, identity) = (Store::open(&dir.path().join("haloy.db")).unwrap(), Identity::generate());
        let login = |server: &str, user: &str| RegistryLogin {
            server: server.to_owned(),
            username: Secret::new(user),
            password: Secret::new("hunter2"),
        };
        store.save_login("ghcr.io".to_owned(), "servers".to_owned(), seal(&identity, &login("ghcr.io", "servers")).unwrap()).await.unwrap();
        let own = || Some(seal(&identity, &login("docker.io", "own")).unwrap());
        let user = async |image: &str, own: Option<Vec<u8>>| {
            let login = for_image(&store, &identity, &image.parse().unwrap(), own).await.unwrap();
            login.map(|login| login.username.expose().to_owned())
        };
        assert_eq!(user("ada/shop:1", own()).await.as_deref(), Some("own"));
        assert_eq!(user("ghcr.io/ada/shop:1", own()).await.as_deref(), Some("servers"));
        assert_eq!(user("ghcr.io/ada/shop:1", None).await.as_deref(), Some("servers"));
        assert_eq!(user("quay.io/ada/shop:1", own()).await, None);
        let other = Identity::generate();
        assert!(matches!(for_image(&store, &other, &"ghcr.io/a/b".parse().unwrap(), None).await, Err(LoginError::Open(_))));
        let bytes = std::fs::read(dir.path().join("haloy.db")).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
    }
}
