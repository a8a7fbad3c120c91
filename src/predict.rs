//! `bert predict`: what a fine-tuned model says about texts, as JSON lines.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use bert_core::hub::resolve_model;
use bert_core::tokenizer::TextInput;
use bert_heads::datasets::Examples;
use bert_heads::labels::Labels;
use bert_heads::model_kind::FoundKind;
use bert_heads::model_kind::ModelKind::{
    self, Choices, NextSentence, Questions, Sentences, Texts, Tokens,
};
use bert_heads::runner::{LongTexts, Overrule, PredictOptions, in_windows};
use bert_heads::sentence_embedding::{EmbedderOptions, SentenceEmbedder};
use bert_heads::tasks::multiple_choice::ChoicePicker;
use bert_heads::tasks::next_sentence::NEXT_SENTENCE;
use bert_heads::tasks::question_answering::QuestionAnswerer;
use bert_heads::tasks::sequence_classification::{Answer, TextClassifier};
use bert_heads::tasks::token_classification::{TaggedText, TokenTagger, WordTag};
use serde::Serialize;

use crate::choices;
use crate::data::{DataArgs, Untold};
use crate::device::{DeviceArgs, WeightArgs};
use crate::output::{Output, note};
use crate::pairs;
use crate::questions::{self, QuestionArgs};
use crate::task::{ModelTask, about};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    name: ModelName,
    #[command(flatten)]
    model: ModelArgs,
    /// Task of the model, in place of what its files say
    #[arg(long, value_enum)]
    task: Option<ModelTask>,
    #[command(flatten)]
    format: DataArgs,
    /// The file holds sentences that are parted into words already, for a model of words: JSON lines
    /// with `tokens`, or a word per line
    #[arg(long)]
    words: bool,
    /// File to write; it appears when it is complete [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Texts: a table or JSON lines by its name or --format, else one a line; questions: the JSON of
    /// SQuAD or JSON lines; `-` or nothing for standard input
    file: Option<PathBuf>,
}

/// A fine-tuned model.
#[derive(clap::Args)]
pub(crate) struct ModelName {
    /// Directory or hub id of a fine-tuned model
    #[arg(long)]
    pub(crate) model: String,
}

/// How a fine-tuned model is run.
#[derive(clap::Args)]
pub(crate) struct ModelArgs {
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    weights: WeightArgs,
    /// Names of the outputs in their order, in place of those that the model's files give
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    labels: Vec<String>,
    /// Most tokens that the model reads at once; longer texts are read in overlapping windows
    /// [default: as many as it has positions]
    #[arg(long, value_name = "N")]
    max_length: Option<usize>,
    /// Tokens that two windows of a long text share at least [default: a quarter of --max-length]
    #[arg(long, value_name = "N")]
    overlap: Option<usize>,
    /// How the outputs of its windows become one: mean or max, for classifiers of texts
    #[arg(long, value_name = "HOW", default_value_t)]
    long_texts: LongTexts,
    /// Most tokens of a batch, padding included
    #[arg(long, value_name = "N", default_value_t = PredictOptions::default().batch_tokens)]
    batch_tokens: usize,
    #[command(flatten)]
    questions: QuestionArgs,
}

/// A model that is ready to be asked.
pub(crate) enum Predictor {
    Texts(TextClassifier),
    Tokens(Box<TokenTagger>),
    Questions(QuestionAnswerer),
    Choices(ChoicePicker),
    Sentences(SentenceEmbedder),
}

impl ModelArgs {
    /// Names of the outputs, where they are given.
    pub(crate) fn labels(&self) -> Result<Option<Labels>> {
        Ok(match self.labels.as_slice() {
            [] => None,
            names => Some(Labels::new(names)?),
        })
    }

    pub(crate) fn questions(&self) -> &QuestionArgs {
        &self.questions
    }

