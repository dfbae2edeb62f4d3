//! `haloyd.yaml`: the settings of the daemon that are not given as flags.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

pub use super::acme::{Acme, Challenge, Eab, KeyType};
use super::document::Document;
use super::error::ConfigError;
use super::field::Field;
use super::findings::Findings;
use super::{keys, target, targets};
use crate::files;
use crate::names::Domain;

/// All optional: what is absent has the daemon's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DaemonSettings {
    /// Where plain HTTP is served, like `0.0.0.0:80`.
    pub http_addr: Option<SocketAddr>,
    /// Where HTTPS is served, like `0.0.0.0:443`.
    pub https_addr: Option<SocketAddr>,
    /// Where the API is served without TLS, like `127.0.0.1:9999`.
    pub api_addr: Option<SocketAddr>,
    /// Where the Docker Engine listens, like `unix:///var/run/docker.sock`; `DOCKER_HOST` when absent.
    pub docker_host: Option<String>,
    /// Write a line for every request.
    pub access_log: Option<bool>,
    pub debug: Option<bool>,
    /// Threads of the proxy; one per core when absent.
    pub workers: Option<u16>,
    /// Where the API is served through the proxy, with a certificate.
    pub api_domain: Option<Domain>,
    /// Whom certificate authorities write to about apps that name nobody.
    pub acme_email: Option<String>,
    pub acme: Acme,
}

impl DaemonSettings {
    /// Reads the file; no file is all defaults.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let document = Document::read(path, &keys::DAEMON)?;
        let mut findings = Findings::new(&document);
        let values = targets::values(&document);
        let root = Field::root(&values);
        let settings = Self {
            http_addr: root.get("http_addr").and_then(|field| read_address(&field, &mut findings)),
            https_addr: root.get("https_addr").and_then(|field| read_address(&field, &mut findings)),
            api_addr: root.get("api_addr").and_then(|field| read_address(&field, &mut findings)),
            docker_host: root.get("docker_host").and_then(|field| read_engine(&field, &mut findings)),
            access_log: root.get("access_log").and_then(|field| findings.boolean(&field)),
            debug: root.get("debug").and_then(|field| findings.boolean(&field)),
            workers: root.get("workers").and_then(|field| findings.number(&field, 1..=1024)).and_then(|n| u16::try_from(n).ok()),
            api_domain: root.get("api_domain").and_then(|field| findings.parse(&field)),
            acme_email: root.get("acme_email").and_then(|field| target::read_email(&field, &mut findings)),
            acme: root.get("acme").map(|field| Acme::read(&field, &mut findings)).unwrap_or_default(),
        };
        findings.finish()?;
        Ok(settings)
    }

    /// Writes the file with the settings that are set.
    pub fn write(&self, path: &Path) -> Result<(), ConfigError> {
        let mut text =
            "# Settings of haloyd; flags win over them. Keys: http_addr, https_addr, api_addr, docker_host, access_log, debug,\n\
                        # workers, api_domain, acme_email, acme (directory, ca_file, eab, profile, key_type, challenge)\n"
                .to_owned();
        let mut set = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                let _ = writeln!(text, "{key}: {value}");
            }
        };
        let address = |address: Option<SocketAddr>| address.map(|address| format!("\"{address}\""));
        set("http_addr", address(self.http_addr));
        set("https_addr", address(self.https_addr));
        set("api_addr", address(self.api_addr));
        set("docker_host", self.docker_host.as_ref().map(|host| format!("\"{host}\"")));
        set("access_log", self.access_log.map(|on| on.to_string()));
        set("workers", self.workers.map(|count| count.to_string()));
        set("debug", self.debug.map(|on| on.to_string()));
        set("api_domain", self.api_domain.as_ref().map(ToString::to_string));
        set("acme_email", self.acme_email.as_ref().map(|email| serde_json::Value::from(email.as_str()).to_string()));
        self.acme.write(&mut text);
        Ok(files::write_private(path, text.as_bytes())?)
    }
}

