//! Looking at jobs, and following one as it happens.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{KeepAlive, Sse};
use axum::{Extension, Json};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use tokio::sync::watch;
use utoipa::IntoParams;

use super::parameters::{Parameters, Segment};
use super::refusal::Refusal;
use super::{Api, Caller, Context};
use crate::names::AppName;
use crate::wire::{Event, Job, JobId};

/// A comment on an idle stream tells proxies and clients that it is alive.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

const DEFAULT_LIMIT: u32 = 50;
const MOST: u32 = 1000;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct JobsQuery {
    /// Only the jobs of this app.
    #[param(value_type = Option<String>)]
    app: Option<AppName>,
    /// At most so many; 50 when absent, never more than 1000.
    limit: Option<u32>,
}

/// Jobs, newest first
#[utoipa::path(get, path = "/v1/jobs", operation_id = "list_jobs", params(JobsQuery), responses((status = 200, body = Vec<Job>)))]
pub async fn list(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    Parameters(query): Parameters<JobsQuery>,
) -> Result<Json<Vec<Job>>, Refusal> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).min(MOST);
    if let Some(app) = &query.app {
        caller.require_app(app)?;
    }
    Ok(Json(context.api.store.jobs(query.app.or(caller.app), limit).await?))
}

/// One job
#[utoipa::path(get, path = "/v1/jobs/{job}", operation_id = "get_job", params(("job" = u64, Path)), responses((status = 200, body = Job)))]
pub async fn show(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    Segment(job): Segment<JobId>,
) -> Result<Json<Job>, Refusal> {
    let job = context.api.store.job(job).await?;
    caller.require_app(&job.app)?;
    Ok(Json(job))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Only events after this number; the header `Last-Event-ID` outranks it.
    after: Option<u64>,
}

/// The events of a job, as they happen
///
/// Server-sent events whose id is the event's number. The stream ends after the job did.
#[utoipa::path(
    get, path = "/v1/jobs/{job}/events", operation_id = "follow_job",
    params(("job" = u64, Path), EventsQuery, ("Last-Event-ID" = Option<u64>, Header, description = "The last event that was seen.")),
    responses((status = 200, body = Event, content_type = "text/event-stream"))
)]
pub async fn events(
    State(context): State<Context>,
    Extension(caller): Extension<Caller>,
    Segment(job): Segment<JobId>,
    Parameters(query): Parameters<EventsQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<axum::response::sse::Event, axum::Error>>>, Refusal> {
    let after = last_event_id(&headers)?.or(query.after).unwrap_or(0);
    caller.require_app(&context.api.store.job(job).await?.app)?;
    let events = follow(context.api.clone(), job, after)
        .map(|event| axum::response::sse::Event::default().id(event.seq.to_string()).json_data(event))
        .take_until(context.stop.cancelled_owned());
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number.map(Some).ok_or_else(|| Refusal::invalid("the header `Last-Event-ID` is not the number of an event"))
}

/// Where a reader of a job's events stands.
struct Follower {
    api: Arc<Api>,
    job: JobId,
    after: u64,
    changes: watch::Receiver<u64>,
}

/// Every stored event after number `after`, once and in order, then those to come.
fn follow(api: Arc<Api>, job: JobId, after: u64) -> impl Stream<Item = Event> + Send {
    let changes = api.store.changes();
    let follower = Follower { api, job, after, changes };
    stream::unfold(follower, async |mut follower| follower.next().await.map(|events| (stream::iter(events), follower))).flatten()
}

impl Follower {
    /// The next events, none when the job has ended or was forgotten.
    async fn next(&mut self) -> Option<Vec<Event>> {
        loop {
            // Marked as seen before looking: what is stored between the two wakes us again.
            self.changes.mark_unchanged();
            let (events, finished) = match self.api.store.events(self.job, self.after).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(job = self.job, error = crate::error::chain(&error), "Gave up a stream of events");
                    return None;
                }
            };
            if let Some(last) = events.last() {
                self.after = last.seq;
                return Some(events);
            }
            if finished || self.changes.changed().await.is_err() {
                return None;
            }
        }
    }
}
