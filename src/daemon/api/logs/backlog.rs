//! What the containers have said so far, merged in the order of time, one line of each in memory.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use jiff::Timestamp;

use super::{Marks, Speaker, Teller, Wanted};
use crate::daemon::api::Api;
use crate::docker::{DockerError, LogQuery, OutputLine};

/// Tells the lines that are there and returns up to where.
pub async fn tell(api: &Api, wanted: &Wanted, speakers: &[Speaker], teller: &Teller) -> Marks {
    let query = LogQuery { tail: wanted.tail, since: wanted.since, follow: false };
    let mut sources: Vec<Source<'_>> = speakers
        .iter()
        .map(|speaker| Source {
            speaker,
            lines: Box::pin(api.docker.logs(&speaker.id, query.clone())),
            head: None,
            ended: false,
            told_until: None,
        })
        .collect();
    merge(&mut sources, teller).await;
    sources.into_iter().map(|source| (source.speaker.id.clone(), source.told_until.unwrap_or(wanted.asked_at))).collect()
}

struct Source<'a> {
    speaker: &'a Speaker,
    lines: Pin<Box<dyn Stream<Item = Result<OutputLine, DockerError>> + Send>>,
    /// Its next line.
    head: Option<OutputLine>,
    ended: bool,
    /// The newest time of its lines that were told.
    told_until: Option<Timestamp>,
}

async fn merge(sources: &mut [Source<'_>], teller: &Teller) {
    loop {
        for source in sources.iter_mut() {
            source.fill(teller).await;
        }
        let heads = sources.iter_mut().filter(|source| source.head.is_some());
        let Some(first) = heads.min_by_key(|source| source.head.as_ref().and_then(|line| line.at)) else { return };
        if let Some(line) = first.head.take() {
            first.told_until = line.at.max(first.told_until);
            teller.line(first.speaker, line).await;
        }
    }
}

impl Source<'_> {
    /// Reads the next line, unless it is there or there is none.
    async fn fill(&mut self, teller: &Teller) {
        while self.head.is_none() && !self.ended {
            match self.lines.next().await {
                Some(Ok(line)) => self.head = Some(line),
                Some(Err(error)) => {
                    self.ended = true;
                    teller.failure(self.speaker, error).await;
                }
                None => self.ended = true,
            }
        }
    }
}
