//! Which of the protocol's requests a method and a path are: pure, and the only place that looks at paths.
//!
//! The names of repositories have slashes, so a path is read from its end. Nothing is percent-decoded but the colon of
//! a digest: no name needs it, and what is not decoded cannot hide anything.

use axum::http::{Method, StatusCode, Uri};

use super::error::Refused;
use crate::names::Digest;

/// A valid name of a repository (distribution-spec, "Pulling manifests").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository(String);

/// How a manifest is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    Tag(String),
    Digest(Digest),
}

/// The id of an upload, as we give it: 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UploadId(String);

#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    Base,
    /// GET or HEAD.
    Blob {
        digest: Digest,
    },
    DeleteBlob {
        digest: Digest,
    },
    BeginUpload {
        repository: Repository,
    },
    /// GET, PATCH, PUT or DELETE.
    Upload {
        repository: Repository,
        id: UploadId,
    },
    /// GET, HEAD, PUT or DELETE.
    Manifest {
        repository: Repository,
        reference: Reference,
        reads: bool,
    },
    Tags {
        repository: Repository,
    },
    Referrers {
        repository: Repository,
        subject: Digest,
    },
}

impl Route {
    pub fn parse(method: &Method, uri: &Uri) -> Result<Self, Refused> {
        let path = uri.path().replace("%3A", ":").replace("%3a", ":");
        let path = path.strip_prefix("/v2").unwrap_or(&path).trim_start_matches('/');
        let parts: Vec<&str> = path.split('/').collect();
        let reads = matches!(*method, Method::GET | Method::HEAD);
        match parts.as_slice() {
            [""] if reads => Ok(Self::Base),
            [name @ .., "blobs", "uploads", ""] | [name @ .., "blobs", "uploads"] if *method == Method::POST => {
                Ok(Self::BeginUpload { repository: repository(name)? })
            }
            [name @ .., "blobs", "uploads", id] if matches!(*method, Method::GET | Method::PATCH | Method::PUT | Method::DELETE) => {
                let repository = repository(name)?;
                let id = UploadId::parse(id).ok_or_else(unknown_upload)?;
                Ok(Self::Upload { repository, id })
            }
            [name @ .., "blobs", digest] => {
                repository(name)?;
                let digest = parse_digest(digest)?;
                match *method {
                    _ if reads => Ok(Self::Blob { digest }),
                    Method::DELETE => Ok(Self::DeleteBlob { digest }),
                    _ => Err(Refused::unsupported("a blob is read or deleted; it is pushed to `blobs/uploads/`")),
                }
            }
            [name @ .., "manifests", reference] if reads || matches!(*method, Method::PUT | Method::DELETE) => {
                Ok(Self::Manifest { repository: repository(name)?, reference: Reference::parse(reference)?, reads })
            }
            [name @ .., "tags", "list"] if reads => Ok(Self::Tags { repository: repository(name)? }),
            [name @ .., "referrers", digest] if *method == Method::GET => {
                Ok(Self::Referrers { repository: repository(name)?, subject: parse_digest(digest)? })
            }
            _ if reads => Err(Refused::new(StatusCode::NOT_FOUND, "UNSUPPORTED", "this address is not part of OCI Distribution 1.1")),
            _ => Err(Refused::unsupported(format!("`{method}` of this address is not part of OCI Distribution 1.1"))),
        }
    }

    /// Nothing changes by it.
    /// The one that it is about; contents belong to none.
    pub fn repository(&self) -> Option<&Repository> {
        match self {
            Self::Base | Self::Blob { .. } | Self::DeleteBlob { .. } => None,
            Self::BeginUpload { repository }
            | Self::Upload { repository, .. }
            | Self::Manifest { repository, .. }
            | Self::Tags { repository }
            | Self::Referrers { repository, .. } => Some(repository),
        }
    }

    pub fn only_reads(&self) -> bool {
        match self {
            Self::Base | Self::Blob { .. } | Self::Tags { .. } | Self::Referrers { .. } => true,
            Self::Manifest { reads, .. } => *reads,
            Self::DeleteBlob { .. } | Self::BeginUpload { .. } | Self::Upload { .. } => false,
        }
    }
}

impl Repository {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl UploadId {
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        fits.then(|| Self(text.to_owned()))
    }

