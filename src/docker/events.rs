//! "Look again": the engine's events without their content.
//!
//! Nobody may act on an event's payload; whoever hears one lists the containers. So an event too many
//! costs a look, and the only sin is an event too few.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bollard::errors::Error as ClientError;
use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::{EventsOptions, EventsOptionsBuilder};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use jiff::Timestamp;

use super::connection::{Docker, PING};
use super::error::DockerError;
use super::labels;

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// How far back a new subscription reaches, in seconds: what happens between our sign of life and the
/// subscription is told again, even when the engine's clock is a little behind ours.
const OVERLAP: i64 = 5;
/// What can change our view of a container. The probes of health checks (`exec_*`) are not among them.
const ACTIONS: &[&str] = &[
    "create",
    "start",
    "restart",
    "die",
    "oom",
    "stop",
    "kill",
    "pause",
    "unpause",
    "rename",
    "update",
    "destroy",
    "health_status",
    "connect",
    "disconnect",
];

type Subscription = Pin<Box<dyn Stream<Item = Result<EventMessage, ClientError>> + Send>>;

struct Watch {
    docker: Docker,
    subscription: Option<(Subscription, Instant)>,
    delay: Duration,
}

impl Docker {
    /// Yields when something happened to a container of ours or to a network, and once on every
    /// connection and reconnection. Subscribes anew when the engine goes away, for ever; never ends.
    pub fn events(&self) -> impl Stream<Item = ()> + Send + use<> {
        let watch = Watch { docker: self.clone(), subscription: None, delay: Duration::ZERO };
        stream::unfold(watch, async |mut watch| {
            watch.next().await;
            Some(((), watch))
        })
    }
}

impl Watch {
    async fn next(&mut self) {
        loop {
            let Some((subscription, _)) = &mut self.subscription else { return self.subscribe().await };
            match subscription.next().await {
                Some(Ok(event)) if concerns(&event, self.docker.instance()) => return self.skip_burst(),
                Some(Ok(_)) => {}
                ended => self.lost(ended),
            }
        }
    }

    /// What has arrived already is answered by the same look.
    fn skip_burst(&mut self) {
        while let Some((subscription, _)) = &mut self.subscription {
            match subscription.next().now_or_never() {
                None => return,
                Some(Some(Ok(_))) => {}
                Some(ended) => self.lost(ended),
            }
        }
    }

    fn lost(&mut self, ended: Option<Result<EventMessage, ClientError>>) {
        let reason = ended.and_then(Result::err).map_or_else(|| "the engine closed it".to_owned(), |error| error.to_string());
        tracing::info!(reason, "the subscription to the engine's events ended");
        // One that lasted was no part of a series of failures.
        if self.subscription.take().is_some_and(|(_, since)| since.elapsed() > LONGEST_DELAY) {
            self.delay = Duration::ZERO;
        }
    }

    /// Tries until the engine answers.
    async fn subscribe(&mut self) {
        let mut failed = false;
        loop {
            tokio::time::sleep(self.delay).await;
            self.delay = (self.delay * 2).clamp(FIRST_DELAY, LONGEST_DELAY);
            match try_subscribe(&self.docker).await {
                Ok(subscription) => {
                    self.subscription = Some((subscription, Instant::now()));
                    return;
                }
                Err(error) if failed => tracing::debug!(reason = %crate::error::chain(&error), "still no events from the engine"),
                Err(error) => tracing::warn!(reason = %crate::error::chain(&error), "no events from the engine; trying on"),
            }
            failed = true;
        }
    }
}

/// The subscription reaches back before the engine's sign of life, so nothing between it and a list
/// that follows is lost.
async fn try_subscribe(docker: &Docker) -> Result<Subscription, DockerError> {
    let since = Timestamp::now().as_second() - OVERLAP;
    let client = docker.streaming_client(PING).await?;
    Ok(Box::pin(client.events(Some(options(since)))))
}

fn options(since: i64) -> EventsOptions {
    let filters = HashMap::from([("type", vec!["container", "network"]), ("event", ACTIONS.to_vec())]);
    EventsOptionsBuilder::new().since(&since.to_string()).filters(&filters).build()
}

/// Events of containers carry their labels; those of networks do not, and are taken as they come.
fn concerns(event: &EventMessage, instance: &str) -> bool {
    if event.typ != Some(EventMessageTypeEnum::CONTAINER) {
        return true;
    }
    let attributes = event.actor.as_ref().and_then(|actor| actor.attributes.as_ref());
    attributes.and_then(|attributes| attributes.get(labels::INSTANCE)).is_some_and(|value| value == instance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_containers_concern_us() {
        let event = |text: &str| serde_json::from_str::<EventMessage>(text).unwrap();
        let container = |instance: &str| {
            event(&format!(
                r#"{{"status":"die","id":"0f","Type":"container","Action":"die","Actor":{{"ID":"0f","Attributes":{{"dev.haloy.instance":"{instance}"}}}},
                "scope":"local","time":1,"timeNano":1}}"#
            ))
        };
        assert!(concerns(&container("main"), "main"));
        assert!(!concerns(&container("other"), "main"));
        let network =
            r#"{"Type":"network","Action":"disconnect","Actor":{"ID":"0f","Attributes":{"container":"0f","name":"haloy-public"}}}"#;
        assert!(concerns(&event(network), "main"));
        assert!(!concerns(&event(r#"{"Type":"container","Action":"start"}"#), "main"));
    }
}
