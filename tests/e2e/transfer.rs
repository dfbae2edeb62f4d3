//! What goes over the wire when an image is sent: each layer once, also through a connection that breaks.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::app::App;
use crate::haloyd::Haloyd;
use crate::project::{self, Built};

const MIB: u64 = 1024 * 1024;
/// What the client sends at once, in bytes of the content.
const CHUNK: u64 = 4 * MIB;

/// Passes on what comes, counts it, and breaks every connection once.
struct Relay {
    address: SocketAddr,
    sent: Arc<AtomicU64>,
    cut_at: Arc<AtomicU64>,
}

impl Relay {
    fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
        let relay =
            Self { address: listener.local_addr().expect("address"), sent: Arc::default(), cut_at: Arc::new(AtomicU64::new(u64::MAX)) };
        let (sent, cut_at) = (Arc::clone(&relay.sent), Arc::clone(&relay.cut_at));
        // Ends with the test's process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (sent, cut_at) = (Arc::clone(&sent), Arc::clone(&cut_at));
                thread::spawn(move || pass_on(&client, server, &sent, &cut_at));
            }
        });
        relay
    }

    fn cut_after(&self, bytes: u64) {
        self.sent.store(0, Ordering::SeqCst);
        self.cut_at.store(bytes, Ordering::SeqCst);
    }

    fn was_cut(&self) -> bool {
        self.cut_at.load(Ordering::SeqCst) == u64::MAX
    }
}

fn pass_on(mut client: &TcpStream, server: SocketAddr, sent: &AtomicU64, cut_at: &AtomicU64) -> io::Result<()> {
    let mut server = TcpStream::connect(server)?;
    let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || io::copy(&mut answers, &mut back).and_then(|_| back.shutdown(Shutdown::Both)));
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = client.read(&mut buffer)?;
        let total = sent.fetch_add(length as u64, Ordering::SeqCst) + length as u64;
        let limit = cut_at.load(Ordering::SeqCst);
        if length == 0 || (total > limit && cut_at.swap(u64::MAX, Ordering::SeqCst) != u64::MAX) {
            return server.shutdown(Shutdown::Both).and_then(|()| client.shutdown(Shutdown::Both));
        }
        server.write_all(&buffer[..length])?;
    }
}

/// Bytes that nothing compresses.
fn noise(size: u64, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..size / 8).flat_map(next).collect()
}

#[test]
fn a_layer_is_sent_once_and_goes_on_where_the_connection_broke() {
    let haloyd = Haloyd::start();
    let relay = Relay::start(haloyd.api_addr());
    let app = App::new(&haloyd, "transfer");
    let _built = Built::of(&app);
    let added = app.haloy(&["server", "add", &relay.address.to_string(), haloyd.token()]).ok();
    assert!(added.stderr.contains("is added"), "{added}");
    project::write_context(app.folder(), "v1");
    let text = format!("name: {}\nserver: {}\nhealth_check_path: /health\ndomains: [{}]\n", app.name, relay.address, app.domain);
    fs::write(app.folder().join("haloy.yaml"), text).expect("write");
    let dockerfile = fs::read_to_string(app.folder().join("Dockerfile")).expect("read");
    fs::write(app.folder().join("Dockerfile"), dockerfile.replace("COPY version /", "COPY large small version /")).expect("write");
    let write = |name: &str, size: u64, seed: u64| fs::write(app.folder().join(name), noise(size, seed)).expect("write");

    write("large", 24 * MIB, 1);
    write("small", 8, 1);
    relay.cut_after(12 * MIB);
    let first = app.haloy(&["deploy"]).ok();
    assert!(relay.was_cut() && first.stderr.contains("going on in"), "{first}");
    let sent = relay.sent.load(Ordering::SeqCst);
    // The program is a layer beside it.
    assert!((24 * MIB..26 * MIB + CHUNK).contains(&sent), "{sent} bytes");

    let dockerfile = fs::read_to_string(app.folder().join("Dockerfile")).expect("read");
    fs::write(app.folder().join("Dockerfile"), dockerfile.replace("COPY large small version /", "COPY large version /\nCOPY small /"))
        .expect("write");
    app.haloy(&["deploy"]).ok();
    write("small", 300_000, 2);
    relay.cut_after(u64::MAX - 1);
    app.haloy(&["deploy"]).ok();
    let sent = relay.sent.load(Ordering::SeqCst);
    assert!((300_000..300_000 + 64 * 1024).contains(&sent), "{sent} bytes for a small layer on top");
}
