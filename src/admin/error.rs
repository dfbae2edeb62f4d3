//! What can go wrong while a machine is made a server.

use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;
use crate::config::tokens::TokensError;
use crate::crypto::CryptoError;
use crate::error::{FAILED, MISUSE, Report};
use crate::files::FileError;

#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("`{}` cannot be written by this user", path.display())]
    NotAllowed {
        path: PathBuf,
        local_install: bool,
        #[source]
        source: io::Error,
    },
    #[error("this machine is already set up: `{}` exists", path.display())]
    AlreadyThere {
        path: PathBuf,
        /// The command line that makes another token there.
        token: String,
    },
    #[error("this machine is not set up: there is no `{}`", path.display())]
    NotThere {
        path: PathBuf,
        /// The command line that sets it up.
        init: String,
    },
    #[error("there is no token with the id `{id}`")]
    NoToken {
        id: String,
        /// The command line that lists them.
        tokens: String,
    },
    #[error("the identity in `{}` cannot be used", path.display())]
    Identity {
        path: PathBuf,
        #[source]
        source: CryptoError,
    },
    #[error("the server's own certificate `{}` is damaged", path.display())]
    OwnCertificate { path: PathBuf },
    #[error("could not make the server's own key")]
    OwnKey(#[source] rcgen::Error),
    #[error(transparent)]
    Tokens(#[from] TokensError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    File(#[from] FileError),
}

impl AdminError {
    /// A permission that is missing is what a missing `sudo` looks like.
    pub fn of_file(FileError { action, path, source }: FileError, local_install: bool) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::NotAllowed { path, local_install, source },
            _ => Self::File(FileError { action, path, source }),
        }
    }

    pub fn of_settings(error: ConfigError, local_install: bool) -> Self {
        match error {
            ConfigError::File(error) => Self::of_file(error, local_install),
            error => Self::Config(error),
        }
    }
}

impl Report for AdminError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotAllowed { local_install: false, .. } => "run it with `sudo`, or with `--local-install` for this user alone".to_owned(),
            Self::AlreadyThere { token, .. } => {
                format!("make another token with `{token}`, or write the settings anew with `--override` (data and tokens stay)")
            }
            Self::NotThere { init, .. } => {
                format!("run `{init}` first, or name the directory with `--local-install` or `--config-dir DIR`")
            }
            Self::NoToken { tokens, .. } => format!("`{tokens}` shows the ids"),
            Self::Identity { .. } => "put the right identity back: what is sealed with it cannot be opened without it".to_owned(),
            Self::OwnCertificate { path } => {
                format!(
                    "put it back from a backup, or remove `{}` and restart haloyd; then servers are added anew with new tokens",
                    path.display()
                )
            }
            Self::Tokens(error) => return error.hint(),
            Self::Config(error) => return error.hint(),
            Self::NotAllowed { .. } | Self::OwnKey(_) | Self::File(_) => return None,
        };
        Some(hint)
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::AlreadyThere { .. } | Self::NotThere { .. } | Self::NoToken { .. } => MISUSE,
            Self::Config(error) => error.exit_code(),
            _ => FAILED,
        }
    }

    fn report(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.report(),
            _ => None,
        }
    }
}
