//! What a manifest is and what it names (OCI image-spec, and Docker's schema 2 before it). Pure.

use serde::Deserialize;

use super::error::Refused;
use crate::names::Digest;

/// The largest manifest, in bytes; the specification asks for at least 4 MiB.
pub const MAX_MANIFEST: usize = 4 * 1024 * 1024;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A manifest that was understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Manifest {
    pub media_type: String,
    /// Configuration and layers: they must be there.
    pub blobs: Vec<Digest>,
    /// Manifests of an index: they must be there, too.
    pub manifests: Vec<Digest>,
    /// What it refers to; need not be there.
    pub subject: Option<Digest>,
    pub artifact_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    schema_version: u32,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: Option<String>,
    digest: String,
    /// Layers that are elsewhere by design are not pushed.
    urls: Option<Vec<String>>,
}

impl Manifest {
    /// `content_type` is the request's; it and the manifest's own must agree.
    pub fn read(body: &[u8], content_type: Option<&str>) -> Result<Self, Refused> {
        let written: Written =
            serde_json::from_slice(body).map_err(|error| Refused::manifest(format!("the manifest is not understood: {error}")))?;
        if written.schema_version != 2 {
            return Err(Refused::manifest("only manifests of `schemaVersion` 2 are understood"));
        }
        let content_type = content_type.map(|text| text.split(';').next().unwrap_or_default().trim());
        let media_type = written.media_type.as_deref().or(content_type).unwrap_or(OCI_MANIFEST).to_owned();
        if content_type.is_some_and(|given| given != media_type && given != "application/json") {
            return Err(Refused::manifest(format!("the manifest is `{media_type}`, the request says something else")));
        }
        let (blobs, manifests) = match media_type.as_str() {
            OCI_MANIFEST | DOCKER_MANIFEST => {
                let (Some(config), Some(layers)) = (&written.config, &written.layers) else {
                    return Err(Refused::manifest("an image's manifest has `config` and `layers`"));
                };
                let pushed = layers.iter().filter(|layer| layer.urls.as_ref().is_none_or(Vec::is_empty));
                (std::iter::once(config).chain(pushed).map(digest).collect::<Result<_, _>>()?, Vec::new())
            }
            OCI_INDEX | DOCKER_LIST => {
                let manifests = written.manifests.as_ref().ok_or_else(|| Refused::manifest("an index has `manifests`"))?;
                (Vec::new(), manifests.iter().map(digest).collect::<Result<_, _>>()?)
            }
            other => return Err(Refused::manifest(format!("manifests of the type `{other}` are not kept here"))),
        };
        let config_type = written.config.as_ref().and_then(|config| config.media_type.clone());
        let artifact_type = written.artifact_type.or(config_type);
        Ok(Self { media_type, blobs, manifests, subject: written.subject.as_ref().map(digest).transpose()?, artifact_type })
    }
}

fn digest(descriptor: &Descriptor) -> Result<Digest, Refused> {
    descriptor.digest.parse().map_err(|_| Refused::manifest("a digest in the manifest is not valid: sha256 alone is kept here"))
}

#[cfg(test)]
mod unit {
    use super::*;

    fn read(json: serde_json::Value, content_type: Option<&str>) -> Result<Manifest, String> {
        Manifest::read(json.to_string().as_bytes(), content_type).map_err(|refused| refused.message().to_owned())
    }

    fn descriptor(letter: &str) -> serde_json::Value {
        serde_json::json!({ "mediaType": "x/y", "digest": format!("sha256:{}", letter.repeat(64)), "size": 1 })
    }

    #[test]
    fn images_and_indexes_name_what_they_need() {
        let mut layer = descriptor("c");
        layer["urls"] = serde_json::json!(["https://example.com/foreign"]);
        let image = serde_json::json!({ "schemaVersion": 2, "config": descriptor("a"), "layers": [descriptor("b"), layer], "subject": descriptor("d") });
        let manifest = read(image, Some(DOCKER_MANIFEST)).unwrap();
        assert_eq!((manifest.media_type.as_str(), manifest.blobs.len()), (DOCKER_MANIFEST, 2));
        assert_eq!(manifest.subject.map(|digest| digest.short().to_owned()).as_deref(), Some("dddddddddddd"));
        assert_eq!(manifest.artifact_type.as_deref(), Some("x/y"));
        let index = serde_json::json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor("a")] });
        assert_eq!(read(index, Some(OCI_INDEX)).unwrap().manifests.len(), 1);
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        let image = |changes: serde_json::Value| {
            let mut image = serde_json::json!({ "schemaVersion": 2, "config": descriptor("a"), "layers": [] });
            changes.as_object().unwrap().iter().for_each(|(key, value)| image[key] = value.clone());
            image
        };
        for (json, content_type, part) in [
            (serde_json::json!([]), None, "not understood"),
            (image(serde_json::json!({ "schemaVersion": 1 })), None, "schemaVersion"),
            (image(serde_json::json!({ "config": null })), None, "`config` and `layers`"),
            (image(serde_json::json!({ "mediaType": "text/html" })), None, "`text/html` are not kept"),
            (image(serde_json::json!({ "mediaType": OCI_MANIFEST })), Some(DOCKER_MANIFEST), "something else"),
            (image(serde_json::json!({ "layers": [{ "digest": "sha512:00" }] })), None, "not valid"),
        ] {
            let said = read(json, content_type).unwrap_err();
            assert!(said.contains(part), "{said}");
        }
    }
}
