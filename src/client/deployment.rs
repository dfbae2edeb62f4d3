//! The deploy of one target, from its `pre_deploy` to its `post_deploy`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use jiff::SignedDuration;

use crate::config::{Environment, Target};
use crate::names::DeployId;
use crate::wire::{Accepted, DeployRequest, JobKind, Tls, Version, routes};

use super::change::{self, End, Following, INTERRUPTED};
use super::duration::took;
use super::error::ClientError;
use super::hooks::{About, Hooks};
use super::several::OnSubject;
use super::subject::Subject;
use super::targets;

/// One target, with all that its deploy needs.
pub struct Deployment<'a> {
    pub target: &'a Target,
    /// Where its values are looked up.
    pub environment: &'a Environment,
    pub subject: Subject,
    pub request: DeployRequest,
}

/// What became of a deployment.
pub struct Fate {
    /// As the server answered, when it came so far.
    pub accepted: Option<Accepted>,
    pub took: Duration,
    pub ending: Ending,
}

pub enum Ending {
    /// It serves, and its hooks went well.
    Served,
    /// Nobody waits for it, as was asked for.
    Detached,
    /// The user left with Ctrl-C; it goes on.
    Left,
    Failed(ClientError),
    /// Another one on the same server did not end well before.
    NotStarted,
}

impl Fate {
    pub fn not_started() -> Self {
        Self { accepted: None, took: Duration::ZERO, ending: Ending::NotStarted }
    }
}

impl OnSubject for Deployment<'_> {
    fn subject(&self) -> &Subject {
        &self.subject
    }
}

impl Deployment<'_> {
    /// What people call it.
    pub fn label(&self) -> &str {
        targets::label(self.target)
    }

    pub async fn run(&self, hooks: &Hooks<'_>, following: &Following) -> Fate {
        let began = Instant::now();
        let mut accepted = None;
        let ending = self.until_the_end(hooks, following, began, &mut accepted).await.unwrap_or_else(Ending::Failed);
        Fate { accepted, took: began.elapsed(), ending }
    }

    async fn until_the_end(
        &self,
        hooks: &Hooks<'_>,
        following: &Following,
        began: Instant,
        answer: &mut Option<Accepted>,
    ) -> Result<Ending, ClientError> {
        let (target, subject) = (self.target, &self.subject);
        let server = subject.api.server();
        let variables = vec![
            ("HALOY_APP", target.spec.name.as_str()),
            ("HALOY_TARGET", self.label()),
            ("HALOY_SERVER", server.as_str()),
            ("HALOY_VERSION", version(target)),
        ];
        let mut about = About { environment: self.environment, variables };
        hooks.run("pre_deploy", &target.pre_deploy, &about, &subject.output).await?;
        let path = routes::app_verb(&subject.app, "deploy");
        let accepted = change::accepted(subject.api.post(&path, &self.request), hooks.interruption).await?;
        let accepted: &Accepted = answer.insert(accepted);
        let end = change::follow(subject, JobKind::Deploy, accepted, following, hooks.interruption).await?;
        if let End::Left(code) = end {
            if !target.post_deploy.is_empty() && !hooks.skipped {
                subject.output.words("warning: `post_deploy` commands were not run, because nobody waited for the verdict");
            }
            return Ok(if code == ExitCode::from(INTERRUPTED) { Ending::Left } else { Ending::Detached });
        }
        self.success(accepted.deployment, began.elapsed()).await;
        let id = accepted.deployment.map(|id| id.to_string()).unwrap_or_default();
        about.variables.extend((!id.is_empty()).then_some(("HALOY_DEPLOYMENT_ID", id.as_str())));
        hooks.run("post_deploy", &target.post_deploy, &about, &subject.output).await?;
        Ok(Ending::Served)
    }

    async fn success(&self, id: Option<DeployId>, time: Duration) {
        let output = &self.subject.output;
        let id = id.map(|id| format!(" as {id}")).unwrap_or_default();
        output.words(&format!("{} `{}` is deployed{id} in {}", output.terminal.green("✓"), self.subject.app, in_words(time)));
        self.urls().await.iter().for_each(|url| output.words(&format!("  {url}")));
    }

    /// Where people find the app. A server that does not say its ports has the web's own.
    async fn urls(&self) -> Vec<String> {
        let spec = &self.target.spec;
        if spec.domains.is_empty() {
            return Vec::new();
        }
        let version = self.subject.api.glance::<Version>(routes::VERSION).await.ok();
        let (scheme, standard, port) = match spec.tls {
            Tls::Auto => ("https", 443, version.and_then(|version| version.https_port)),
            Tls::Off => ("http", 80, version.and_then(|version| version.http_port)),
        };
        let port = port.filter(|port| *port != standard).map(|port| format!(":{port}")).unwrap_or_default();
        spec.domains.iter().map(|domain| format!("{scheme}://{}{port}", domain.domain)).collect()
    }
}

/// The image's tag, else its digest.
fn version(target: &Target) -> &str {
    let image = &target.spec.image;
    image.tag().unwrap_or_else(|| image.as_str().split_once('@').map_or("", |(_, digest)| digest))
}

pub fn in_words(time: Duration) -> String {
    took(SignedDuration::try_from(time).unwrap_or_default())
}
