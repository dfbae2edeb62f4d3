//! Trust in a server whose key is known: by a certificate authority like everybody else's, or else by that key alone.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;

use crate::pin::Pin;

/// The server shows a key that is neither the pinned one nor vouched for.
#[derive(Debug, thiserror::Error)]
#[error("its key is not the one that came with the token: it is another server, or somebody stands in between")]
pub struct OtherKey;

impl OtherKey {
    /// Whether this is why there is no connection.
    pub fn is_behind(error: &Error) -> bool {
        matches!(error, Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) if cause.is::<Self>())
    }
}

/// For HTTP/1.1 to the server with this key, or to one that these authorities, at least one, vouch for.
pub fn connector(roots: RootCertStore, pin: Pin) -> TlsConnector {
    let authorities = WebPkiServerVerifier::builder(Arc::new(roots)).build().expect("invariant: there is at least one authority");
    let builder = ClientConfig::builder().dangerous().with_custom_certificate_verifier(Arc::new(Verifier { pin, authorities }));
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

#[derive(Debug)]
struct Verifier {
    pin: Pin,
    authorities: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // Names and dates of a pinned certificate say nothing: the handshake's signature proves the key.
        if Pin::of(end_entity) == Some(self.pin) {
            return Ok(ServerCertVerified::assertion());
        }
        let vouched_for = self.authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        vouched_for.map_err(|_| Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(OtherKey)))))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}
