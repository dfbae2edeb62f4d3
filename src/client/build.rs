//! `build`: builds the images of a configuration, and nothing else.

use std::process::ExitCode;

use crate::config::BuildsOn;
use crate::term;

use super::Outcome;
use super::error::ClientError;
use super::image::{self, Provider, Wanted};
use super::interruption::Interruption;
use super::output::Output;
use super::project::{Chosen, Project};
use super::subject::{Globals, Subject};
use super::targets::{self, Purpose, Selection};

/// Build the images of the configuration without deploying them
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  haloy build                       Build the image of ./haloy.yaml
  haloy build -t staging            Build what this target needs
  haloy build --all                 Build what all targets need, each image once")]
pub struct Build {
    /// Configuration file or its directory
    #[arg(value_name = "CONFIG")]
    file: Option<String>,
    #[command(flatten)]
    selection: Selection,
    /// Print one JSON value: a list of the images with their ids
    #[arg(long)]
    pub json: bool,
}

impl Build {
    pub async fn run(self, globals: &Globals) -> Outcome {
        let mut project = Project::read(globals, self.file.as_deref(), &self.selection, Purpose::Look)?;
        project.warn();
        image::check(project.folder(), project.targets.iter().map(|chosen| &chosen.target))?;
        project.fetch_build_secrets(globals).await?;
        let built = project.targets.iter().filter(|chosen| chosen.target.image.build.is_some());
        let built: Vec<_> = built.map(|chosen| Ok((chosen, builder(&project, chosen, globals)?))).collect::<Result<_, ClientError>>()?;
        let wanted = built.iter().map(|(chosen, server)| Wanted {
            target: &chosen.target,
            environment: &chosen.environment,
            api: server.as_ref().map(|server| &server.api),
            login: None,
        });
        let wanted: Vec<_> = wanted.collect();
        let provider = Provider {
            folder: project.folder(),
            secrets: &project.secrets,
            output: &Output::alone(globals.terminal),
            quiet: self.json,
            stay_here: true,
            interruption: &Interruption::default(),
        };
        let provided = image::provide(&provider, &wanted).await?;
        for chosen in project.targets.iter().filter(|chosen| chosen.target.image.build.is_none() && !self.json) {
            term::words(&format!("`{}` is not built: its image is `{}`", targets::label(&chosen.target), chosen.target.spec.image));
        }
        if self.json {
            let images = provided.built.iter().map(|(image, id)| serde_json::json!({ "image": image, "id": id }));
            term::json(&images.collect::<Vec<_>>());
        } else {
            provided.built.iter().for_each(|(image, id)| term::data(&format!("{image} {id}\n")));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The server that builds, where one does.
fn builder(project: &Project, chosen: &Chosen, globals: &Globals) -> Result<Option<Subject>, ClientError> {
    chosen.target.is_built_on(BuildsOn::Server).then(|| Subject::of(project, chosen, globals)).transpose()
}
