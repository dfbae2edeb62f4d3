//! Which TCP ports a container listens on, read from the kernel: the best hint when nothing answers
//! on the port that was configured.

use super::connection::Docker;
use super::containers::HOST_NETWORK;
use super::types::{Container, Listening};

impl Docker {
    /// TCP ports in state LISTEN inside the container, ascending. Empty when it does not run, shares
    /// the host's network, runs on another machine or cannot be looked into, and on systems other than
    /// Linux.
    pub fn listening(container: &Container) -> Vec<Listening> {
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
    use std::collections::BTreeMap;
    use std::fs;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::super::types::Listening;

    /// `TCP_LISTEN` of the kernel's `include/net/tcp_states.h`.
    const LISTEN: &str = "0A";
    /// Docker's own name server, inside every container of a user-defined network.
    const DOCKER_DNS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

    pub(super) fn listening(pid: i32, container_id: &str) -> Vec<Listening> {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        // The process may be gone and its number another's, or the engine may be on another machine.
        if !read("cgroup").contains(container_id) {
            return Vec::new();
        }
        ports(&[read("net/tcp"), read("net/tcp6")])
    }

    /// Who listens, by the tables of IPv4 and IPv6 together.
    pub(super) fn ports(tables: &[String]) -> Vec<Listening> {
        let mut loopback_only: BTreeMap<u16, bool> = BTreeMap::new();
        let rows = tables.iter().flat_map(|table| table.lines().skip(1));
        for (address, port) in rows.filter_map(listener).filter(|(address, _)| *address != DOCKER_DNS) {
            *loopback_only.entry(port).or_insert(true) &= address.is_loopback();
        }
        loopback_only.into_iter().map(|(port, loopback_only)| Listening { port, loopback_only }).collect()
    }

    /// Reads a row as `proc_pid_net(5)` describes it: `sl local_address rem_address st …`.
    fn listener(row: &str) -> Option<(IpAddr, u16)> {
        let mut columns = row.split_ascii_whitespace().skip(1);
        let (local, state) = (columns.next()?, columns.nth(1)?);
        let (address, port) = local.split_once(':')?;
        let listens = state == LISTEN;
        listens.then_some((address_of(address)?, u16::from_str_radix(port, 16).ok()?))
    }

    /// Hexadecimal words of 32 bits in the machine's byte order, one or four of them.
    fn address_of(text: &str) -> Option<IpAddr> {
        let word = |at: usize| Some(u32::from_str_radix(text.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes());
        match text.len() {
            8 => Some(Ipv4Addr::from(word(0)?).into()),
            32 => {
                let octets: Vec<u8> = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
                Some(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).to_canonical())
            }
            _ => None,
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// An address as the kernel writes it on this machine.
        fn hex(address: &str) -> String {
            let octets = match address.parse().unwrap() {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            octets.chunks(4).map(|word| format!("{:08X}", u32::from_ne_bytes(word.try_into().unwrap()))).collect()
        }

        fn table(rows: &[(&str, u16, &str)]) -> String {
            let mut table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n".to_owned();
            for (address, port, state) in rows {
                let local = hex(address);
                table += &format!(
                    "   0: {local}:{port:04X} {local}:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"
                );
            }
            table
        }

        fn read(four: &[(&str, u16, &str)], six: &[(&str, u16, &str)]) -> Vec<(u16, bool)> {
            ports(&[table(four), table(six)]).into_iter().map(|l| (l.port, l.loopback_only)).collect()
        }

        #[test]
        fn listeners_without_dockers_name_server() {
            let four = [("127.0.0.11", 40001, "0A"), ("0.0.0.0", 8080, "0A"), ("172.18.0.2", 80, "0A"), ("172.18.0.2", 54321, "01")];
            assert_eq!(read(&four, &[("::", 3000, "0A")]), [(80, false), (3000, false), (8080, false)]);
            assert!(ports(&[String::new(), "header\ngarbage\n 0: zz:1F90 0 0A\n 0: 0100007F:1 x\n".to_owned()]).is_empty());
        }

        #[test]
        fn loopback_alone_is_told_apart() {
            let four = [("127.0.0.1", 3000, "0A"), ("127.0.0.1", 8080, "0A"), ("0.0.0.0", 9000, "0A")];
            let six = [("::1", 3000, "0A"), ("::", 8080, "0A"), ("::ffff:127.0.0.1", 5000, "0A"), ("::ffff:172.18.0.2", 6000, "0A")];
            assert_eq!(read(&four, &six), [(3000, true), (5000, true), (6000, false), (8080, false), (9000, false)]);
        }
    }
}
