//! Runs a program that prints secrets, and holds what it prints in memory that is wiped.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use crate::env;
use crate::secret::Secret;

use super::super::exit_status;
use super::error::Problem;
use super::last_words;

/// More than any store of secrets has to say.
const STDOUT_LIMIT: usize = 1 << 20;
/// Of stderr the end is kept.
const STDERR_LIMIT: usize = 16 << 10;
/// People may have to find their key or their phone first.
const TIME_LIMIT: Duration = Duration::from_secs(120);
/// How long pipes are read after the program has ended: a process that it left behind may hold them open.
const REST: Duration = Duration::from_secs(1);

/// A program under the names that it is installed by, and its arguments.
#[derive(Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The first that is found is taken; never empty.
    pub names: Vec<String>,
    pub arguments: Vec<String>,
}

/// Where programs are, what they are told, and how long they may take.
pub struct Programs<'a> {
    pub path: OsString,
    /// Of `.env` files, beside the environment of this process.
    pub variables: Vec<(&'a str, &'a Secret)>,
    pub time_limit: Duration,
}

/// What a program printed; wiped when it is dropped.
pub type Output = Zeroizing<Vec<u8>>;

impl<'a> Programs<'a> {
    pub fn of_this_process(variables: Vec<(&'a str, &'a Secret)>) -> Self {
        Self { path: std::env::var_os(env::PATH).unwrap_or_default(), variables, time_limit: TIME_LIMIT }
    }

    /// Runs a program in `folder` to its end and returns what it printed. It is killed when the future is dropped.
    pub async fn run(&self, invocation: &Invocation, folder: &Path) -> Result<Output, Problem> {
        // A relative program would be looked for from the folder in which it is started.
        let folder = std::path::absolute(if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
        let folder = folder.map_err(|cause| Problem::Run { program: invocation.names.join(" or "), cause })?;
        let (name, file) = self.find(&invocation.names, &folder)?;
        let failed = |cause| Problem::Run { program: name.to_owned(), cause };
        // It stays in our process group: outside of it, it could not ask for a password on the terminal.
        let mut child = Command::new(file)
            .args(&invocation.arguments)
            .current_dir(folder)
            .envs(self.variables.iter().map(|(name, value)| (name, value.expose())))
            .env(env::PATH, &self.path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (mut stdout, mut stderr) = (Zeroizing::new(Vec::with_capacity(STDOUT_LIMIT)), Zeroizing::new(Vec::new()));
        let ended = tokio::time::timeout(self.time_limit, watch(&mut child, &mut stdout, &mut stderr)).await;
        let words = || last_words::of(&stderr, &stdout, &self.variables);
        match ended {
            Ok(Ok(status)) if status.success() => Ok(stdout),
            Ok(Ok(status)) => Err(Problem::Exit { program: name.to_owned(), outcome: exit_status::in_words(status), words: words() }),
            Ok(Err(Broken::TooMuch)) => Err(Problem::TooMuch { program: name.to_owned(), limit: STDOUT_LIMIT }),
            Ok(Err(Broken::Io(cause))) => Err(failed(cause)),
            Err(_) => Err(Problem::TimeOut { program: name.to_owned(), limit: self.time_limit, words: words() }),
        }
    }

    /// The first of `names` that is a program. A name with a slash is a file, seen from `folder`.
    fn find<'n>(&self, names: &'n [String], folder: &Path) -> Result<(&'n str, PathBuf), Problem> {
        let found = names.iter().find_map(|name| {
            if name.contains(std::path::is_separator) {
                return executable(folder.join(name)).map(|file| (name.as_str(), file));
            }
            // An empty entry means the current directory to shells; nobody wants secrets to be read by what lies there.
            let folders = std::env::split_paths(&self.path).filter(|folder| folder.is_absolute());
            folders.into_iter().find_map(|folder| executable(folder.join(name))).map(|file| (name.as_str(), file))
        });
        found.ok_or_else(|| Problem::NotInstalled { program: names.first().cloned().unwrap_or_default() })
    }
}

#[cfg(unix)]
fn executable(file: PathBuf) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = file.metadata().ok()?;
    (metadata.is_file() && metadata.permissions().mode() & 0o111 != 0).then_some(file)
}

/// Tools that are scripts are `.cmd` files, which the system does not find by itself.
#[cfg(not(unix))]
fn executable(file: PathBuf) -> Option<PathBuf> {
    let ending = |ending: &str| {
        let mut name = file.clone().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let endings: &[&str] = if file.extension().is_some() { &["", ".exe", ".cmd", ".bat"] } else { &[".exe", ".cmd", ".bat"] };
    endings.iter().map(|end| ending(end)).find(|file| file.is_file())
}

enum Broken {
    TooMuch,
    Io(io::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads both pipes until the program ends.
async fn watch(child: &mut Child, stdout: &mut Vec<u8>, stderr: &mut Vec<u8>) -> Result<ExitStatus, Broken> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let mut pipes = pin!(async { tokio::try_join!(read_whole(out, stdout), read_end(err, stderr)) });
    tokio::select! {
        read = &mut pipes => {
            read?;
            Ok(child.wait().await?)
        }
        status = child.wait() => {
            if let Ok(read) = tokio::time::timeout(REST, pipes).await {
                read?;
            }
            Ok(status?)
        }
    }
}

/// `buffer` never grows: growing would leave copies behind that nobody wipes.
async fn read_whole(pipe: Option<impl AsyncRead + Unpin>, buffer: &mut Vec<u8>) -> Result<(), Broken> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    while buffer.len() < buffer.capacity() {
        let room = (buffer.capacity() - buffer.len()) as u64;
        if (&mut pipe).take(room).read_buf(buffer).await? == 0 {
            return Ok(());
        }
    }
    Err(Broken::TooMuch)
}

async fn read_end(pipe: Option<impl AsyncRead + Unpin>, buffer: &mut Vec<u8>) -> Result<(), Broken> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut piece = Zeroizing::new([0; 4 << 10]);
    loop {
        let length = pipe.read(&mut *piece).await?;
        if length == 0 {
            return Ok(());
        }
        buffer.extend_from_slice(&piece[..length]);
        if buffer.len() > 2 * STDERR_LIMIT {
            buffer.drain(..buffer.len() - STDERR_LIMIT);
        }
    }
}

/// Whether a variable's value is one that no message may show.
pub fn is_secret_variable(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let ends = ["TOKEN", "SECRET", "PASSWORD", "PASSPHRASE", "_KEY", "_PW", "MASTERPW", "BW_SESSION"];
    ends.iter().any(|end| name.ends_with(end)) || name.starts_with("OP_SESSION_")
}
