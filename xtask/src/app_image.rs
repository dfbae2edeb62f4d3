//! The test app's images: a static binary `FROM scratch`, one image per version.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command;
use crate::failure::{Attempt as _, Failure, Outcome};
use crate::words::Words;
use crate::workspace;

const REPOSITORY: &str = "haloy-test-app";
/// Says from what an image was built, so that it is built again only when that has changed.
const CONTENT_LABEL: &str = "haloy-test-app.content";

/// `cargo xtask app-image TAG [--healthcheck]`.
pub fn main(mut words: Words) -> Outcome {
    let healthcheck = words.switch("--healthcheck");
    let tag = words.next().ok_or_else(|| Failure::new("which tag? like `cargo xtask app-image v1`"))?;
    words.end()?;
    println!("{}", build(&tag, healthcheck)?);
    Ok(())
}

/// Makes sure that `haloy-test-app:TAG` exists and answers with version TAG; returns its reference.
pub fn build(tag: &str, healthcheck: bool) -> Outcome<String> {
    let binary = build_binary()?;
    let image = format!("{REPOSITORY}:{tag}");
    let dockerfile = dockerfile(tag, healthcheck);
    let content = content(&binary, &dockerfile)?;
    if label_of(&image).as_deref() == Some(&content) {
        return Ok(image);
    }
    let context = std::env::temp_dir().join(format!("{REPOSITORY}-{}-{tag}", std::process::id()));
    let built = build_in(&context, &binary, &dockerfile, &content, &image);
    // The context is scratch; what matters is whether the image was built.
    let _ = fs::remove_dir_all(&context);
    built.map(|()| image)
}

/// Writes what a project of this version holds into `folder`: the program and its Dockerfile.
pub fn write_project(folder: &Path, version: &str) -> Outcome {
    write_context(folder, &build_binary()?, &dockerfile(version, false))
}

/// Compiles the app statically and returns the binary's path.
pub fn build_binary() -> Outcome<PathBuf> {
    let triple = workspace::host_triple()?;
    // A target of its own keeps these flags from rebuilding everything else.
    let flags = format!("{} -Ctarget-feature=+crt-static", std::env::var("RUSTFLAGS").unwrap_or_default());
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--quiet", "--release", "--package", REPOSITORY, "--target", &triple]);
    command::run(cargo.env("RUSTFLAGS", flags.trim()).env_remove("CARGO_ENCODED_RUSTFLAGS"))?;
    Ok(workspace::target().join(triple).join("release").join(REPOSITORY))
}

fn dockerfile(tag: &str, healthcheck: bool) -> String {
    let check =
        if healthcheck { "HEALTHCHECK --interval=1s --timeout=2s --retries=3 CMD [\"/haloy-test-app\", \"--healthcheck\"]\n" } else { "" };
    format!("FROM scratch\nCOPY {REPOSITORY} /\nENV VERSION={tag}\nEXPOSE 8080\n{check}ENTRYPOINT [\"/{REPOSITORY}\"]\n")
}

fn content(binary: &Path, dockerfile: &str) -> Outcome<String> {
    let mut hasher = DefaultHasher::new();
    fs::read(binary).attempt(|| format!("read {}", binary.display()))?.hash(&mut hasher);
    dockerfile.hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

fn label_of(image: &str) -> Option<String> {
    let format = format!("{{{{index .Config.Labels \"{CONTENT_LABEL}\"}}}}");
    command::output(Command::new("docker").args(["image", "inspect", "--format", &format, image])).ok()
}

fn build_in(context: &Path, binary: &Path, dockerfile: &str, content: &str, image: &str) -> Outcome {
    write_context(context, binary, dockerfile)?;
    let label = format!("{CONTENT_LABEL}={content}");
    command::output(Command::new("docker").args(["build", "--quiet", "--label", &label, "--tag", image]).arg(context)).map(drop)
}

fn write_context(context: &Path, binary: &Path, dockerfile: &str) -> Outcome {
    let place = || format!("write the build context {}", context.display());
    fs::create_dir_all(context).attempt(place)?;
    fs::copy(binary, context.join(REPOSITORY)).attempt(place)?;
    fs::write(context.join("Dockerfile"), dockerfile).attempt(place)
}
