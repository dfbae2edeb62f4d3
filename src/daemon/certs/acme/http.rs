//! How the ACME library reaches an authority: with a deadline, and with the authorities that we trust.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::{Request, Uri};
use http_body_util::Full;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::https;

const PATIENCE: Duration = Duration::from_secs(30);
/// Longest answer that is read, in bytes.
const MAX_ANSWER: usize = 1 << 20;

pub struct Http(pub TlsConnector);

impl HttpClient for Http {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let tls = self.0.clone();
        Box::pin(async move {
            let answer = timeout(PATIENCE, ask(&tls, request)).await.unwrap_or_else(|_| {
                let late = format!("no answer within {} s", PATIENCE.as_secs());
                Err(io::Error::new(io::ErrorKind::TimedOut, late))
            });
            answer.map(|answer| BytesResponse::from(answer.map(Full::new))).map_err(|error| Error::Other(Box::new(error)))
        })
    }
}

async fn ask(tls: &TlsConnector, mut request: Request<BodyWrapper<Bytes>>) -> io::Result<http::Response<Bytes>> {
    let uri = std::mem::take(request.uri_mut());
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("https"));
    let authority = authority.ok_or_else(|| io::Error::other(format!("`{uri}` is not an address with https")))?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    *request.uri_mut() = Uri::try_from(target).map_err(io::Error::other)?;
    request.headers_mut().insert(HOST, HeaderValue::from_str(authority.as_str()).map_err(io::Error::other)?);
    https::ask(tls, authority.host(), authority.port_u16().unwrap_or(443), request, MAX_ANSWER).await
}
