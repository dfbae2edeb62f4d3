//! What it costs to bring an image to a server: bytes on the wire, time, memory; beside skopeo and docker-registry.
//!
//! Everything goes over loopback, through a relay that counts. The image has four large layers and a small one on top,
//! half of whose bytes compress, as those of programs do.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::relay::Relay;
use super::{judge, mebibytes};
use crate::app_image;
use crate::command;
use crate::failure::{Attempt as _, Failure, Outcome};
use crate::installation::{App, Installation};
use crate::process::{self, Background};
use crate::setup::{self, Purpose};

const LARGE_LAYERS: u64 = 4;
const LARGE: u64 = 75_000_000;
const SMALL: u64 = 1_000_000;
/// What uncompressed bytes a client sends at once.
const CHUNK: u64 = 4 * 1024 * 1024;
/// Beside the layers: requests, configuration, manifest.
const SLACK: u64 = 64 * 1024;
const MAX_MEMORY: u64 = 64 * 1024 * 1024;
const NAME: &str = "haloy-bench-image";
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// One deploy, as it was seen from outside.
struct Deployed {
    took: Duration,
    /// From the client to the server, in bytes.
    sent: u64,
    /// The most memory that the client ever held, in bytes.
    memory: u64,
    said: String,
}

pub fn run(haloy: &Path) -> Outcome {
    setup::ready_for(Purpose::Bench)?;
    let folder = std::env::temp_dir().join(format!("haloy-bench-{}", std::process::id()));
    let mut installation = Installation::start(haloy, folder.clone())?;
    let relay = Relay::start(installation.ports.api)?;
    installation.add_server(relay.port)?;
    let project = Project::create(&folder.join("image"), &relay, &mut installation)?;
    let verdict = measure(&installation, &relay, &project);
    let removed = installation.remove();
    command::succeeds(Command::new("docker").args(["image", "rm", "--force", &format!("{NAME}:latest")]));
    verdict.and(removed)
}

fn measure(installation: &Installation, relay: &Relay, project: &Project) -> Outcome {
    let whole = LARGE_LAYERS * LARGE + SMALL;
    println!("bench: an image of {} in {} layers", mebibytes(whole), LARGE_LAYERS + 2);
    let first = project.deploy(installation, relay)?;
    println!("{}", first.said);
    println!("first deploy, build and start included: {:.1} s, {} sent", first.took.as_secs_f64(), mebibytes(first.sent));
    let once = judge(first.sent <= whole + SLACK + whole / 100, "the first deploy sends it once");

    project.write("small", SMALL, 1)?;
    let second = project.deploy(installation, relay)?;
    println!("{}", second.said);
    let text = format!("a change in the last layer ({}): {} sent, at most 64 KiB more", mebibytes(SMALL), mebibytes(second.sent));
    let little = judge(second.sent <= SMALL + SLACK, &text);

    let resumed = resume(installation, relay, project);
    let peak = peak(installation.daemon_pid().ok_or_else(|| Failure::new("the daemon is gone"))?);
    let memory = format!("memory: client {}, daemon {}, at most {}", mebibytes(first.memory), mebibytes(peak), mebibytes(MAX_MEMORY));
    let memory = judge(first.memory <= MAX_MEMORY && peak <= MAX_MEMORY, &memory);
    once.and(little).and(resumed).and(memory).and(compare(installation, relay, project))
}

/// Every connection breaks once, in the middle.
fn resume(installation: &Installation, relay: &Relay, project: &Project) -> Outcome {
    project.write_large(10)?;
    project.build(installation)?;
    let straight = project.deploy(installation, relay)?.sent;
    project.write_large(20)?;
    relay.cut_after(straight / 2);
    let broken = project.deploy(installation, relay)?;
    // What was on its way in four connections at once is lost, a chunk each.
    let most = straight + straight / 50 + 4 * CHUNK;
    let text = format!(
        "cut at 50 %: {} sent in {} connections' lives, {} without the cut, at most a chunk for each of 4 connections more",
        mebibytes(broken.sent),
        relay.cuts() + 1,
        mebibytes(straight)
    );
    judge(relay.cuts() == 1 && broken.sent <= most, &text)
}

/// The same image by skopeo to Debian's docker-registry, in the same run.
fn compare(installation: &Installation, relay: &Relay, project: &Project) -> Outcome {
    let [port] = process::free_ports()?;
    let folder = project.folder.join("peer");
    fs::create_dir_all(&folder).attempt(|| format!("create {}", folder.display()))?;
    let config = folder.join("config.yml");
    let text = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: 127.0.0.1:{port}}}\n",
        folder.join("data").display()
    );
    fs::write(&config, text).attempt(|| format!("write {}", config.display()))?;
    let mut registry = Command::new("docker-registry");
    let _registry = Background::start("docker-registry", registry.arg("serve").arg(&config), &folder.join("log"))?;
    let answers = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    if !process::wait_until(ANSWER_LIMIT, answers) {
        return Err(Failure::new("docker-registry does not answer"));
    }
    project.write_large(30)?;
    project.build(installation)?;
    let began = Instant::now();
    let image = format!("docker-daemon:{NAME}:latest");
    command::output(Command::new("skopeo").args([
        "copy",
        "--dest-tls-verify=false",
        &image,
        &format!("docker://127.0.0.1:{port}/peer:1"),
    ]))?;
    let peer = began.elapsed();
    let ours = project.deploy(installation, relay)?;
    println!("{}", ours.said);
    let upload = seconds(&ours.said).ok_or_else(|| Failure::new("the client did not say how long the upload took"))?;
    println!(
        "skopeo to docker-registry: {:.1} s; haloy, with the engine's pull and the switch: {:.1} s",
        peer.as_secs_f64(),
        ours.took.as_secs_f64()
    );
    judge(upload <= peer.as_secs_f64(), &format!("upload: {upload:.1} s, skopeo {:.1} s", peer.as_secs_f64()))
}

