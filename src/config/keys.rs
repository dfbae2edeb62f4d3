//! Every key of every file, as written: the one table that reading, spelling checks and masking follow.
//!
//! Keys are listed in snake_case; their camelCase spelling is accepted everywhere.

/// What may stand at a place of a file. A value of another shape is passed on as it is: the reader
/// of that key knows better words for it.
#[derive(Debug)]
pub enum Shape {
    /// One value, or whatever the key's reader makes of it.
    Value,
    /// The name of an environment variable: the only thing that is shown inside a private key.
    Variable,
    Object(&'static [Key]),
    List(&'static Shape),
    /// An object whose keys the user chooses.
    Names(&'static Shape),
}

#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub shape: Shape,
    /// What stands below may be a secret and is never shown.
    pub private: bool,
}

const fn key(name: &'static str, shape: Shape) -> Key {
    Key { name, shape, private: false }
}

const fn value(name: &'static str) -> Key {
    key(name, Shape::Value)
}

const fn private(name: &'static str, shape: Shape) -> Key {
    Key { name, shape, private: true }
}

/// `haloy.yaml`.
pub const APP: Shape = Shape::Object(&[
    value("name"),
    value("server"),
    private("api_token", VALUE_SOURCE),
    key("image", Shape::Object(&[value("repository"), value("tag")])),
    key("domains", Shape::List(&Shape::Object(&[value("domain"), value("aliases")]))),
    value("acme_email"),
    value("tls"),
    value("replicas"),
    value("port"),
    value("health_check_path"),
    private("env", Shape::List(&Shape::Object(&[key("name", Shape::Variable), value("value"), key("from", FROM)]))),
    value("volumes"),
    value("network"),
    value("deployment_strategy"),
    value("min_ready_seconds"),
    value("deploy_timeout"),
    value("drain_timeout"),
    value("stop_timeout"),
    value("pre_deploy"),
    value("post_deploy"),
]);

/// A value written in the file or taken from elsewhere.
const VALUE_SOURCE: Shape = Shape::Object(&[value("value"), key("from", FROM)]);

const FROM: Shape = Shape::Object(&[key("env", Shape::Variable)]);

/// `client.yaml` in the client's configuration directory.
pub const CLIENT: Shape = Shape::Object(&[key("servers", Shape::Names(&Shape::Object(&[key("token_env", Shape::Variable)])))]);

/// `haloyd.yaml` in the server's configuration directory.
pub const DAEMON: Shape = Shape::Object(&[
    value("http_addr"),
    value("https_addr"),
    value("api_addr"),
    value("docker_host"),
    value("access_log"),
    value("debug"),
    value("workers"),
]);
