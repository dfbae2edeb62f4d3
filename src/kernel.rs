//! What the Linux kernel and Docker take where a container is described: words and least values.
//! Who writes the file and who runs the container follow the same.

use crate::names::is_plain;

/// Bytes; Docker refuses less, as no program starts in it.
pub const LEAST_MEMORY: u64 = 6 << 20;
/// Thousandths of a processor; Docker refuses less.
pub const LEAST_CPU: u32 = 10;

/// capabilities(7), without `CAP_`.
pub const CAPABILITIES: [&str; 42] = [
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// signal(7), without `SIG`. Real-time signals are counted from these two names: `RTMIN+3`.
pub const SIGNALS: [&str; 35] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "IOT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT",
    "CHLD", "CLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "POLL", "PWR", "SYS",
    "RTMIN",
];

/// The signal as Docker takes it: `SIGTERM`, or its number as it is written. None when there is no such signal.
pub fn signal(written: &str) -> Option<String> {
    if let Ok(number) = written.parse::<u8>() {
        return (1..=64).contains(&number).then(|| number.to_string());
    }
    let upper = written.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |text: &str, most: u8| text.parse::<u8>().is_ok_and(|n| (1..=most).contains(&n));
    // The numbers that Docker has names for.
    let is_real_time = name == "RTMAX"
        || name.strip_prefix("RTMIN+").is_some_and(|n| offset(n, 15))
        || name.strip_prefix("RTMAX-").is_some_and(|n| offset(n, 14));
    (SIGNALS.contains(&name) || is_real_time).then(|| format!("SIG{name}"))
}

/// Whether a signal is written as [`signal`] writes it.
pub fn is_signal(written: &str) -> bool {
    signal(written).as_deref() == Some(written)
}

/// setrlimit(2), without `RLIMIT_`, as far as Docker knows them.
pub const LIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Mount options of a tmpfs (tmpfs(5)): words alone, and those with a value.
pub const TMPFS_FLAGS: [&str; 20] = [
    "ro",
    "rw",
    "exec",
    "noexec",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "sync",
    "async",
    "dirsync",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "defaults",
];
pub const TMPFS_VALUES: [&str; 7] = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];

/// One mount option of a tmpfs. Only a memory policy has more than letters, digits and `%` in its value.
pub fn is_tmpfs_option(option: &str) -> bool {
    match option.split_once('=') {
        Some(("mpol", policy)) => is_plain(policy),
        Some((name, value)) => {
            TMPFS_VALUES.contains(&name) && !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'%')
        }
        None => TMPFS_FLAGS.contains(&option),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_name_and_number() {
        for (written, signal_) in [
            ("SIGTERM", "SIGTERM"),
            ("term", "SIGTERM"),
            ("SigQuit", "SIGQUIT"),
            ("15", "15"),
            ("64", "64"),
            ("SIGRTMIN+3", "SIGRTMIN+3"),
            ("RTMAX-14", "SIGRTMAX-14"),
            ("RTMIN", "SIGRTMIN"),
        ] {
            assert_eq!(signal(written).as_deref(), Some(signal_), "{written}");
        }
        for written in ["", "0", "65", "-1", "SIG", "SIGTREM", "SIGRTMIN+16", "RTMAX-0", "TERM "] {
            assert_eq!(signal(written), None, "{written}");
        }
        assert!(is_signal("SIGTERM") && is_signal("9") && !is_signal("TERM") && !is_signal("sigterm"));
    }

    #[test]
    fn mount_options_of_tmpfs() {
        for option in ["ro", "size=64m", "size=50%", "mode=1777", "mpol=bind:0-3"] {
            assert!(is_tmpfs_option(option), "{option}");
        }
        for option in ["", "size", "size=", "size=64 m", "size=64m:ro", "ro=1", "mpol=a b", "z"] {
            assert!(!is_tmpfs_option(option), "{option}");
        }
    }
}
