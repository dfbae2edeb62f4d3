//! TLS: garbage, half handshakes, names that are missing or do not match, old versions.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned, SupportedProtocolVersion};

use super::front::Front;
use crate::site::Answer;

/// Accepts whatever certificate: what is tested here is not trust.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

pub fn trusting_config() -> ClientConfig {
    config_for(rustls::ALL_VERSIONS)
}

fn config_for(versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_protocol_versions(versions).expect("versions");
    builder.dangerous().with_custom_certificate_verifier(Arc::new(Trusting)).with_no_client_auth()
}

/// One request with this server name in the handshake.
fn get(front: &Front, config: ClientConfig, server_name: &'static str, host: &str) -> Answer {
    let socket = TcpStream::connect(front.haloyd.https).expect("the proxy accepts");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("timeout");
    let connection = ClientConnection::new(Arc::new(config), server_name.try_into().expect("a name")).expect("a client");
    let mut stream = StreamOwned::new(connection, socket);
    stream.write_all(format!("GET /tls HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes()).expect("the handshake succeeds");
    Answer::read(stream)
}

#[test]
fn names_that_are_missing_or_do_not_match() {
    let front = Front::start();
    assert_eq!(get(&front, trusting_config(), "plain.example", "plain.example").status, 200);
    // The connection was made for another name (RFC 9110 §15.5.20).
    assert_eq!(get(&front, trusting_config(), "evil.example", "plain.example").status, 421);
    assert_eq!(get(&front, trusting_config(), "secure.example", "plain.example").status, 421);
    assert_eq!(get(&front, trusting_config(), "plain.example", "evil.example").status, 404);
    let mut nameless = trusting_config();
    nameless.enable_sni = false;
    assert_eq!(get(&front, nameless, "plain.example", "plain.example").status, 200);
    // An address is no server name (RFC 6066 §3), so none is sent.
    assert_eq!(get(&front, trusting_config(), "127.0.0.1", "plain.example").status, 200);
    assert_eq!(get(&front, trusting_config(), "secure.example", "secure.example").status, 200);
    front.survives();
}

#[test]
fn both_versions_of_tls_are_spoken_and_older_ones_refused() {
    let front = Front::start();
    assert_eq!(get(&front, config_for(&[&rustls::version::TLS12]), "plain.example", "plain.example").status, 200);
    assert_eq!(get(&front, config_for(&[&rustls::version::TLS13]), "plain.example", "plain.example").status, 200);
    // A ClientHello of TLS 1.0 with one suite and no extension.
    let hello = [&[0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 1][..], &[7; 32], &[0, 0, 2, 0, 0x2f, 1, 0]].concat();
    let said = exchange(&front, &hello);
    assert_eq!(said.first(), Some(&0x15), "an alert, not {said:?}");
    front.survives();
}

#[test]
fn garbage_instead_of_a_handshake_is_cut() {
    let front = Front::start();
    let long = vec![0x16; 200_000];
    let garbage: [&[u8]; 9] = [
        b"GET / HTTP/1.1\r\nHost: plain.example\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\x16\x03\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x16\x03\x01\x00\x00\x16\x03\x01\x00\x00",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x17\x03\x03\x00\x05hello",
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x07\x00\xc0",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        &long,
    ];
    for bytes in garbage {
        let said = exchange(&front, bytes);
        assert!(!said.starts_with(b"HTTP/"), "{} was answered with {}", bytes[..20.min(bytes.len())].escape_ascii(), said.escape_ascii());
    }
    let seen = front.survives();
    assert_eq!(seen.requests, ["GET /before", "GET /after"]);
}

#[test]
fn a_handshake_that_stands_still_is_cut() {
    let front = Front::start();
    let mut config = trusting_config();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut hello = Vec::new();
    let mut connection = ClientConnection::new(Arc::new(config), "plain.example".try_into().expect("a name")).expect("a client");
    connection.write_tls(&mut hello).expect("a ClientHello");
    std::thread::scope(|scope| {
        for length in [0, 1, 5, hello.len() / 2, hello.len() - 1, hello.len()] {
            let (front, part) = (&front, &hello[..length]);
            scope.spawn(move || exchange(front, part));
        }
    });
    front.survives();
}

/// Sends bytes and reads until the proxy closes, which it must do by itself.
fn exchange(front: &Front, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(front.haloyd.https).expect("the proxy accepts");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("timeout");
    // It may be cut before all is written.
    let _ = stream.write_all(bytes);
    let mut said = Vec::new();
    if let Err(error) = stream.read_to_end(&mut said) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{} is not cut", bytes[..20.min(bytes.len())].escape_ascii());
    }
    said
}
