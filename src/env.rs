//! Every environment variable that haloy reads by its name, in one place.
//!
//! Beside these, configurations name variables of their users' choice, and libraries read some on our
//! behalf: `NOTIFY_SOCKET` (sd-notify: where systemd hears that the daemon is ready), `SSL_CERT_FILE`
//! and `SSL_CERT_DIR` (rustls-native-certs: certificates that the client trusts).

/// Overrides the configuration directory of client, daemon and admin tool.
pub const CONFIG_DIR: &str = "HALOY_CONFIG_DIR";
/// Overrides the data directory of daemon and admin tool.
pub const DATA_DIR: &str = "HALOY_DATA_DIR";
/// Where the Docker Engine listens: `unix:///path` or `tcp://host:port`.
pub const DOCKER_HOST: &str = "DOCKER_HOST";
/// Filter for the daemon's log, like `info,haloy::proxy=debug`; wins over `--debug`.
pub const LOG: &str = "HALOY_LOG";
/// Any value switches colour off (<https://no-color.org>).
pub const NO_COLOR: &str = "NO_COLOR";
/// What the terminal can do; `dumb` is neither coloured nor moved about on.
pub const TERM: &str = "TERM";
/// Set by CI systems: no progress bars.
pub const CI: &str = "CI";
/// Home of the user, where user directories live.
pub const HOME: &str = "HOME";
/// The same on Windows.
pub const USERPROFILE: &str = "USERPROFILE";
/// Set by systemd when the log goes to the journal, which stamps every line itself.
pub const JOURNAL_STREAM: &str = "JOURNAL_STREAM";
/// The server's age identity (`AGE-SECRET-KEY-1…`); replaces the file `age_identity.txt`.
pub const AGE_IDENTITY: &str = "HALOY_AGE_IDENTITY";
/// Name of the user who runs the client (BSD, System V, Windows): the performer of a deployment.
pub const USER: [&str; 3] = ["USER", "LOGNAME", "USERNAME"];
/// Name of the machine that the client runs on (some shells, Windows).
pub const HOST: [&str; 2] = ["HOSTNAME", "COMPUTERNAME"];
/// Directories of programs.
pub const PATH: &str = "PATH";
/// Docker's own directory of a user: logins, contexts, plugins; `~/.docker` when absent.
pub const DOCKER_CONFIG: &str = "DOCKER_CONFIG";
/// `0` makes `docker build` use the classic builder.
pub const DOCKER_BUILDKIT: &str = "DOCKER_BUILDKIT";
/// XDG base directory for what can be made again.
pub const XDG_CACHE_HOME: &str = "XDG_CACHE_HOME";
/// XDG base directory for configuration.
pub const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
/// XDG base directory for data.
pub const XDG_DATA_HOME: &str = "XDG_DATA_HOME";

/// A variable's value, unless it is unset, empty or not Unicode.
pub fn read(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
