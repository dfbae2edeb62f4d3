//! How much room there is, and where: the data directory and the engine's images may share a disk.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

/// So much stays free for everything else, in bytes.
const RESERVE: u64 = 512 * 1024 * 1024;
/// With less than this free the disk is low, in bytes or as a part of the whole.
const LOW_BYTES: u64 = 2 * 1024 * 1024 * 1024;
const LOW_PART: u64 = 10;

/// A disk, and what is needed on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// A directory on it, as people know it.
    pub path: PathBuf,
    device: u64,
    pub free: u64,
    total: u64,
    /// Bytes that are to be written, with the reserve.
    pub needed: u64,
}

impl Disk {
    pub fn is_low(&self) -> bool {
        self.free < LOW_BYTES.min(self.total / LOW_PART)
    }

    pub fn has_room(&self) -> bool {
        self.needed <= self.free
    }
}

/// The disks of these directories, each with the bytes that are to be written below all of its directories. One that
/// cannot be looked at, like that of an engine on another machine, is left out.
pub fn disks(needs: &[(&Path, u64)]) -> Vec<Disk> {
    let mut disks: Vec<Disk> = Vec::new();
    for (path, bytes) in needs {
        let Some(present) = path.ancestors().find(|path| path.exists()) else { continue };
        let (Ok(metadata), Ok(statistics)) = (present.metadata(), statvfs(present)) else { continue };
        match disks.iter_mut().find(|disk| disk.device == metadata.dev()) {
            Some(disk) => disk.needed += bytes,
            None => disks.push(Disk {
                path: (*path).to_owned(),
                device: metadata.dev(),
                free: statistics.f_bavail.saturating_mul(statistics.f_frsize),
                total: statistics.f_blocks.saturating_mul(statistics.f_frsize),
                needed: RESERVE + bytes,
            }),
        }
    }
    disks
}

/// `1.2 GB`, `340 MB`: decimal, as disks are sold.
pub fn size(bytes: u64) -> String {
    let gigabytes = bytes as f64 / 1e9;
    if gigabytes >= 1.0 { format!("{gigabytes:.1} GB") } else { format!("{:.0} MB", bytes as f64 / 1e6) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_one_disk_add_up() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("not/there/yet");
        let disks = disks(&[(folder.path(), 10), (&below, 5)]);
        assert_eq!((disks.len(), disks[0].needed), (1, RESERVE + 15));
        assert!(disks[0].free > 0);
        assert_eq!((size(340_000_000), size(1_240_000_000)), ("340 MB".to_owned(), "1.2 GB".to_owned()));
    }

    #[test]
    fn low_is_a_tenth_of_a_small_disk_and_two_gigabytes_of_a_large_one() {
        let disk = |free, total| Disk { path: PathBuf::new(), device: 0, free, total, needed: 0 };
        assert!(disk(900_000_000, 10_000_000_000).is_low() && !disk(1_100_000_000, 10_000_000_000).is_low());
        assert!(disk(LOW_BYTES - 1, u64::MAX).is_low() && !disk(LOW_BYTES, u64::MAX).is_low());
    }
}
