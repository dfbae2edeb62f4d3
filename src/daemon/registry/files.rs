//! Where the contents lie: files by digest, and uploads by id.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use crate::files::{FileError, private_dir};
use crate::names::Digest;

/// So much stays free for everything else on the disk, in bytes.
pub const RESERVE: u64 = 512 * 1024 * 1024;

/// How a content lies in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    /// Frames of zstd (RFC 8878), one behind another.
    Zstd,
}

impl Encoding {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Zstd => "zstd",
        }
    }

    pub fn from_stored(text: &str) -> Self {
        if text == "zstd" { Self::Zstd } else { Self::Identity }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Zstd => ".zst",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Files {
    root: PathBuf,
}

impl Files {
    pub fn open(root: PathBuf) -> Result<Self, FileError> {
        let files = Self { root };
        private_dir(&files.uploads())?;
        private_dir(&files.root.join("sha256"))?;
        Ok(files)
    }

    pub fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    pub fn path(&self, digest: &Digest, encoding: Encoding) -> PathBuf {
        let hex = digest.hex();
        self.root.join("sha256").join(&hex[..2]).join(format!("{hex}{}", encoding.ending()))
    }

    /// Moves a finished upload to its place, unless the content is there already; says whether it did. Its data is on
    /// the disk already; afterwards so is its name.
    pub fn take_in(&self, known: Option<&str>, upload: &Path, digest: &Digest, encoding: Encoding) -> io::Result<bool> {
        if known.is_some_and(|known| self.path(digest, Encoding::from_stored(known)).is_file()) {
            fs::remove_file(upload)?;
            return Ok(false);
        }
        let path = self.path(digest, encoding);
        let folder = path.parent().unwrap_or(&self.root);
        if !folder.is_dir() {
            private_dir(folder).map_err(|error| error.source)?;
            File::open(self.root.join("sha256"))?.sync_all()?;
        }
        fs::rename(upload, &path)?;
        File::open(folder)?.sync_all()?;
        Ok(true)
    }

    /// Removes a content; one that is gone already is no error.
    pub fn remove(&self, digest: &Digest, encoding: Encoding) -> io::Result<()> {
        match fs::remove_file(self.path(digest, encoding)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    /// Every file that has the name of a content, with its size on disk.
    pub fn all(&self) -> Vec<(Digest, Encoding, u64)> {
        let list = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
        let files = list(&self.root.join("sha256")).flat_map(|folder| list(&folder.path()).collect::<Vec<_>>());
        let named = files.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let (hex, encoding) = match name.strip_suffix(".zst") {
                Some(hex) => (hex, Encoding::Zstd),
                None => (name.as_str(), Encoding::Identity),
            };
            let digest = format!("sha256:{hex}").parse().ok()?;
            Some((digest, encoding, entry.metadata().map(|metadata| metadata.len()).unwrap_or_default()))
        });
        named.collect()
    }

    /// Bytes that are free beside the reserve.
    pub fn room(&self) -> u64 {
        let free = statvfs(&self.root).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        // A disk that cannot be asked is found to be full when it is.
        free.unwrap_or(u64::MAX).saturating_sub(RESERVE)
    }
}
