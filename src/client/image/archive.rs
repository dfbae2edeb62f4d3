//! Reading what `docker image save` writes: once, from its beginning to its end, keeping nothing but texts. Blocking.
//!
//! Two forms are there. Engines up to 24 write a directory for each layer (`<name>/layer.tar`), the configuration as
//! `<digest>.json`, and `manifest.json` last. Later ones, and every engine that keeps images in containerd, write an
//! OCI layout: contents below `blobs/sha256/`, named by their digests, and `index.json` beside `manifest.json`.
//! What a layer is, is known when the texts at the end have been read; so each is offered as it comes by.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::docker::Local;
use super::error::ImageError;
use super::known_layers::KnownLayers;
use super::manifest::{Layer, Packing};
use super::spool::Spool;
use crate::crypto;
use crate::names::Digest;

/// The largest configuration or manifest, in bytes.
const MAX_TEXT: u64 = 4 * 1024 * 1024;

/// An image, when all of it has come by.
#[derive(Debug, PartialEq, Eq)]
pub struct Contents {
    pub config: Vec<u8>,
    pub config_digest: Digest,
    /// From the lowest.
    pub layers: Vec<Layer>,
}

/// Who wants the layers.
pub trait Receiver {
    /// Whether anybody lacks it.
    fn needs(&mut self, digest: &Digest) -> bool;
    /// Takes it; false when nobody is there any more.
    fn take(&mut self, layer: Spool) -> bool;
}

/// Reads the archive of `image`; layers that are needed are spooled in `folder`.
pub fn read(
    archive: impl Read,
    image: &Local,
    known: &mut KnownLayers,
    folder: &Path,
    receiver: &mut impl Receiver,
) -> Result<Contents, ImageError> {
    let mut reader = Reader { known, folder, receiver, layers: BTreeMap::new(), links: BTreeMap::new(), texts: BTreeMap::new() };
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().map_err(broken)? {
        reader.entry(entry.map_err(broken)?)?;
    }
    let contents = reader.contents()?;
    let plain = contents.layers.iter().all(|layer| layer.packing == Packing::Plain);
    if plain && contents.layers.iter().map(|layer| &layer.digest).ne(&image.layers) {
        return Err(ImageError::Archive { reason: "its layers are not those that the engine names".to_owned() });
    }
    Ok(contents)
}

fn broken(error: io::Error) -> ImageError {
    ImageError::Archive { reason: error.to_string() }
}

struct Reader<'r, R> {
    known: &'r mut KnownLayers,
    folder: &'r Path,
    receiver: &'r mut R,
    /// By their paths in the archive.
    layers: BTreeMap<String, Layer>,
    links: BTreeMap<String, String>,
    texts: BTreeMap<String, Vec<u8>>,
}

