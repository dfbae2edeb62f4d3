//! Projects whose images are built: a Dockerfile and what it copies, beside the haloy.yaml of an app.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::app::{App, image};

/// Writes a project that answers with `version`; `rest` goes into its haloy.yaml.
pub fn write(app: &App<'_>, version: &str, rest: &str) {
    app.configure_web(&format!("drain_timeout: 2s\nstop_timeout: 1s\n{rest}"));
    write_context(app.folder(), version);
}

/// The program of the test app, a file that is the version's own, and a Dockerfile for both.
pub fn write_context(folder: &Path, version: &str) {
    if !folder.join("app").exists() {
        take_program(folder);
    }
    fs::write(folder.join("version"), version).expect("write");
    // No two tests share an image: one's would keep the other's.
    let own = folder.file_name().unwrap_or_default().to_string_lossy();
    let text = format!(
        "FROM scratch\nENV TEST={own}\nCOPY app /haloy-test-app\nCOPY version /\nENV VERSION={version}\nEXPOSE 8080\nENTRYPOINT [\"/haloy-test-app\"]\n"
    );
    fs::write(folder.join("Dockerfile"), text).expect("write");
}

/// Out of the image that all tests have.
fn take_program(folder: &Path) {
    let docker = |words: &[&str]| {
        let output = Command::new("docker").args(words).output().expect("run docker");
        assert!(output.status.success(), "docker {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let container = docker(&["create", &image("v1")]);
    docker(&["cp", &format!("{container}:/haloy-test-app"), &folder.join("app").display().to_string()]);
    docker(&["rm", &container]);
}

/// Removes the image that a build has left under the app's name.
pub struct Built(String);

impl Built {
    pub fn of(app: &App<'_>) -> Self {
        Self(app.name.clone())
    }

    pub fn named(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl Drop for Built {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["image", "rm", &self.0]).output();
    }
}
