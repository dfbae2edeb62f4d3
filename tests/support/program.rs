//! Runs the real binary as a user would, in a home of its own.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// No command of these tests takes so long unless it hangs.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The binary under test.
pub fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_haloy"))
}

/// A user's home and current directory, gone at the end of the test.
pub struct Home {
    dir: tempfile::TempDir,
}

/// What a command came to.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Home {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("temporary home") }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file of the home.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file has a directory")).expect("create directory");
        std::fs::write(&path, text).expect("write file");
        path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A command in this home that knows nothing of the real user's environment.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path()).env("USER", "ada").env("HOSTNAME", "laptop");
        // No keyring of whoever runs the tests.
        command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
        command.current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// Runs `haloy` with arguments.
    pub fn haloy(&self, args: &[&str]) -> Run {
        run(self.command(binary()).args(args))
    }

    /// Runs the binary under another `argv[0]`.
    pub fn called(&self, name: &str, args: &[&str]) -> Run {
        run(self.command(binary()).arg0(name).args(args))
    }

    /// Starts `haloy` with arguments and leaves it running.
    pub fn start(&self, args: &[&str]) -> Running {
        Running::start(self.command(binary()).args(args))
    }

    /// Runs `haloy` with a text on its standard input.
    pub fn haloy_reads(&self, input: &str, args: &[&str]) -> Run {
        let mut running = Running::start(self.command(binary()).args(args).stdin(Stdio::piped()));
        let mut stdin = running.child.stdin.take().expect("piped");
        stdin.write_all(input.as_bytes()).expect("the program reads its input");
        drop(stdin);
        running.end()
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Run {
    Running::start(command).end()
}

/// A command that is still running; killed when it is dropped.
pub struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    printed: String,
    seen: String,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let stdout = lines(child.stdout.take().expect("piped"));
        let stderr = lines(child.stderr.take().expect("piped"));
        Self { child, stdout, stderr, printed: String::new(), seen: String::new() }
    }

    /// Waits until a line with `text` appears on stderr.
    pub fn says(&mut self, text: &str) {
        let deadline = Instant::now() + DEADLINE;
        while !self.seen.contains(text) {
            let line = self.stderr.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            self.seen += &line.unwrap_or_else(|_| panic!("`{text}` was never said, only:\n{}", self.seen));
        }
    }

    /// Waits until `text` was printed to stdout.
    pub fn prints(&mut self, text: &str) {
        let deadline = Instant::now() + DEADLINE;
        while !self.printed.contains(text) {
            let line = self.stdout.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            self.printed += &line.unwrap_or_else(|_| panic!("`{text}` was never printed, only:\n{}{}", self.printed, self.seen));
        }
    }

    /// Sends the signal of Ctrl-C.
    pub fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("the process is there");
    }

    /// Waits for the end.
    pub fn end(mut self) -> Run {
        let deadline = Instant::now() + DEADLINE;
        for (pipe, text) in [(&self.stdout, &mut self.printed), (&self.stderr, &mut self.seen)] {
            loop {
                match pipe.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                    Ok(line) => text.push_str(&line),
                    Err(RecvTimeoutError::Disconnected) => break,
                    Err(RecvTimeoutError::Timeout) => panic!("hangs after:\n{text}"),
                }
            }
        }
        let code = self.child.wait().expect("wait").code();
        Run { code, stdout: std::mem::take(&mut self.printed), stderr: std::mem::take(&mut self.seen) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only when it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(pipe: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = String::new();
        while reader.read_line(&mut line).expect("output is UTF-8") > 0 {
            if sender.send(std::mem::take(&mut line)).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Run {
    /// Succeeded; returns stdout.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Ended with `code`; returns stderr.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stderr
    }

    /// Its only JSON value on stdout.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}:\n{}\nstderr:\n{}", self.stdout, self.stderr))
    }
}

/// `text` has all of `parts`, in this order.
#[track_caller]
pub fn has(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let found = rest.find(part).unwrap_or_else(|| panic!("`{part}` is missing (or in the wrong place) in:\n{text}"));
        rest = &rest[found + part.len()..];
    }
}
