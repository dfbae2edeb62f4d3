//! One upload: a file that grows, hashed as it grows. Blocking; called in short pieces.
//!
//! A piece that comes compressed is decoded to be hashed, and kept as it came. `mark` is the state to which a broken
//! piece goes back; without compression every byte that arrived counts.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

use super::files::Encoding;
use crate::crypto::Sha256;
use crate::names::Digest;

/// The largest content, in bytes.
pub const MAX_BLOB: u64 = 20 * 1024 * 1024 * 1024;
/// The largest window that a compressed piece may ask for, as a power of two: 8 MiB.
const MAX_WINDOW_LOG: u32 = 23;
const BUFFER: usize = 256 * 1024;

/// Why a piece was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PieceError {
    #[error("the disk could not take it")]
    Disk(#[source] io::Error),
    #[error("it is not whole frames of zstd with a window of at most 8 MiB")]
    Compression,
    #[error("a blob has at most {} GiB", MAX_BLOB >> 30)]
    TooLarge,
}

pub struct Upload {
    path: PathBuf,
    file: File,
    encoding: Option<Encoding>,
    /// Bytes of the content so far.
    size: u64,
    /// Bytes of the file so far.
    stored: u64,
    hash: Sha256,
    /// The decoder and whether a frame is open in it, while a compressed piece is coming in.
    decoder: Option<(Decoder<'static>, bool)>,
    mark: Mark,
}

#[derive(Clone)]
struct Mark {
    size: u64,
    stored: u64,
    hash: Sha256,
}

/// What a finished upload is.
pub struct Finished {
    pub path: PathBuf,
    pub digest: Digest,
    pub size: u64,
    pub stored: u64,
    pub encoding: Encoding,
}

impl Upload {
    pub fn create(path: PathBuf) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.create_new(true).read(true).write(true).open(&path)?;
        let mark = Mark { size: 0, stored: 0, hash: Sha256::new() };
        Ok(Self { path, file, encoding: None, size: 0, stored: 0, hash: Sha256::new(), decoder: None, mark })
    }

    /// One that an earlier process began: what is in its file is read once more.
    pub fn resume(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let mark = Mark { size: 0, stored: 0, hash: Sha256::new() };
        let mut upload = Self { path, file, encoding: None, size: 0, stored: 0, hash: Sha256::new(), decoder: None, mark };
        upload.read_again()?;
        Ok(upload)
    }

    fn read_again(&mut self) -> io::Result<()> {
        let mut reader = self.file.try_clone()?;
        reader.seek(SeekFrom::Start(0))?;
        let mut buffer = vec![0; BUFFER];
        let mut length = reader.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        // No layer is a zstd file that came without saying so: clients that compress keep the digest of what they send.
        self.encoding = Some(if self.path.extension().is_some() { Encoding::Zstd } else { Encoding::Identity });
        while length > 0 {
            let piece = buffer[..length].to_vec();
            if self.note(&piece).is_err() {
                break;
            }
            length = reader.read(&mut buffer)?;
        }
        self.decoder = None;
        self.go_back().map_err(|error| io::Error::other(error.to_string()))
    }

    /// Begins a piece of this encoding; false when the upload is of the other one.
    pub fn begin(&mut self, encoding: Encoding) -> io::Result<bool> {
        if self.encoding.is_some_and(|known| known != encoding) {
            return Ok(false);
        }
        if self.encoding.is_none() && encoding == Encoding::Zstd {
            // The name says after a restart what is in the file.
            let path = self.path.with_extension("zst");
            fs::rename(&self.path, &path)?;
            self.path = path;
        }
        self.encoding = Some(encoding);
        self.mark();
        Ok(true)
    }

    /// Takes more bytes of a piece.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), PieceError> {
        self.file.seek(SeekFrom::Start(self.stored)).map_err(PieceError::Disk)?;
        self.file.write_all(bytes).map_err(PieceError::Disk)?;
        self.note(bytes)
    }

    /// Counts and hashes bytes that are in the file.
    fn note(&mut self, bytes: &[u8]) -> Result<(), PieceError> {
        match self.encoding {
            Some(Encoding::Zstd) => self.decode(bytes)?,
            _ => {
                self.hash.update(bytes);
                self.size += bytes.len() as u64;
                self.stored += bytes.len() as u64;
                if self.size > MAX_BLOB {
                    return Err(PieceError::TooLarge);
                }
                self.mark();
            }
        }
        Ok(())
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<(), PieceError> {
        let mut decoder = match self.decoder.take() {
            Some((decoder, _)) => decoder,
            None => decoder().map_err(PieceError::Disk)?,
        };
        let mut output = vec![0; BUFFER];
        let mut input = InBuffer::around(bytes);
        let open = loop {
            let (before, mut piece) = (input.pos(), OutBuffer::around(output.as_mut_slice()));
            let open = decoder.run(&mut input, &mut piece).map_err(|_| PieceError::Compression)? != 0;
            let decoded = piece.pos();
            self.hash.update(&output[..decoded]);
            self.size += decoded as u64;
            self.stored += (input.pos() - before) as u64;
            if self.size > MAX_BLOB {
                return Err(PieceError::TooLarge);
            }
            if !open {
                self.mark();
            }
            // Asked once more behind the end of a frame, the decoder would wait for the next one.
            if input.pos() == bytes.len() && (decoded < output.len() || !open) {
                break open;
            }
        };
        self.decoder = Some((decoder, open));
        Ok(())
    }

    /// The piece is complete.
    pub fn end(&mut self) -> Result<(), PieceError> {
        match self.decoder.take() {
            Some((_, true)) => Err(PieceError::Compression),
            _ => Ok(()),
        }
    }

    /// Back to where the last whole frame ended, or the last byte arrived.
    pub fn go_back(&mut self) -> Result<(), PieceError> {
        let Mark { size, stored, hash } = self.mark.clone();
        (self.size, self.stored, self.hash, self.decoder) = (size, stored, hash, None);
        self.file.set_len(stored).map_err(PieceError::Disk)
    }

    fn mark(&mut self) {
        self.mark = Mark { size: self.size, stored: self.stored, hash: self.hash.clone() };
    }

    /// Bytes of the content so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The content's digest so far.
    pub fn digest(&self) -> Digest {
        Digest::from_sha256_hex(&self.hash.clone().finish_hex())
    }

    /// All of it is on the disk.
    pub fn finish(self) -> io::Result<Finished> {
        self.file.set_len(self.stored)?;
        self.file.sync_all()?;
        let digest = self.digest();
        let encoding = self.encoding.unwrap_or(Encoding::Identity);
        Ok(Finished { digest, size: self.size, stored: self.stored, encoding, path: self.path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn decoder() -> io::Result<Decoder<'static>> {
    let mut decoder = Decoder::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
    Ok(decoder)
}
