//! A layer on its way: in a file that is gone when nobody sends it any more, in chunks that are sent one by one.

use std::fs::File;
use std::io::{self, Read, Write as _};

use super::manifest::Packing;
use crate::crypto::Sha256;
use crate::names::Digest;

/// Bytes of the content in a chunk: what is lost at most when a connection breaks.
pub const CHUNK: usize = 4 * 1024 * 1024;
/// Faster than the disk, and most of what zstd can do for layers.
const LEVEL: i32 = 1;

/// A content that was read once and is sent from its file.
#[derive(Debug)]
pub struct Spool {
    file: File,
    pub digest: Digest,
    /// Of the content, in bytes.
    pub size: u64,
    pub packing: Packing,
    pub chunks: Vec<Chunk>,
}

/// A part of a content, and where it lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Bytes of the content, and its first one.
    pub first: u64,
    pub length: u64,
    /// The same in the file, where it may be compressed.
    pub offset: u64,
    pub stored: u64,
}

impl Spool {
    /// Reads a content to its end. A plain layer is compressed, a frame of zstd for each chunk.
    pub fn read(mut content: impl Read, start: &[u8], folder: &std::path::Path) -> io::Result<Self> {
        let packing = Packing::of(start);
        let mut file = tempfile::tempfile_in(folder)?;
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        let (mut hash, mut chunks) = (Sha256::new(), Vec::new());
        let (mut first, mut offset) = (0, 0);
        let mut chunk = Vec::with_capacity(CHUNK);
        let mut compressed = Vec::with_capacity(zstd::zstd_safe::compress_bound(CHUNK));
        let mut content = start.chain(&mut content);
        loop {
            chunk.clear();
            (&mut content).take(CHUNK as u64).read_to_end(&mut chunk)?;
            if chunk.is_empty() {
                break;
            }
            hash.update(&chunk);
            let stored = match packing {
                Packing::Plain => {
                    compressor.compress_to_buffer(&chunk, &mut compressed)?;
                    &compressed
                }
                Packing::Gzip | Packing::Zstd => &chunk,
            };
            file.write_all(stored)?;
            chunks.push(Chunk { first, length: chunk.len() as u64, offset, stored: stored.len() as u64 });
            first += chunk.len() as u64;
            offset += stored.len() as u64;
        }
        Ok(Self { file, digest: Digest::from_sha256_hex(&hash.finish_hex()), size: first, packing, chunks })
    }

    /// The chunks are frames of zstd, and not the content itself.
    pub fn is_compressed(&self) -> bool {
        self.packing == Packing::Plain
    }

    /// What is left to send when the other side has `arrived` bytes of the content.
    pub fn rest(&self, arrived: u64) -> Vec<Chunk> {
        let chunks = self.chunks.iter().copied().filter(|chunk| chunk.first + chunk.length > arrived);
        let cut = |mut chunk: Chunk| {
            // Only what is not compressed can be cut.
            if chunk.first < arrived && !self.is_compressed() {
                let there = arrived - chunk.first;
                chunk = Chunk { first: arrived, length: chunk.length - there, offset: chunk.offset + there, stored: chunk.stored - there };
            }
            chunk
        };
        chunks.map(cut).collect()
    }

    /// A part of the file.
    pub fn bytes(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        read_at(&self.file, &mut bytes, offset)?;
        Ok(bytes)
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(not(unix))]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    let mut read = 0;
    while read < bytes.len() {
        match std::os::windows::fs::FileExt::seek_read(file, &mut bytes[read..], offset + read as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => read += length,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(content: &[u8]) -> Spool {
        let folder = tempfile::tempdir().unwrap();
        let (start, rest) = content.split_at(content.len().min(4));
        Spool::read(rest, start, folder.path()).unwrap()
    }

    #[test]
    fn plain_layers_become_frames_that_make_one_content() {
        let content: Vec<u8> = (0..CHUNK * 2 + 1000).map(|n| (n / 7) as u8).collect();
        let spool = spool(&content);
        assert_eq!(spool.digest, Digest::from_sha256_hex(&crate::crypto::sha256_hex(&content)));
        assert_eq!((spool.size, spool.chunks.len(), spool.is_compressed()), (content.len() as u64, 3, true));
        let stored: Vec<u8> = spool.chunks.iter().flat_map(|c| spool.bytes(c.offset, c.stored as usize).unwrap()).collect();
        assert!(stored.len() < content.len() / 10);
        assert!(zstd::decode_all(stored.as_slice()).unwrap() == content);
        assert_eq!(spool.rest(CHUNK as u64), spool.chunks[1..]);
        assert_eq!(spool.rest(0), spool.chunks);
    }

    #[test]
    fn packed_layers_stay_as_they_are_and_are_cut_anywhere() {
        let content = [&[0x1f, 0x8b][..], &vec![3; 1000]].concat();
        let spool = spool(&content);
        assert_eq!((spool.packing, spool.is_compressed()), (Packing::Gzip, false));
        assert_eq!(spool.rest(400), [Chunk { first: 400, length: 602, offset: 400, stored: 602 }]);
        assert_eq!(spool.bytes(0, 1002).unwrap(), content);
        assert!(spool.rest(1002).is_empty());
    }
}
