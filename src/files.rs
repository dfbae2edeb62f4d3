//! Files that must survive a power cut, and directories that nobody else may read.
//!
//! A write is: temporary name, fsync, rename, fsync of the folder. Whoever reads sees the old file
//! or the new one, whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What was attempted on which path.
#[derive(Debug, thiserror::Error)]
#[error("could not {action} `{}`", path.display())]
pub struct FileError {
    pub action: &'static str,
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

/// Adds the attempt and the path to an I/O error.
pub fn context<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> FileError + 'a {
    move |source| FileError { action, path: path.to_owned(), source }
}

/// Replaces `path` by `contents` atomically and durably; only the owner may read it (0600).
pub fn write_private(path: &Path, contents: &[u8]) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = write_new(&temporary, contents).and_then(|()| fs::rename(&temporary, path)).and_then(|()| sync_folder(folder));
    written.map_err(|source| {
        // The rename did not happen, so the old file is whole; only our leftover is removed.
        let _ = fs::remove_file(&temporary);
        FileError { action: "write", path: path.to_owned(), source }
    })
}

fn write_new(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Creates a directory (and its parents) that only the owner may enter (0700). One that exists is
/// left as it is.
pub fn private_dir(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(context("create directory", path))
}

/// Removes a file; whether there was one.
pub fn remove_optional(path: &Path) -> Result<bool, FileError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(context("remove", path)(error)),
    }
}

/// The file's text, or `None` when there is no such file.
pub fn read_optional(path: &Path) -> Result<Option<String>, FileError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError { action: "read", path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_whole_and_is_private() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("file");
        write_private(&path, b"one").expect("first write");
        write_private(&path, b"two").expect("second write");
        assert_eq!(read_optional(&path).expect("read"), Some("two".to_owned()));
        assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 1, "no temporary file is left");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn errors_name_the_path_and_a_missing_file_is_none() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let missing = dir.path().join("no/such/file");
        assert_eq!(read_optional(&missing).expect("missing is fine"), None);
        let error = write_private(&missing, b"").expect_err("folder is missing");
        assert!(error.to_string().contains("no/such/file"), "{error}");
    }
}
