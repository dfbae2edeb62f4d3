//! The access log: one JSON line per request, written by one thread that nobody waits for.
//!
//! Workers collect lines in a buffer of their own and hand it over when it is full, or each second.
//! When the disk is behind, whole buffers are dropped and counted; a request never blocks.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};

use super::error::ProxyError;

/// A worker's buffer is handed over at this size.
const BUFFER: usize = 64 * 1024;
/// Buffers under way to the writer, over all workers.
const QUEUE: usize = 64;
/// A file of this size is rotated; so many are kept beside the one that is written.
const FILE_SIZE: u64 = 64 * 1024 * 1024;
const KEPT_FILES: usize = 3;

/// A worker's end.
pub(super) struct AccessLog {
    buffer: Vec<u8>,
    lines: u64,
    writer: Option<SyncSender<Vec<u8>>>,
}

impl AccessLog {
    pub(super) fn new(writer: Option<SyncSender<Vec<u8>>>) -> Self {
        Self { buffer: Vec::new(), lines: 0, writer }
    }

    pub(super) fn is_on(&self) -> bool {
        self.writer.is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Takes a line, its line feed included. Returns how many lines had to be dropped.
    pub(super) fn push(&mut self, line: &[u8]) -> u64 {
        if self.buffer.capacity() == 0 {
            self.buffer.reserve(BUFFER + 4096);
        }
        self.buffer.extend_from_slice(line);
        self.lines += 1;
        if self.buffer.len() < BUFFER { 0 } else { self.flush() }
    }

    /// Hands the buffer over. Returns how many lines had to be dropped.
    pub(super) fn flush(&mut self) -> u64 {
        let lines = std::mem::take(&mut self.lines);
        let Some(writer) = &self.writer else { return 0 };
        if self.buffer.is_empty() {
            return 0;
        }
        match writer.try_send(std::mem::take(&mut self.buffer)) {
            Ok(()) => 0,
            Err(TrySendError::Full(mut buffer) | TrySendError::Disconnected(mut buffer)) => {
                buffer.clear();
                self.buffer = buffer;
                lines
            }
        }
    }
}

/// Requests that a stopping worker cuts end after its last flush.
impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Opens the log and starts its writer, which ends when every sender is gone.
pub(super) fn start(path: &Path) -> Result<(SyncSender<Vec<u8>>, JoinHandle<()>), ProxyError> {
    let mut log = LogFile::open(path).map_err(|source| ProxyError::AccessLog { path: path.to_owned(), source })?;
    let (sender, receiver) = sync_channel(QUEUE);
    let writer = Builder::new().name("haloy-access-log".to_owned()).spawn(move || log.drain(&receiver)).map_err(ProxyError::Thread)?;
    Ok((sender, writer))
}

struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, size })
    }

    fn drain(&mut self, buffers: &Receiver<Vec<u8>>) {
        let mut failing = false;
        for buffer in buffers {
            let written = self.write(&buffer);
            if let (Err(error), false) = (&written, failing) {
                tracing::warn!(path = %self.path.display(), %error, "the access log cannot be written");
            }
            failing = written.is_err();
        }
    }

    fn write(&mut self, buffer: &[u8]) -> io::Result<()> {
        if self.size >= FILE_SIZE {
            self.rotate()?;
        }
        self.file.write_all(buffer)?;
        self.size += buffer.len() as u64;
        Ok(())
    }

    /// `log` becomes `log.1`, `log.1` becomes `log.2`, and so on; the oldest is overwritten.
    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..=KEPT_FILES).rev() {
            let from = if number == 1 { self.path.clone() } else { numbered(&self.path, number - 1) };
            match std::fs::rename(from, numbered(&self.path, number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        *self = Self::open(&self.path)?;
        Ok(())
    }
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_keeps_the_newest_files() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("logs/access.log");
        let mut log = LogFile::open(&path).expect("open");
        for number in 0..6 {
            log.size = FILE_SIZE;
            log.write(format!("{number}\n").as_bytes()).expect("write");
        }
        let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(text(&path), "5\n");
        assert_eq!([1, 2, 3, 4].map(|n| text(&numbered(&path, n))), ["4\n", "3\n", "2\n", ""]);
    }

    #[test]
    fn a_writer_that_is_behind_costs_lines_not_time() {
        let (sender, receiver) = sync_channel(1);
        let mut log = AccessLog::new(Some(sender));
        assert_eq!((log.push(b"1\n"), log.flush()), (0, 0));
        assert_eq!((log.push(b"2\n"), log.push(b"3\n"), log.flush()), (0, 0, 2), "the queue is full");
        assert_eq!(receiver.recv().expect("first buffer"), b"1\n");
        assert_eq!((log.push(b"4\n"), log.flush()), (0, 0));
        assert_eq!(receiver.recv().expect("later buffer"), b"4\n");
    }
}
