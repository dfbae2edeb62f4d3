//! A build context as a tar archive, for a builder on another machine. Blocking.
//!
//! What `.dockerignore` leaves out is not sent; the Dockerfile always is, under a name of its own where it lies outside.
//! Links are sent as links, and nothing outside the directory is.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::error::ImageError;
use super::ignore::Ignore;

/// The name of a Dockerfile that is not in the context.
const OUTSIDE: &str = ".haloy.dockerfile";

pub struct Context {
    root: PathBuf,
    dockerfile: PathBuf,
    ignore: Ignore,
}

impl Context {
    /// `dockerfile` and `root` are seen from the current directory.
    pub fn new(root: &Path, dockerfile: &Path) -> Result<Self, ImageError> {
        let own = PathBuf::from(format!("{}.dockerignore", dockerfile.display()));
        let file = [own, root.join(".dockerignore")].into_iter().find(|file| file.is_file());
        let text = match &file {
            Some(path) => fs::read_to_string(path).map_err(failed(path))?,
            None => String::new(),
        };
        Ok(Self { root: root.to_owned(), dockerfile: dockerfile.to_owned(), ignore: Ignore::parse(&text) })
    }

    /// What the builder calls the Dockerfile.
    pub fn dockerfile(&self) -> String {
        // By its own name, where that is a link's.
        let inside = || {
            let folder = self.dockerfile.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let path = folder.canonicalize().ok()?.join(self.dockerfile.file_name()?);
            Some(path.strip_prefix(self.root.canonicalize().ok()?).ok()?.to_owned())
        };
        inside().map_or_else(|| OUTSIDE.to_owned(), |path: PathBuf| slashes(&path))
    }

    /// Writes the archive.
    pub fn write(&self, to: impl Write) -> Result<(), ImageError> {
        let mut archive = tar::Builder::new(to);
        archive.follow_symlinks(false);
        let dockerfile = self.dockerfile();
        self.write_below(Path::new(""), &dockerfile, &mut archive)?;
        let mut file = fs::File::open(&self.dockerfile).map_err(failed(&self.dockerfile))?;
        archive.append_file(&dockerfile, &mut file).map_err(failed(&self.dockerfile))?;
        archive.finish().map_err(failed(&self.root))
    }

    fn write_below<W: Write>(&self, folder: &Path, dockerfile: &str, archive: &mut tar::Builder<W>) -> Result<(), ImageError> {
        let path = self.root.join(folder);
        let mut entries: Vec<_> = fs::read_dir(&path).and_then(Iterator::collect).map_err(failed(&path))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = folder.join(entry.file_name());
            let (path, kind) = (entry.path(), entry.file_type().map_err(failed(&path))?);
            let shown = slashes(&name);
            let left_out = self.ignore.leaves_out(&shown);
            if kind.is_dir() {
                if !left_out {
                    archive.append_dir(&name, &path).map_err(failed(&path))?;
                }
                if !left_out || self.ignore.may_take_back_below(&shown) {
                    self.write_below(&name, dockerfile, archive)?;
                }
            } else if !left_out && shown != dockerfile && (kind.is_file() || kind.is_symlink()) {
                archive.append_path_with_name(&path, &name).map_err(failed(&path))?;
            }
        }
        Ok(())
    }
}

fn slashes(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect::<Vec<_>>().join("/")
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> ImageError {
    let path = path.to_owned();
    move |source| ImageError::Context { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in the archive of a directory with these files.
    fn names(files: &[(&str, &str)], dockerfile: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("context");
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut archive = Vec::new();
        Context::new(&root, &root.join(dockerfile)).unwrap().write(&mut archive).unwrap();
        let mut archive = tar::Archive::new(archive.as_slice());
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn what_is_ignored_stays_here_and_the_dockerfile_goes() {
        let files = [("Dockerfile", "FROM scratch"), ("src/main.rs", ""), ("target/x", ""), (".dockerignore", "target\nDockerfile\n")];
        assert_eq!(names(&files, "Dockerfile"), [".dockerignore", "src", "src/main.rs", "Dockerfile"]);
        let files = [("a", ""), ("b", ""), (".dockerignore", "a"), ("../Web", "FROM scratch"), ("../Web.dockerignore", "b")];
        assert_eq!(names(&files, "../Web"), [".dockerignore", "a", ".haloy.dockerfile"], "the Dockerfile's own list wins");
        let files = [("Dockerfile", ""), ("docs/a", ""), ("docs/keep/b", ""), (".dockerignore", "docs\n!docs/keep\n.dockerignore")];
        assert_eq!(names(&files, "Dockerfile"), ["docs/keep", "docs/keep/b", "Dockerfile"]);
    }

    #[test]
    #[cfg(unix)]
    fn a_dockerfile_that_is_a_link_arrives_as_what_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("docker")).unwrap();
        fs::write(folder.path().join("docker/prod"), "FROM scratch").unwrap();
        std::os::unix::fs::symlink("docker/prod", folder.path().join("Dockerfile")).unwrap();
        let mut archive = Vec::new();
        let context = Context::new(folder.path(), &folder.path().join("Dockerfile")).unwrap();
        context.write(&mut archive).unwrap();
        let mut archive = tar::Archive::new(archive.as_slice());
        let file = archive.entries().unwrap().map(Result::unwrap).find(|entry| entry.path_bytes().as_ref() == b"Dockerfile");
        let text = std::io::read_to_string(file.unwrap()).unwrap();
        assert_eq!((context.dockerfile().as_str(), text.as_str()), ("Dockerfile", "FROM scratch"));
    }
}
