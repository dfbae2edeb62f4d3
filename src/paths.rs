//! Every path we own, built once from flags, environment and defaults and handed down as a value.

use std::path::{Path, PathBuf};

use crate::env;

/// Directories of a server: configuration and data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPaths {
    pub config: PathBuf,
    pub data: PathBuf,
}

/// Whose directories: the machine's or the user's (`--local-install`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Install {
    System,
    User,
}

impl ServerPaths {
    /// `/etc/haloy` and `/var/lib/haloy`, or the user's XDG directories; `HALOY_CONFIG_DIR` and
    /// `HALOY_DATA_DIR` override either, and the flags override those.
    pub fn resolve(install: Install, config: Option<PathBuf>, data: Option<PathBuf>) -> Self {
        let (config_default, data_default) = match install {
            Install::System => (PathBuf::from("/etc/haloy"), PathBuf::from("/var/lib/haloy")),
            Install::User => (user_config(), user_data()),
        };
        Self {
            config: config.or_else(|| env::read(env::CONFIG_DIR).map(Into::into)).unwrap_or(config_default),
            data: data.or_else(|| env::read(env::DATA_DIR).map(Into::into)).unwrap_or(data_default),
        }
    }

    /// The daemon's settings.
    pub fn haloyd_yaml(&self) -> PathBuf {
        self.config.join("haloyd.yaml")
    }

    pub fn age_identity(&self) -> PathBuf {
        self.config.join("age_identity.txt")
    }

    pub fn database(&self) -> PathBuf {
        self.data.join("db").join("haloy.db")
    }

    pub fn certificates(&self) -> PathBuf {
        self.data.join("cert-storage")
    }

    /// The self-signed certificate for names without their own, whose key is the server's.
    pub fn own_certificate(&self) -> PathBuf {
        self.certificates().join("default.pem")
    }

    /// What the server's own registry holds.
    pub fn blobs(&self) -> PathBuf {
        self.data.join("blobs")
    }

    /// The last-known-good routing table, served at boot before Docker has answered.
    pub fn snapshot(&self) -> PathBuf {
        self.data.join("proxy.json")
    }

    /// During which start of the machine the addresses in that table were true.
    pub fn snapshot_boot(&self) -> PathBuf {
        self.data.join("proxy.boot")
    }

    pub fn api_socket(&self) -> PathBuf {
        api_socket(&self.data)
    }

    pub fn access_log(&self) -> PathBuf {
        self.data.join("logs").join("access.log")
    }
}

/// The API's Unix socket in a data directory.
pub fn api_socket(data: &Path) -> PathBuf {
    data.join("api.sock")
}

/// The client's configuration directory: `HALOY_CONFIG_DIR`, else `~/.config/haloy`.
pub fn client_config() -> PathBuf {
    env::read(env::CONFIG_DIR).map_or_else(user_config, PathBuf::from)
}

/// Where the client keeps what can be made again: `~/.cache/haloy`.
pub fn client_cache() -> PathBuf {
    xdg(env::XDG_CACHE_HOME, ".cache")
}

fn user_config() -> PathBuf {
    xdg(env::XDG_CONFIG_HOME, ".config")
}

fn user_data() -> PathBuf {
    xdg(env::XDG_DATA_HOME, ".local/share")
}

fn xdg(variable: &str, below_home: &str) -> PathBuf {
    let base = env::read(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    base.unwrap_or_else(|| home().join(below_home)).join("haloy")
}

fn home() -> PathBuf {
    env::read(env::HOME).or_else(|| env::read(env::USERPROFILE)).map_or_else(|| PathBuf::from("/"), PathBuf::from)
}
