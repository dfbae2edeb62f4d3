//! How a client comes to know this server: its address, a token, and behind the token the pin of the server's own key,
//! so that nobody in between can pass for it.

use std::io::{self, IsTerminal as _};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::error::AdminError;
use super::undo::Undo;
use crate::config::daemon::DaemonSettings;
use crate::crypto;
use crate::files;
use crate::pin::Pin;
use crate::secret::Secret;
use crate::term;

const HTTPS_PORT: u16 = 443;
/// Of a network that documents use (RFC 5737): no packet is ever sent there.
const FAR_AWAY: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// The pin of the server's own key; one that has none yet gets its key now.
pub fn pin(certificate: &Path, undo: &mut Undo) -> Result<Pin, AdminError> {
    let pem = match files::read_optional(certificate)? {
        Some(pem) => pem,
        None => {
            let made = crypto::self_signed(&[crypto::OWN_NAME]).map_err(AdminError::OwnKey)?;
            certificate.parent().map(|folder| undo.directory(folder)).transpose()?;
            undo.file(certificate)?;
            files::write_private(certificate, made.expose().as_bytes())?;
            made.expose().to_owned()
        }
    };
    let read = CertificateDer::from_pem_slice(pem.as_bytes()).ok().and_then(|certificate| Pin::of(&certificate));
    read.ok_or_else(|| AdminError::OwnCertificate { path: certificate.to_owned() })
}

/// A token as clients get it.
pub fn with_pin(token: &Secret, pin: Pin) -> Secret {
    Secret::new(format!("{}.{pin}", token.expose()))
}

/// Where clients reach the server: the API's domain, else the address from which this machine reaches others.
pub fn host(settings: &DaemonSettings) -> String {
    if let Some(domain) = &settings.api_domain {
        return domain.to_string();
    }
    match (outward(), settings.https_addr.map_or(HTTPS_PORT, |address| address.port())) {
        (Some(address), HTTPS_PORT) => address.to_string(),
        (Some(address), port) => format!("{address}:{port}"),
        (None, _) => "localhost".to_owned(),
    }
}

fn outward() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(FAR_AWAY).ok()?;
    match socket.local_addr().ok()?.ip() {
        std::net::IpAddr::V4(address) if !address.is_loopback() && !address.is_unspecified() => Some(address),
        _ => None,
    }
}

/// On a terminal the line to type on one's own machine; into a file or a program the token alone.
pub fn show(token: &Secret, host: &str) {
    if io::stdout().is_terminal() {
        term::data(&format!("haloy server add {host} {}\n", token.expose()));
    } else {
        term::data(&format!("{}\n", token.expose()));
    }
}
