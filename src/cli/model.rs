//! The options that name a fine-tuned model and say how it is run.

use std::path::Path;

use anyhow::{Result, bail};
use bert_core::hub::resolve_model;
use bert_core::inference::Weights;
use bert_heads::labels::Labels;
use bert_heads::model_kind::FoundKind;
use bert_heads::model_kind::ModelKind::{self, Choices, Questions, ReplacedTokens, Sentences};
use bert_heads::pipeline::{Pipeline, PipelineOptions};
use bert_heads::task::Overrule;

use super::device::{DeviceArgs, WeightArgs};
use super::long_texts::WindowArgs;
use super::note::note;
use super::questions::QuestionArgs;
use super::task::{ModelTask, about};

/// A fine-tuned model.
#[derive(clap::Args)]
pub(crate) struct ModelName {
    /// Directory or hub id of a fine-tuned model
    #[arg(long)]
    pub(crate) model: String,
}

/// Options of a fine-tuned model.
#[derive(clap::Args)]
pub(crate) struct ModelArgs {
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    weights: WeightArgs,
    /// Names of the outputs in their order, in place of those that the model's files give
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    labels: Vec<String>,
    #[command(flatten)]
    windows: WindowArgs,
    #[command(flatten)]
    questions: QuestionArgs,
}

impl ModelArgs {
    /// Names of the outputs, where they are given.
    pub(crate) fn labels(&self) -> Result<Option<Labels>> {
        Ok(match self.labels.as_slice() {
            [] => None,
            names => Some(Labels::new(names)?),
        })
    }

    /// The options of a model of questions.
    pub(crate) fn questions(&self) -> &QuestionArgs {
        &self.questions
    }

    /// Opens the model for the task that its files say, or `task` in place of it.
    pub(crate) fn open(&self, name: &ModelName, task: Option<ModelTask>) -> Result<Pipeline> {
        let dir = resolve_model(&name.model)?;
        let mut options = PipelineOptions {
            overrule: Overrule {
                task: task.map(ModelTask::task),
                labels: self.labels()?,
            },
            predict: self.windows.options(Weights::default()),
            questions: self.questions.options(self.windows.max_length),
        };
        let found = options.kind(&dir)?;
        note_evidence(&dir, found);
        self.check(found.kind)?;
        let (device, weights) = self.device.open_for_inference(&self.weights)?;
        options.predict.weights = weights;
        Ok(Pipeline::of_kind(found.kind, dir, &device, &options)?)
    }

    /// Refuses options that a model of `kind` has no use for.
    fn check(&self, kind: ModelKind) -> Result<()> {
        if !self.labels.is_empty()
            && matches!(kind, Questions | Choices | Sentences | ReplacedTokens)
        {
            bail!("--labels: the outputs of this model have no names");
        }
        if let Some(option) = self.questions.given().filter(|_| kind != Questions) {
            bail!("{option} is for a model of questions");
        }
        if self.windows.overlap.is_some() && kind == Questions {
            bail!("--overlap: use --doc-stride for a model of questions");
        }
        if self.windows.overlap.is_some() && kind == Sentences {
            bail!("--overlap: texts that become vectors are cut, not read in windows");
        }
        if self.windows.overlap.is_some() && kind == ReplacedTokens {
            bail!("--overlap: texts whose replaced tokens are told are read whole");
        }
        Ok(())
    }
}

/// Notes which kind a model is taken for, where no class in its configuration says so.
fn note_evidence(dir: &Path, found: FoundKind) {
    if let Some(evidence) = found.evidence {
        note(format_args!(
            "{} states no class that is known, but {evidence}: taken for a model of {}; --task says \
             otherwise",
            dir.join("config.json").display(),
            about(found.kind)
        ));
    }
}
