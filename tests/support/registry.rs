//! A private registry of a test's own: Debian's docker-registry with TLS and a login, on a free port of loopback.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::app::wait_for;
use crate::haloyd::unique;

pub const USER: &str = "ada";
pub const PASSWORD: &str = "correct-horse";
/// Where engines look for what they may trust.
const CERTIFICATES: &str = "/etc/docker/certs.d";

pub struct Registry {
    /// `127.0.0.1:port`.
    pub host: String,
    folder: PathBuf,
    child: Option<Child>,
}

impl Registry {
    pub fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("haloy-test-registry-{}", unique("")));
        fs::create_dir_all(folder.join("data")).expect("create the registry's folder");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).expect("a free port").port();
        let host = format!("127.0.0.1:{port}");
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("certificate");
        fs::write(folder.join("cert.pem"), made.cert.pem()).expect("write");
        fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).expect("write");
        let trusted = Path::new(CERTIFICATES).join(&host);
        fs::create_dir_all(&trusted).expect("create the engine's folder for certificates");
        fs::write(trusted.join("ca.crt"), made.cert.pem()).expect("write");
        let passwords = Command::new("htpasswd").args(["-Bbn", USER, PASSWORD]).output().expect("run htpasswd");
        fs::write(folder.join("htpasswd"), passwords.stdout).expect("write");
        let place = |name: &str| folder.join(name).display().to_string();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
             http: {{addr: '{host}', tls: {{certificate: {}, key: {}}}}}\nauth: {{htpasswd: {{realm: test, path: {}}}}}\n",
            place("data"),
            place("cert.pem"),
            place("key.pem"),
            place("htpasswd")
        );
        fs::write(folder.join("config.yml"), config).expect("write");
        let mut registry = Self { host, folder, child: None };
        registry.start_again();
        registry
    }

    /// After [`stop`](Self::stop), with all that it had.
    pub fn start_again(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.join("log")).expect("open the log");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(self.folder.join("config.yml")).stdin(Stdio::null());
        let child = command.stdout(log.try_clone().expect("open the log")).stderr(log).spawn().expect("start docker-registry");
        self.child = Some(child);
        wait_for(Duration::from_secs(30), "the registry answers", || TcpStream::connect(&self.host).ok());
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("kill the registry");
            child.wait().expect("wait for the registry");
        }
    }

    /// Pushes an image of the engine here under this name; answers with the whole reference.
    pub fn push(&self, image: &str, name: &str) -> String {
        let reference = format!("{}/{name}", self.host);
        let config = self.folder.join("docker");
        fs::create_dir_all(&config).expect("create");
        let docker = |words: &[&str]| {
            let output = Command::new("docker").args(words).env("DOCKER_CONFIG", &config).output().expect("run docker");
            assert!(output.status.success(), "docker {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        docker(&["login", "--username", USER, "--password", PASSWORD, &self.host]);
        docker(&["tag", image, &reference]);
        docker(&["push", &reference]);
        docker(&["image", "rm", &reference]);
        reference
    }

    /// The login as a configuration has it, below `image:`.
    pub fn login(&self) -> String {
        format!("registry: {{username: {{value: {USER}}}, password: {{value: {PASSWORD}}}}}")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
        // What was pushed from here has a name of this registry on the engine here.
        let format = "{{.Repository}}@{{.Digest}}";
        let listed = Command::new("docker").args(["image", "ls", "--digests", "--format", format, &format!("{}/*", self.host)]).output();
        let names = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let _ = Command::new("docker").args(["image", "rm"]).args(names.lines()).output();
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_dir_all(Path::new(CERTIFICATES).join(&self.host));
    }
}
