//! The servers that the client knows: `client.yaml` names them, `.env` beside it holds their tokens.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::document::Document;
use super::env::is_variable;
use super::environment;
use super::error::ConfigError;
use super::field::Field;
use super::findings::Findings;
use super::keys;
use super::server::ServerName;
use crate::files;
use crate::secret::Secret;

/// A server and the variable that holds its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub name: ServerName,
    pub token_env: String,
}

/// All known servers, as they are on disk.
#[derive(Debug, Clone)]
pub struct Servers {
    dir: PathBuf,
    servers: BTreeMap<String, Server>,
}

impl Servers {
    /// Reads the client's configuration directory; no file is no server.
    pub fn load(dir: &Path) -> Result<Self, ConfigError> {
        let path = dir.join("client.yaml");
        let servers = if path.exists() { read(&Document::read(&path, &keys::CLIENT)?)? } else { BTreeMap::new() };
        Ok(Self { dir: dir.to_owned(), servers })
    }

    /// The server of this name, in whatever form it is written.
    pub fn get(&self, host: &str) -> Option<&Server> {
        self.servers.get(&ServerName::parse(host).ok()?.to_string())
    }

    /// In the order of their names.
    pub fn list(&self) -> impl ExactSizeIterator<Item = &Server> {
        self.servers.values()
    }

    /// Adds a server and its token. One that is known is refused before anything is written, unless `force` is set.
    pub fn add(&mut self, host: &str, token: &Secret, force: bool) -> Result<Server, ConfigError> {
        let name = parse(host)?;
        let known = self.servers.get(&name.to_string());
        if known.is_some() && !force {
            return Err(ConfigError::ServerExists { host: name.to_string() });
        }
        let token_env = known.map_or_else(|| self.free_variable(&name), |server| server.token_env.clone());
        let line = env_line(&token_env, token)?;
        let server = Server { name: name.clone(), token_env };
        files::private_dir(&self.dir)?;
        // The token first: a name without a token would be worse than a token without a name.
        self.write_token(&server.token_env, Some(&line))?;
        self.servers.insert(name.to_string(), server.clone());
        self.write_servers()?;
        Ok(server)
    }

    /// Forgets a server and its token.
    pub fn remove(&mut self, host: &str) -> Result<Server, ConfigError> {
        let name = parse(host)?.to_string();
        let Some(server) = self.servers.remove(&name) else {
            return Err(ConfigError::ServerUnknown { host: name, known: self.servers.keys().cloned().collect() });
        };
        self.write_servers()?;
        self.write_token(&server.token_env, None)?;
        Ok(server)
    }

    /// `HALOY_API_TOKEN_` and the host in capitals. Two hosts may come out the same (`a-b.c`, `a.b.c`):
    /// the later one gets a number.
    fn free_variable(&self, name: &ServerName) -> String {
        let base = token_variable(&name.to_string());
        let taken = |variable: &String| self.servers.values().any(|server| server.token_env == *variable);
        let numbered = (2..).map(|number| format!("{base}_{number}"));
        std::iter::once(base.clone()).chain(numbered).find(|variable| !taken(variable)).unwrap_or(base)
    }

    fn write_servers(&self) -> Result<(), ConfigError> {
        let mut text = "servers:".to_owned();
        for (host, server) in &self.servers {
            let _ = write!(text, "\n  \"{host}\":\n    token_env: \"{}\"", server.token_env);
        }
        let end = if self.servers.is_empty() { " {}\n" } else { "\n" };
        text.push_str(end);
        Ok(files::write_private(&self.dir.join("client.yaml"), text.as_bytes())?)
    }

    /// Replaces or removes one variable; every other line stays as it is.
    fn write_token(&self, variable: &str, line: Option<&str>) -> Result<(), ConfigError> {
        let path = self.dir.join(".env");
        let old = files::read_optional(&path)?.unwrap_or_default();
        let sets = |text: &str| {
            let text = text.trim_start();
            let text = text.strip_prefix("export ").unwrap_or(text).trim_start();
            text.strip_prefix(variable).is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        let mut text: String = old.split_inclusive('\n').filter(|old_line| !sets(old_line)).collect();
        if let Some(line) = line {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(line);
        }
        Ok(files::write_private(&path, text.as_bytes())?)
    }
}

impl Server {
    /// The token, from the process's environment or the `.env` of `dir`. None when neither has it.
    pub fn token(&self, dir: &Path) -> Result<Option<Secret>, ConfigError> {
        let stored = environment::read(&dir.join(".env"))?.remove(&self.token_env);
        Ok(crate::env::read(&self.token_env).map(Secret::new).or(stored).filter(|token| !token.expose().is_empty()))
    }
}

fn parse(host: &str) -> Result<ServerName, ConfigError> {
    ServerName::parse(host).map_err(|source| ConfigError::ServerName { written: host.to_owned(), source })
}

fn read(document: &Document) -> Result<BTreeMap<String, Server>, ConfigError> {
    let mut findings = Findings::new(document);
    let values = super::targets::values(document);
    let root = Field::root(&values);
    let mut servers = BTreeMap::new();
    for (host, field) in root.get("servers").map(|field| field.entries()).unwrap_or_default() {
        let name = ServerName::parse(host);
        if let Err(error) = &name {
            findings.mistake(&field, format!("`{host}` is not a server: {error}"));
        }
        let variable = match field.get("token_env") {
            Some(variable) => read_variable(&variable, &mut findings),
            None => {
                findings.missing(&field, "token_env", "write `token_env: NAME`");
                None
            }
        };
        if let (Ok(name), Some(token_env)) = (name, variable) {
            servers.insert(name.to_string(), Server { name, token_env });
        }
    }
    findings.finish()?;
    Ok(servers)
}

fn read_variable(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let name = findings.text(field)?;
    if !is_variable(name) {
        findings.mistake(field, "`token_env` must name an environment variable");
        return None;
    }
    Some(name.to_owned())
}

/// `HALOY_API_TOKEN_` and the host: capitals and digits, everything else collapsed to one `_`.
fn token_variable(host: &str) -> String {
    let words = host.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold("HALOY_API_TOKEN".to_owned(), |name, word| format!("{name}_{}", word.to_ascii_uppercase()))
}

fn env_line(variable: &str, token: &Secret) -> Result<String, ConfigError> {
    let token = token.expose();
    if token.is_empty() || token.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\'') {
        return Err(ConfigError::TokenText);
    }
    let plain = token.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    Ok(if plain { format!("{variable}={token}\n") } else { format!("{variable}='{token}'\n") })
}
