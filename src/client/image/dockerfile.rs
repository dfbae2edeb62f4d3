//! Where a build's files are, and which arguments its Dockerfile declares.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::error::ImageError;
use crate::config::{Build, is_remote_context};

/// What a build reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A directory, or an address that Docker fetches.
    pub context: String,
    /// None where the builder finds it in a context that is elsewhere.
    pub dockerfile: Option<PathBuf>,
}

/// Looks for context and Dockerfile; both may be written relative to the configuration's directory, the Dockerfile
/// relative to the context, too. The answer is relative to `folder`, where the build is started.
pub fn find(image: &str, build: &Build, folder: &Path) -> Result<Place, ImageError> {
    let context = build.context();
    if is_remote_context(context) {
        let dockerfile = build.dockerfile.as_ref().map(|written| PathBuf::from(&written.path));
        return Ok(Place { context: context.to_owned(), dockerfile });
    }
    if !folder.join(context).is_dir() {
        let path = whole(&folder.join(context));
        return Err(ImageError::NoContext { image: image.to_owned(), context: context.to_owned(), path });
    }
    let candidates = match &build.dockerfile {
        None => vec![Path::new(context).join("Dockerfile"), PathBuf::from("Dockerfile")],
        Some(written) => vec![PathBuf::from(&written.path), Path::new(context).join(&written.path)],
    };
    match candidates.iter().find(|candidate| folder.join(candidate).is_file()) {
        Some(found) => Ok(Place { context: context.to_owned(), dockerfile: Some(found.clone()) }),
        None => {
            let mut tried: Vec<PathBuf> = candidates.iter().map(|candidate| whole(&folder.join(candidate))).collect();
            tried.dedup();
            Err(ImageError::NoDockerfile { image: image.to_owned(), tried })
        }
    }
}

/// As people find it, from wherever they look.
fn whole(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The names of `ARG` instructions, in any stage. A file that cannot be read declares none.
pub fn arguments(dockerfile: &Path) -> BTreeSet<String> {
    parse_arguments(&std::fs::read_to_string(dockerfile).unwrap_or_default())
}

fn parse_arguments(text: &str) -> BTreeSet<String> {
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    let declared = joined.lines().filter_map(|line| {
        let (word, rest) = line.trim().split_once(char::is_whitespace)?;
        word.eq_ignore_ascii_case("arg").then(|| rest.to_owned())
    });
    let names = declared.flat_map(|rest| {
        let names = rest.split_whitespace().map(|word| word.split('=').next().unwrap_or_default().to_owned());
        names.collect::<Vec<_>>()
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_arguments() {
        let text = "# ARG NOT\nFROM scratch\nARG A\narg B=1 C\n  ARG D=x\\\n  E\nRUN echo ARG F\nENV ARG=1\n";
        let names: Vec<String> = parse_arguments(text).into_iter().collect();
        assert_eq!(names, ["A", "B", "C", "D", "E"]);
    }
}
