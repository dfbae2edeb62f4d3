//! The output of an app's containers as one stream of lines.
//!
//! First what is there already, of all containers in the order of time; then, when asked for, what
//! comes, also from containers that appear later. The work lives inside the answer: when the client
//! leaves, everything that reads for it is dropped, and a client that does not read stops it.

mod backlog;
mod following;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::mpsc;
use utoipa::IntoParams;

use super::jobs::KEEP_ALIVE;
use super::parameters::{Moment, Parameters, Segment, Tail};
use super::refusal::Refusal;
use super::{Api, Context, apps};
use crate::daemon::overview::Watched;
use crate::docker::{Container, ContainerId, DockerError, OutputLine};
use crate::names::{AppName, DeployId};
use crate::wire::{LogLine, Problem};

/// Last lines of each container when the client names neither a number nor a time.
const DEFAULT_TAIL: u32 = 100;

/// Lines that are read ahead of the client.
const AHEAD: usize = 64;

#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogsQuery {
    /// How many of each container's last lines: a number or `all`. Absent: 100, or all when `since` is given.
    #[param(value_type = Option<String>)]
    tail: Option<Tail>,
    /// Go on with new lines, also of containers that appear later, until the client leaves.
    #[serde(default)]
    follow: bool,
    /// Only lines from this moment on: RFC 3339, or seconds since 1970-01-01 UTC.
    #[param(value_type = Option<String>)]
    since: Option<Moment>,
    /// Only containers of this deployment.
    #[param(value_type = Option<String>)]
    deployment: Option<DeployId>,
}

/// The output of an app's containers, also of stopped and failed ones
///
/// Server-sent events named `line`; a container whose output cannot be read is told in an event
/// named `problem`.
#[utoipa::path(
    get, path = "/v1/apps/{app}/logs", operation_id = "read_logs",
    params(("app" = AppName, Path), LogsQuery),
    responses((status = 200, body = LogLine, content_type = "text/event-stream"))
)]
pub async fn stream(
    State(context): State<Context>,
    Segment(app): Segment<AppName>,
    Parameters(query): Parameters<LogsQuery>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, axum::Error>>>, Refusal> {
    apps::require(&context.api, &app).await?;
    let wanted = Wanted::new(app, query);
    let speakers = wanted.speakers(&context.api).await?;
    let (teller, told) = mpsc::channel(AHEAD);
    let told = stream::unfold(told, async |mut told| told.recv().await.map(|one| (one, told)));
    let work = tell(context.api, wanted, speakers, Teller(teller)).into_stream().filter_map(async |()| None);
    let events = stream::select(told, work).map(Told::into_event).take_until(context.stop.cancelled_owned());
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Reads for one client, to the end or for as long as it stays.
async fn tell(api: Arc<Api>, wanted: Wanted, speakers: Vec<Speaker>, teller: Teller) {
    let marks = backlog::tell(&api, &wanted, &speakers, &teller).await;
    if wanted.follow {
        following::tell(&api, &wanted, marks, &teller).await;
    }
}

/// Which lines the client asked for.
struct Wanted {
    app: AppName,
    deployment: Option<DeployId>,
    tail: Option<u32>,
    since: Option<Timestamp>,
    follow: bool,
    /// When the request came: following begins here for containers that had nothing to tell.
    asked_at: Timestamp,
}

/// Up to where each container's output has been told.
type Marks = BTreeMap<ContainerId, Timestamp>;

impl Wanted {
    fn new(app: AppName, query: LogsQuery) -> Self {
        let since = query.since.map(|Moment(at)| at);
        let default = if since.is_some() { None } else { Some(DEFAULT_TAIL) };
        Self {
            app,
            deployment: query.deployment,
            tail: query.tail.map_or(default, |Tail(tail)| tail),
            since,
            follow: query.follow,
            asked_at: Timestamp::now(),
        }
    }

    /// The containers that the engine has at this moment.
    async fn speakers(&self, api: &Api) -> Result<Vec<Speaker>, DockerError> {
        let containers = api.docker.containers().await?;
        Ok(containers.into_iter().filter(|c| c.owner.app == self.app && self.wants(c.owner.deployment)).map(Speaker::from).collect())
    }

    fn wants(&self, deployment: DeployId) -> bool {
        self.deployment.is_none_or(|id| deployment == id)
    }
}

/// A container whose lines are told.
struct Speaker {
    id: ContainerId,
    name: String,
    deployment: DeployId,
    replica: u16,
}

impl From<Container> for Speaker {
    fn from(container: Container) -> Self {
        let Container { id, name, owner, .. } = container;
        Self { id, name, deployment: owner.deployment, replica: owner.slot }
    }
}

impl From<&Watched> for Speaker {
    fn from(Watched { id, replica }: &Watched) -> Self {
        Self { id: id.clone(), name: replica.container.clone(), deployment: replica.deployment, replica: replica.number }
    }
}

/// The end of the client's stream where the readers are.
struct Teller(mpsc::Sender<Told>);

enum Told {
    Line(LogLine),
    Problem(Box<Problem>),
}

impl Teller {
    async fn line(&self, speaker: &Speaker, line: OutputLine) {
        let line = LogLine {
            at: line.at,
            container: speaker.name.clone(),
            deployment: speaker.deployment,
            replica: speaker.replica,
            stderr: line.stderr,
            line: line.text,
        };
        self.tell(Told::Line(line)).await;
    }

    /// A container that was removed meanwhile has nothing to tell, which is no problem.
    async fn failure(&self, speaker: &Speaker, error: DockerError) {
        if matches!(error, DockerError::NotFound { .. }) {
            return;
        }
        let mut problem = Refusal::from_docker(&error).problem;
        problem.detail = Some(crate::error::chain(&error));
        problem.title = format!("could not read the output of `{}`", speaker.name);
        self.tell(Told::Problem(problem)).await;
    }

    async fn tell(&self, one: Told) {
        // When the client has left, whoever tells is dropped with the stream.
        let _ = self.0.send(one).await;
    }
}

impl Told {
    fn into_event(self) -> Result<sse::Event, axum::Error> {
        match self {
            Self::Line(line) => sse::Event::default().event("line").json_data(line),
            Self::Problem(problem) => sse::Event::default().event("problem").json_data(problem),
        }
    }
}
