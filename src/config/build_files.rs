//! Whether what an image is built from is there: the directory that the build sees, and the Dockerfile.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::build::Build;
use super::mistake::Mistake;
use super::source::{Site, Source};
use super::target::Target;

/// A warning for each place that names what is not there. `path` is the configuration file, to whose
/// directory paths are relative.
pub fn check(path: &Path, targets: &[Target]) -> Vec<Mistake> {
    let mut warnings: Vec<Mistake> = targets.iter().filter_map(|target| missing(path, target.image.build.as_ref()?)).collect();
    let mut seen = BTreeSet::new();
    // What is written at the root is missing for every target that inherits it.
    warnings.retain(|warning| seen.insert((warning.start(), warning.message.clone())));
    warnings
}

fn missing(path: &Path, build: &Build) -> Option<Mistake> {
    let folder = path.parent().unwrap_or(Path::new(""));
    if is_remote_context(build.context()) {
        return None;
    }
    let context = folder.join(build.context());
    if let Some(written) = build.context.as_ref().filter(|_| !context.is_dir()) {
        let message = format!("the build context `{}` is not a directory", written.path);
        return Some(warning(&written.site, "context", message, "paths are relative to this file"));
    }
    let Some(written) = &build.dockerfile else {
        let expected = context.join("Dockerfile");
        if expected.is_file() {
            return None;
        }
        let message = format!("the image is built, and there is no `{}`", shown(&expected));
        let hint = "write a Dockerfile, or name the image to run: `image: ghcr.io/you/app:1.0`";
        let site = build.context.as_ref().map_or_else(|| nowhere(path), |context| context.site.clone());
        return Some(warning(&site, "image", message, hint));
    };
    let places = [folder.join(&written.path), context.join(&written.path)];
    if places.iter().any(|place| place.is_file()) {
        return None;
    }
    let message = format!("there is no Dockerfile `{}`", written.path);
    Some(warning(&written.site, "dockerfile", message, "paths are relative to this file"))
}

/// Whether a build context is a repository or an archive that Docker fetches.
pub fn is_remote_context(context: &str) -> bool {
    context == "-" || context.contains("://") || context.starts_with("git@")
}

fn shown(path: &Path) -> String {
    path.components().collect::<PathBuf>().display().to_string()
}

/// The file itself: nothing in it is wrong.
fn nowhere(path: &Path) -> Site {
    Site { source: Arc::new(Source::new(path, "", &[])), span: 0..0 }
}

fn warning(site: &Site, key: &str, message: String, hint: &str) -> Mistake {
    let mut warning = Mistake::new(site.clone(), Some(key.to_owned()), message).warning();
    warning.hint(hint);
    warning.placed()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::config;

    /// The warnings about a file, beside which these files are.
    fn warnings(text: &str, files: &[&str]) -> String {
        let folder = tempfile::tempdir().expect("temporary directory");
        for name in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a directory")).expect("create");
            fs::write(path, "FROM scratch\n").expect("write");
        }
        let path = folder.path().join("haloy.yaml");
        fs::write(&path, text).expect("write");
        let config = config::load(&path).unwrap_or_else(|error| panic!("{}", crate::error::render(&error)));
        let warnings: Vec<String> = config.missing_files().iter().map(|warning| warning.render(false)).collect();
        warnings.join("\n").replace(&format!("{}/", folder.path().display()), "")
    }

    #[test]
    fn what_is_there_is_not_mentioned() {
        for (text, files) in [
            ("name: a\n", &["Dockerfile"][..]),
            ("name: a\nimage: nginx\n", &[]),
            ("name: a\nimage: {build_config: {context: app}}\n", &["app/Dockerfile"]),
            ("name: a\nimage: {build_config: {context: app, dockerfile: Dockerfile}}\n", &["app/Dockerfile"]),
            ("name: a\nimage: {build_config: {context: app, dockerfile: docker/Web}}\n", &["app/x", "docker/Web"]),
            ("name: a\nimage: {build_config: {context: 'https://example.com/a.git#main'}}\n", &[]),
        ] {
            assert_eq!(warnings(text, files), "", "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_named_once_where_it_is_written() {
        let none = warnings("name: a\n", &[]);
        assert!(none.contains("warning: the image is built, and there is no `Dockerfile`") && none.contains("--> haloy.yaml\n"), "{none}");
        let text = "image:\n  build_config:\n    context: app\n    dockerfile: Web\ntargets:\n  one:\n  two:\n";
        let context = warnings(text, &[]);
        assert_eq!(context.matches("the build context `app` is not a directory").count(), 1, "{context}");
        assert!(context.contains("--> haloy.yaml:3:14"), "{context}");
        let dockerfile = warnings(text, &["app/Dockerfile"]);
        assert!(dockerfile.contains("there is no Dockerfile `Web`") && dockerfile.contains("haloy.yaml:4:17"), "{dockerfile}");
        let default = warnings("name: a\nimage: {build_config: {context: app}}\n", &["app/x"]);
        assert!(default.contains("there is no `app/Dockerfile`") && default.contains("haloy.yaml:2:"), "{default}");
    }
}
