//! A certificate authority of a test's own: Pebble, with a DNS server that says where names lead.
//!
//! As strict as Pebble can be: it rejects nonces at random, waits at random before it looks, and reuses no proof.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::app::wait_for;
use crate::haloyd::{Haloyd, post, unique};

/// What a test's authority does beside the usual.
#[derive(Default)]
pub struct Wishes {
    /// Account and key (Base64 for URLs) without which nobody gets an account here.
    pub eab: Option<(&'static str, &'static str)>,
    /// Names that it never vouches for.
    pub blocked: Vec<String>,
    /// Seconds that a certificate lives.
    pub life: Option<u32>,
}

pub struct Pebble {
    folder: PathBuf,
    ports: [u16; 4],
    children: Vec<Child>,
}

impl Pebble {
    /// Its validations come to the ports of `haloyd`, which asks it from its next start on.
    pub fn start(haloyd: &Haloyd, wishes: &Wishes, more: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("haloy-test-pebble-{}", unique("")));
        fs::create_dir_all(&folder).expect("create the authority's folder");
        let ports = [(); 4].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).expect("a free port").port());
        let mut pebble = Self { folder, ports, children: Vec::new() };
        pebble.configure(haloyd, wishes);
        pebble.start_again();
        haloyd.configure(&format!("acme:\n  directory: {}\n  ca_file: {}\n{more}", pebble.directory(), pebble.place("ca.pem")));
        haloyd.restart();
        pebble
    }

    fn configure(&self, haloyd: &Haloyd, wishes: &Wishes) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("certificate");
        fs::write(self.place("ca.pem"), made.cert.pem()).expect("write");
        fs::write(self.place("key.pem"), made.signing_key.serialize_pem()).expect("write");
        let external: serde_json::Map<_, _> = wishes.eab.into_iter().map(|(kid, key)| (kid.to_owned(), key.into())).collect();
        let config = serde_json::json!({ "pebble": {
            "listenAddress": self.address(0).to_string(),
            "managementListenAddress": self.address(1).to_string(),
            "certificate": self.place("ca.pem"),
            "privateKey": self.place("key.pem"),
            "httpPort": haloyd.http_addr().port(),
            "tlsPort": haloyd.https_addr().port(),
            "externalAccountBindingRequired": wishes.eab.is_some(),
            "externalAccountMACKeys": external,
            "domainBlocklist": wishes.blocked,
            "certificateValidityPeriod": wishes.life.unwrap_or(0),
        }});
        fs::write(self.place("config.json"), config.to_string()).expect("write");
    }

    /// After [`stop`](Self::stop): with another root, and without anything that it had.
    pub fn start_again(&mut self) {
        let (dns, management) = (self.address(2).to_string(), self.address(3).to_string());
        let words = ["-dns01", &dns, "-management", &management, "-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""];
        self.spawn("pebble-challtestsrv", &words);
        let config = self.place("config.json");
        self.spawn("pebble", &["-strict", "-config", &config, "-dnsserver", &dns]);
        for port in [0, 1, 3] {
            let address = self.address(port);
            wait_for(Duration::from_secs(30), "the authority answers", || TcpStream::connect(address).ok());
        }
    }

    pub fn stop(&mut self) {
        for mut child in self.children.drain(..) {
            child.kill().expect("kill the authority");
            child.wait().expect("wait for the authority");
        }
    }

    fn spawn(&mut self, program: &str, words: &[&str]) {
        let log = File::options().create(true).append(true).open(self.folder.join("log")).expect("open the log");
        let mut command = Command::new(program);
        command.args(words).env("PEBBLE_VA_SLEEPTIME", "2").env("PEBBLE_WFE_NONCEREJECT", "10").env("PEBBLE_AUTHZREUSE", "0");
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().expect("open the log")).stderr(log).spawn();
        self.children.push(child.unwrap_or_else(|error| panic!("start {program}: {error}")));
    }

    /// Looking the name up fails from now on.
    pub fn lose(&self, name: &str) {
        self.tell("/set-servfail", &serde_json::json!({ "host": name }));
    }

    pub fn find(&self, name: &str) {
        self.tell("/clear-servfail", &serde_json::json!({ "host": name }));
    }

    fn tell(&self, path: &str, words: &serde_json::Value) {
        let answer = post(self.address(3), path, words).expect("the DNS server answers");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// A visitor of `haloyd` who trusts this authority alone; fails for any other certificate.
    pub fn visit(&self, haloyd: &Haloyd, name: &str) -> Result<Vec<CertificateDer<'static>>, String> {
        let (answer, chain) = self.converse(haloyd, name, "/", None)?;
        // Aliases send visitors on.
        if ["200", "301"].contains(&answer.split(' ').nth(1).unwrap_or_default()) { Ok(chain) } else { Err(answer) }
    }

    /// The same with a path and perhaps a token; the whole answer.
    pub fn ask(&self, haloyd: &Haloyd, name: &str, path: &str, authorization: Option<&str>) -> Result<String, String> {
        Ok(self.converse(haloyd, name, path, authorization)?.0)
    }

    fn converse(
        &self,
        haloyd: &Haloyd,
        name: &str,
        path: &str,
        authorization: Option<&str>,
    ) -> Result<(String, Vec<CertificateDer<'static>>), String> {
        let issuer = self.get("/roots/0");
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(issuer.as_bytes()).map_err(|error| error.to_string())?)
            .map_err(|error| error.to_string())?;
        let mut stream = connect(roots, haloyd.https_addr(), name)?;
        let authorization = authorization.map(|value| format!("authorization: {value}\r\n")).unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n{authorization}\r\n");
        stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
        let chain = stream.conn.peer_certificates().unwrap_or_default().iter().map(|der| der.clone().into_owned());
        Ok((answer, chain.collect()))
    }

    /// Of the authority's management.
    fn get(&self, path: &str) -> String {
        let own = fs::read(self.place("ca.pem")).expect("read");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&own).expect("PEM")).expect("a root");
        let mut stream = connect(roots, self.address(1), "127.0.0.1").expect("connect to the authority");
        write!(stream, "GET {path} HTTP/1.0\r\nhost: 127.0.0.1\r\n\r\n").expect("ask");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer.split_once("\r\n\r\n").expect("a body").1.to_owned()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn directory(&self) -> String {
        format!("https://{}/dir", self.address(0))
    }

    fn address(&self, index: usize) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[index]))
    }

    fn place(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}

fn connect(roots: RootCertStore, address: SocketAddr, name: &str) -> Result<StreamOwned<ClientConnection, TcpStream>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("configure TLS");
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
    let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    let mut stream = StreamOwned::new(connection, stream);
    stream.flush().map_err(|error| error.to_string())?;
    Ok(stream)
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("--- the authority's log ---\n{}", self.log());
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
