//! HTTPS to other servers, one request over a connection of its own: registries and certificate authorities are
//! asked rarely, and no connection can have gone stale.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Body;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The system's certificate authorities, or Mozilla's where the system has none (minimal containers).
pub fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// For HTTP/1.1 to servers that one of these authorities vouches for.
pub fn connector(roots: RootCertStore) -> TlsConnector {
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

/// A host as an address has it: without the brackets of an IPv6 address.
pub fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Asks with TLS. `limit`: the longest answer that is read, in bytes.
pub async fn ask<B>(tls: &TlsConnector, host: &str, port: u16, request: Request<B>, limit: usize) -> io::Result<Response<Bytes>>
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let name = ServerName::try_from(bare(host).to_owned()).map_err(io::Error::other)?;
    let stream = TcpStream::connect((bare(host), port)).await?;
    speak(tls.connect(name, stream).await?, request, limit).await
}

/// Asks over a stream that is there.
pub async fn speak<S, B>(stream: S, request: Request<B>, limit: usize) -> io::Result<Response<Bytes>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // Ends with the answer.
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await.map_err(io::Error::other)?.into_parts();
    let body = Limited::new(body, limit).collect().await.map_err(io::Error::other)?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}
