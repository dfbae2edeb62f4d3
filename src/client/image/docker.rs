//! The user's own `docker` program: its arguments, what it prints, its end.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;

use super::error::ImageError;
use crate::env;
use crate::names::Digest;

/// So many last lines are kept for an error.
const LAST_WORDS: usize = 25;

/// The program, and where it is started.
#[derive(Debug, Clone)]
pub struct Docker {
    program: PathBuf,
    folder: PathBuf,
}

/// What builds images behind the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The engine's first builder, which knows no secrets.
    Classic,
    /// The BuildKit inside the engine, without the plugin for it.
    BuildKit,
    /// BuildKit through its plugin: in the engine, or in a container or on another machine, from where the image is loaded.
    Buildx,
}

/// An image of the local engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// The digest of its configuration; of its manifest where the engine keeps images in containerd.
    pub id: Digest,
    /// What its layers unpack to, from the lowest.
    pub layers: Vec<Digest>,
    /// Unpacked, in bytes.
    pub size: u64,
    /// `repository@sha256:…`
    pub digests: Vec<String>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: Digest,
    #[serde(default)]
    size: u64,
    #[serde(rename = "RootFS")]
    root: RootFs,
    repo_digests: Option<Vec<String>>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    layers: Option<Vec<Digest>>,
}

impl Local {
    /// The engine keeps images in containerd: its layers lie there as a registry had them or would have them.
    pub fn is_named_by_manifest(&self) -> bool {
        self.digests.iter().any(|name| name.ends_with(&format!("@{}", self.id)))
    }
}

impl Docker {
    /// Looks for the program on the PATH; `folder` is where it runs.
    pub fn find(folder: &Path) -> Option<Self> {
        let path = std::env::var_os(env::PATH).unwrap_or_default();
        let name = format!("docker{}", std::env::consts::EXE_SUFFIX);
        let program = std::env::split_paths(&path).map(|folder| folder.join(&name)).find(|file| file.is_file())?;
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        Some(Self { program, folder: folder.to_owned() })
    }

    pub fn command<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).current_dir(&self.folder).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a short command; what it prints to stdout, trimmed.
    pub async fn ask(&self, words: &[&str]) -> Result<String, ImageError> {
        let spoken = || words.join(" ");
        let output = self.command(words).output().await.map_err(|source| ImageError::Run { command: spoken(), source })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(ImageError::Engine { command: spoken(), words })
    }

    /// What the engine runs and builds by itself, like `linux/amd64`.
    pub async fn platform(&self) -> Result<String, ImageError> {
        self.ask(&["version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"]).await
    }

    /// What builds, as far as the user has not chosen it with `DOCKER_BUILDKIT`.
    pub async fn backend(&self) -> Backend {
        let wish = env::read(env::DOCKER_BUILDKIT);
        match wish.as_deref() {
            Some("0" | "false") => Backend::Classic,
            _ if self.ask(&["buildx", "version"]).await.is_ok() => Backend::Buildx,
            Some("1" | "true") => Backend::BuildKit,
            _ => Backend::Classic,
        }
    }

    pub async fn inspect(&self, image: &str) -> Result<Local, ImageError> {
        let text = self.ask(&["image", "inspect", "--format", "{{json .}}", image]).await?;
        let inspected: Inspected =
            serde_json::from_str(&text).map_err(|error| ImageError::Archive { reason: format!("`docker image inspect`: {error}") })?;
        let Inspected { id, size, root, repo_digests } = inspected;
        Ok(Local { id, size, layers: root.layers.unwrap_or_default(), digests: repo_digests.unwrap_or_default() })
    }

    /// `docker image save`, whose output is an archive. For a thread that may block.
    pub fn save(&self, image: &Digest) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        command.args(["image", "save", image.as_str()]).current_dir(&self.folder).stdin(Stdio::null());
        command
    }

    /// Runs a long command, `say`ing each line that it prints; how it ended, and its last lines.
    pub async fn run(&self, mut command: Command, say: impl Fn(&str)) -> Result<(ExitStatus, String), ImageError> {
        let spoken = || first_words(&command);
        let name = spoken();
        let failed = |source| ImageError::Run { command: name.clone(), source };
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let last = std::cell::RefCell::new(VecDeque::new());
        let tell = |line: &str| {
            say(line);
            let mut last = last.borrow_mut();
            last.push_back(line.to_owned());
            if last.len() > LAST_WORDS {
                last.pop_front();
            }
        };
        let (status, (), ()) = tokio::join!(child.wait(), lines(out, &tell), lines(err, &tell));
        let words: Vec<String> = last.take().into();
        Ok((status.map_err(failed)?, words.join("\n")))
    }
}

/// What the command does, without its options.
fn first_words(command: &Command) -> String {
    let words = command.as_std().get_args().map(OsStr::to_os_string).take_while(|word: &OsString| !word.to_string_lossy().starts_with('-'));
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

async fn lines(pipe: Option<impl AsyncRead + Unpin>, tell: &impl Fn(&str)) {
    let Some(pipe) = pipe else { return };
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line);
        // A line that was written over shows what is left of it.
        let text = text.trim_end_matches(['\r', '\n']).rsplit('\r').next().unwrap_or_default();
        if !text.trim().is_empty() {
            tell(text);
        }
        line.clear();
    }
}
