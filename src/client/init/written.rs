//! The text of a first configuration.

use crate::config::{SCHEMA_ADDRESS, yaml_text};
use crate::names::{AppName, Domain};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Yaml,
    Toml,
    // Without comments: the format has none.
    Json,
}

impl Format {
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Yaml => "haloy.yaml",
            Self::Toml => "haloy.toml",
            Self::Json => "haloy.json",
        }
    }
}

/// What is known of the app.
pub struct Draft {
    pub name: AppName,
    pub server: Option<String>,
    pub domain: Option<Domain>,
    pub port: Option<u16>,
    /// By the Dockerfile.
    pub exposed: Vec<u16>,
    pub has_dockerfile: bool,
}

/// One key with a comment above it; those that are not in use are comments themselves.
struct Section {
    about: String,
    yaml: String,
    toml: String,
    used: bool,
}

fn section(about: impl Into<String>, yaml: impl Into<String>, toml: impl Into<String>, used: bool) -> Section {
    Section { about: about.into(), yaml: yaml.into(), toml: toml.into(), used }
}

impl Draft {
    pub fn text(&self, format: Format) -> String {
        match format {
            Format::Json => self.json(),
            Format::Yaml => self.commented(&format!("# yaml-language-server: $schema={SCHEMA_ADDRESS}"), |section| &section.yaml),
            Format::Toml => self.commented(&format!("#:schema {SCHEMA_ADDRESS}"), |section| &section.toml),
        }
    }

    fn commented(&self, first: &str, body: impl Fn(&Section) -> &str) -> String {
        let mut text = format!("{first}\n# What `haloy deploy` does here. `haloy config docs` explains all keys.\n");
        for section in self.sections() {
            text.push('\n');
            section.about.lines().for_each(|line| text += &format!("# {line}\n"));
            let mark = if section.used { "" } else { "#" };
            body(&section).lines().for_each(|line| text += &format!("{mark}{line}\n"));
        }
        text
    }

    fn sections(&self) -> Vec<Section> {
        let name = &self.name;
        let server = self.server.as_deref().unwrap_or("haloy.example.com");
        let domain = self.domain.as_ref().map_or("app.example.com", Domain::as_str);
        let port = self.shown_port();
        vec![
            section(
                "The app's name; its containers are called after it.",
                format!("name: {}", yaml_text::text(name.as_str())),
                format!("name = \"{name}\""),
                true,
            ),
            section(
                "The server, as it was given to `haloy server add`. It may be left out as long as there is only one.",
                format!("server: {}", yaml_text::text(server)),
                format!("server = \"{server}\""),
                self.server.is_some(),
            ),
            section(
                "The names under which visitors reach the app; each gets a certificate. A worker has none.",
                format!("domains:\n  - {}", yaml_text::text(domain)),
                format!("domains = [\"{domain}\"]"),
                self.domain.is_some(),
            ),
            section(self.about_image(), format!("image: ghcr.io/you/{name}:1.0"), format!("image = \"ghcr.io/you/{name}:1.0\""), false),
            section(self.about_port(), format!("port: {port}"), format!("port = {port}"), self.writes_port()),
            section(
                "The path that must answer before a new version takes over.",
                "health_check_path: /health",
                "health_check_path = \"/health\"",
                false,
            ),
            section("How many containers run.", "replicas: 2", "replicas = 2", false),
            section(
                "What outlives the containers.",
                format!("volumes:\n  - {name}-data:/data"),
                format!("volumes = [\"{name}-data:/data\"]"),
                false,
            ),
            section(
                "Environment variables: written here, or taken from your environment or a `.env` file.",
                "env:\n  - name: LOG_LEVEL\n    value: info\n  - name: DATABASE_URL\n    from:\n      env: DATABASE_URL",
                "[[env]]\nname = \"LOG_LEVEL\"\nvalue = \"info\"\n\n[[env]]\nname = \"DATABASE_URL\"\nfrom.env = \"DATABASE_URL\"",
                false,
            ),
        ]
    }

    fn about_image(&self) -> &'static str {
        if self.has_dockerfile {
            "The image: built from the Dockerfile here; or one that exists, which is then pulled."
        } else {
            "The image: built from a Dockerfile beside this file; or one that exists, which is then pulled."
        }
    }

    fn shown_port(&self) -> u16 {
        self.port.or(self.exposed.first().copied()).unwrap_or(8080)
    }

    /// The only port that is EXPOSEd needs no words.
    fn writes_port(&self) -> bool {
        self.port.is_some() || self.exposed.len() > 1
    }

    fn about_port(&self) -> String {
        let exposed: Vec<String> = self.exposed.iter().map(u16::to_string).collect();
        match exposed.len() {
            0 => "The port that the app listens on: the one that the Dockerfile EXPOSEs, else 8080.".to_owned(),
            1 => format!("The port that the app listens on; the Dockerfile EXPOSEs {}.", exposed[0]),
            _ => format!("The port that the app listens on, one of those that the Dockerfile EXPOSEs: {}.", exposed.join(", ")),
        }
    }

    /// Keys in the order of the other formats, which a map of serde_json would not keep.
    fn json(&self) -> String {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let mut lines = vec![format!("  \"$schema\": {}", text(SCHEMA_ADDRESS)), format!("  \"name\": {}", text(self.name.as_str()))];
        lines.extend(self.server.as_ref().map(|server| format!("  \"server\": {}", text(server))));
        lines.extend(self.domain.as_ref().map(|domain| format!("  \"domains\": [{}]", text(domain.as_str()))));
        lines.extend(self.writes_port().then(|| format!("  \"port\": {}", self.shown_port())));
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }
}