    /// Opens the model for the task that its files say, or `task` in place of it.
    pub(crate) fn open(&self, name: &ModelName, task: Option<ModelTask>) -> Result<Predictor> {
        let dir = resolve_model(&name.model)?;
        let (kind, overrule) = self.overrule(&dir, task)?;
        if overrule.labels.is_some() && matches!(kind, Questions | Choices | Sentences) {
            bail!("--labels: the outputs of this model have no names");
        }
        if let Some(option) = self.questions.given().filter(|_| kind != Questions) {
            bail!("{option} is for a model of questions");
        }
        if self.overlap.is_some() && kind == Questions {
            bail!("--overlap: use --doc-stride for a model of questions");
        }
        if self.overlap.is_some() && kind == Sentences {
            bail!("--overlap: texts that become vectors are cut, not read in windows");
        }
        let device = self.device.open()?;
        let options = PredictOptions {
            max_length: self.max_length,
            overlap: self.overlap,
            long_texts: self.long_texts,
            batch_tokens: self.batch_tokens,
            weights: self.weights.get(),
        };
        Ok(match kind {
            Questions => Predictor::Questions(QuestionAnswerer::from_dir(
                dir,
                &self.questions.options(self.max_length),
                &options,
                &device,
            )?),
            Sentences => {
                let options = EmbedderOptions {
                    max_length: self.max_length,
                    batch_tokens: Some(self.batch_tokens),
                    weights: self.weights.get(),
                    ..EmbedderOptions::default()
                };
                Predictor::Sentences(SentenceEmbedder::from_dir(dir, &options, &device)?)
            }
            Choices => Predictor::Choices(ChoicePicker::open(dir, &options, &overrule, &device)?),
            Texts | NextSentence => {
                Predictor::Texts(TextClassifier::open(dir, &options, &overrule, &device)?)
            }
            Tokens => {
                let model = TokenTagger::open(dir, &options, &overrule, &device)?;
                Predictor::Tokens(Box::new(model))
            }
        })
    }

    /// The kind of the model in `dir`, and what options know better than its files.
    fn overrule(&self, dir: &Path, task: Option<ModelTask>) -> Result<(ModelKind, Overrule)> {
        let task = task.map(ModelTask::task);
        let found = match task {
            Some(task) => FoundKind {
                kind: task.model_kind,
                evidence: None,
            },
            None => ModelKind::find(dir)?,
        };
        note_evidence(dir, found);
        let labels = self.labels()?;
        let task = match found.kind {
            NextSentence => Some(&NEXT_SENTENCE),
            _ => task,
        };
        Ok((found.kind, Overrule { task, labels }))
    }
}

/// Says which kind a model is taken for where no class in its configuration says so.
pub(crate) fn note_evidence(dir: &Path, found: FoundKind) {
    if let Some(evidence) = found.evidence {
        note(format_args!(
            "{} states no class that is known, but {evidence}: taken for a model of {}; --task says \
             otherwise",
            dir.join("config.json").display(),
            about(found.kind)
        ));
    }
}

/// Where tables are read from without a file.
pub(crate) const STDIN: &str = "/dev/stdin";

/// A text to predict for, and its number in a table.
pub(crate) struct Item {
    pub(crate) text: String,
    pub(crate) pair: Option<String>,
    pub(crate) line: Option<usize>,
}

impl Item {
    /// Where it stands, for messages.
    pub(crate) fn place(&self) -> String {
        let line = self.line.map(|line| format!("line {line}"));
        line.unwrap_or_else(|| format!("the text `{:.40}`", self.text))
    }
}

#[derive(Serialize)]
struct TextLine {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(flatten)]
    answer: Answer,
}

#[derive(Serialize)]
struct TokensLine {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(flatten)]
    found: TaggedText,
}

/// The tags of a sentence of words, as `bert evaluate --task tokens` reads them.
#[derive(Serialize)]
struct WordsLine<'a> {
    index: usize,
    line: usize,
    tokens: &'a [String],
    tags: Vec<WordTag>,
}

