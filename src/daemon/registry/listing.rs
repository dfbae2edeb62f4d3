//! Content discovery: the tags of a repository, and what refers to a manifest.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, HeaderName, LINK};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::Registry;
use super::error::{Refused, versioned};
use super::route::Repository;
use crate::names::Digest;

const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");
/// As many tags as are listed at once, at most.
const MOST: u32 = 1000;

/// `GET …/tags/list?n=…&last=…`, in lexical order.
pub async fn tags(registry: &Registry, repository: &Repository, uri: &Uri) -> Result<Response, Refused> {
    let n = parameter(uri, "n").map(|n| n.parse::<u32>()).transpose();
    let n = n.map_err(|_| Refused::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", "`n` is a number"))?;
    let last = parameter(uri, "last").unwrap_or_default().to_owned();
    let name = repository.as_str();
    let limit = n.unwrap_or(MOST).min(MOST);
    // One more than is shown tells whether there are more.
    let tags = registry.0.store.tags(name.to_owned(), last, limit + 1).await?;
    let Some(mut tags) = tags else {
        return Err(Refused::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", format!("there is no repository `{name}`")));
    };
    let more = tags.len() > limit as usize;
    tags.truncate(limit as usize);
    let next = tags.last().filter(|_| more).map(|last| format!("</v2/{name}/tags/list?n={limit}&last={last}>; rel=\"next\""));
    let body = Json(json!({ "name": name, "tags": tags }));
    Ok(versioned(match next {
        Some(next) => ([(LINK, next)], body).into_response(),
        None => body.into_response(),
    }))
}

/// `GET …/referrers/DIGEST?artifactType=…`: an index of the manifests whose subject it is; empty when there are none.
pub async fn referrers(registry: &Registry, repository: &Repository, subject: &Digest, uri: &Uri) -> Result<Response, Refused> {
    let wanted =
        parameter(uri, "artifactType").map(|text| text.replace("%2F", "/").replace("%2f", "/").replace("%2B", "+").replace("%2b", "+"));
    let referrers = registry.0.store.referrers(repository.as_str().to_owned(), subject.clone()).await?;
    let fits = |artifact_type: &Option<String>| wanted.as_ref().is_none_or(|wanted| artifact_type.as_ref() == Some(wanted));
    let manifests = referrers.into_iter().filter(|(_, manifest)| fits(&manifest.artifact_type)).map(|(digest, manifest)| {
        let annotations = serde_json::from_slice::<serde_json::Value>(&manifest.body).map(|body| body["annotations"].clone());
        let mut descriptor = json!({
            "mediaType": manifest.media_type, "digest": digest, "size": manifest.body.len(), "artifactType": manifest.artifact_type,
        });
        if let Ok(annotations @ serde_json::Value::Object(_)) = annotations {
            descriptor["annotations"] = annotations;
        }
        descriptor
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests.collect::<Vec<_>>(),
    });
    let headers = [(CONTENT_TYPE, "application/vnd.oci.image.index.v1+json")];
    let body = serde_json::to_vec(&index).expect("invariant: our own values serialise");
    Ok(versioned(match wanted {
        Some(_) => (headers, [(FILTERS, "artifactType")], body).into_response(),
        None => (headers, body).into_response(),
    }))
}

fn parameter<'u>(uri: &'u Uri, name: &str) -> Option<&'u str> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}
