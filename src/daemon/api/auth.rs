//! Who may ask: bearer tokens, kept as hashes in a file that `haloyadm api token` writes.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::Context;
use super::body;
use super::refusal::Refusal;
use crate::config::tokens;
use crate::error;
use crate::wire::Code;

/// The accepted tokens. The file is read again whenever it changed, so that a new token works at
/// once and a revoked one no longer does; a file that is gone or damaged lets nobody in.
#[derive(Debug)]
pub struct Tokens {
    config_dir: PathBuf,
    loaded: Mutex<Loaded>,
}

#[derive(Debug, Default)]
struct Loaded {
    version: Option<Version>,
    tokens: Arc<tokens::Tokens>,
}

/// Tells two contents of the file apart: a write replaces the file, so its inode changes even when
/// the clock is too coarse.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    modified: SystemTime,
    inode: u64,
    size: u64,
}

impl Tokens {
    /// The tokens of a configuration directory; their file need not exist yet.
    pub fn new(config_dir: impl Into<PathBuf>) -> Self {
        Self { config_dir: config_dir.into(), loaded: Mutex::default() }
    }

    /// Whether the token is one of ours. Looks at the file's metadata, which is one system call.
    pub fn allows(&self, token: &str) -> bool {
        self.current().find(token).is_some()
    }

    fn current(&self) -> Arc<tokens::Tokens> {
        let version = Version::of(&tokens::path(&self.config_dir));
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.version != version {
            let tokens = tokens::Tokens::load(&self.config_dir).unwrap_or_else(|error| {
                tracing::warn!(error = error::chain(&error), "The API tokens cannot be read: every one is refused");
                tokens::Tokens::default()
            });
            *loaded = Loaded { version, tokens: Arc::new(tokens) };
        }
        loaded.tokens.clone()
    }
}

impl Version {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self { modified: metadata.modified().ok()?, inode: metadata.ino(), size: metadata.len() })
    }
}

/// Lets requests with a valid token pass.
pub async fn require_token(State(context): State<Context>, request: Request, next: Next) -> Result<Response, Refusal> {
    let title = match bearer(request.headers()) {
        Some(token) if context.api.tokens.allows(token) => return Ok(next.run(request).await),
        Some(_) => "the API token is not valid on this server",
        None => "an API token is needed",
    };
    body::discard(request).await;
    let hint = "run `haloy admin api token` on the server, then `haloy server add SERVER --token-stdin --force` here with what it prints";
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
    use crate::secret::Secret;

    #[test]
    fn the_file_is_read_again_when_it_changed() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = tokens::path(dir.path());
        let write = |token: &str| {
            let _ = fs::remove_file(&path);
            tokens::Tokens::add(dir.path(), "ci", &Secret::new(token)).expect("add");
        };
        let tokens = Tokens::new(dir.path());
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
