//! `build`: builds the images of a configuration, and nothing else.

use std::process::ExitCode;

use crate::term;

use super::Outcome;
use super::image::{self, Provider, Wanted};
use super::interruption::Interruption;
use super::output::Output;
use super::project::Project;
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
        project.fetch_build_secrets(globals).await?;
        let built = project.targets.iter().filter(|chosen| chosen.target.image.build.is_some());
        let built: Vec<_> =
            built.map(|chosen| Ok((chosen, Subject::of(&project, chosen, globals)?))).collect::<Result<_, super::ClientError>>()?;
        let wanted: Vec<_> = built
            .iter()
            .map(|(chosen, subject)| Wanted { target: &chosen.target, environment: &chosen.environment, api: &subject.api, login: None })
            .collect();
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
