//! Request bodies as they come in: gathered into pieces that are worth a blocking thread, never whole.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;

use super::error::Refused;

/// Enough for the way to a blocking thread to pay.
const PIECE: usize = 512 * 1024;
/// A body that brings nothing for so long is given up; the upload stays.
const SILENCE: Duration = Duration::from_secs(60);

/// So many pieces of a refused body are still read, and so long each is waited for.
const DECENT: usize = 32;
const HASTE: Duration = Duration::from_secs(2);

/// Why a body ended early.
#[derive(Debug, PartialEq, Eq)]
pub enum Broken {
    Silent,
    Cut,
}

impl From<Broken> for Refused {
    fn from(broken: Broken) -> Self {
        Self::upload(match broken {
            Broken::Silent => format!("nothing came for {} s", SILENCE.as_secs()),
            Broken::Cut => "the body broke off".to_owned(),
        })
    }
}

/// A body in pieces.
pub struct Pieces {
    /// None behind its end.
    body: Option<Body>,
}

impl Pieces {
    pub fn of(body: Body) -> Self {
        Self { body: Some(body) }
    }

    /// The next piece; none at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        let mut gathered = BytesMut::new();
        while let Some(body) = &mut self.body
            && gathered.len() < PIECE
        {
            let Ok(frame) = tokio::time::timeout(SILENCE, body.frame()).await else { return Err(Broken::Silent) };
            match frame {
                None => self.body = None,
                Some(Err(_)) => return Err(Broken::Cut),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    gathered.extend_from_slice(&data);
                }
            }
        }
        Ok((!gathered.is_empty()).then(|| gathered.freeze()))
    }
}

impl Pieces {
    /// Throws the rest away as far as that is decent: a client that is still writing would find its connection reset in
    /// place of the answer.
    pub async fn discard(&mut self) {
        for _ in 0..DECENT {
            if !matches!(tokio::time::timeout(HASTE, self.next()).await, Ok(Ok(Some(_)))) {
                return;
            }
        }
    }
}

/// A body that is needed whole, up to `limit` bytes; none when it is larger.
pub async fn whole(body: Body, limit: usize) -> Result<Option<Bytes>, Broken> {
    let (mut pieces, mut gathered) = (Pieces::of(body), BytesMut::new());
    while let Some(piece) = pieces.next().await? {
        gathered.extend_from_slice(&piece);
        if gathered.len() > limit {
            return Ok(None);
        }
    }
    Ok(Some(gathered.freeze()))
}
