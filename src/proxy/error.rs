//! What can go wrong around the data plane. Requests that fail are not errors here: they are answered.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::error::Report;
use crate::files::FileError;

#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("could not listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("could not start a proxy thread")]
    Thread(#[source] io::Error),
    #[error("could not set TLS up")]
    Tls(#[source] rustls::Error),
    #[error("could not open the access log `{}`", path.display())]
    AccessLog {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not keep the routing table")]
    Save(#[source] FileError),
    #[error("could not read the kept routing table")]
    Load(#[source] FileError),
    #[error("the kept routing table `{}` is damaged", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("could not make a self-signed certificate")]
    SelfSigned(#[source] rcgen::Error),
    #[error("the certificate is not valid PEM with a chain and its private key")]
    Pem(#[source] rustls_pki_types::pem::Error),
    #[error("the certificate cannot be used")]
    Certificate(#[source] rustls::Error),
}

impl Report for ProxyError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Listen { address, source } => match source.kind() {
                io::ErrorKind::AddrInUse => Some(format!("see who holds the port: `ss -ltnp 'sport = :{}'`", address.port())),
                io::ErrorKind::PermissionDenied => {
                    Some("ports below 1024 need root or CAP_NET_BIND_SERVICE; choose others with --http-addr and --https-addr".to_owned())
                }
                _ => None,
            },
            Self::Damaged { path, .. } => Some(format!("remove `{}`; it is written again with the next table", path.display())),
            _ => None,
        }
    }
}
