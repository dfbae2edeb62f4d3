//! Reading blobs, whole or in part, as the content that they are whatever way they lie.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{Stream, stream};

use super::Registry;
use super::error::{Refused, versioned};
use super::files::Encoding;
use super::uploads::CONTENT_DIGEST;
use crate::daemon::store::BlobDeletion;
use crate::names::Digest;

/// Read and handed on at once, in bytes.
const PIECE: usize = 512 * 1024;

/// GET and HEAD.
pub async fn serve(registry: &Registry, digest: &Digest, request: Request) -> Result<Response, Refused> {
    let blob = registry.counted_blob(digest).await?.ok_or_else(|| Refused::unknown_blob(digest))?;
    // Ranges are for GET alone (RFC 9110 section 14.2).
    let range = if request.method() == Method::GET { range(request.headers(), blob.size)? } else { None };
    let (first, length) = range.unwrap_or((0, blob.size));
    let body = match *request.method() {
        Method::HEAD => Body::empty(),
        _ => {
            let encoding = Encoding::from_stored(&blob.encoding);
            let path = registry.0.files.path(digest, encoding);
            let opened = tokio::task::spawn_blocking(move || open(&path, encoding, first)).await?;
            let reader = opened.map_err(|error| Refused::internal("read a blob", &error))?;
            Body::from_stream(pieces(reader.take(length)))
        }
    };
    let headers = [
        (CONTENT_LENGTH, length.to_string()),
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_DIGEST, digest.to_string()),
        (ETAG, format!("\"{digest}\"")),
        (ACCEPT_RANGES, "bytes".to_owned()),
    ];
    Ok(versioned(match range {
        None => (StatusCode::OK, headers, body).into_response(),
        Some(_) => {
            let part = format!("bytes {first}-{}/{}", first + length - 1, blob.size);
            (StatusCode::PARTIAL_CONTENT, headers, [(CONTENT_RANGE, part)], body).into_response()
        }
    }))
}

/// DELETE; refused while a manifest needs it.
pub async fn delete(registry: &Registry, digest: &Digest) -> Result<Response, Refused> {
    let files = registry.0.files.clone();
    let removed = digest.clone();
    let deletion = registry.0.store.delete_blob(digest.clone(), move |encoding| files.remove(&removed, Encoding::from_stored(encoding)));
    match deletion.await? {
        BlobDeletion::Deleted => Ok(versioned(StatusCode::ACCEPTED.into_response())),
        BlobDeletion::Unknown => Err(Refused::unknown_blob(digest)),
        BlobDeletion::Needed { manifest } => {
            Err(Refused::new(StatusCode::CONFLICT, "DENIED", format!("manifest {manifest} needs this blob: delete that first")))
        }
    }
}

/// The content from byte `first` on.
fn open(path: &std::path::Path, encoding: Encoding, first: u64) -> io::Result<Box<dyn Read + Send>> {
    let mut file = File::open(path)?;
    match encoding {
        Encoding::Identity => {
            file.seek(SeekFrom::Start(first))?;
            Ok(Box::new(file))
        }
        Encoding::Zstd => {
            let mut reader = zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(128 * 1024, file))?;
            io::copy(&mut (&mut reader).take(first), &mut io::sink())?;
            Ok(Box::new(reader))
        }
    }
}

fn pieces(reader: impl Read + Send + 'static) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold(reader, async |mut reader| {
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = Vec::with_capacity(PIECE);
            (&mut reader).take(PIECE as u64).read_to_end(&mut piece)?;
            Ok::<_, io::Error>((!piece.is_empty()).then(|| (Bytes::from(piece), reader)))
        });
        read.await.map_err(io::Error::other)?
    })
}

/// First byte and length of the one range that is asked for (RFC 9110 section 14.1.2). What is not understood is not
/// there.
fn range(headers: &HeaderMap, size: u64) -> Result<Option<(u64, u64)>, Refused> {
    let Some(text) = headers.get(RANGE).and_then(|value| value.to_str().ok()).and_then(|text| text.strip_prefix("bytes=")) else {
        return Ok(None);
    };
    let Some((first, last)) = text.split_once('-').filter(|_| !text.contains(',')) else { return Ok(None) };
    let (first, last) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(size.saturating_sub(1))),
        (Ok(first), Err(_)) if last.is_empty() => (first, size.saturating_sub(1)),
        (Err(_), Ok(length)) if first.is_empty() && length > 0 => (size.saturating_sub(length), size.saturating_sub(1)),
        _ => return Ok(None),
    };
    if first >= size {
        let refused = Refused::new(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", format!("the blob has {size} bytes"));
        return Err(refused.with(CONTENT_RANGE, format!("bytes */{size}")));
    }
    Ok(Some((first, last - first + 1)))
}
