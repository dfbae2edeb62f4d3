//! A connection to a server: TCP, TLS or a Unix socket, then HTTP/1.1 on it.
//!
//! One request, one connection: a command makes few requests, and none of them can meet a connection
//! that went stale. Never speaks to another machine without TLS, and never skips the certificate's
//! verification.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hyper::body::Body;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::address::Address;
use super::pinned::{self, OtherKey};
use crate::config::server::ServerName as HostAndPort;
use crate::https;
use crate::pin::Pin;

/// For finding the name, all attempts to connect and the TLS handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For one of several addresses, so that one that swallows packets does not hide the others.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);

/// A request's body that a connection can send.
pub trait Sendable: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static {}

impl<B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static> Sendable for B {}

/// For servers that a certificate authority of this system vouches for, or that have the pinned key.
pub fn tls(pin: Option<Pin>) -> TlsConnector {
    let roots = https::system_roots();
    match pin {
        Some(pin) => pinned::connector(roots, pin),
        None => https::connector(roots),
    }
}

/// Connects; `tls` is used for addresses that need it. Dropping the future closes what it opened.
pub async fn open<B: Sendable>(address: &Address, tls: Option<&TlsConnector>) -> io::Result<SendRequest<B>> {
    let connected = timeout(CONNECT_TIMEOUT, connect(address, tls)).await;
    connected.unwrap_or_else(|_| Err(timed_out(CONNECT_TIMEOUT)))
}

async fn connect<B: Sendable>(address: &Address, tls: Option<&TlsConnector>) -> io::Result<SendRequest<B>> {
    let (name, port) = match address {
        Address::Tcp(name) => (name, address.port().unwrap_or_default()),
        Address::Unix(path) => return unix(path).await,
    };
    let host = https::bare(name.host());
    match tls {
        None => speak_http(reach(host, port).await?).await,
        Some(tls) => speak_http(secure(host, port, tls).await?).await,
    }
}

/// The certificate that the server shows, once it is verified.
pub async fn certificate(name: &HostAndPort, port: u16, tls: &TlsConnector) -> io::Result<CertificateDer<'static>> {
    let connected = timeout(CONNECT_TIMEOUT, secure(https::bare(name.host()), port, tls)).await;
    let stream = connected.unwrap_or_else(|_| Err(timed_out(CONNECT_TIMEOUT)))?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    shown.map(|certificate| certificate.clone().into_owned()).ok_or_else(|| io::Error::other("the server shows no certificate"))
}

async fn secure(host: &str, port: u16, tls: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
    let stream = reach(host, port).await?;
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    tls.connect(name, stream).await.map_err(plain_words)
}

#[cfg(unix)]
async fn unix<B: Sendable>(path: &std::path::Path) -> io::Result<SendRequest<B>> {
    speak_http(tokio::net::UnixStream::connect(path).await?).await
}

#[cfg(not(unix))]
async fn unix<B: Sendable>(_path: &std::path::Path) -> io::Result<SendRequest<B>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no Unix sockets"))
}

/// The first of the host's addresses that answers.
async fn reach(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses(host, port).await? {
        match timeout(ATTEMPT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Requests are written whole; waiting for more to send only costs time.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = timed_out(ATTEMPT_TIMEOUT),
        }
    }
    Err(last)
}

async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let known = |ip: IpAddr| SocketAddr::new(ip, port);
    if host == "localhost" {
        return Ok(vec![known(Ipv4Addr::LOCALHOST.into()), known(Ipv6Addr::LOCALHOST.into())]);
    }
    match host.parse() {
        Ok(ip) => Ok(vec![known(ip)]),
        Err(_) => Ok(tokio::net::lookup_host((host, port)).await?.collect()),
    }
}

async fn speak_http<S, B: Sendable>(stream: S) -> io::Result<SendRequest<B>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // Ends by itself when the sender and the response's body are gone.
    tokio::spawn(connection);
    Ok(sender)
}

/// What rustls wraps in words of its own.
fn plain_words(error: io::Error) -> io::Error {
    let is_other_key = error.get_ref().and_then(|cause| cause.downcast_ref()).is_some_and(OtherKey::is_behind);
    if is_other_key { io::Error::other(OtherKey) } else { error }
}

fn timed_out(after: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {} s", after.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::super::error::ClientError;
    use super::*;
    use crate::error::Report as _;
    use std::sync::Arc;

    use bytes::Bytes;
    use http_body_util::Full;
    use rustls_pki_types::PrivateKeyDer;
    use tokio::net::TcpListener;

    /// A TLS server for `localhost` that does one handshake, with its certificate.
    async fn server() -> (u16, rcgen::Certificate, tokio::task::JoinHandle<bool>) {
        crate::crypto::install_provider();
        let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("certificate");
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key);
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config.expect("server config")));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let port = listener.local_addr().expect("address").port();
        let handshake = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("accept");
            acceptor.accept(stream).await.is_ok()
        });
        (port, cert, handshake)
    }

    fn address(port: u16) -> Address {
        format!("localhost:{port}").parse().expect("address")
    }

    #[tokio::test]
    async fn a_certificate_that_nobody_vouches_for_is_refused() {
        let (port, _, handshake) = server().await;
        let error = open::<Full<Bytes>>(&address(port), Some(&tls(None))).await.expect_err("unknown issuer");
        assert!(error.to_string().contains("certificate"), "{error}");
        let error = ClientError::Connect { address: address(port), source: error };
        assert!(error.hint().is_some_and(|hint| hint.contains("certificate")), "{error}");
        assert!(!handshake.await.expect("server"), "the server saw the refusal");
    }

    #[tokio::test]
    async fn a_certificate_of_a_known_authority_is_accepted() {
        let (port, cert, handshake) = server().await;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(cert.der().clone()).expect("root");
        open::<Full<Bytes>>(&address(port), Some(&https::connector(roots))).await.expect("connects");
        assert!(handshake.await.expect("server"));
    }

    #[tokio::test]
    async fn a_pinned_key_is_trusted_whatever_its_certificate_says_and_no_other_is() {
        let (port, cert, handshake) = server().await;
        let pin = Pin::of(cert.der()).expect("a certificate");
        let by_address = format!("127.0.0.1:{port}").parse().expect("address");
        open::<Full<Bytes>>(&by_address, Some(&tls(Some(pin)))).await.expect("the key is the pinned one");
        assert!(handshake.await.expect("server"));

        let (port, _, handshake) = server().await;
        let error = open::<Full<Bytes>>(&address(port), Some(&tls(Some(pin)))).await.expect_err("another key");
        let error = ClientError::Connect { address: address(port), source: error };
        assert!(crate::error::chain(&error).contains("its key is not the one that came with the token"), "{error:?}");
        assert!(error.hint().is_some_and(|hint| hint.contains("haloy server add localhost:")), "{error:?}");
        assert!(!handshake.await.expect("server"), "the server saw the refusal");
    }

    #[tokio::test]
    async fn with_a_pin_authorities_count_as_well() {
        let (port, cert, handshake) = server().await;
        let (_, other, _) = server().await;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(cert.der().clone()).expect("root");
        let pin = Pin::of(other.der()).expect("a certificate");
        open::<Full<Bytes>>(&address(port), Some(&pinned::connector(roots, pin))).await.expect("vouched for");
        assert!(handshake.await.expect("server"));
    }

    #[tokio::test]
    async fn a_closed_port_is_refused_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let port = listener.local_addr().expect("address").port();
        drop(listener);
        let error = open::<Full<Bytes>>(&address(port), None).await.expect_err("nobody listens");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
