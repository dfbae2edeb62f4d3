//! Manifests: read, pushed, deleted, by tag and by digest.

use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderName, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::Registry;
use super::bodies;
use super::error::{Refused, versioned};
use super::manifest::{MAX_MANIFEST, Manifest};
use super::route::{Reference, Repository};
use super::uploads::CONTENT_DIGEST;
use crate::crypto;
use crate::daemon::store::{ManifestRow, NewManifest, StoreError};
use crate::names::Digest;

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

pub async fn serve(registry: &Registry, repository: &Repository, reference: Reference, request: Request) -> Result<Response, Refused> {
    match *request.method() {
        Method::PUT => push(registry, repository, reference, request).await,
        Method::DELETE => delete(registry, repository, reference).await,
        Method::HEAD => read(registry, repository, reference, false).await,
        _ => read(registry, repository, reference, true).await,
    }
}

async fn read(registry: &Registry, repository: &Repository, reference: Reference, with_body: bool) -> Result<Response, Refused> {
    let (digest, manifest) = find(registry, repository, &reference).await?.ok_or_else(|| unknown(repository, &reference))?;
    let headers =
        [(CONTENT_TYPE, manifest.media_type), (CONTENT_LENGTH, manifest.body.len().to_string()), (CONTENT_DIGEST, digest.to_string())];
    let body = if with_body { manifest.body } else { Vec::new() };
    Ok(versioned((StatusCode::OK, headers, axum::body::Body::from(body)).into_response()))
}

async fn find(registry: &Registry, repository: &Repository, reference: &Reference) -> Result<Option<(Digest, ManifestRow)>, StoreError> {
    let store = &registry.0.store;
    let name = repository.as_str().to_owned();
    let digest = match reference {
        Reference::Digest(digest) => Some(digest.clone()),
        Reference::Tag(tag) => store.tagged(name.clone(), tag.clone()).await?,
    };
    let Some(digest) = digest else { return Ok(None) };
    Ok(store.manifest(name, digest.clone()).await?.map(|manifest| (digest, manifest)))
}

fn unknown(repository: &Repository, reference: &Reference) -> Refused {
    let what = match reference {
        Reference::Tag(tag) => format!("`{}` has no tag `{tag}`", repository.as_str()),
        Reference::Digest(digest) => format!("`{}` has no manifest {digest}", repository.as_str()),
    };
    Refused::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", what)
}

async fn push(registry: &Registry, repository: &Repository, reference: Reference, request: Request) -> Result<Response, Refused> {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let too_large = || Refused::too_large(format!("a manifest has at most {} MiB", MAX_MANIFEST >> 20));
    let body = bodies::whole(request.into_body(), MAX_MANIFEST).await?.ok_or_else(too_large)?;
    let digest = Digest::from_sha256_hex(&crypto::sha256_hex(&body));
    let tag = match reference {
        Reference::Digest(named) if named != digest => {
            return Err(Refused::digest(format!("the manifest's digest is {digest}, not {named}")));
        }
        Reference::Digest(_) => None,
        Reference::Tag(tag) => Some(tag),
    };
    let manifest = Manifest::read(&body, content_type.as_deref())?;
    manifest.blobs.iter().for_each(|blob| registry.counted().ask(blob));
    let subject = manifest.subject.clone();
    let new = NewManifest {
        repository: repository.as_str().to_owned(),
        digest: digest.clone(),
        media_type: manifest.media_type,
        body: body.to_vec(),
        blobs: manifest.blobs,
        manifests: manifest.manifests,
        subject: manifest.subject,
        artifact_type: manifest.artifact_type,
        tag,
    };
    if let Some(missing) = registry.0.store.add_manifest(new).await? {
        let message = format!("the manifest names {missing}, which is not here: push it first");
        return Err(Refused::new(StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN", message));
    }
    let location = format!("/v2/{}/manifests/{digest}", repository.as_str());
    let headers = [(LOCATION, location), (CONTENT_DIGEST, digest.to_string())];
    Ok(versioned(match subject {
        Some(subject) => (StatusCode::CREATED, headers, [(SUBJECT, subject.to_string())]).into_response(),
        None => (StatusCode::CREATED, headers).into_response(),
    }))
}

async fn delete(registry: &Registry, repository: &Repository, reference: Reference) -> Result<Response, Refused> {
    let (store, name) = (&registry.0.store, repository.as_str().to_owned());
    let deleted = match &reference {
        Reference::Tag(tag) => store.delete_tag(name, tag.clone()).await?,
        Reference::Digest(digest) => store.delete_manifest(name, digest.clone()).await?,
    };
    if deleted { Ok(versioned(StatusCode::ACCEPTED.into_response())) } else { Err(unknown(repository, &reference)) }
}
