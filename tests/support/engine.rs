//! A Docker Engine of a test's own, in a network namespace of its own: one that may be restarted.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::app::wait_for;
use crate::haloyd::{signal, unique};

/// A network namespace with nothing in it but loopback.
pub struct Namespace {
    pub name: String,
}

impl Namespace {
    pub fn create() -> Self {
        let name = unique("haloy-test-");
        run(Command::new("ip").args(["netns", "add", &name]));
        let namespace = Self { name };
        run(Command::new("ip").args(["-n", &namespace.name, "link", "set", "lo", "up"]));
        namespace
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

/// Runs in the network namespace of whoever starts it; live-restore is off, as Docker has it by default.
pub struct Engine {
    folder: PathBuf,
    child: Option<Child>,
}

impl Engine {
    pub fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("haloy-test-{}", unique("")));
        fs::create_dir_all(&folder).expect("create the engine's folder");
        let mut engine = Self { folder, child: None };
        engine.start_again();
        engine
    }

    /// Its address as `DOCKER_HOST` takes it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.join("docker.sock").display())
    }

    /// Starts it after [`stop`](Self::stop), with all that it had.
    pub fn start_again(&mut self) {
        let place = |name: &str| self.folder.join(name);
        let log = File::options().create(true).append(true).open(place("log")).expect("open the engine's log");
        let mut command = Command::new("dockerd");
        command.arg("--host").arg(self.host()).arg("--data-root").arg(place("data")).arg("--exec-root").arg(place("exec"));
        command.arg("--pidfile").arg(place("docker.pid")).args(["--live-restore=false", "--log-level=warn"]);
        // Should it share a containerd with another engine, it does not share its containers.
        command.args(["--containerd-namespace", "haloy-test", "--containerd-plugins-namespace", "haloy-test-plugins"]);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("open the engine's log")).stderr(log);
        let child = command.spawn().expect("start dockerd");
        fs::write(place("pid"), child.id().to_string()).expect("write the process id");
        self.child = Some(child);
        wait_for(Duration::from_secs(60), &format!("dockerd answers, see {}", place("log").display()), || {
            let ended = self.child.as_mut().expect("it was started").try_wait().expect("watch dockerd");
            assert!(ended.is_none(), "dockerd ended: {}", fs::read_to_string(self.folder.join("log")).unwrap_or_default());
            self.docker(&["version"]).then_some(())
        });
    }

    /// SIGTERM: it stops all containers and ends.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        signal(child.id(), "TERM");
        let deadline = Instant::now() + Duration::from_secs(40);
        while child.try_wait().expect("watch dockerd").is_none() {
            if Instant::now() > deadline {
                child.kill().expect("kill dockerd");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Brings an image from the machine's own engine.
    pub fn load(&self, image: &str) {
        let mut save = Command::new("docker").args(["save", image]).stdout(Stdio::piped()).spawn().expect("run docker save");
        let image = save.stdout.take().expect("it has an output");
        run(Command::new("docker").env("DOCKER_HOST", self.host()).arg("load").stdin(image));
        assert!(save.wait().is_ok_and(|status| status.success()), "docker save failed");
    }

    fn docker(&self, words: &[&str]) -> bool {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", self.host()).args(words).stdin(Stdio::null());
        command.output().is_ok_and(|output| output.status.success())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().expect("run a command");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