/// The number in `… in 1.2 s …` of the client's line about the upload.
fn seconds(said: &str) -> Option<f64> {
    let rest = said.lines().find(|line| line.contains("uploaded "))?.split(" in ").nth(1)?;
    rest.split(' ').next()?.parse().ok()
}

/// A directory with a Dockerfile and what it copies.
struct Project {
    folder: PathBuf,
}

impl Project {
    fn create(folder: &Path, relay: &Relay, installation: &mut Installation) -> Outcome<Self> {
        fs::create_dir_all(folder).attempt(|| format!("create {}", folder.display()))?;
        let project = Self { folder: folder.to_owned() };
        let binary = app_image::build_binary()?;
        fs::copy(&binary, folder.join("app")).attempt(|| format!("copy {}", binary.display()))?;
        project.write_large(0)?;
        project.write("small", SMALL, 0)?;
        let layers: String = (0..LARGE_LAYERS).map(|number| format!("COPY large{number} /\n")).collect();
        let dockerfile = format!("FROM scratch\nCOPY app /\nENV VERSION=bench\nEXPOSE 8080\n{layers}COPY small /\nENTRYPOINT [\"/app\"]\n");
        fs::write(folder.join("Dockerfile"), dockerfile).attempt(|| "write the Dockerfile".to_owned())?;
        let text = format!("name: {NAME}\nserver: 127.0.0.1:{}\nhealth_check_path: /health\ndomains: [bench.localhost]\n", relay.port);
        fs::write(folder.join("haloy.yaml"), text).attempt(|| "write haloy.yaml".to_owned())?;
        installation.adopt(App { name: NAME.to_owned(), domain: "bench.localhost".to_owned(), image: None, replicas: 1 });
        Ok(project)
    }

    fn write_large(&self, seed: u64) -> Outcome {
        (0..LARGE_LAYERS).try_for_each(|number| self.write(&format!("large{number}"), LARGE, seed + number + 1))
    }

    /// Half of it is noise, half repeats itself.
    fn write(&self, name: &str, size: u64, seed: u64) -> Outcome {
        let path = self.folder.join(name);
        let attempt = || format!("write {}", path.display());
        let mut file = BufWriter::new(File::create(&path).attempt(attempt)?);
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut block = [0_u8; 4096];
        let mut left = size;
        while left > 0 {
            for word in block[..2048].chunks_exact_mut(8) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                word.copy_from_slice(&state.to_le_bytes());
            }
            let length = left.min(block.len() as u64);
            file.write_all(&block[..usize::try_from(length).unwrap_or(block.len())]).attempt(attempt)?;
            left -= length;
        }
        file.flush().attempt(attempt)
    }

    fn build(&self, installation: &Installation) -> Outcome {
        command::output(installation.client().args(["build", "--config"]).arg(self.folder.join("haloy.yaml"))).map(drop)
    }

    fn deploy(&self, installation: &Installation, relay: &Relay) -> Outcome<Deployed> {
        if relay.cuts() == 0 {
            relay.sent();
        }
        let mut command = installation.client();
        command.arg("deploy").current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::null());
        let log = self.folder.join("deploy.log");
        let errors = File::create(&log).attempt(|| format!("write {}", log.display()))?;
        let began = Instant::now();
        let mut client = command.stderr(errors).spawn().attempt(|| "run the client".to_owned())?;
        let mut memory = 0;
        let status = loop {
            memory = memory.max(peak(client.id()));
            if let Some(status) = client.try_wait().attempt(|| "watch the client".to_owned())? {
                break status;
            }
            thread::sleep(Duration::from_millis(5));
        };
        let took = began.elapsed();
        let said = fs::read_to_string(&log).unwrap_or_default();
        if !status.success() {
            return Err(Failure::new(format!("`haloy deploy` failed ({status}):\n{said}")));
        }
        let said = said.lines().filter(|line| line.contains("uploaded ")).collect::<Vec<_>>().join("\n");
        Ok(Deployed { took, sent: relay.sent(), memory, said })
    }
}

/// The most memory that a process ever held; 0 when it is gone.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_seconds_are_found() {
        assert_eq!(seconds("x\n  uploaded 12.3 MB in 1.2 s (4 of 6 layers were there, 287 MB saved)"), Some(1.2));
        assert_eq!(seconds("nothing"), None);
    }
}
