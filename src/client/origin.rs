//! Where a deployment comes from: who deploys, and from which commit. For the history; both are left
//! out when they cannot be told.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::env;

/// `user@host`.
pub fn performer() -> Option<String> {
    let user = env::USER.iter().find_map(|name| env::read(name)).or_else(owner)?;
    Some(match host() {
        Some(host) => format!("{user}@{host}"),
        None => user,
    })
}

/// Whom this process belongs to, where the environment does not say: in containers and CI.
#[cfg(unix)]
fn owner() -> Option<String> {
    let uid = rustix::process::getuid().as_raw();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    Some(listed(&users, uid).unwrap_or_else(|| format!("uid {uid}")))
}

#[cfg(not(unix))]
fn owner() -> Option<String> {
    None
}

/// The name of a user in a list as passwd(5) has it: `root:x:0:0:root:/root:/bin/sh`.
#[cfg(unix)]
fn listed(users: &str, uid: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

fn host() -> Option<String> {
    let kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = env::HOST.iter().find_map(|name| env::read(name)).or_else(kernel).or_else(|| said_by("hostname", &[], Path::new(".")))?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// The commit that is checked out in `folder`.
pub fn git_commit(folder: &Path) -> Option<String> {
    let commit = said_by("git", &["rev-parse", "--verify", "--quiet", "HEAD"], folder)?;
    Some(commit).filter(|commit| commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn said_by(program: &str, args: &[&str], folder: &Path) -> Option<String> {
    let output = Command::new(program).args(args).current_dir(folder).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_user_has_the_name_that_is_listed() {
        let users = "# users\nroot:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!((listed(users, 0).as_deref(), listed(users, 1000).as_deref(), listed(users, 7)), (Some("root"), Some("ada"), None));
    }

    #[test]
    fn a_folder_outside_git_has_no_commit() {
        let dir = tempfile::tempdir().expect("temporary directory");
        assert_eq!(git_commit(dir.path()), None);
        assert_eq!(said_by("no-such-program-anywhere", &[], dir.path()), None);
    }
}