    pub fn random() -> Self {
        Self(crate::crypto::hex(&crate::crypto::random::<16>()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Reference {
    fn parse(text: &str) -> Result<Self, Refused> {
        if text.contains(':') {
            return parse_digest(text).map(Self::Digest);
        }
        let rest = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        if first && text.len() <= 128 && text.bytes().all(rest) {
            return Ok(Self::Tag(text.to_owned()));
        }
        Err(Refused::new(
            StatusCode::NOT_FOUND,
            "MANIFEST_UNKNOWN",
            "this is no tag: 1 to 128 of letters, digits, `_`, `.` and `-`, beginning with a letter, a digit or `_`",
        ))
    }
}

pub fn unknown_upload() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", "there is no such upload: it was finished, cancelled or too long idle")
}

pub fn parse_digest(text: &str) -> Result<Digest, Refused> {
    text.parse().map_err(|_| Refused::digest("a digest is `sha256:` and 64 lower-case hexadecimal digits"))
}

/// A name from elsewhere than a path.
pub fn parse_repository(name: &str) -> Result<Repository, Refused> {
    repository(&name.split('/').collect::<Vec<_>>())
}

fn repository(parts: &[&str]) -> Result<Repository, Refused> {
    let name = parts.join("/");
    if parts.is_empty() || name.len() > 255 || !parts.iter().all(|part| is_component(part)) {
        return Err(Refused::name(
            "this is no name of a repository: lower-case letters and digits, with `.`, `_`, `__` or dashes between them, and `/`",
        ));
    }
    Ok(Repository(name))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(part: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    let edges = bytes.first().copied().is_some_and(is_word) && bytes.last().copied().is_some_and(is_word);
    let separators = part.split(|c: char| c.is_ascii() && is_word(c as u8)).filter(|separator| !separator.is_empty());
    edges && separators.into_iter().all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod unit {
    use super::*;

    fn parsed(method: Method, path: &str) -> Result<Route, &'static str> {
        Route::parse(&method, &path.parse().unwrap()).map_err(|refused| refused.code())
    }

    #[test]
    fn names_by_the_grammar() {
        for good in ["a", "a/b/c", "my-app", "a--b", "a__b", "a.b", "a_b/0", "blobs/manifests"] {
            assert!(parse_repository(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "a/", "/a", "a//b", "..", "a/../b", "a..b", "a___b", "-a", "a-", "a.", "a b", "ä", &"a".repeat(256)] {
            assert!(parse_repository(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_are_read_from_their_end() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let tag = |name: &str, tag: &str| Route::Manifest {
            repository: Repository(name.to_owned()),
            reference: Reference::Tag(tag.to_owned()),
            reads: true,
        };
        assert_eq!(parsed(Method::GET, "/v2/"), Ok(Route::Base));
        assert_eq!(parsed(Method::GET, "/v2"), Ok(Route::Base));
        assert_eq!(parsed(Method::GET, "/v2/a/b/manifests/1.0"), Ok(tag("a/b", "1.0")));
        assert_eq!(parsed(Method::GET, "/v2/blobs/uploads/manifests/x"), Ok(tag("blobs/uploads", "x")));
        let blob = Route::Blob { digest: digest.parse().unwrap() };
        assert_eq!(parsed(Method::HEAD, &format!("/v2/a/blobs/{digest}")), Ok(blob));
        assert!(matches!(parsed(Method::GET, &format!("/v2/a/blobs/{}", digest.replace(':', "%3A"))), Ok(Route::Blob { .. })));
        assert!(matches!(parsed(Method::POST, "/v2/a/blobs/uploads/"), Ok(Route::BeginUpload { .. })));
    }

    #[test]
    fn what_is_odd_is_refused() {
        for (method, path, code) in [
            (Method::GET, "/v2/a/blobs/sha256:../../etc/passwd", "UNSUPPORTED"),
            (Method::GET, "/v2/a/../../x/manifests/1", "NAME_INVALID"),
            (Method::GET, "/v2/a/%2e%2e/manifests/1", "NAME_INVALID"),
            (Method::GET, "/v2/a%2Fb/manifests/1", "NAME_INVALID"),
            (Method::PUT, "/v2/a/manifests/..", "MANIFEST_UNKNOWN"),
            (Method::PUT, "/v2/a/manifests/%2e%2e", "MANIFEST_UNKNOWN"),
            (Method::PATCH, "/v2/a/blobs/uploads/..", "BLOB_UPLOAD_UNKNOWN"),
            (Method::GET, "/v2/a/blobs/sha256:AA", "DIGEST_INVALID"),
            (Method::GET, "/v2/a/blobs/md5:aa", "DIGEST_INVALID"),
            (Method::POST, "/v2/a/manifests/1", "UNSUPPORTED"),
            (Method::GET, "/v2/_catalog", "UNSUPPORTED"),
        ] {
            assert_eq!(parsed(method, path), Err(code), "{path}");
        }
    }
}
