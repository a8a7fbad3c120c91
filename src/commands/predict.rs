//! `bert predict`: predictions of a fine-tuned model, as JSON lines.

use std::path::PathBuf;

use anyhow::{Result, bail};
use bert_heads::pipeline::Pipeline;
use bert_heads::runner::in_windows;
use bert_heads::tasks::replaced_tokens::DetectedTokens;
use bert_heads::tasks::sequence_classification::Answer;
use bert_heads::tasks::token_classification::{TaggedText, WordTag};
use serde::Serialize;

use crate::cli::choices;
use crate::cli::data::{DataArgs, UnlabelledTexts, reporting_skipped};
use crate::cli::input::or_stdin;
use crate::cli::items::Item;
use crate::cli::long_texts::LongTextCount;
use crate::cli::model::{ModelArgs, ModelName};
use crate::cli::output::Output;
use crate::cli::pairs;
use crate::cli::questions;
use crate::cli::task::ModelTask;

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
    /// The file holds pre-tokenised sentences, for a model of words: JSON lines with `tokens`, or a word
    /// per line
    #[arg(long)]
    words: bool,
    /// File to write; it appears when it is complete [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Texts: a table or JSON lines by its name or --format, else one a line; questions: the JSON of
    /// SQuAD or JSON lines; `-` or nothing for standard input
    file: Option<PathBuf>,
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

#[derive(Serialize)]
struct DetectedLine {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(flatten)]
    found: DetectedTokens,
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
    if args.model.questions().answers_language.is_some() {
        bail!("--answers-language: nothing is scored; use it in `bert evaluate`");
    }
    let mut output = Output::open(args.output.as_deref())?;
    let pipeline = args.model.open(&args.name, args.task)?;
    let mut long = LongTextCount::default();
    let file = args.file.as_deref();
    match &pipeline {
        Pipeline::QuestionAnswerer(model) => {
            questions::predict(model, &args.format, file, &mut output)?
        }
        Pipeline::SentenceEmbedder(model) => pairs::predict(model, args.items()?, &mut output)?,
        Pipeline::ChoicePicker(model) => {
            choices::predict(model, &args.format, file, &mut output, &mut long)?;
        }
        Pipeline::TextClassifier(model) => {
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
                Ok(model.predict(items.iter().map(Item::input))?)
            };
            in_windows(items, Item::bytes, predict, |index, item, prediction| {
                long.count(index, prediction.windows, model.max_length());
                output.json(&TextLine {
                    index,
                    line: item.line,
                    answer: model.answer(&prediction),
                })
            })?;
        }
        Pipeline::TokenTagger(model) => {
            let items = args.items()?;
            let predict = |items: &[Item]| -> Result<_> {
                if let Some(item) = items.iter().find(|item| item.pair.is_some()) {
                    let line = item.line.unwrap_or(0);
                    bail!("line {line}: it has two texts, but the model labels the words of one");
                }
                let texts: Vec<&str> = items.iter().map(|item| item.text.as_str()).collect();
                Ok(model.tag_texts(&texts)?)
            };
            in_windows(items, Item::bytes, predict, |index, item, found| {
                long.count(index, found.windows, model.max_length());
                output.json(&TokensLine {
                    index,
                    line: item.line,
                    found,
                })
            })?;
        }
        Pipeline::ReplacedTokenDetector(model) => {
            let detect = |items: &[Item]| Ok(model.detect(items.iter().map(Item::input))?);
            in_windows(args.items()?, Item::bytes, detect, |index, item, found| {
                output.json(&DetectedLine {
                    index,
                    line: item.line,
                    found,
                })
            })?;
        }
        Pipeline::FillMask(_) => bail!("the model is a masked LM: use `bert fill-mask`"),
    }
    output.finish()?;
    long.report();
    Ok(())
}

impl Args {
    /// A tag for each word of sentences that come as words.
    fn tag_words(&self) -> Result<()> {
        let sentences = self.format.words(or_stdin(self.file.as_deref()))?;
        let mut output = Output::open(self.output.as_deref())?;
        let Pipeline::TokenTagger(model) = self.model.open(&self.name, self.task)? else {
            bail!("--words is for models that label words; this one labels texts");
        };
        in_windows(
            reporting_skipped(sentences),
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
        let UnlabelledTexts { rows, is_table } =
            self.format.unlabelled_texts(self.file.as_deref())?;
        Ok(rows.map(move |row| {
            row.map(|example| Item {
                text: example.text,
                pair: example.pair,
                line: is_table.then_some(example.line),
            })
        }))
    }
}
