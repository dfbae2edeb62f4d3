//! The registry as its clients see it: the four categories of the distribution-spec's conformance, then everything
//! that goes wrong.

mod discovery;
mod garbage;
mod hostile;
mod management;
mod pull;
mod push;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use tower_service::Service as _;

use super::Registry;
use crate::crypto;
use crate::daemon::store::Store;
use crate::names::Digest;

const TOKEN: &str = "haloy_test";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

struct Server {
    registry: Registry,
    store: Store,
    router: Router,
    dir: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Server {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::start_in(dir).await
    }

    async fn start_in(dir: tempfile::TempDir) -> Self {
        let store = Store::open(&dir.path().join("db/haloy.db")).unwrap();
        let allows = Arc::new(|token: &str| (token == TOKEN).then_some(super::Access::EVERYTHING));
        let registry = Registry::open(store.clone(), dir.path().join("blobs"), allows).unwrap();
        registry.sweep().await.unwrap();
        let router = registry.router(false);
        Self { registry, store, router, dir }
    }

    /// Another process with the same files.
    async fn restart(self) -> Self {
        let Self { registry, store, router, dir } = self;
        drop((registry, store, router));
        Self::start_in(dir).await
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes().to_vec() }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method.parse::<Method>().unwrap()).uri(path);
        request = request.header("authorization", format!("Bearer {TOKEN}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], Body::empty()).await
    }

    /// Pushes a blob whole.
    async fn blob(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = digest(content);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        self.ask("POST", &path, &[], content.to_vec()).await.is(201);
        digest
    }

    /// The address of a new upload.
    async fn upload(&self, repository: &str) -> String {
        self.ask("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], Body::empty()).await.is(202).header("location").to_owned()
    }

    /// Pushes an image of a configuration and these layers; answers with its digest.
    async fn image(&self, repository: &str, tag: &str, layers: &[&[u8]]) -> Digest {
        let config = self.blob(repository, b"{}").await;
        let mut descriptors = Vec::new();
        for layer in layers {
            descriptors.push(descriptor(&self.blob(repository, layer).await, layer.len()));
        }
        let manifest = image_manifest(&config, &descriptors);
        self.manifest(repository, tag, OCI_MANIFEST, &manifest).await.is(201);
        digest(manifest.as_bytes())
    }

    async fn manifest(&self, repository: &str, reference: &str, media_type: &str, body: &str) -> Answer {
        self.ask("PUT", &format!("/v2/{repository}/manifests/{reference}"), &[("content-type", media_type)], body.to_owned()).await
    }

    /// Files of blobs and uploads.
    fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![self.dir.path().join("blobs")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                if entry.path().is_dir() { folders.push(entry.path()) } else { files.push(entry.file_name().into_string().unwrap()) }
            }
        }
        files.sort();
        files
    }
}

impl Answer {
    #[track_caller]
    fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// Refused with a status and a code of the specification.
    #[track_caller]
    fn refused(self, status: u16, code: &str) -> String {
        let answer = self.is(status);
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["errors"][0]["code"], code, "{body}");
        body["errors"][0]["message"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no `{name}` in {:?}", self.headers)).to_str().unwrap()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn digest(content: &[u8]) -> Digest {
    Digest::from_sha256_hex(&crypto::sha256_hex(content))
}

fn descriptor(digest: &Digest, size: usize) -> serde_json::Value {
    serde_json::json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size })
}

fn image_manifest(config: &Digest, layers: &[serde_json::Value]) -> String {
    let config = serde_json::json!({ "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2 });
    serde_json::json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers }).to_string()
}

/// A content that compresses badly enough to make many pieces.
fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}
