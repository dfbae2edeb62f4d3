//! The deploys of several targets: those of different servers at once, those of one server one after
//! the other.

use std::process::ExitCode;

use futures_util::future::join_all;

use crate::error::FAILED;
use crate::term;

use super::change::{Following, INTERRUPTED};
use super::deployment::{Deployment, Ending, Fate, in_words};
use super::hooks::Hooks;
use super::several;

/// How the deploys ended as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Served,
    Detached,
    Left,
    Failed,
}

impl End {
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Served | Self::Detached => ExitCode::SUCCESS,
            Self::Left => ExitCode::from(INTERRUPTED),
            Self::Failed => ExitCode::from(FAILED),
        }
    }
}

/// Deploys all of them; their fates in the same order. A failure stops nothing but what comes after it on
/// its server: that may depend on it. With several it is told at once.
pub async fn run(deployments: &[Deployment<'_>], hooks: &Hooks<'_>, following: &Following) -> Vec<Fate> {
    let mut servers: Vec<(String, Vec<usize>)> = Vec::new();
    for (index, deployment) in deployments.iter().enumerate() {
        let server = deployment.subject.api.server();
        match servers.iter_mut().find(|(known, _)| *known == server) {
            Some((_, indices)) => indices.push(index),
            None => servers.push((server, vec![index])),
        }
    }
    let one_server = async |indices: Vec<usize>| {
        let mut fates: Vec<(usize, Fate)> = Vec::new();
        for index in indices {
            let before = fates.last().map(|(before, fate)| (&deployments[*before], &fate.ending));
            let fate = one(&deployments[index], before, hooks, following).await;
            fates.push((index, fate));
        }
        fates
    };
    let fates = join_all(servers.into_iter().map(|(_, indices)| one_server(indices))).await;
    let mut fates: Vec<(usize, Fate)> = fates.into_iter().flatten().collect();
    fates.sort_by_key(|(index, _)| *index);
    fates.into_iter().map(|(_, fate)| fate).collect()
}

/// Deploys one, unless the one `before` it on its server did not end well.
async fn one(deployment: &Deployment<'_>, before: Option<(&Deployment<'_>, &Ending)>, hooks: &Hooks<'_>, following: &Following) -> Fate {
    let output = &deployment.subject.output;
    let why = match before {
        Some((before, Ending::Failed(_))) => format!("`{}` failed before it on the same server", before.label()),
        Some((before, Ending::NotStarted)) => format!("`{}` was not started either", before.label()),
        Some((_, Ending::Left)) => "you left".to_owned(),
        Some((_, Ending::Served | Ending::Detached)) | None => {
            let fate = deployment.run(hooks, following).await;
            if let (Ending::Failed(error), false) = (&fate.ending, output.is_alone()) {
                several::told(output, error, following.json);
            }
            return fate;
        }
    };
    output.words(&format!("not started: {why}"));
    if following.json {
        several::not_started(output, &why);
    }
    Fate::not_started()
}

/// The worst of them.
pub fn end(fates: &[Fate]) -> End {
    let ends = fates.iter().map(|fate| match fate.ending {
        Ending::Served => End::Served,
        Ending::Detached => End::Detached,
        Ending::Left => End::Left,
        Ending::Failed(ref error) if error.is_interruption() => End::Left,
        Ending::Failed(_) => End::Failed,
        // There is one that is the reason.
        Ending::NotStarted => End::Served,
    });
    let ends: Vec<End> = ends.collect();
    let worst = [End::Left, End::Failed, End::Detached].into_iter().find(|end| ends.contains(end));
    worst.unwrap_or(End::Served)
}

/// One line for each, after all that was said between.
pub fn sum_up(deployments: &[Deployment<'_>], fates: &[Fate]) {
    let rows = deployments.iter().zip(fates).map(|(deployment, fate)| {
        let id = fate.accepted.as_ref().and_then(|accepted| accepted.deployment);
        let job = fate.accepted.as_ref().map(|accepted| format!("job {}", accepted.job)).unwrap_or_default();
        let (mark, result) = match &fate.ending {
            Ending::Served => ("✓", format!("deployed in {}", in_words(fate.took))),
            Ending::Detached => ("✓", format!("accepted as {job}")),
            Ending::Left => ("…", format!("{job} goes on")),
            Ending::Failed(_) => ("✗", format!("failed after {}", in_words(fate.took))),
            Ending::NotStarted => ("✗", "not started".to_owned()),
        };
        vec![
            mark.to_owned(),
            deployment.label().to_owned(),
            deployment.subject.app.to_string(),
            deployment.subject.api.server(),
            id.map(|id| id.to_string()).unwrap_or_default(),
            result,
        ]
    });
    term::words(&format!("\n{}", term::table(&["", "target", "app", "server", "deployment", "result"], rows.collect())));
}
