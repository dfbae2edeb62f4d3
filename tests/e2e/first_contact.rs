//! A server without a public name, met for the first time from another network: its token carries the pin of its key.

use std::io::{Read as _, Write as _, copy};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use crate::app::Said;
use crate::engine::Namespace;
use crate::haloyd::Haloyd;

/// A wire from this network to another, with an address on each end.
struct Wire {
    other: Namespace,
    address: Ipv4Addr,
}

impl Wire {
    fn lay() -> Self {
        let other = Namespace::create();
        let [a, b, ..] = std::process::id().to_be_bytes().map(|byte| byte ^ 0x5a);
        let [.., c, d] = std::process::id().to_be_bytes();
        let (ours, theirs) = (Ipv4Addr::new(10, 64 + (a ^ b) % 64, c, d & 0xfc | 1), Ipv4Addr::new(10, 64 + (a ^ b) % 64, c, d & 0xfc | 2));
        let link = format!("hv{}", std::process::id());
        ip(&["link", "add", &link, "type", "veth", "peer", "name", "out", "netns", &other.name]);
        ip(&["address", "add", &format!("{ours}/30"), "dev", &link]);
        ip(&["link", "set", &link, "up"]);
        ip(&["-n", &other.name, "address", "add", &format!("{theirs}/30"), "dev", "out"]);
        ip(&["-n", &other.name, "link", "set", "out", "up"]);
        Self { other, address: ours }
    }

    /// Runs the client on the other end, which reads `input`.
    fn haloy(&self, haloyd: &Haloyd, words: &[&str], input: &str) -> Said {
        let began = std::time::Instant::now();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.other.name, env!("CARGO_BIN_EXE_haloy")]).args(words);
        command.env("HALOY_CONFIG_DIR", haloyd.folder().join("far-client")).env("HOME", haloyd.folder().join("home"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run the client");
        child.stdin.take().expect("it reads").write_all(input.as_bytes()).expect("write");
        (child.wait_with_output().expect("wait for the client"), began.elapsed()).into()
    }
}

#[track_caller]
fn ip(words: &[&str]) {
    let output = Command::new("ip").args(words).output().expect("run ip");
    assert!(output.status.success(), "ip {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Passes connections on, byte for byte.
fn relay(address: Ipv4Addr, to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((address, 0)).expect("listen");
    let at = listener.local_addr().expect("address");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(to) else { continue };
            let (mut client_in, mut server_in) = (client.try_clone().expect("clone"), server.try_clone().expect("clone"));
            let (mut client_out, mut server_out) = (client, server);
            thread::spawn(move || {
                let _ = copy(&mut client_in, &mut server_out);
                let _ = server_out.shutdown(Shutdown::Write);
            });
            thread::spawn(move || {
                let _ = copy(&mut server_in, &mut client_out);
                let _ = client_out.shutdown(Shutdown::Write);
            });
        }
    });
    at
}

/// Somebody in between, with a key of their own, who notes whatever they get to read.
fn somebody_in_between(address: Ipv4Addr) -> (SocketAddr, std::sync::mpsc::Receiver<Vec<u8>>) {
    let made = rcgen::generate_simple_self_signed([address.to_string()]).expect("certificate");
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key);
    let config = Arc::new(config.expect("server config"));
    let listener = TcpListener::bind((address, 0)).expect("listen");
    let at = listener.local_addr().expect("address");
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let mut tls = rustls::StreamOwned::new(rustls::ServerConnection::new(Arc::clone(&config)).expect("connection"), socket);
            let mut read = Vec::new();
            let _ = copy(&mut tls, &mut read);
            let _ = tell.send(read);
        }
    });
    (at, told)
}

