//! Asking a registry for the tags of a repository (OCI Distribution 1.1, "Content Discovery").
//!
//! HTTPS with the system's certificate authorities and those that the engine is given in `/etc/docker/certs.d`; plain HTTP on
//! loopback alone, as the engine does it. A registry that wants a token says where to get one.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderValue, LINK, USER_AGENT, WWW_AUTHENTICATE};
use http::{Request, StatusCode, Uri};
use http_body_util::Empty;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config;
use crate::docker::Login;
use crate::error::Report;
use crate::https;
use crate::names::ImageRef;

const PATIENCE: Duration = Duration::from_secs(15);
const MAX_ANSWER: usize = 4 * 1024 * 1024;
/// Pages of one listing, and the tags of each that are asked for.
const MAX_PAGES: usize = 50;
const PAGE: u32 = 1000;
const CERTIFICATES: &str = "/etc/docker/certs.d";

#[derive(Debug, thiserror::Error)]
pub enum TagsError {
    #[error("could not reach the registry `{registry}`")]
    Network {
        registry: String,
        #[source]
        source: io::Error,
    },
    #[error("the registry `{registry}` wants a login that may read `{repository}`")]
    Unauthorized { registry: String, repository: String },
    #[error("the registry `{registry}` has no repository `{repository}`")]
    Unknown { registry: String, repository: String },
    #[error("the registry `{registry}` has answered too many requests")]
    RateLimited { registry: String },
    #[error("the registry `{registry}` answered with status {status}")]
    Status { registry: String, status: u16 },
    #[error("the answer of the registry `{registry}` is not understood")]
    Answer {
        registry: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Report for TagsError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Network { registry, .. } => format!("can the server reach it? try `curl https://{registry}/v2/` there"),
            Self::Unauthorized { registry, .. } => {
                format!("give the server a login: `haloy server registry login {registry} --username USER --password-stdin`")
            }
            Self::Unknown { .. } => "check `image.repository` in haloy.yaml".to_owned(),
            Self::RateLimited { .. } => "wait a while, or give the server a login with `haloy server registry login`".to_owned(),
            Self::Status { .. } | Self::Answer { .. } => return None,
        })
    }
}

/// All tags of the image's repository.
pub async fn list(image: &ImageRef, login: Option<&Login>) -> Result<Vec<String>, TagsError> {
    let place = Place::of(image);
    let mut client = Client { place: &place, login, authorization: None };
    let mut path = format!("/v2/{}/tags/list?n={PAGE}", place.repository);
    let mut tags = Vec::new();
    for _ in 0..MAX_PAGES {
        let page = client.page(&path).await?;
        tags.extend(page.tags);
        match page.next {
            Some(next) => path = next,
            None => break,
        }
    }
    Ok(tags)
}

/// Where a repository is.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// Host, with a port perhaps.
    registry: String,
    repository: String,
}

impl Place {
    fn of(image: &ImageRef) -> Self {
        let registry = config::registry_of(image);
        let name = image.repository();
        if registry == "docker.io" {
            let name = name.strip_prefix("docker.io/").or_else(|| name.strip_prefix("index.docker.io/")).unwrap_or(name);
            let repository = if name.contains('/') { name.to_owned() } else { format!("library/{name}") };
            return Self { registry: "registry-1.docker.io".to_owned(), repository };
        }
        let repository = name.split_once('/').map_or(name, |(_, rest)| rest).to_owned();
        Self { registry: registry.to_owned(), repository }
    }
}

struct Page {
    tags: Vec<String>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

struct Client<'a> {
    place: &'a Place,
    login: Option<&'a Login>,
    authorization: Option<HeaderValue>,
}

