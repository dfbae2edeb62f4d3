//! The files of the client's and the server's configuration directories.

use super::{Key, Kind, Shape, boolean, choice, key, text};

/// `client.yaml` in the client's configuration directory.
pub const CLIENT: Shape = Shape::Object(&[&[key("servers", Shape::Names(&SERVER), "The servers that were added, by host.")]]);

const SERVER: Shape = Shape::Object(&[&[
    key("token_env", Shape::Variable { capitals: false }, "The environment variable that holds the server's token."),
    boolean("keyring", "Whether the token is in the user's keyring; the variable wins.").default("false"),
]]);

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
    text("api_domain", "Where the API is served through the proxy, with a certificate."),
    text("acme_email", "Whom certificate authorities write to about apps that name nobody."),
    key("acme", ACME, "How certificates are ordered."),
];

const ACME: Shape = Shape::Object(&[&[
    text("directory", "The certificate authority: a name or the address of its directory.").default("letsencrypt"),
    text("ca_file", "Certificates (PEM) that vouch for an authority of your own."),
    key("eab", EAB, "The account that the authority gave (external account binding)."),
    text("profile", "One of the kinds of certificates that the authority offers."),
    choice("key_type", &["ecdsa", "rsa"], "What the keys of certificates are.").default("ecdsa"),
    choice("challenge", &["http-01", "tls-alpn-01"], "How the authority is shown that a domain leads here."),
]]);

const EAB: Shape =
    Shape::Object(&[&[text("kid", "The key's id.").required(), text("hmac_key", "The key, in Base64 for URLs.").private().required()]]);
