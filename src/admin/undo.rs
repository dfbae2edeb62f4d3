//! What was made so far, to be taken away again unless all of it succeeds.

use std::fs;
use std::path::{Path, PathBuf};

use crate::files::{self, FileError};

/// Takes back what it was told about, last first, when it is dropped before [`Undo::keep`].
#[derive(Default)]
pub struct Undo {
    steps: Vec<Step>,
}

enum Step {
    RemoveDirectory(PathBuf),
    RemoveFile(PathBuf),
    Restore(PathBuf, Vec<u8>),
}

impl Undo {
    /// Creates a private directory and its parents; those that exist already stay in any case.
    pub fn directory(&mut self, path: &Path) -> Result<(), FileError> {
        let missing: Vec<PathBuf> = path.ancestors().take_while(|ancestor| !ancestor.exists()).map(Path::to_owned).collect();
        let parents_first = missing.into_iter().filter(|path| !path.as_os_str().is_empty()).rev();
        self.steps.extend(parents_first.map(Step::RemoveDirectory));
        files::private_dir(path)
    }

    /// A file is about to be written: what it holds now comes back.
    pub fn file(&mut self, path: &Path) -> Result<(), FileError> {
        let before = if path.exists() { Some(fs::read(path).map_err(files::context("read", path))?) } else { None };
        self.steps.push(match before {
            Some(contents) => Step::Restore(path.to_owned(), contents),
            None => Step::RemoveFile(path.to_owned()),
        });
        Ok(())
    }

    /// Everything succeeded: nothing is taken back.
    pub fn keep(mut self) {
        self.steps.clear();
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        for step in self.steps.drain(..).rev() {
            // The failure that led here is what the user must hear about; a step that never happened
            // has nothing to take back.
            let _ = match step {
                Step::RemoveDirectory(path) => fs::remove_dir(path),
                Step::RemoveFile(path) => fs::remove_file(path),
                Step::Restore(path, contents) => files::write_private(&path, &contents).map_err(|error| error.source),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_goes_and_what_was_there_stays() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (old, new) = (dir.path().join("old"), dir.path().join("a/b/new"));
        fs::write(&old, "before").expect("write");
        let make = || -> Result<Undo, FileError> {
            let mut undo = Undo::default();
            undo.directory(&dir.path().join("a/b"))?;
            for path in [&old, &new] {
                undo.file(path)?;
                files::write_private(path, b"after")?;
            }
            Ok(undo)
        };
        drop(make().expect("made"));
        assert_eq!(fs::read_to_string(&old).expect("old file"), "before");
        assert!(!dir.path().join("a").exists());
        make().expect("made").keep();
        assert_eq!(fs::read_to_string(&old).expect("old file"), "after");
        assert!(new.exists());
    }
}
