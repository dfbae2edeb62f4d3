//! What can go wrong on the way from a typed command to its answer.

use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;
use crate::config::reference::UnknownKey;
use crate::error::{FAILED, MISUSE, Report};
use crate::names::{AppName, DeployId, InvalidName};
use crate::wire::{CertificateProblem, Code, JobId, Problem};

use super::address::Address;
use super::api::Origin;
use super::change::INTERRUPTED;
use super::image::ImageError;
use super::init::InitError;
use super::pinned::OtherKey;
use super::secrets::SecretError;
use super::sse::SseError;
use super::targets;

/// Where the connection broke matters to the user only through its cause.
type Cause = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("could not start")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error(transparent)]
    Secrets(#[from] SecretError),
    #[error(transparent)]
    Key(#[from] UnknownKey),
    #[error(transparent)]
    Init(#[from] InitError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("the registry of `{server}` refused: {message}")]
    Registry { server: String, message: String },
    #[error("`{word}` must come first: `{program} {word} …`")]
    Misplaced { word: &'static str, program: String },
    #[error("`{word}` is not a job number")]
    JobNumber { word: String },
    #[error("the configuration is given twice: with `--config` and as `{word}`")]
    GivenTwice { word: String },
    #[error("`{}` has several targets and none is chosen: {}", path.display(), targets::quoted(targets))]
    SeveralTargets { path: PathBuf, targets: Vec<String> },
    #[error("`{}` has no target {}", path.display(), targets::quoted(unknown))]
    UnknownTargets {
        path: PathBuf,
        unknown: Vec<String>,
        known: Vec<String>,
        /// What the first unknown one is likely to mean.
        meant: Option<String>,
    },
    #[error("all targets of `{}` are protected", path.display())]
    AllProtected { path: PathBuf },
    #[error("no target is chosen, nothing was done")]
    NoTargetChosen,
    #[error("no configuration here describes `{app}`, there are no targets to choose from")]
    NothingToChoose { app: String },
    #[error("this is about one app, and several are chosen")]
    NotOneApp,
    #[error("`{app}` is protected, nothing of it was removed")]
    Protected { app: AppName },
    #[error("`--remove-volumes` removes the data of `{app}`, add `--yes` to confirm")]
    Unconfirmed { app: AppName },
    #[error("`haloy prune` removes images, and nobody is there to be asked")]
    PruneUnconfirmed,
    #[error("the token from {origin} has characters that no token has")]
    TokenCharacters { origin: Origin },
    #[error("no server is chosen")]
    NoServer,
    #[error("several servers are configured and none is chosen: {}", hosts.join(", "))]
    SeveralServers { hosts: Vec<String> },
    #[error("no API token for `{server}`, looked for {}", looked.join(" and for "))]
    NoToken { server: String, looked: Vec<String> },
    #[error("could not read the token from standard input")]
    TokenInput(#[source] io::Error),
    #[error("could not start `{stage}` command `{command}`")]
    HookStart {
        stage: &'static str,
        command: String,
        #[source]
        source: io::Error,
    },
    #[error("`{stage}` command `{command}` failed with {outcome}")]
    Hook { stage: &'static str, command: String, outcome: String },
    #[error("interrupted during {during}{}", if *effect == Effect::None { ", nothing was changed" } else { "" })]
    Interrupted { during: String, effect: Effect },
    #[error("not confirmed, nothing was changed")]
    Declined,
    #[error("could not connect to `{}`", address.place())]
    Connect {
        address: Address,
        #[source]
        source: io::Error,
    },
    #[error("`{server}` did not answer `{request}` within {seconds} s")]
    NoAnswer { server: String, request: String, seconds: u64 },
    #[error("the token of `{server}` is in the keyring, which does not give it: {reason}")]
    Keyring { server: String, reason: String },
    #[error("the connection to `{server}` broke during `{request}`")]
    Broken {
        server: String,
        request: String,
        #[source]
        source: Cause,
    },
    #[error("`{server}` {}", refusal(origin))]
    Unauthorized {
        server: String,
        /// Where the token came from that was sent.
        origin: Option<Origin>,
        #[source]
        said: Detail,
    },
    #[error("{}", problem.title)]
    Refused {
        problem: Box<Problem>,
        /// The problem's own detail: a cause that was found on the server.
        #[source]
        detail: Option<Detail>,
    },
    #[error("`{server}` answered `{request}` with status {status}{}", quoted(body))]
    Status { server: String, request: String, status: u16, body: String },
    #[error("the answer of `{server}` to `{request}` is not understood")]
    Answer {
        server: String,
        request: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("the event stream of `{server}` is not understood")]
    Stream {
        server: String,
        #[source]
        source: SseError,
    },
    #[error("`{server}` could not be reached for {minutes} minutes, job {job} goes on there")]
    GaveUp {
        server: String,
        job: JobId,
        minutes: u64,
        attach: String,
        #[source]
        source: Box<ClientError>,
    },
    #[error("job {job} is of `{app}`, not of `{wanted}`")]
    OtherApp { job: JobId, app: AppName, wanted: AppName },
    #[error("no API token for `{host}` is given")]
    TokenMissing { host: String },
    #[error("the password is read from standard input, and that is the terminal")]
    PasswordFromTerminal,
    #[error("could not read the password from standard input")]
    PasswordInput(#[source] io::Error),
    #[error("no password came through standard input")]
    PasswordMissing,
    #[error("could not read `{}`", path.display())]
    ReadFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("there is no certificate for `{name}` yet")]
    NoCertificateYet { name: String },
    #[error("no new certificate for `{name}`: {}", problem.reason)]
    Renewal { name: String, problem: CertificateProblem },
    #[error("the certificate of `{name}` is still being ordered")]
    RenewalGoesOn { name: String },
    #[error("`{id}` serves already")]
    ServesAlready { id: DeployId, restart: String },
    #[error("app `{app}` has no earlier deployment to go back to")]
    NothingBefore { app: AppName, targets: String },
    #[error("app `{app}` has no deployment {id} to go back to")]
    NoTarget { app: AppName, id: DeployId, targets: String },
    #[error("the image of deployment {id} of `{app}` is not kept any more")]
    NotKept { app: AppName, id: DeployId, targets: String },
    #[error("`{app}` has had no job yet")]
    NoJob { app: AppName },
    /// The job ended badly; the report was put together by `failure`.
    #[error("the job failed")]
    Job { report: String },
}

/// What there is of a change that was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    None,
    /// It may have arrived at the server.
    Unknown,
    Done,
}

/// What a server said about the cause of a problem.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Detail(String);

/// The server was reached and its certificate was not accepted.
fn distrusts(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(cause, Some(rustls::Error::InvalidCertificate(_))) || is_other_key(error)
}

fn is_other_key(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<OtherKey>())
}

fn unreachable_hint(address: &Address) -> String {
    match (address.uses_tls(), address.port()) {
        (true, _) => "check the server's name, and on the server that the daemon runs".to_owned(),
        (false, Some(port)) => {
            format!("start the daemon here with `haloy daemon`, or the way to a server with `ssh -N -L {port}:127.0.0.1:9999 SERVER`")
        }
        (false, None) => "is the daemon running? start it with `haloy daemon`".to_owned(),
    }
}

fn refusal(origin: &Option<Origin>) -> String {
    match origin {
        Some(origin) => format!("refused the token from {origin}"),
        None => "wants a token, and none was sent".to_owned(),
    }
}

fn quoted(body: &str) -> String {
    let line = body.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let short: String = line.chars().take(200).collect();
    if short.is_empty() { short } else { format!(": {short}") }
}

impl ClientError {
    /// The server's own refusal, in its words.
    pub fn refused(server: String, origin: Option<Origin>, problem: Problem) -> Self {
        match problem.code {
            Code::Unauthorized => Self::Unauthorized { server, origin, said: Detail(problem.title) },
            _ => Self::Refused { detail: problem.detail.clone().map(Detail), problem: Box::new(problem) },
        }
    }

    /// What the command prints was printed before: the finished job.
    pub fn follows_data(&self) -> bool {
        match self {
            Self::Job { .. } | Self::Interrupted { effect: Effect::Done, .. } => true,
            Self::Hook { stage, .. } | Self::HookStart { stage, .. } => stage.ends_with("post_deploy"),
            _ => false,
        }
    }

    /// The user has ended it.
    pub fn is_interruption(&self) -> bool {
        matches!(self, Self::Interrupted { .. })
    }

    /// This one and those found `before`: mistakes in the configuration are told together, of others the first.
    pub fn after(self, before: Option<Self>) -> Self {
        match (before, self) {
            (None, error) => error,
            (Some(Self::Config(before)), Self::Config(error)) => Self::Config(before.and(error)),
            (Some(before), _) => before,
        }
    }

    /// The same request may succeed later: the way to the server is broken, not the request.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connect { source, .. } => !distrusts(source),
            Self::NoAnswer { .. } | Self::Broken { .. } => true,
            Self::Status { status, .. } => matches!(status, 502..=504),
            _ => false,
        }
    }
}

impl Report for ClientError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Config(error) => return error.hint(),
            Self::Key(error) => return error.hint(),
            Self::Init(error) => return error.hint(),
            Self::Image(error) => return error.hint(),
            Self::Secrets(error) => return error.hint(),
            Self::SeveralTargets { .. } => "choose with `--targets NAME`, or take them all with `--all`".to_owned(),
            Self::UnknownTargets { known, meant, .. } => {
                let meant = meant.as_ref().map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
                format!("{meant}the targets are {}", targets::quoted(known))
            }
            Self::AllProtected { .. } => "name those that you mean with `--targets NAME`, or add `--include-protected`".to_owned(),
            Self::NothingToChoose { .. } => "leave `--targets` and `--all` out, or name the file with `--config PATH`".to_owned(),
            Self::NotOneApp => "choose it with `--targets NAME`".to_owned(),
            Self::Protected { .. } => "add `--include-protected` if you mean it".to_owned(),
            Self::PruneUnconfirmed => "add `--yes` to remove them, or `--dry-run` to see which they are".to_owned(),
            Self::NoServer => {
                "write `server: HOST` into the configuration, pass `--server HOST` or run `haloy server add HOST --token-stdin`".to_owned()
            }
            Self::SeveralServers { .. } => "write `server: HOST` into the configuration or pass `--server HOST`".to_owned(),
            Self::NoToken { server, .. } => {
                format!("run `haloy admin api token` on the server, then here `haloy server add {server} --token-stdin --force`")
            }
            Self::Connect { source, address } if is_other_key(source) => format!(
                "was the server set up anew? then run `haloy admin api token` there, over a way that you trust like ssh, and here \
                `haloy server add {address} --token-stdin --force`; otherwise do not trust this network"
            ),
            Self::Connect { source, address } if distrusts(source) => format!(
                "use the name that the server's certificate is for, or run `haloy admin api token` on the server and here \
                `haloy server add {address} --token-stdin --force`: its token carries the fingerprint of the server's key"
            ),
            Self::Connect { address, .. } => unreachable_hint(address),
            Self::NoAnswer { request, .. } | Self::Broken { request, .. } if request.starts_with("POST") => {
                "it may have arrived: look with `haloy status` before you repeat it".to_owned()
            }
            Self::Interrupted { effect: Effect::Unknown, .. } => {
                "it may have arrived: look with `haloy status` before you repeat it".to_owned()
            }
            Self::Unauthorized { origin: Some(Origin::Configuration(path)), .. } => {
                format!("run `haloy admin api token` on the server and put what it prints where `{}` takes it from", path.display())
            }
            Self::Unauthorized { origin: Some(Origin::Typed), .. } => {
                "run `haloy admin api token` on the server and add what it prints; `--force` keeps this one all the same".to_owned()
            }
            Self::Unauthorized { server, .. } => {
                format!("run `haloy admin api token` on the server, then here `haloy server add {server} --token-stdin --force`")
            }
            Self::Hook { stage, .. } | Self::HookStart { stage, .. } if stage.ends_with("post_deploy") => {
                "the new version serves: only what was to follow it is left to be done".to_owned()
            }
            Self::Refused { problem, .. } => return problem.hint.clone(),
            Self::Status { server, .. } => format!("is `{server}` a haloy server? try `haloy version --server {server}`"),
            Self::Answer { .. } | Self::Stream { .. } => "compare the versions with `haloy version`".to_owned(),
            Self::OtherApp { job, app, .. } => format!("watch it with `haloy attach {app} {job}`"),
            Self::Keyring { server, .. } => {
                format!("unlock the keyring, or run `haloy server add {server} --token-stdin --force` where there is none")
            }
            Self::TokenMissing { host } => format!("pipe it into `haloy server add {host} --token-stdin`"),
            Self::PasswordFromTerminal | Self::PasswordMissing => {
                "pipe it in: `printf '%s' \"$TOKEN\" | haloy server registry login REGISTRY --username USER --password-stdin`".to_owned()
            }
            Self::NoCertificateYet { name } => format!("`haloy cert show {name}` shows how it goes"),
            Self::Renewal { problem, .. } => return problem.hint.clone(),
            Self::RenewalGoesOn { name } => format!("`haloy cert show {name}` shows how it goes"),
            Self::ServesAlready { restart, .. } => format!("`{restart}` makes new containers of it"),
            Self::NotKept { targets, .. } => format!("`{targets}` shows what is kept; `history.count` in haloy.yaml says how many"),
            Self::NoTarget { targets, .. } => format!("run `{targets}` to see what is there"),
            Self::NothingBefore { targets, .. } => format!("`{targets}` shows all deployments; to go to a newer one, name it"),
            Self::GaveUp { attach, .. } => format!("run `{attach}`"),
            _ => return None,
        };
        Some(hint)
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(error) => error.exit_code(),
            Self::Secrets(error) => error.exit_code(),
            Self::Key(error) => error.exit_code(),
            Self::Init(error) => error.exit_code(),
            Self::Image(error) => error.exit_code(),
            Self::Name(_) | Self::Misplaced { .. } | Self::JobNumber { .. } | Self::GivenTwice { .. } | Self::NotOneApp => MISUSE,
            Self::SeveralTargets { .. } | Self::UnknownTargets { .. } | Self::AllProtected { .. } | Self::NoTargetChosen => MISUSE,
            Self::NothingToChoose { .. } | Self::Protected { .. } => MISUSE,
            Self::Interrupted { .. } => INTERRUPTED,
            Self::ReadFile { .. } | Self::Unconfirmed { .. } | Self::PruneUnconfirmed | Self::TokenCharacters { .. } => MISUSE,
            Self::OtherApp { .. } | Self::TokenMissing { .. } | Self::ServesAlready { .. } => MISUSE,
            Self::PasswordFromTerminal | Self::PasswordMissing => MISUSE,
            Self::NoServer | Self::SeveralServers { .. } | Self::NoToken { .. } => MISUSE,
            _ => FAILED,
        }
    }

    fn report(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.report(),
            Self::Secrets(error) => error.report(),
            Self::Job { report } => Some(report.clone()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_what_is_named() {
        let refused = || io::Error::other("refused");
        assert_eq!(crate::error::chain(&ClientError::Runtime(refused())), "could not start: refused");
    }
}