impl Client<'_> {
    async fn page(&mut self, path: &str) -> Result<Page, TagsError> {
        let mut answer = self.get(&self.place.registry, path, self.authorization.clone()).await?;
        if answer.status() == StatusCode::UNAUTHORIZED && self.authorization.is_none() {
            let challenge = answer.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
            self.authorization = self.authorize(&challenge).await?;
            answer = self.get(&self.place.registry, path, self.authorization.clone()).await?;
        }
        let Place { registry, repository } = self.place;
        let (registry, repository) = (registry.clone(), repository.clone());
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(TagsError::Unauthorized { registry, repository }),
            StatusCode::NOT_FOUND => return Err(TagsError::Unknown { registry, repository }),
            StatusCode::TOO_MANY_REQUESTS => return Err(TagsError::RateLimited { registry }),
            status => return Err(TagsError::Status { registry, status: status.as_u16() }),
        }
        let next = answer.headers().get(LINK).and_then(|value| value.to_str().ok()).and_then(next_page);
        let listed: Listed = serde_json::from_slice(answer.body()).map_err(|source| self.misunderstood(source))?;
        Ok(Page { tags: listed.tags.unwrap_or_default(), next })
    }

    /// Basic with the login, or a token from where the registry says.
    async fn authorize(&self, challenge: &str) -> Result<Option<HeaderValue>, TagsError> {
        let basic = self.login.map(|login| {
            let pair = format!("{}:{}", login.username.expose(), login.password.expose());
            secret(&format!("Basic {}", BASE64_STANDARD.encode(pair)))
        });
        let basic = basic.transpose().map_err(|source| self.misunderstood(source))?;
        let Some(parameters) = challenge.strip_prefix("Bearer ").or_else(|| challenge.strip_prefix("bearer ")) else { return Ok(basic) };
        let parameter = |name: &str| {
            let pairs = parameters.split(',').filter_map(|pair| pair.trim().split_once('='));
            pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.trim_matches('"').to_owned())
        };
        let realm = parameter("realm").unwrap_or_default();
        let realm: Uri = realm.parse().map_err(|source| self.misunderstood::<http::uri::InvalidUri>(source))?;
        let (Some(host), true) = (realm.authority(), realm.scheme_str() == Some("https") || is_loopback(realm.host().unwrap_or_default()))
        else {
            // A login is not sent in the clear, and not to nowhere.
            return Err(self.misunderstood("it names no place for tokens that can be trusted"));
        };
        let service = parameter("service").unwrap_or_default();
        let path = format!("{}?service={}&scope=repository:{}:pull", realm.path(), service.replace(' ', "%20"), self.place.repository);
        let answer = self.get(host.as_str(), &path, basic).await?;
        if !answer.status().is_success() {
            let Place { registry, repository } = self.place;
            return Err(TagsError::Unauthorized { registry: registry.clone(), repository: repository.clone() });
        }
        let token: Token = serde_json::from_slice(answer.body()).map_err(|source| self.misunderstood(source))?;
        let token = token.token.or(token.access_token).ok_or_else(|| self.misunderstood("it gave no token"))?;
        secret(&format!("Bearer {token}")).map(Some).map_err(|source| self.misunderstood(source))
    }

    async fn get(&self, host: &str, path: &str, authorization: Option<HeaderValue>) -> Result<http::Response<Bytes>, TagsError> {
        let failed = |source| TagsError::Network { registry: host.to_owned(), source };
        let mut request = Request::get(path).header(HOST, host).header(USER_AGENT, concat!("haloyd/", env!("CARGO_PKG_VERSION")));
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::new()).map_err(|source| self.misunderstood(source))?;
        let late = |_| failed(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", PATIENCE.as_secs())));
        timeout(PATIENCE, exchange(host, request)).await.map_err(late)?.map_err(failed)
    }

    fn misunderstood<E: Into<Box<dyn std::error::Error + Send + Sync>>>(&self, source: E) -> TagsError {
        TagsError::Answer { registry: self.place.registry.clone(), source: source.into() }
    }
}

fn secret(value: &str) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(value)?;
    value.set_sensitive(true);
    Ok(value)
}

/// `</v2/…?last=…>; rel="next"`, or the same with a whole address.
fn next_page(link: &str) -> Option<String> {
    let address = link.strip_prefix('<')?.split_once('>')?.0;
    let uri: Uri = address.parse().ok()?;
    uri.path_and_query().map(|path| path.as_str().to_owned())
}

fn is_loopback(host: &str) -> bool {
    let host = https::bare(host);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// One request over a connection of its own.
async fn exchange(authority: &str, request: Request<Empty<Bytes>>) -> io::Result<http::Response<Bytes>> {
    let parsed: http::uri::Authority = authority.parse().map_err(io::Error::other)?;
    let host = parsed.host();
    let mut roots = https::system_roots();
    roots.add_parsable_certificates(given_certificates(&Path::new(CERTIFICATES).join(authority)));
    let port = parsed.port_u16();
    match https::ask(&https::connector(roots), host, port.unwrap_or(443), request.clone(), MAX_ANSWER).await {
        // The engine does the same for registries on its own machine, and for no others.
        Err(_) if is_loopback(host) => {
            let stream = TcpStream::connect((https::bare(host), port.unwrap_or(80))).await?;
            https::speak(stream, request, MAX_ANSWER).await
        }
        answered => answered,
    }
}

/// What the engine is given to trust this registry.
fn given_certificates(folder: &Path) -> Vec<CertificateDer<'static>> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "crt"));
    files.filter_map(|path| CertificateDer::pem_file_iter(path).ok()).flat_map(|found| found.flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_repositories_are() {
        let place = |image: &str| {
            let Place { registry, repository } = Place::of(&image.parse().unwrap());
            format!("{registry} {repository}")
        };
        assert_eq!(place("postgres:18"), "registry-1.docker.io library/postgres");
        assert_eq!(place("docker.io/ada/shop"), "registry-1.docker.io ada/shop");
        assert_eq!(place("ghcr.io/ada/shop:v1"), "ghcr.io ada/shop");
        assert_eq!(
            place("localhost:5000/shop@sha256:0000000000000000000000000000000000000000000000000000000000000000"),
            "localhost:5000 shop"
        );
    }

    #[test]
    fn pages_and_hosts() {
        assert_eq!(next_page("</v2/a/tags/list?n=2&last=b>; rel=\"next\"").as_deref(), Some("/v2/a/tags/list?n=2&last=b"));
        assert_eq!(next_page("<https://r.example/v2/a/tags/list?last=b>; rel=\"next\"").as_deref(), Some("/v2/a/tags/list?last=b"));
        assert_eq!(next_page("nonsense"), None);
        assert!(is_loopback("127.0.0.1") && is_loopback("[::1]") && is_loopback("localhost") && !is_loopback("example.com"));
    }
}
