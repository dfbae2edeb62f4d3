//! A TCP relay on loopback that counts what goes through, and can cut every connection once.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::failure::{Attempt as _, Outcome};

/// Lives as long as the process: its thread waits for connections.
pub struct Relay {
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Bytes from the client to the server.
    sent: AtomicU64,
    /// Once so many bytes were sent, all connections break; 0 for never.
    cut_at: AtomicU64,
    /// How often that happened.
    cuts: AtomicU64,
}

impl Relay {
    pub fn start(server: u16) -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).attempt(|| "open the relay".to_owned())?;
        let port = listener.local_addr().attempt(|| "open the relay".to_owned())?.port();
        let shared = Arc::<Shared>::default();
        let relayed = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&relayed);
                // A connection that breaks is what the bench may be about.
                thread::spawn(move || drop(relay(client, server, &shared)));
            }
        });
        Ok(Self { port, shared })
    }

    /// The bytes since this was asked last.
    pub fn sent(&self) -> u64 {
        self.shared.sent.swap(0, Ordering::SeqCst)
    }

    /// Breaks every connection once `bytes` were sent from now on.
    pub fn cut_after(&self, bytes: u64) {
        self.shared.sent.store(0, Ordering::SeqCst);
        self.shared.cut_at.store(bytes, Ordering::SeqCst);
    }

    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::SeqCst)
    }
}

fn relay(client: TcpStream, server: u16, shared: &Shared) -> io::Result<()> {
    let server = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, server)))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
    let answering = thread::spawn(move || {
        let copied = io::copy(&mut answers, &mut back);
        // The client may have gone first.
        let _ = back.shutdown(Shutdown::Write);
        copied
    });
    let sent = count(&client, &server, shared);
    let how = if sent.is_err() { Shutdown::Both } else { Shutdown::Write };
    let _ = server.shutdown(how);
    if sent.is_err() {
        let _ = client.shutdown(Shutdown::Both);
    }
    let _ = answering.join();
    sent
}

fn count(mut client: &TcpStream, mut server: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let length = client.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        let sent = shared.sent.fetch_add(length as u64, Ordering::SeqCst) + length as u64;
        let cut_at = shared.cut_at.load(Ordering::SeqCst);
        if cut_at > 0 && sent >= cut_at && shared.cut_at.compare_exchange(cut_at, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            shared.cuts.fetch_add(1, Ordering::SeqCst);
            return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
        }
        server.write_all(&buffer[..length])?;
    }
}
