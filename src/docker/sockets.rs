//! Which TCP ports a container listens on, read from the kernel: the best hint when nothing answers
//! on the port that was configured.

use super::connection::Docker;
use super::containers::HOST_NETWORK;
use super::types::Container;

impl Docker {
    /// TCP ports in state LISTEN inside the container, ascending. Empty when it does not run, shares
    /// the host's network, runs on another machine or cannot be looked into, and on systems other than
    /// Linux.
    pub fn listening_ports(container: &Container) -> Vec<u16> {
        // With the host's network the ports would be everybody's.
        if container.addresses.is_empty() || container.addresses.contains_key(HOST_NETWORK) {
            return Vec::new();
        }
        #[cfg(target_os = "linux")]
        return container.pid.map(|pid| linux::listening(pid, &container.id.0)).unwrap_or_default();
        #[cfg(not(target_os = "linux"))]
        Vec::new()
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeSet;
    use std::fs;
    use std::net::Ipv4Addr;

    /// `TCP_LISTEN` of the kernel's `include/net/tcp_states.h`.
    const LISTEN: &str = "0A";
    /// Docker's own name server, inside every container of a user-defined network.
    const DOCKER_DNS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

    pub(super) fn listening(pid: i32, container_id: &str) -> Vec<u16> {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        // The process may be gone and its number another's, or the engine may be on another machine.
        if !read("cgroup").contains(container_id) {
            return Vec::new();
        }
        let mut ports = ports(&read("net/tcp"));
        ports.append(&mut self::ports(&read("net/tcp6")));
        ports.into_iter().collect()
    }

    /// Reads a table as `proc_pid_net(5)` describes it: `sl local_address rem_address st …`, addresses
    /// as hexadecimal words in the machine's byte order.
    pub(super) fn ports(table: &str) -> BTreeSet<u16> {
        let rows = table.lines().skip(1);
        rows.filter_map(|row| {
            let mut columns = row.split_ascii_whitespace().skip(1);
            let (local, state) = (columns.next()?, columns.nth(1)?);
            let (address, port) = local.split_once(':')?;
            let is_docker_dns = address.len() == 8 && u32::from_str_radix(address, 16) == Ok(u32::from_ne_bytes(DOCKER_DNS.octets()));
            (state == LISTEN && !is_docker_dns).then(|| u16::from_str_radix(port, 16).ok()).flatten()
        })
        .collect()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn listeners_without_dockers_name_server() {
            let dns = format!("{:08X}", u32::from_ne_bytes(DOCKER_DNS.octets()));
            let table = format!(
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                 \x20  0: {dns}:9C41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n\
                 \x20  1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0\n\
                 \x20  2: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0\n\
                 \x20  3: 020012AC:D431 010012AC:1F90 01 00000000:00000000 00:00000000 00000000     0        0 4 1 0 100 0 0 10 0\n"
            );
            assert_eq!(ports(&table).into_iter().collect::<Vec<_>>(), [80, 8080]);
            let six = "  sl  local_address rem_address st\n   0: 00000000000000000000000000000000:0BB8 00000000000000000000000000000000:0000 0A 0\n";
            assert_eq!(ports(six).into_iter().collect::<Vec<_>>(), [3000]);
            assert!(ports("").is_empty() && ports("header\ngarbage\n").is_empty());
        }
    }
}
