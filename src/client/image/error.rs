//! What can go wrong between a Dockerfile and a server's registry.

use std::io;
use std::path::PathBuf;

use crate::error::{FAILED, MISUSE, Report};
use crate::names::Digest;
use crate::paths;

#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("there is no `docker` on this machine to build `{image}` with")]
    NoDocker { image: String },
    #[error("the Docker Engine of this machine does not answer `docker {command}`{}", said(words))]
    Engine { command: String, words: String },
    #[error("could not run `docker {command}`")]
    Run {
        command: String,
        #[source]
        source: io::Error,
    },
    #[error("the build context `{context}` of `{image}` is not a directory: looked at `{}`", path.display())]
    NoContext { image: String, context: String, path: PathBuf },
    #[error("there is no Dockerfile for `{image}`: looked for {}", tried.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(" and "))]
    NoDockerfile { image: String, tried: Vec<PathBuf> },
    #[error("the build of `{image}` failed with {outcome}{}", said(words))]
    Build { image: String, outcome: String, words: String },
    #[error("the build of `{image}` on `{server}` failed: {reason}")]
    RemoteBuild { image: String, server: String, reason: String },
    #[error("`build_config.on: server` sends a directory, and the context of `{image}` is `{context}`")]
    RemoteContext { image: String, context: String },
    #[error("`build_config` of `{image}` has {keys}, which the server's builder does not know")]
    RemoteKeys { image: String, keys: String },
    #[error("could not read the build context at `{}`", path.display())]
    Context {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not keep files for a while on this machine")]
    Spool(#[source] io::Error),
    #[error("what `docker image save` gives out is not understood: {reason}")]
    Archive { reason: String },
    #[error("the image changed while it was read: {digest} is not what it is called")]
    Damaged { digest: Digest },
    #[error("could not push `{image}`: {}", reason(words))]
    Push { image: String, kind: PushFailure, words: String },
}

/// Why a push failed, read from the engine's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushFailure {
    Credentials,
    Repository,
    Tls,
    Network,
    Other,
}

impl PushFailure {
    pub fn read(words: &str) -> Self {
        const WORDS: &[(PushFailure, &[&str])] = &[
            (PushFailure::Tls, &["x509", "tls:", "certificate", "http response to https client"]),
            (PushFailure::Repository, &["name unknown", "repository does not exist", "does not exist", "not found"]),
            (PushFailure::Credentials, &["unauthorized", "denied", "no basic auth", "authentication required", "forbidden"]),
            (PushFailure::Network, &["dial tcp", "no such host", "timeout", "connection re", "unreachable", "eof"]),
        ];
        let words = reason(words).to_ascii_lowercase();
        WORDS.iter().find(|(_, signs)| signs.iter().any(|sign| words.contains(sign))).map_or(Self::Other, |(kind, _)| *kind)
    }
}

fn said(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(":\n{words}") }
}

fn reason(words: &str) -> &str {
    words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("docker push failed")
}

impl Report for ImageError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoDocker { .. } => "install Docker, or let the server build: `build_config: {on: server}` below `image:`".to_owned(),
            Self::Engine { .. } => "is Docker running here? try `docker version`".to_owned(),
            Self::NoContext { .. } => "`context` is relative to the configuration file".to_owned(),
            Self::NoDockerfile { .. } => {
                "write a Dockerfile there, name it with `build_config: {dockerfile: …}`, or name an image that exists with `image:`"
                    .to_owned()
            }
            Self::Build { .. } => "nothing was deployed; `haloy build` builds alone".to_owned(),
            Self::RemoteBuild { .. } => "nothing was deployed".to_owned(),
            Self::RemoteContext { .. } => "build where Docker is (`on: client`), or check the source out and name its directory".to_owned(),
            Self::RemoteKeys { .. } => "leave them out, or build where Docker is (`on: client`)".to_owned(),
            Self::Spool(_) => {
                let cache = paths::client_cache();
                format!("make room in `{}`, and in the directory that TMPDIR names", cache.display())
            }
            Self::Push { kind, image, .. } => match kind {
                PushFailure::Credentials => {
                    "check `username` and `password` of `image.registry`: the login must be allowed to push".to_owned()
                }
                PushFailure::Repository => format!("create the repository of `{image}` in the registry, or check its name"),
                PushFailure::Tls => {
                    "the Docker Engine here does not trust the registry: put its CA into `/etc/docker/certs.d/REGISTRY/ca.crt`".to_owned()
                }
                PushFailure::Network | PushFailure::Other => format!("try it by hand: `docker push {image}`"),
            },
            Self::Run { .. } | Self::Context { .. } | Self::Archive { .. } | Self::Damaged { .. } => return None,
        })
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::NoContext { .. } | Self::NoDockerfile { .. } | Self::RemoteContext { .. } | Self::RemoteKeys { .. } => MISUSE,
            _ => FAILED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushes_fail_for_reasons() {
        for (words, kind) in [
            ("denied: requested access to the resource is denied", PushFailure::Credentials),
            ("unauthorized: authentication required", PushFailure::Credentials),
            ("name unknown: The repository with name 'x' does not exist in the registry", PushFailure::Repository),
            ("Get \"https://r/v2/\": x509: certificate signed by unknown authority", PushFailure::Tls),
            ("dial tcp: lookup r.example: no such host", PushFailure::Network),
            ("copied certificate.pem\ndenied: requested access to the resource is denied", PushFailure::Credentials),
            ("something new", PushFailure::Other),
        ] {
            assert_eq!(PushFailure::read(words), kind, "{words}");
        }
    }
}