impl<R: Receiver> Reader<'_, R> {
    fn entry(&mut self, mut entry: tar::Entry<'_, impl Read>) -> Result<(), ImageError> {
        let path = entry.path().map_err(broken)?.to_string_lossy().trim_start_matches("./").to_owned();
        let kind = entry.header().entry_type();
        if kind.is_symlink() || kind.is_hard_link() {
            if let Some(target) = entry.link_name().map_err(broken)? {
                self.links.insert(path, target.to_string_lossy().trim_start_matches("../").to_owned());
            }
            return Ok(());
        }
        if !kind.is_file() {
            return Ok(());
        }
        let size = entry.size();
        if let Some(name) = path.strip_suffix("/layer.tar") {
            let name = name.to_owned();
            return self.legacy_layer(path, &name, size, entry);
        }
        let start = start_of(&mut entry)?;
        if size <= MAX_TEXT && matches!(start.first(), Some(b'{' | b'[')) {
            let mut text = start;
            entry.read_to_end(&mut text).map_err(broken)?;
            complete(text.len() as u64, size)?;
            // The first file of a layer may be called `[id].js`.
            match digest_of(&path) {
                Some(digest) if serde_json::from_slice::<IgnoredAny>(&text).is_err() => {
                    self.named_layer(path, digest, size, Vec::new(), text.as_slice())?;
                }
                _ => {
                    self.texts.insert(path, text);
                }
            }
        } else if let Some(digest) = digest_of(&path) {
            self.named_layer(path, digest, size, start, entry)?;
        }
        Ok(())
    }

    /// Its content is not known by its name, unless it came by before.
    fn legacy_layer(&mut self, path: String, name: &str, size: u64, mut entry: impl Read) -> Result<(), ImageError> {
        if let Some(digest) = self.known.get(name, size).cloned()
            && !self.receiver.needs(&digest)
        {
            self.layers.insert(path, Layer { digest, size, packing: Packing::Plain });
            return Ok(());
        }
        let start = start_of(&mut entry)?;
        let spool = Spool::read(entry, &start, self.folder).map_err(ImageError::Spool)?;
        complete(spool.size, size)?;
        self.known.learn(name, &spool.digest, size);
        self.layers.insert(path, Layer { digest: spool.digest.clone(), size: spool.size, packing: spool.packing });
        if self.receiver.needs(&spool.digest) { self.hand_over(spool) } else { Ok(()) }
    }

    fn named_layer(&mut self, path: String, digest: Digest, size: u64, start: Vec<u8>, entry: impl Read) -> Result<(), ImageError> {
        let packing = Packing::of(&start);
        self.layers.insert(path, Layer { digest: digest.clone(), size, packing });
        if !self.receiver.needs(&digest) {
            return Ok(());
        }
        let spool = Spool::read(entry, &start, self.folder).map_err(ImageError::Spool)?;
        complete(spool.size, size)?;
        if spool.digest != digest {
            return Err(ImageError::Damaged { digest });
        }
        self.hand_over(spool)
    }

    fn hand_over(&mut self, spool: Spool) -> Result<(), ImageError> {
        if self.receiver.take(spool) { Ok(()) } else { Err(broken(io::ErrorKind::BrokenPipe.into())) }
    }

    fn contents(mut self) -> Result<Contents, ImageError> {
        let (config, layers) = self.named_parts()?;
        let layers = layers.iter().map(|path| self.layer(path)).collect::<Result<_, _>>()?;
        let config_digest = digest_of(&config).or_else(|| format!("sha256:{}", config.trim_end_matches(".json")).parse().ok());
        let bytes = self.texts.remove(&config).ok_or_else(|| missing(&config))?;
        let config_digest: Digest = config_digest.ok_or_else(|| missing(&config))?;
        if crypto::sha256_hex(&bytes) != config_digest.hex() {
            return Err(ImageError::Damaged { digest: config_digest });
        }
        Ok(Contents { config: bytes, config_digest, layers })
    }

    /// The paths of configuration and layers, as `manifest.json` says, else the index.
    fn named_parts(&self) -> Result<(String, Vec<String>), ImageError> {
        if let Some(text) = self.texts.get("manifest.json") {
            let images: Vec<SavedImage> = json(text)?;
            let SavedImage { config, layers } = images.into_iter().next().ok_or_else(|| missing("an image"))?;
            return Ok((config, layers.unwrap_or_default()));
        }
        let mut index: Index = json(self.texts.get("index.json").ok_or_else(|| missing("manifest.json"))?)?;
        // An index may lead to another one; the image that was saved is the one whose manifest came along.
        loop {
            let found = index.manifests.iter().find_map(|descriptor| self.texts.get(&blob_path(&descriptor.digest)));
            let text = found.ok_or_else(|| missing("the image's manifest"))?;
            match json::<ImageManifest>(text) {
                Ok(manifest) => {
                    let layers = manifest.layers.iter().map(|layer| blob_path(&layer.digest)).collect();
                    return Ok((blob_path(&manifest.config.digest), layers));
                }
                Err(_) => index = json(text)?,
            }
        }
    }

    fn layer(&self, path: &str) -> Result<Layer, ImageError> {
        let target = self.links.get(path).map_or(path, String::as_str);
        self.layers.get(target).cloned().ok_or_else(|| missing(path))
    }
}

/// An archive may end in the middle of a content.
fn complete(read: u64, size: u64) -> Result<(), ImageError> {
    if read == size { Ok(()) } else { Err(broken(io::ErrorKind::UnexpectedEof.into())) }
}

