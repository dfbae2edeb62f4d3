//! The files of the client's and the server's configuration directories.

use super::{Key, Kind, Shape, boolean, key, text};

/// `client.yaml` in the client's configuration directory.
pub const CLIENT: Shape = Shape::Object(&[&[key("servers", Shape::Names(&SERVER), "The servers that were added, by host.")]]);

const SERVER: Shape =
    Shape::Object(&[&[key("token_env", Shape::Variable { capitals: false }, "The environment variable that holds the server's token.")]]);

/// `haloyd.yaml` in the server's configuration directory.
pub const DAEMON: Shape = Shape::Object(&[DAEMON_KEYS]);

const DAEMON_KEYS: &[Key] = &[
    text("http_addr", "Where plain HTTP is served."),
    text("https_addr", "Where HTTPS is served."),
    text("api_addr", "Where the API is served, on loopback."),
    text("docker_host", "The Docker engine."),
    text("access_log", "Where requests are logged."),
    boolean("debug", "Whether more is logged."),
    key("workers", Shape::Value(Kind::Whole(1, 1024)), "How many threads serve requests."),
];