fn read_address(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<SocketAddr> {
    let text = findings.word(field)?;
    let address = text.parse().ok();
    if address.is_none() {
        let message = format!("`{}` must be an address and a port, not {}", field.path, findings.quoted(field, text));
        findings.mistake(field, message).hint("write it like `0.0.0.0:80`, `127.0.0.1:9999` or `[::]:443`");
    }
    address
}

fn read_engine(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let text = findings.word(field)?;
    if !["unix://", "tcp://", "http://"].iter().any(|scheme| text.starts_with(scheme)) || text.contains(['"', '\\', '\n']) {
        findings
            .mistake(field, format!("`{}` must be a socket of the Docker Engine", field.path))
            .hint("write `unix:///var/run/docker.sock` or `tcp://host:2375`");
        return None;
    }
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("haloyd.yaml");
        assert_eq!(DaemonSettings::load(&path).expect("no file is fine"), DaemonSettings::default());
        DaemonSettings::default().write(&path).expect("written");
        assert_eq!(DaemonSettings::load(&path).expect("an empty file is fine"), DaemonSettings::default());
        let settings = DaemonSettings {
            http_addr: "0.0.0.0:80".parse().ok(),
            https_addr: "[::]:443".parse().ok(),
            api_addr: "127.0.0.1:9999".parse().ok(),
            docker_host: Some("unix:///run/docker.sock".to_owned()),
            access_log: Some(false),
            debug: Some(true),
            workers: Some(2),
            api_domain: "haloy.example.com".parse().ok(),
            acme_email: Some("kim@example.com".to_owned()),
            acme: Acme {
                directory: Some("https://ca.example/directory".to_owned()),
                ca_file: Some("/etc/haloy/ca.pem".into()),
                eab: Some(Eab { kid: "kid-1".to_owned(), hmac_key: Secret::new("aGVsbG8") }),
                profile: Some("shortlived".to_owned()),
                key_type: KeyType::Rsa,
                challenge: Some(Challenge::TlsAlpn),
            },
        };
        settings.write(&path).expect("written");
        assert_eq!(DaemonSettings::load(&path).expect("what was written can be read"), settings);
    }

    #[test]
    fn every_mistake_is_reported_with_its_place() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("haloyd.yaml");
        std::fs::write(&path, "http_adr: 0.0.0.0:80\nhttps_addr: 443\napiAddr: localhost\ndocker_host: /run/docker.sock\ndebug: \"yes\"\n")
            .expect("write");
        let mistakes = DaemonSettings::load(&path).expect_err("five mistakes").mistakes();
        let found: Vec<_> = mistakes.iter().map(|m| (m.line, m.message.as_str())).collect();
        assert_eq!(
            found,
            [
                (1, "unknown key `http_adr`"),
                (2, "`https_addr` must be a string, not a number (`443`)"),
                (3, "`api_addr` must be an address and a port, not `localhost`"),
                (4, "`docker_host` must be a socket of the Docker Engine"),
                (5, "`debug` must be true or false, not a string"),
            ]
        );
        assert_eq!(mistakes[0].hint.as_deref(), Some("did you mean `http_addr`?"));

        std::fs::write(&path, "acme:\n  directory: letsencrpyt\n  eab: {hmac_key: '§'}\n  challenge: dns\n").expect("write");
        let mistakes = DaemonSettings::load(&path).expect_err("four mistakes").mistakes();
        let found: Vec<_> = mistakes.iter().map(|m| m.message.as_str()).collect();
        assert_eq!(
            found,
            [
                "`acme.directory` must be a certificate authority, not `letsencrpyt`",
                "`kid` is missing",
                "`acme.eab.hmac_key` is not Base64 for URLs",
                "`acme.challenge` must be `http-01` or `tls-alpn-01`, not `dns`",
            ]
        );
    }
}