pub(crate) fn run(args: Args) -> Result<()> {
    if args.words {
        return args.tag_words();
    }
    if args.model.questions.answers_language.is_some() {
        bail!("--answers-language: nothing is scored; use it in `bert evaluate`");
    }
    let mut output = Output::open(args.output.as_deref())?;
    let predictor = args.model.open(&args.name, args.task)?;
    let mut long = LongTextCount::default();
    let bytes = |item: &Item| item.text.len() + item.pair.as_ref().map_or(0, String::len);
    let file = args.file.as_deref().filter(|path| *path != Path::new("-"));
    match &predictor {
        Predictor::Questions(model) => questions::predict(model, &args.format, file, &mut output)?,
        Predictor::Sentences(model) => pairs::predict(model, args.items()?, &mut output)?,
        Predictor::Choices(model) => {
            choices::predict(model, &args.format, file, &mut output, &mut long)?;
        }
        Predictor::Texts(model) => {
            let items = args.items()?;
            let predict = |items: &[Item]| -> Result<_> {
                let single = items.iter().find(|item| item.pair.is_none());
                if let Some(item) = single.filter(|_| model.needs_pairs()) {
                    bail!(
                        "{}: it is alone, but the model only knows whether one text follows \
                         another: give it pairs, or train a classifier with `bert finetune`",
                        item.place()
                    );
                }
                Ok(model.predict(items.iter().map(input_of))?)
            };
            in_windows(items, bytes, predict, |index, item, prediction| {
                long.count(index, prediction.windows, model.max_length());
                output.json(&TextLine {
                    index,
                    line: item.line,
                    answer: model.answer(&prediction),
                })
            })?;
        }
        Predictor::Tokens(model) => {
            let items = args.items()?;
            let predict = |items: &[Item]| -> Result<_> {
                if let Some(item) = items.iter().find(|item| item.pair.is_some()) {
                    let line = item.line.unwrap_or(0);
                    bail!("line {line}: it has two texts, but the model labels the words of one");
                }
                let texts: Vec<&str> = items.iter().map(|item| item.text.as_str()).collect();
                Ok(model.tag_texts(&texts)?)
            };
            in_windows(items, bytes, predict, |index, item, found| {
                long.count(index, found.windows, model.max_length());
                output.json(&TokensLine {
                    index,
                    line: item.line,
                    found,
                })
            })?;
        }
    }
    output.finish()?;
    long.report();
    Ok(())
}

fn input_of(item: &Item) -> TextInput<'_> {
    match &item.pair {
        Some(pair) => TextInput::Pair(&item.text, pair),
        None => TextInput::Single(&item.text),
    }
}

impl Args {
    /// A tag for each word of sentences that come as words.
    fn tag_words(&self) -> Result<()> {
        let path = self.file.as_deref().filter(|path| *path != Path::new("-"));
        let path = path.unwrap_or(Path::new(STDIN));
        let sentences = self.format.words(path)?;
        let mut output = Output::open(self.output.as_deref())?;
        let Predictor::Tokens(model) = self.model.open(&self.name, self.task)? else {
            bail!("--words is for models that label words; this one labels texts");
        };
        in_windows(
            told(sentences),
            |sentence| sentence.words.iter().map(String::len).sum(),
            |sentences| {
                let words = sentences.iter().map(|sentence| sentence.words.as_slice());
                Ok(model.tag_words(words)?)
            },
            |index, sentence, tags| {
                output.json(&WordsLine {
                    index,
                    line: sentence.line,
                    tokens: &sentence.words,
                    tags,
                })
            },
        )?;
        output.finish()
    }

    /// The texts one after the other.
    fn items(&self) -> Result<impl Iterator<Item = Result<Item>>> {
        let Untold { rows, is_table } = self.format.untold(self.file.as_deref())?;
        Ok(rows.map(move |row| {
            row.map(|example| Item {
                text: example.text,
                pair: example.pair,
                line: is_table.then_some(example.line),
            })
        }))
    }
}

/// The rows of a file, and at its end what was passed over.
pub(crate) fn told<T>(mut rows: Examples<T>) -> impl Iterator<Item = Result<T>> {
    std::iter::from_fn(move || {
        let row = rows.next();
        if row.is_none() && rows.report().skipped_rows() > 0 {
            note(format_args!("{}: {}", rows.path().display(), rows.report()));
        }
        row.map(|row| Ok(row?))
    })
}

/// Texts that took more than one window, told once and counted at the end.
#[derive(Default)]
pub(crate) struct LongTextCount {
    texts: usize,
    windows: usize,
}

impl LongTextCount {
    pub(crate) fn count(&mut self, index: usize, windows: usize, max_length: usize) {
        if windows < 2 {
            return;
        }
        if self.texts == 0 {
            note(format_args!(
                "text {index} (counted from 0) is longer than {max_length} tokens: such texts are \
                 read in overlapping windows"
            ));
        }
        self.texts += 1;
        self.windows += windows;
    }

    pub(crate) fn report(&self) {
        if self.texts > 1 {
            note(format_args!(
                "{} long texts took {} windows",
                self.texts, self.windows
            ));
        }
    }
}
