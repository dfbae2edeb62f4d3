//! Who may ask for what: bearer tokens with scopes, kept as hashes in a file that `haloyadm api token` writes.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;

use super::Context;
use super::body;
use super::refusal::Refusal;
use super::sender::Sender;
use super::uses::Uses;
use crate::config::tokens::{self, Scope};
use crate::error;
use crate::names::AppName;
use crate::wire::Code;

/// The accepted tokens. The file is read again whenever it changed, so that a new token works at
/// once and a revoked one no longer does; a file that is gone or damaged lets nobody in.
#[derive(Debug)]
pub struct Tokens {
    config_dir: PathBuf,
    loaded: Mutex<Loaded>,
    uses: Arc<Uses>,
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
    /// The tokens of a configuration directory; their file need not exist yet. `uses` learns of every use.
    pub fn new(config_dir: impl Into<PathBuf>, uses: Arc<Uses>) -> Self {
        Self { config_dir: config_dir.into(), loaded: Mutex::default(), uses }
    }

    /// Whoever has this token. Looks at the file's metadata, which is one system call.
    pub fn caller(&self, token: &str) -> Result<Caller, Denial> {
        let tokens = self.current();
        let record = tokens.find(token).ok_or(Denial::Unknown)?;
        if let Some(end) = record.expires_at.filter(|_| record.is_over(Timestamp::now())) {
            return Err(Denial::Over(end));
        }
        self.uses.note(record.id());
        Ok(Caller { token: Some(record.name.clone()), id: Some(record.id().to_owned()), scope: record.scope, app: record.app.clone() })
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

/// Who asks, and what that may lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name of the token; none for the daemon's own user.
    pub token: Option<String>,
    pub id: Option<String>,
    pub scope: Scope,
    /// The one app that the token is for.
    pub app: Option<AppName>,
}

/// Why a token lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    Unknown,
    Over(Timestamp),
}

impl Caller {
    /// Whoever may open the daemon's socket.
    pub const LOCAL: Self = Self { token: None, id: None, scope: Scope::Admin, app: None };

    pub fn may_see(&self, app: &AppName) -> bool {
        self.app.as_ref().is_none_or(|own| own == app)
    }

    pub fn require_scope(&self, scope: Scope) -> Result<(), Refusal> {
        if self.scope >= scope {
            return Ok(());
        }
        let title = format!("the API token {} has the scope `{}`, and this needs `{scope}`", self.name(), self.scope);
        Err(forbidden(title).hint(format!("make another one on the server: `haloy admin api token --scope {scope}`")))
    }

    pub fn require_app(&self, app: &AppName) -> Result<(), Refusal> {
        if self.may_see(app) {
            return Ok(());
        }
        Err(self.elsewhere())
    }

    /// A token of one app reaches what is about that app, and what tells nothing of others.
    fn require_path(&self, path: &str) -> Result<(), Refusal> {
        let Some(own) = &self.app else { return Ok(()) };
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match parts.as_slice() {
            ["v1", "apps", app, ..] if *app == own.as_str() => Ok(()),
            // These look for themselves whose things they show.
            ["v1", "apps" | "version" | "room" | "builds" | "certificates"] | ["v1", "jobs", ..] => Ok(()),
            _ => Err(self.elsewhere()),
        }
    }

    fn elsewhere(&self) -> Refusal {
        let app = self.app.as_ref().map(ToString::to_string).unwrap_or_default();
        let refusal = forbidden(format!("the API token {} is for the app `{app}` alone", self.name()));
        refusal.hint("make one for other apps on the server: `haloy admin api token --app APP`, or without `--app` for all")
    }

    fn name(&self) -> String {
        self.token.as_ref().map(|name| format!("`{name}`")).unwrap_or_default()
    }
}

fn forbidden(title: String) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, Code::Forbidden, title)
}

/// Lets requests with a valid token pass that has the scope, and knows who asks from then on; so does whoever looks at
/// the answer.
pub async fn require_token(
    State((context, scope)): State<(Context, Scope)>,
    Extension(sender): Extension<Sender>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = match bearer(request.headers()).map(|token| context.api.tokens.caller(token)) {
        Some(Ok(caller)) => caller,
        other => {
            let title = match other {
                Some(Err(Denial::Over(end))) => format!("the API token is not valid any more: it ended on {end}"),
                Some(_) => "the API token is not valid on this server".to_owned(),
                None => "an API token is needed".to_owned(),
            };
            body::discard(request).await;
            return match sender.0.map_or(Ok(()), |address| context.api.limits.guess(address)) {
                Ok(()) => unauthorized(&title).into_response(),
                Err(denied) => denied.into_response(),
            };
        }
    };
    let in_time = caller.id.as_deref().map_or(Ok(()), |id| context.api.limits.call(id));
    let allowed = caller.require_scope(scope).and_then(|()| caller.require_path(request.uri().path()));
    let refused = match (in_time, allowed) {
        (Err(denied), _) => Some(denied.into_response()),
        (_, Err(refusal)) => Some(refusal.into_response()),
        (Ok(()), Ok(())) => None,
    };
    let mut response = match refused {
        Some(refused) => {
            body::discard(request).await;
            refused
        }
        None => {
            request.extensions_mut().insert(caller.clone());
            next.run(request).await
        }
    };
    response.extensions_mut().insert(caller);
    response
}

/// Whoever could open the socket may do everything.
pub async fn trust(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Caller::LOCAL);
    let mut response = next.run(request).await;
    response.extensions_mut().insert(Caller::LOCAL);
    response
}

fn unauthorized(title: &str) -> Refusal {
    let hint = "run `haloy admin api token` on the server, then `haloy server add SERVER --token-stdin --force` here with what it prints";
    Refusal::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, title).hint(hint)
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
    use crate::config::tokens::TokenRecord;
    use crate::files;
    use crate::secret::Secret;

    #[test]
    fn the_file_is_read_again_when_it_changed() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = tokens::path(dir.path());
        let write = |token: &str| {
            let _ = fs::remove_file(&path);
            tokens::Tokens::add(dir.path(), TokenRecord::new("ci", &Secret::new(token))).expect("add");
        };
        let tokens = Tokens::new(dir.path(), Arc::default());
        let allows = |token: &str| tokens.caller(token).is_ok();
        assert!(!allows("first"), "no file, nobody");
        write("first");
        assert!(allows("first") && !allows("second") && !allows(""));
        write("second");
        assert!(!allows("first") && allows("second"));
        files::write_private(&path, b"[{").expect("write");
        assert!(!allows("second"), "a damaged file lets nobody in");
        write("second");
        fs::remove_file(&path).expect("remove");
        assert!(!allows("second"));
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
