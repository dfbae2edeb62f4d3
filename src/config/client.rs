//! The servers that the client knows: `client.yaml` names them; their tokens are in the user's keyring, else in `.env` beside it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::document::Document;
use super::environment;
use super::error::ConfigError;
use super::field::Field;
use super::findings::Findings;
use super::keys;
use super::server::ServerName;
use crate::files;
use crate::names::is_env_name;
use crate::secret::Secret;

/// A server and the variable that holds its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub name: ServerName,
    pub token_env: String,
    /// The token is in the user's keyring rather than in `.env`.
    pub in_keyring: bool,
}

/// Where a token was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenPlace {
    Environment,
    Keyring,
    /// `.env` beside `client.yaml`.
    File,
}

/// A token, and where it was.
#[derive(Debug, PartialEq, Eq)]
pub struct FoundToken {
    pub token: Secret,
    pub place: TokenPlace,
}

impl TokenPlace {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Keyring => "keyring",
            Self::File => ".env",
        }
    }
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

    /// Adds a server and its token, which goes to `.env` when the keyring does not keep it. One that is known is refused
    /// before anything is written, unless `force` is set.
    pub fn add(
        &mut self,
        host: &str,
        token: &Secret,
        force: bool,
        keyring: impl FnOnce(&ServerName, &Secret) -> bool,
    ) -> Result<Server, ConfigError> {
        let name = parse(host)?;
        let known = self.servers.get(&name.to_string());
        if known.is_some() && !force {
            return Err(ConfigError::ServerExists { host: name.to_string() });
        }
        let token_env = known.map_or_else(|| self.free_variable(&name), |server| server.token_env.clone());
        let line = env_line(&token_env, token)?;
        files::private_dir(&self.dir)?;
        // The token first: a name without a token would be worse than a token without a name.
        let in_keyring = keyring(&name, token);
        self.write_token(&token_env, (!in_keyring).then_some(&*line))?;
        let server = Server { name: name.clone(), token_env, in_keyring };
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
    pub fn free_variable(&self, name: &ServerName) -> String {
        let base = token_variable(&name.to_string());
        let taken = |variable: &String| self.servers.values().any(|server| server.token_env == *variable);
        let numbered = (2..).map(|number| format!("{base}_{number}"));
        std::iter::once(base.clone()).chain(numbered).find(|variable| !taken(variable)).unwrap_or(base)
    }

    fn write_servers(&self) -> Result<(), ConfigError> {
        let mut text = "servers:".to_owned();
        for (host, server) in &self.servers {
            let _ = write!(text, "\n  \"{host}\":\n    token_env: \"{}\"", server.token_env);
            if server.in_keyring {
                text.push_str("\n    keyring: true");
            }
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
    /// The token, from the process's environment, the keyring when it was put there, or the `.env` of `dir`. None when
    /// none of them has it.
    pub fn token(&self, dir: &Path, keyring: impl FnOnce(&ServerName) -> Option<Secret>) -> Result<Option<FoundToken>, ConfigError> {
        let at = |place| move |token| FoundToken { token, place };
        let environment = crate::env::read(&self.token_env).map(Secret::new).map(at(TokenPlace::Environment));
        let found = match environment.or_else(|| self.in_keyring.then(|| keyring(&self.name))?.map(at(TokenPlace::Keyring))) {
            Some(found) => Some(found),
            None => environment::read(&dir.join(".env"))?.remove(&self.token_env).map(at(TokenPlace::File)),
        };
        Ok(found.filter(|found| !found.token.expose().is_empty()))
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
            let in_keyring = field.get("keyring").and_then(|field| findings.boolean(&field)).unwrap_or_default();
            servers.insert(name.to_string(), Server { name, token_env, in_keyring });
        }
    }
    findings.finish()?;
    Ok(servers)
}

fn read_variable(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let name = findings.text(field)?;
    if !is_env_name(name) {
        findings.mistake(field, "`token_env` must name an environment variable");
        return None;
    }
    Some(name.to_owned())
}

/// How the variables begin that hold the tokens of servers.
pub const TOKEN_VARIABLE: &str = "HALOY_API_TOKEN_";

/// `HALOY_API_TOKEN_` and the host: capitals and digits, everything else collapsed to one `_`.
fn token_variable(host: &str) -> String {
    let words = host.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(str::to_ascii_uppercase).collect();
    format!("{TOKEN_VARIABLE}{}", words.join("_"))
}

fn env_line(variable: &str, token: &Secret) -> Result<String, ConfigError> {
    let token = token.expose();
    if token.is_empty() || token.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\'') {
        return Err(ConfigError::TokenText);
    }
    let plain = token.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    Ok(if plain { format!("{variable}={token}\n") } else { format!("{variable}='{token}'\n") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(dir: &Path, file: &str) -> String {
        std::fs::read_to_string(dir.join(file)).expect(file)
    }

    #[test]
    fn servers_are_added_listed_and_removed() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let dir = dir.path().join("haloy");
        let mut servers = Servers::load(&dir).expect("nothing there yet");
        assert_eq!(servers.list().len(), 0);
        servers.add("https://Production.Haloy.com/", &Secret::new("abc123"), false, no_keyring).expect("added");
        servers.add("localhost:9999", &Secret::new("a+b/c="), false, no_keyring).expect("added");
        assert_eq!(
            text(&dir, "client.yaml"),
            "servers:\n  \"localhost:9999\":\n    token_env: \"HALOY_API_TOKEN_LOCALHOST_9999\"\n  \"production.haloy.com\":\n    token_env: \"HALOY_API_TOKEN_PRODUCTION_HALOY_COM\"\n"
        );
        assert_eq!(text(&dir, ".env"), "HALOY_API_TOKEN_PRODUCTION_HALOY_COM=abc123\nHALOY_API_TOKEN_LOCALHOST_9999='a+b/c='\n");

        let servers = Servers::load(&dir).expect("what was written can be read");
        let names: Vec<String> = servers.list().map(|server| server.name.to_string()).collect();
        assert_eq!(names, ["localhost:9999", "production.haloy.com"]);
        let local = servers.get("LOCALHOST:9999").expect("known").clone();
        let token = local.token(&dir, |_| panic!("it is not there")).expect("readable");
        assert_eq!(token, Some(FoundToken { token: Secret::new("a+b/c="), place: TokenPlace::File }));
        assert_eq!(servers.get("localhost"), None);

        let mut servers = servers;
        servers.remove("production.haloy.com").expect("known");
        assert_eq!(text(&dir, ".env"), "HALOY_API_TOKEN_LOCALHOST_9999='a+b/c='\n");
        assert!(
            matches!(servers.remove("production.haloy.com"), Err(ConfigError::ServerUnknown { known, .. }) if known == ["localhost:9999"])
        );
        servers.remove("localhost:9999").expect("known");
        assert_eq!((text(&dir, ".env"), text(&dir, "client.yaml")), (String::new(), "servers: {}\n".to_owned()));
        assert_eq!(Servers::load(&dir).expect("no servers is fine").list().len(), 0);
    }

    #[test]
    fn a_token_that_the_keyring_keeps_is_not_in_the_file() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut servers = Servers::load(dir.path()).expect("nothing there yet");
        servers.add("a.example.com", &Secret::new("one"), false, no_keyring).expect("added");
        servers.add("a.example.com", &Secret::new("two"), true, |_, _| true).expect("forced");
        assert_eq!(text(dir.path(), ".env"), "", "the old one is gone, too");
        let servers = Servers::load(dir.path()).expect("what was written can be read");
        let server = servers.get("a.example.com").expect("known");
        let kept = server.token(dir.path(), |name| (name.host() == "a.example.com").then(|| Secret::new("two")));
        assert_eq!(kept.expect("readable"), Some(FoundToken { token: Secret::new("two"), place: TokenPlace::Keyring }));
        assert_eq!(server.token(dir.path(), |_| None).expect("readable"), None, "a keyring that does not answer");
    }

    fn no_keyring(_: &ServerName, _: &Secret) -> bool {
        false
    }

    #[test]
    fn a_known_server_is_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut servers = Servers::load(dir.path()).expect("nothing there yet");
        servers.add("a.example.com", &Secret::new("one"), false, no_keyring).expect("added");
        let error = servers.add("A.example.com", &Secret::new("two"), false, no_keyring).expect_err("known");
        assert!(crate::error::render(&error).contains("--force"), "{error}");
        assert_eq!(text(dir.path(), ".env"), "HALOY_API_TOKEN_A_EXAMPLE_COM=one\n");
        servers.add("a.example.com", &Secret::new("two"), true, no_keyring).expect("forced");
        assert_eq!(text(dir.path(), ".env"), "HALOY_API_TOKEN_A_EXAMPLE_COM=two\n");
        for token in ["", "two words", "it's", "line\n"] {
            assert!(matches!(servers.add("b.example.com", &Secret::new(token), false, no_keyring), Err(ConfigError::TokenText)));
        }
        assert_eq!(text(dir.path(), ".env"), "HALOY_API_TOKEN_A_EXAMPLE_COM=two\n");
    }

    #[test]
    fn other_lines_stay_and_the_file_is_private() {
        let dir = tempfile::tempdir().expect("temporary directory");
        std::fs::write(dir.path().join(".env"), "# mine\nexport HALOY_API_TOKEN_A_B=old\nHALOY_API_TOKEN_A_B_2=keep\nX=1").expect("write");
        let mut servers = Servers::load(dir.path()).expect("no servers yet");
        servers.add("a.b", &Secret::new("new"), false, no_keyring).expect("added");
        assert_eq!(text(dir.path(), ".env"), "# mine\nHALOY_API_TOKEN_A_B_2=keep\nX=1\nHALOY_API_TOKEN_A_B=new\n");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(dir.path().join(".env")).expect("metadata").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn hosts_whose_variables_would_be_the_same_get_their_own() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut servers = Servers::load(dir.path()).expect("nothing there yet");
        servers.add("a-b.example.com", &Secret::new("one"), false, no_keyring).expect("added");
        servers.add("a.b.example.com", &Secret::new("two"), false, no_keyring).expect("added");
        assert_eq!(text(dir.path(), ".env"), "HALOY_API_TOKEN_A_B_EXAMPLE_COM=one\nHALOY_API_TOKEN_A_B_EXAMPLE_COM_2=two\n");
    }

    #[test]
    fn mistakes_in_the_file_are_reported_with_their_place() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let text = "servers:\n  \"a b\":\n    token_env: A\n  c.example.com:\n    tokenenv: B\n  d.example.com:\n    token_env: hunter2!\n";
        std::fs::write(dir.path().join("client.yaml"), text).expect("write");
        let mistakes = Servers::load(dir.path()).expect_err("three mistakes").mistakes();
        let found: Vec<_> = mistakes.iter().map(|m| (m.line, m.message.as_str())).collect();
        assert_eq!(
            found,
            [
                (2, "`a b` is not a server: it is not a host name or an address"),
                (5, "unknown key `tokenenv`"),
                (7, "`token_env` must name an environment variable"),
            ]
        );
    }
}
