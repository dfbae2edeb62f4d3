//! The listening sockets: one SO_REUSEPORT set per worker, so that the kernel spreads connections
//! and no worker ever waits for another's accept.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::error::ProxyError;

/// Connections that may wait to be accepted, per socket (the kernel caps it at `somaxconn`).
const BACKLOG: i32 = 4096;
/// A peer that was quiet for this long is probed by the kernel, and cut when it does not react.
const QUIET: Duration = Duration::from_secs(45);
const PROBE: Duration = Duration::from_secs(10);

/// Bound sockets that outlive the workers: a successor process can be given them.
#[derive(Debug)]
pub struct Listeners {
    pub sets: Vec<ListenerSet>,
}

/// The sockets of one worker, in the order of the addresses.
#[derive(Debug)]
pub struct ListenerSet {
    pub http: Vec<TcpListener>,
    pub https: Vec<TcpListener>,
}

impl Listeners {
    /// Binds every address once per worker (`workers` 0 means one per core). Port 0 takes a free port, the same for all workers.
    pub fn bind(http: &[SocketAddr], https: &[SocketAddr], workers: usize) -> Result<Self, ProxyError> {
        let workers = super::Settings { workers, ..Default::default() }.worker_count();
        // All before the first bind: `0.0.0.0` and `[::]` of one port are neighbours of each other.
        http.iter().chain(https).try_for_each(|&address| claim(address).map_err(|source| ProxyError::Listen { address, source }))?;
        let first = ListenerSet { http: bind_all(http)?, https: bind_all(https)? };
        let (http, https) = (addresses(&first.http), addresses(&first.https));
        let mut sets = vec![first];
        for _ in 1..workers {
            sets.push(ListenerSet { http: bind_all(&http)?, https: bind_all(&https)? });
        }
        Ok(Self { sets })
    }

    /// The bound plain addresses, real ports included.
    pub fn http_addrs(&self) -> Vec<SocketAddr> {
        self.sets.first().map_or_else(Vec::new, |set| addresses(&set.http))
    }

    /// The bound TLS addresses, real ports included.
    pub fn https_addrs(&self) -> Vec<SocketAddr> {
        self.sets.first().map_or_else(Vec::new, |set| addresses(&set.https))
    }
}

impl ListenerSet {
    /// Further handles of the same sockets.
    pub(super) fn duplicate(&self) -> io::Result<Self> {
        let all = |sockets: &[TcpListener]| sockets.iter().map(TcpListener::try_clone).collect::<io::Result<Vec<_>>>();
        Ok(Self { http: all(&self.http)?, https: all(&self.https)? })
    }
}

fn addresses(sockets: &[TcpListener]) -> Vec<SocketAddr> {
    sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
}

fn bind_all(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ProxyError> {
    addresses.iter().map(|&address| bind(address).map_err(|source| ProxyError::Listen { address, source })).collect()
}

/// Fails when anybody listens there already. With SO_REUSEPORT alone another process of the same user that
/// sets it too would share the port, and each would get some of the connections.
fn claim(address: SocketAddr) -> io::Result<()> {
    open(address)?.bind(&address.into())
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Dual stack where the kernel allows: `[::]` then serves IPv4 too.
        let _ = socket.set_only_v6(false);
    }
    socket.set_reuse_address(true)?;
    Ok(socket)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit both: no system call for each of them.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(QUIET).with_interval(PROBE).with_retries(3))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
