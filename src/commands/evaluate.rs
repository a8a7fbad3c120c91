//! `bert evaluate`: the metrics of a fine-tuned model on labelled data.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use bert_heads::datasets::Part;
use bert_heads::metrics::Scores;
use bert_heads::pipeline::Pipeline;
use bert_heads::tasks::sequence_classification::{ProblemType, REGRESS};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::choices;
use crate::cli::data::{DataArgs, preset_files};
use crate::cli::long_texts::LongTextCount;
use crate::cli::model::{ModelArgs, ModelName};
use crate::cli::note::note;
use crate::cli::output::Output;
use crate::cli::pairs;
use crate::cli::questions;
use crate::cli::score::ScoreArgs;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Directory or hub id of a fine-tuned model
    #[arg(id = "model", long = "model", value_name = "MODEL")]
    name: Option<String>,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    score: ScoreArgs,
    /// Labelled examples, or the directory of the files of --preset
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Which files of a directory
    #[arg(long, value_enum, default_value_t = PartName::Validation)]
    part: PartName,
    #[command(flatten)]
    format: DataArgs,
    /// Also write what was predicted for each example, as JSON lines; without --model the file to score
    #[arg(long, value_name = "FILE")]
    predictions: Option<PathBuf>,
    /// For questions: also write the answer to each id, as SQuAD's scoring scripts take it
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Print a line of JSON for each file
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum PartName {
    Train,
    Validation,
    Test,
}

#[derive(Serialize)]
struct Line<'a, T> {
    line: usize,
    #[serde(flatten)]
    answer: &'a T,
}

#[derive(Serialize)]
struct Tags<'a, T> {
    tags: &'a [T],
}

#[derive(Serialize)]
struct FileScores<'a> {
    data: String,
    #[serde(flatten)]
    scores: &'a Scores,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let part = match args.part {
        PartName::Train => Part::Train,
        PartName::Validation => Part::Validation,
        PartName::Test => Part::Test,
    };
    let files = args.files(part)?;
    if let (Some(task), None) = (args.score.task(), &args.name) {
        let [file] = files.as_slice() else {
            bail!("predictions are for one file: name it with --data");
        };
        let predictions = args.predictions.as_deref();
        let scores = args
            .score
            .score(task, &args.format, file, part, predictions, &args.model)?;
        let mut output = Output::stdout();
        args.print(&mut output, file, &scores)?;
        return output.finish();
    }
    let Some(model) = &args.name else {
        bail!("--model is needed, or --task to score a file of predictions");
    };
    let name = ModelName {
        model: model.clone(),
    };
    let pipeline = args.model.open(&name, args.score.task())?;
    let mut predictions = match &args.predictions {
        Some(path) => Some(Output::open(Some(path))?),
        None => None,
    };
    let mut answers = Map::new();
    if args.answers.is_some() && !matches!(pipeline, Pipeline::QuestionAnswerer(_)) {
        bail!("--answers is for a model of questions: use --predictions");
    }
    let mut output = Output::stdout();
    for file in &files {
        let predictions = predictions.as_mut();
        let scores = args.score(&pipeline, file, part, predictions, &mut answers)?;
        if files.len() > 1 && !args.json {
            output.line(format_args!("{}", file.display()))?;
        }
        args.print(&mut output, file, &scores)?;
    }
    if let Some(predictions) = predictions {
        predictions.finish()?;
    }
    if let Some(path) = &args.answers {
        let mut file = Output::open(Some(path))?;
        file.json(&answers)?;
        file.finish()?;
    }
    output.finish()
}

impl Args {
    fn print(&self, output: &mut Output, file: &Path, scores: &Scores) -> Result<()> {
        match self.json {
            true => output.json(&FileScores {
                data: file.display().to_string(),
                scores,
            }),
            false => output.line(scores),
        }
    }

    fn files(&self, part: Part) -> Result<Vec<PathBuf>> {
        if !self.data.is_dir() {
            return Ok(vec![self.data.clone()]);
        }
        let Some(preset) = self.format.preset()? else {
            bail!(
                "{} is a directory: say with --preset whose files it holds",
                self.data.display()
            );
        };
        let files = preset_files(preset, &self.data, part)?;
        if files.is_empty() {
            bail!(
                "{} has no such file of {}",
                self.data.display(),
                preset.name()
            );
        }
        Ok(files)
    }

    fn score(
        &self,
        pipeline: &Pipeline,
        file: &Path,
        part: Part,
        mut predictions: Option<&mut Output>,
        answers: &mut Map<String, Value>,
    ) -> Result<Scores> {
        match pipeline {
            Pipeline::QuestionAnswerer(model) => {
                let data = self.format.questions(file, part)?;
                questions::evaluate(model, &data, predictions, answers)
            }
            Pipeline::SentenceEmbedder(model) => {
                let data = self.format.texts(file, part, &REGRESS, None)?;
                pairs::evaluate(model, &data, predictions)
            }
            Pipeline::ChoicePicker(model) => {
                choices::evaluate(model, &self.format.choices(file, part)?, predictions)
            }
            Pipeline::TextClassifier(model) => {
                let task = model.problem_type().task();
                let labels = match model.problem_type() {
                    ProblemType::Regression => None,
                    _ => Some(model.labels()),
                };
                let data = self.format.texts(file, part, task, labels)?;
                let (scores, found) = model.evaluate(&data, self.format.glue()?)?;
                let mut long = LongTextCount::default();
                for (index, (example, prediction)) in data.examples.iter().zip(&found).enumerate() {
                    long.count(index, prediction.windows, model.max_length());
                    if let Some(output) = &mut predictions {
                        output.json(&Line {
                            line: example.line,
                            answer: &model.answer(prediction),
                        })?;
                    }
                }
                long.report();
                Ok(scores)
            }
            Pipeline::TokenTagger(model) => {
                let data = self.format.tokens(file, part, Some(model.labels()))?;
                let (scores, found) = model.evaluate(&data)?;
                if let Some(output) = &mut predictions {
                    for (example, tags) in data.examples.iter().zip(&found) {
                        output.json(&Line {
                            line: example.line,
                            answer: &Tags { tags },
                        })?;
                    }
                }
                note(format_args!("{} sentences", data.examples.len()));
                Ok(scores)
            }
            Pipeline::ReplacedTokenDetector(_) => {
                bail!("the model tells replaced tokens: use `bert pretrain eval`")
            }
            Pipeline::FillMask(_) => bail!("the model is a masked LM: use `bert pretrain eval`"),
        }
    }
}
