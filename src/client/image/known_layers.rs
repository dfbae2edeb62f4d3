//! What was learned of layers: which content a layer of a legacy archive has, so that it is hashed once.
//!
//! In those archives a layer lies in a directory whose name follows from its content and everything below it. A file
//! that is gone or damaged costs the time to hash again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::files;
use crate::names::Digest;
use crate::paths;

/// More layers than a machine builds on.
const MOST: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub digest: Digest,
    /// Of the archive's entry, in bytes: another size is another content.
    pub size: u64,
}

#[derive(Debug, Default)]
pub struct KnownLayers {
    path: Option<PathBuf>,
    layers: BTreeMap<String, Known>,
    is_changed: bool,
}

impl KnownLayers {
    pub fn load() -> Self {
        let path = Some(paths::client_cache().join("layers.json"));
        let text = path.as_ref().and_then(|path| files::read_optional(path).ok().flatten());
        let layers = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Self { path, layers, is_changed: false }
    }

    pub fn get(&self, name: &str, size: u64) -> Option<&Digest> {
        self.layers.get(name).filter(|known| known.size == size).map(|known| &known.digest)
    }

    pub fn learn(&mut self, name: &str, digest: &Digest, size: u64) {
        let known = Known { digest: digest.clone(), size };
        self.is_changed |= self.layers.insert(name.to_owned(), known.clone()) != Some(known);
    }

    /// Writes down what is new. Where that is not possible, nothing is lost but time.
    pub fn save(&mut self) {
        let Some(path) = self.path.as_ref().filter(|_| std::mem::take(&mut self.is_changed)) else { return };
        if self.layers.len() > MOST {
            self.layers.clear();
        }
        let text = serde_json::to_vec(&self.layers).expect("invariant: our own types serialise");
        if let Some(folder) = path.parent()
            && files::private_dir(folder).is_ok()
        {
            let _ = files::write_private(path, &text);
        }
    }
}