/// Needs root: another network.
#[test]
fn a_server_without_a_name_is_known_by_its_key_and_nobody_passes_for_it() {
    if Command::new("id").arg("-u").output().expect("run id").stdout != b"0\n" {
        return println!("skipped: only root may make a network namespace");
    }
    let haloyd = Haloyd::start_without_docker();
    let wire = Wire::lay();
    let server = relay(wire.address, haloyd.https_addr()).to_string();
    let (token, pin) = haloyd.token().split_once('.').expect("a token with a pin");
    let tokens = std::fs::read_to_string(haloyd.config_dir().join("tokens.json")).expect("the tokens");
    assert!(!tokens.contains(token) && !tokens.contains(pin));

    let said = wire.haloy(&haloyd, &["server", "add", &server, "--token-stdin"], haloyd.token());
    assert!(said.code == 0 && !said.stderr.contains("warning"), "{said}");
    let version = wire.haloy(&haloyd, &["version", "--server", &server, "--json"], "");
    assert!(version.code == 0 && version.stdout.contains(env!("CARGO_PKG_VERSION")), "{version}");
    // Without the pin nobody vouches for the server.
    let said = wire.haloy(&haloyd, &["server", "add", &server, "--token-stdin", "--force"], token);
    assert!(said.stderr.contains("warning: it is not checked"), "{said}");
    wire.haloy(&haloyd, &["server", "add", &server, "--token-stdin", "--force"], haloyd.token());

    let (impostor, overheard) = somebody_in_between(wire.address);
    let said = wire.haloy(&haloyd, &["version", "--server", &impostor.to_string()], "");
    assert!(said.code != 0, "it has no token for that one: {said}");
    let variable = format!("HALOY_API_TOKEN_{}", impostor.to_string().replace(['.', ':'], "_"));
    let file = haloyd.folder().join("far-client").join(".env");
    let known = std::fs::read_to_string(&file).expect("the tokens");
    std::fs::write(&file, format!("{known}{variable}={}\n", haloyd.token())).expect("write");
    let said = wire.haloy(&haloyd, &["server", "registry", "list", "--server", &impostor.to_string()], "");
    assert_eq!(said.code, 1, "{said}");
    assert!(said.stderr.contains("its key is not the one that came with the token") && said.stderr.contains("hint: "), "{said}");
    let read = overheard.recv_timeout(std::time::Duration::from_secs(10)).expect("somebody connected");
    assert!(read.is_empty(), "nothing was said to somebody else: {}", String::from_utf8_lossy(&read));
}

/// Over TLS from this address, as the proxy sees it; the answer.
fn ask_from(source: &str, server: SocketAddr, request: &str) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-no_ign_eof", "-bind", source, "-connect", &server.to_string()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("run openssl");
    child.stdin.as_mut().expect("it reads").write_all(request.as_bytes()).expect("write");
    let mut answer = String::new();
    child.stdout.take().expect("it writes").read_to_string(&mut answer).expect("an answer");
    child.wait().expect("it ends");
    answer
}

#[test]
fn the_audit_log_knows_where_a_change_came_from_whatever_the_client_claims() {
    let haloyd = Haloyd::start_without_docker();
    let (token, _) = haloyd.token().split_once('.').expect("a token with a pin");
    let body = r#"{"certificate":"x","private_key":"y"}"#;
    let request = format!(
        "PUT /v1/certificates/shop.example.com HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nX-Forwarded-For: 9.9.9.9\r\n\
         X-Haloy-Introduction: guessed\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        haloyd.https_addr(),
        body.len()
    );
    let answer = ask_from("127.0.0.2", haloyd.https_addr(), &request);
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    let said: Said = (haloyd.client(&["audit", "--json"]), std::time::Duration::ZERO).into();
    let log: serde_json::Value = serde_json::from_str(&said.ok().stdout).expect("JSON");
    assert_eq!(log[0]["request"], "PUT /v1/certificates/shop.example.com", "{log}");
    assert_eq!((&log[0]["address"], &log[1]), (&"127.0.0.2".into(), &serde_json::Value::Null), "{log}");
    let shown = Said::from((haloyd.client(&["audit"]), std::time::Duration::ZERO)).ok();
    assert!(shown.stdout.contains("127.0.0.2"), "{shown}");
}
