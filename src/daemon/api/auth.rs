//! Who may ask: bearer tokens, kept as hashes in a file that `haloyadm api token` writes.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use serde::Deserialize;

use super::Context;
use super::body;
use super::refusal::Refusal;
use crate::crypto;
use crate::wire::Code;

/// The accepted tokens. The file is read again whenever it changed, so that a new token works at
/// once and a revoked one no longer does; a file that is gone or damaged lets nobody in.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    loaded: Mutex<Loaded>,
}

#[derive(Debug, Default)]
struct Loaded {
    version: Option<Version>,
    /// SHA-256 of each token, lower-case hexadecimal.
    hashes: Arc<[String]>,
}

/// Tells two contents of the file apart: a write replaces the file, so its inode changes even when
/// the clock is too coarse.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    modified: SystemTime,
    inode: u64,
    size: u64,
}

#[derive(Deserialize)]
struct Entry {
    sha256: String,
}

impl Tokens {
    /// Tokens from the file at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), loaded: Mutex::default() }
    }

    /// Whether the token is one of ours. Looks at the file's metadata, which is one system call.
    pub fn allows(&self, token: &str) -> bool {
        let hash = crypto::sha256_hex(token.as_bytes());
        // Every hash is compared, so that the time says nothing about which one came close.
        self.current().iter().fold(false, |found, known| found | crypto::equal(known.as_bytes(), hash.as_bytes()))
    }

    fn current(&self) -> Arc<[String]> {
        let version = Version::of(&self.path);
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.version != version {
            let hashes = read(&self.path).unwrap_or_else(|error| {
                tracing::warn!(path = %self.path.display(), %error, "The file of API tokens cannot be read: every token is refused");
                Arc::default()
            });
            *loaded = Loaded { version, hashes };
        }
        loaded.hashes.clone()
    }
}

impl Version {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self { modified: metadata.modified().ok()?, inode: metadata.ino(), size: metadata.len() })
    }
}

fn read(path: &Path) -> io::Result<Arc<[String]>> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Arc::default()),
        read => read?,
    };
    let entries: Vec<Entry> = serde_json::from_slice(&text)?;
    Ok(entries.into_iter().map(|entry| entry.sha256.to_ascii_lowercase()).collect())
}

/// Lets requests with a valid token pass.
pub async fn require_token(State(context): State<Context>, request: Request, next: Next) -> Result<Response, Refusal> {
    let title = match bearer(request.headers()) {
        Some(token) if context.api.tokens.allows(token) => return Ok(next.run(request).await),
        Some(_) => "the API token is not valid on this server",
        None => "an API token is needed",
    };
    body::discard(request).await;
    let hint = "run `haloyadm api token` on the server, then `haloy server add` here with what it prints";
    Err(Refusal::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, title).hint(hint))
}

/// The token of `Authorization: Bearer …`; the scheme's letter case does not matter (RFC 9110 §11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    #[test]
    fn the_file_is_read_again_when_it_changed() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("tokens.json");
        let write = |token: &str| {
            let entry =
                serde_json::json!([{ "name": "ci", "sha256": crypto::sha256_hex(token.as_bytes()), "created_at": "2026-11-21T00:00:00Z" }]);
            files::write_private(&path, entry.to_string().as_bytes()).expect("write");
        };
        let tokens = Tokens::new(&path);
        assert!(!tokens.allows("first"), "no file, nobody");
        write("first");
        assert!(tokens.allows("first") && !tokens.allows("second") && !tokens.allows(""));
        write("second");
        assert!(!tokens.allows("first") && tokens.allows("second"));
        files::write_private(&path, b"[{").expect("write");
        assert!(!tokens.allows("second"), "a damaged file lets nobody in");
        write("second");
        fs::remove_file(&path).expect("remove");
        assert!(!tokens.allows("second"));
    }

    #[test]
    fn bearer_tokens_are_found() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().expect("header"));
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(of("Bearer abc"), Some("abc".to_owned()));
        assert_eq!(of("bearer  abc"), Some("abc".to_owned()));
        assert_eq!((of("Basic abc"), of("Bearer"), of("Bearer ")), (None, None, None));
    }
}