/// The first bytes, by which a content is known; fewer at its end.
fn start_of(entry: &mut impl Read) -> Result<Vec<u8>, ImageError> {
    let mut start = Vec::with_capacity(4);
    entry.take(4).read_to_end(&mut start).map_err(broken)?;
    Ok(start)
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn digest_of(path: &str) -> Option<Digest> {
    format!("sha256:{}", path.strip_prefix("blobs/sha256/")?).parse().ok()
}

fn missing(what: &str) -> ImageError {
    ImageError::Archive { reason: format!("`{what}` is missing") }
}

fn json<T: serde::de::DeserializeOwned>(text: &[u8]) -> Result<T, ImageError> {
    serde_json::from_slice(text).map_err(|error| ImageError::Archive { reason: error.to_string() })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: String,
    layers: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct ImageManifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: Digest,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Somebody who has some of the layers.
    #[derive(Default)]
    struct Taken {
        has: BTreeSet<Digest>,
        taken: Vec<Digest>,
    }

    impl Receiver for Taken {
        fn needs(&mut self, digest: &Digest) -> bool {
            !self.has.contains(digest)
        }

        fn take(&mut self, layer: Spool) -> bool {
            self.taken.push(layer.digest);
            true
        }
    }

    fn digest(content: &[u8]) -> Digest {
        Digest::from_sha256_hex(&crypto::sha256_hex(content))
    }

    enum Entry<'a> {
        File(String, &'a [u8]),
        Link(String, &'a str),
    }

    fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for entry in entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            match entry {
                Entry::File(path, content) => {
                    header.set_size(content.len() as u64);
                    archive.append_data(&mut header, path, *content).unwrap();
                }
                Entry::Link(path, target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_size(0);
                    archive.append_link(&mut header, path, target).unwrap();
                }
            }
        }
        archive.into_inner().unwrap()
    }

    fn image(layers: &[&[u8]]) -> Local {
        Local { id: digest(b"{}"), layers: layers.iter().map(|layer| digest(layer)).collect(), size: 0, digests: Vec::new() }
    }

    fn read_it(bytes: &[u8], image: &Local, known: &mut KnownLayers, taken: &mut Taken) -> Result<Contents, String> {
        let folder = tempfile::tempdir().unwrap();
        read(bytes, image, known, folder.path(), taken).map_err(|error| error.to_string())
    }

    fn legacy(manifest: &[u8]) -> Vec<u8> {
        let config = format!("{}.json", digest(b"{}").hex());
        archive(&[
            Entry::File("aa/VERSION".into(), b"1.0"),
            Entry::File("aa/json".into(), b"{\"id\":\"aa\"}"),
            Entry::File("aa/layer.tar".into(), b"lower"),
            Entry::File("bb/layer.tar".into(), b"upper"),
            Entry::Link("cc/layer.tar".into(), "../aa/layer.tar"),
            Entry::File(config, b"{}"),
            Entry::File("manifest.json".into(), manifest),
        ])
    }

    #[test]
    fn legacy_archives_and_what_was_learned_of_them() {
        let manifest = format!(
            r#"[{{"Config":"{}.json","RepoTags":null,"Layers":["aa/layer.tar","bb/layer.tar","cc/layer.tar"]}}]"#,
            digest(b"{}").hex()
        );
        let (bytes, image) = (legacy(manifest.as_bytes()), image(&[b"lower", b"upper", b"lower"]));
        let (mut known, mut taken) = (KnownLayers::default(), Taken { has: BTreeSet::from([digest(b"lower")]), ..Taken::default() });
        let contents = read_it(&bytes, &image, &mut known, &mut taken).unwrap();
        assert_eq!(taken.taken, [digest(b"upper")], "what is there is not taken");
        assert_eq!(contents.layers.iter().map(|layer| layer.size).collect::<Vec<_>>(), [5, 5, 5]);
        assert_eq!(known.get("aa", 5), Some(&digest(b"lower")));
        assert_eq!(known.get("aa", 6), None);
        assert_eq!(read_it(&bytes, &image, &mut known, &mut Taken::default()).unwrap(), contents, "and it is taken where it is needed");
    }

    #[test]
    fn oci_layouts_with_and_without_the_older_manifest() {
        let gzip: &[u8] = b"\x1f\x8bpacked";
        let blob = |content: &[u8]| blob_path(&digest(content));
        let saved = format!(r#"[{{"Config":"{}","Layers":["{}"]}}]"#, blob(b"{}"), blob(b"plain"));
        let bytes = archive(&[
            Entry::File(blob(b"{}"), b"{}"),
            Entry::File(blob(b"plain"), b"plain"),
            Entry::File("index.json".into(), b"{}"),
            Entry::File("manifest.json".into(), saved.as_bytes()),
        ]);
        let contents = read_it(&bytes, &image(&[b"plain"]), &mut KnownLayers::default(), &mut Taken::default()).unwrap();
        assert_eq!(contents.layers, [Layer { digest: digest(b"plain"), size: 5, packing: Packing::Plain }]);

        let manifest = format!(r#"{{"config":{{"digest":"{}"}},"layers":[{{"digest":"{}"}}]}}"#, digest(b"{}"), digest(gzip));
        let inner = format!(r#"{{"manifests":[{{"digest":"{}"}},{{"digest":"{}"}}]}}"#, digest(b"absent"), digest(manifest.as_bytes()));
        let outer = format!(r#"{{"manifests":[{{"digest":"{}"}}]}}"#, digest(inner.as_bytes()));
        let bytes = archive(&[
            Entry::File(blob(b"{}"), b"{}"),
            Entry::File(blob(gzip), gzip),
            Entry::File(blob(manifest.as_bytes()), manifest.as_bytes()),
            Entry::File(blob(inner.as_bytes()), inner.as_bytes()),
            Entry::File("index.json".into(), outer.as_bytes()),
        ]);
        let mut taken = Taken::default();
        let contents = read_it(&bytes, &image(&[b"unpacked"]), &mut KnownLayers::default(), &mut taken).unwrap();
        assert_eq!(contents.layers, [Layer { digest: digest(gzip), size: 8, packing: Packing::Gzip }]);
        assert_eq!(taken.taken, [digest(gzip)]);
    }

    #[test]
    fn a_layer_that_looks_like_a_text_is_a_layer() {
        let layer: &[u8] = b"[id].js\0\0\0 the rest of a tar header";
        let saved = format!(r#"[{{"Config":"{}","Layers":["{}"]}}]"#, blob_path(&digest(b"{}")), blob_path(&digest(layer)));
        let bytes = archive(&[
            Entry::File(blob_path(&digest(b"{}")), b"{}"),
            Entry::File(blob_path(&digest(layer)), layer),
            Entry::File("manifest.json".into(), saved.as_bytes()),
        ]);
        let mut taken = Taken::default();
        read_it(&bytes, &image(&[layer]), &mut KnownLayers::default(), &mut taken).unwrap();
        assert_eq!(taken.taken, [digest(layer)]);
    }

    #[test]
    fn an_archive_that_ends_in_the_middle_teaches_nothing() {
        let manifest = format!(r#"[{{"Config":"{}.json","Layers":["aa/layer.tar","bb/layer.tar"]}}]"#, digest(b"{}").hex());
        let bytes = legacy(manifest.as_bytes());
        let middle = bytes.windows(5).position(|window| window == b"lower").unwrap() + 3;
        let mut known = KnownLayers::default();
        let said = read_it(&bytes[..middle], &image(&[b"lower", b"upper"]), &mut known, &mut Taken::default()).unwrap_err();
        assert!(said.contains("end of file"), "{said}");
        assert_eq!(known.get("aa", 5), None);
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let config = digest(b"{}").hex().to_owned();
        for (manifest, expected) in [
            ("[]".to_owned(), "`an image` is missing"),
            (format!(r#"[{{"Config":"{config}.json","Layers":["dd/layer.tar"]}}]"#), "`dd/layer.tar` is missing"),
            (format!(r#"[{{"Config":"{config}.json","Layers":["bb/layer.tar"]}}]"#), "not those that the engine names"),
            (r#"[{"Config":"aa/json","Layers":[]}]"#.to_owned(), "`aa/json` is missing"),
        ] {
            let said = read_it(&legacy(manifest.as_bytes()), &image(&[b"lower"]), &mut KnownLayers::default(), &mut Taken::default());
            assert!(said.as_ref().is_err_and(|said| said.contains(expected)), "{said:?}");
        }
        let wrong = archive(&[Entry::File(blob_path(&digest(b"a")), b"b")]);
        let said = read_it(&wrong, &image(&[]), &mut KnownLayers::default(), &mut Taken::default()).unwrap_err();
        assert!(said.contains("is not what it is called"), "{said}");
    }
}
