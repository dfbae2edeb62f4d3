//! The manifest that the client makes of an image (OCI image-spec, manifest.md): the same bytes for the same contents.

use serde::Serialize;

use crate::crypto;
use crate::names::Digest;

pub const MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Gzip,
    Zstd,
}

impl Packing {
    /// By the first bytes: the magic numbers of RFC 1952 and RFC 8878.
    pub fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Plain => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    pub packing: Packing,
}

/// A finished manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub digest: Digest,
    pub body: Vec<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    schema_version: u32,
    media_type: &'a str,
    config: Descriptor<'a>,
    layers: Vec<Descriptor<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'a> {
    media_type: &'a str,
    digest: &'a Digest,
    size: u64,
}

/// `layers` from the lowest.
pub fn write(config: &Digest, config_size: u64, layers: &[Layer]) -> Manifest {
    let layer = |layer: &Layer| (layer.packing.media_type(), layer.size);
    let layers = layers.iter().map(|l| Descriptor { media_type: layer(l).0, digest: &l.digest, size: layer(l).1 }).collect();
    let config = Descriptor { media_type: "application/vnd.oci.image.config.v1+json", digest: config, size: config_size };
    let written = Written { schema_version: 2, media_type: MEDIA_TYPE, config, layers };
    let body = serde_json::to_vec(&written).expect("invariant: our own types serialise");
    Manifest { digest: Digest::from_sha256_hex(&crypto::sha256_hex(&body)), body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_contents_make_the_same_bytes() {
        let digest = |letter: &str| Digest::from_sha256_hex(&letter.repeat(64));
        let layer = Layer { digest: digest("b"), size: 7, packing: Packing::of(b"\x1f\x8b\x08") };
        let manifest = write(&digest("a"), 2, std::slice::from_ref(&layer));
        let expected = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MEDIA_TYPE}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":2}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{}","size":7}}]}}"#,
            digest("a"),
            digest("b")
        );
        assert_eq!(String::from_utf8_lossy(&manifest.body), expected);
        assert_eq!(manifest, write(&digest("a"), 2, &[layer]));
        assert_eq!((Packing::of(b"\x28\xb5\x2f\xfd"), Packing::of(b"ustar")), (Packing::Zstd, Packing::Plain));
    }
}
