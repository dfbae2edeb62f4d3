//! An authority that notes what it is asked for and says when to renew (ARI, RFC 9773; profiles): Pebble of Debian 12
//! does neither. It believes every name.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Everything that it was asked for.
#[derive(Default)]
struct Notes {
    orders: Vec<Value>,
    chains: Vec<String>,
    /// Of the last `GET` about a renewal.
    renewals: Vec<String>,
}

pub struct FakeAuthority {
    address: SocketAddr,
    /// Its own certificate, for `ca_file`.
    pub root: String,
    notes: Arc<Mutex<Notes>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The key of a request for a certificate.
struct RequestedKey(Vec<u8>);

impl PublicKeyData for RequestedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl FakeAuthority {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
        let address = listener.local_addr().expect("address");
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("certificate");
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
        let config = Arc::new(config.with_single_cert(vec![made.cert.der().clone()], key).expect("configure TLS"));
        let (notes, stop) = (Arc::<Mutex<Notes>>::default(), Arc::<AtomicBool>::default());
        let (noting, stopping) = (Arc::clone(&notes), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopping.load(Ordering::SeqCst) {
                    break;
                }
                answer(stream, &config, address, &noting);
            }
        });
        Self { address, root: made.cert.pem(), notes, stop, thread: Some(thread) }
    }

    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// The bodies of the orders so far.
    pub fn orders(&self) -> Vec<Value> {
        self.notes.lock().expect("notes").orders.clone()
    }

    /// Whose renewal was asked about.
    pub fn renewals(&self) -> Vec<String> {
        self.notes.lock().expect("notes").renewals.clone()
    }
}

impl Drop for FakeAuthority {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One request; one whose connection breaks is nobody's.
fn answer(stream: TcpStream, config: &Arc<ServerConfig>, address: SocketAddr, notes: &Mutex<Notes>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let Ok(connection) = ServerConnection::new(Arc::clone(config)) else { return };
    let mut reader = BufReader::new(StreamOwned::new(connection, stream));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if !reader.read_line(&mut head).is_ok_and(|read| read > 0) {
            return;
        }
    }
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:").and_then(|l| l.trim().parse().ok()));
    let mut body = vec![0; length.unwrap_or(0)];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let (status, headers, body) = reply(&path, &payload(&body), address, &mut notes.lock().expect("notes"));
    let mut stream = reader.into_inner();
    let text = format!(
        "HTTP/1.1 {status} x\r\nreplay-nonce: bm9uY2U\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(text.as_bytes());
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

/// What is signed in a request; its signature is believed.
fn payload(body: &[u8]) -> Value {
    let signed: Value = serde_json::from_slice(body).unwrap_or_default();
    let payload = BASE64_URL_SAFE_NO_PAD.decode(signed["payload"].as_str().unwrap_or_default()).unwrap_or_default();
    serde_json::from_slice(&payload).unwrap_or_default()
}

fn reply(path: &str, payload: &Value, address: SocketAddr, notes: &mut Notes) -> (u16, String, String) {
    let url = |path: &str| format!("https://{address}{path}");
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let number = parts.get(1).and_then(|part| part.parse::<usize>().ok()).unwrap_or(0);
    match parts[0] {
        "dir" => {
            let directory = json!({
                "newNonce": url("/nonce"), "newAccount": url("/account"), "newOrder": url("/orders"), "revokeCert": url("/revoke"),
                "keyChange": url("/key"), "renewalInfo": url("/renewal"), "meta": { "profiles": { "shortlived": "six days" } },
            });
            (200, String::new(), directory.to_string())
        }
        "nonce" => (200, String::new(), String::new()),
        "account" => (201, format!("location: {}\r\n", url("/accounts/1")), json!({ "status": "valid" }).to_string()),
        "orders" => {
            notes.orders.push(payload.clone());
            let number = notes.orders.len();
            (201, format!("location: {}\r\n", url(&format!("/order/{number}"))), order(notes, number, &url).to_string())
        }
        "order" => (200, String::new(), order(notes, number, &url).to_string()),
        "finalize" => {
            let request = BASE64_URL_SAFE_NO_PAD.decode(payload["csr"].as_str().unwrap_or_default()).expect("a request");
            notes.chains.push(sign(&request, &notes.orders[number - 1], number));
            (200, String::new(), order(notes, number, &url).to_string())
        }
        "certificate" => (200, "content-type: application/pem-certificate-chain\r\n".to_owned(), notes.chains[number - 1].clone()),
        "renewal" => {
            notes.renewals.push(parts[1].to_owned());
            (200, "retry-after: 3600\r\n".to_owned(), window(notes.chains.len()).to_string())
        }
        _ => (404, String::new(), String::new()),
    }
}

/// The first certificate is to be renewed at once, others in forty days.
fn window(issued: usize) -> Value {
    let now = Timestamp::now();
    let (start, end) = if issued == 1 { (now - DAY * 2, now - DAY) } else { (now + DAY * 40, now + DAY * 41) };
    json!({ "suggestedWindow": { "start": start.to_string(), "end": end.to_string() } })
}

fn order(notes: &Notes, number: usize, url: &dyn Fn(&str) -> String) -> Value {
    let asked = &notes.orders[number - 1];
    let is_signed = notes.chains.len() >= number;
    let mut order = json!({
        "status": if is_signed { "valid" } else { "ready" },
        "identifiers": asked["identifiers"],
        "authorizations": [],
        "finalize": url(&format!("/finalize/{number}")),
    });
    if is_signed {
        order["certificate"] = url(&format!("/certificate/{number}")).into();
    }
    if asked["replaces"].is_string() {
        order["replaces"] = asked["replaces"].clone();
    }
    order
}

fn sign(request: &[u8], order: &Value, number: usize) -> String {
    let (_, request) = X509CertificationRequest::from_der(request).expect("a request");
    let key = RequestedKey(request.certification_request_info.subject_pki.subject_public_key.data.to_vec());
    let authority = KeyPair::generate().expect("key");
    let mut root = CertificateParams::new(Vec::new()).expect("params");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_certificate: CertificateDer<'static> = root.self_signed(&authority).expect("root").into();
    let names = order["identifiers"].as_array().into_iter().flatten().filter_map(|name| name["value"].as_str().map(str::to_owned));
    let mut params = CertificateParams::new(names.collect::<Vec<_>>()).expect("params");
    params.serial_number = Some(u64::try_from(number).expect("a number").into());
    params.use_authority_key_identifier_extension = true;
    let midnight = |at: Timestamp| {
        let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    (params.not_before, params.not_after) = (midnight(Timestamp::now() - DAY * 10), midnight(Timestamp::now() + DAY * 80));
    let leaf = params.signed_by(&key, &Issuer::new(root, authority)).expect("signed");
    let text = |der: &[u8]| pem::encode(&pem::Pem::new("CERTIFICATE", der.to_vec()));
    format!("{}{}", leaf.pem(), text(&root_certificate))
}
