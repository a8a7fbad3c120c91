//! `bert pretrain vocab`: the vocabulary of a family from texts.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use bert_core::models::{FAMILIES, Family, TokenizerModel, UnigramText};
use bert_core::tokenizer::TokenizerOptions;
use bert_pretrain::corpus::{CorpusOptions, Layout};
use bert_pretrain::vocab::{VocabOptions, VocabProgress, VocabSummary, train_vocab};

use super::options::family_named;
use crate::cli::note::note;
use crate::cli::output::Output;

/// Kinds of vocabularies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// WordPiece, as BERT's
    Wordpiece,
    /// Byte-level byte-pair encoding, as RoBERTa's and ModernBERT's
    Bpe,
    /// Unigram language model over pieces that carry the space before a word, as XLM-RoBERTa's and ALBERT's
    Unigram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Wordpiece => "wordpiece",
            Self::Bpe => "bpe",
            Self::Unigram => "unigram",
        }
    }

    fn of(family: &Family) -> Self {
        match family.tokenizer.model {
            TokenizerModel::WordPiece => Self::Wordpiece,
            TokenizerModel::ByteLevelBpe => Self::Bpe,
            TokenizerModel::Unigram(_) => Self::Unigram,
        }
    }
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Texts: files (plain, gzip or zstd), directories with all files below them, or `-` for
    /// standard input
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    input: Vec<PathBuf>,
    /// Kind of the vocabulary [default: that of --family, wordpiece without]
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Family whose special tokens, ids for them and splitting of text it gets, by the model_type of its config.json
    /// [default: bert, roberta or xlm-roberta, by --kind]
    #[arg(long, value_name = "NAME")]
    family: Option<String>,
    /// Tokens wanted, special tokens included
    #[arg(long, value_name = "N", default_value_t = 30_522)]
    size: usize,
    /// Directory to write tokenizer.json, tokenizer_config.json and vocab.txt, or vocab.json and merges.txt, into
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Keep capitals and accents, as bpe and the unigram of XLM-RoBERTa always do
    #[arg(long)]
    cased: bool,
    /// Drop accents or keep them [default: dropped, kept with --cased]; for wordpiece and ALBERT's unigram
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    strip_accents: Option<bool>,
    /// Minimal count of a pair of pieces that becomes one, or of a piece of a unigram vocabulary
    #[arg(long, value_name = "N", default_value_t = 2)]
    min_frequency: u64,
    /// Leave Chinese characters together instead of making each a word of its own, in wordpiece
    #[arg(long)]
    no_chinese_characters: bool,
    /// Most different characters to keep, the commonest; words with others become `[UNK]`, or the others alone in unigram
    /// [default: as many as there is room for]
    #[arg(long, value_name = "N")]
    limit_alphabet: Option<usize>,
    /// Layout of sentences and documents in the files: lines (one sentence a line, blank line between documents), raw
    /// (running text), or auto for what each file looks like
    #[arg(long, default_value_t = Layout::Auto)]
    layout: Layout,
    /// Language of running text, whose abbreviations do not end sentences
    #[arg(long, value_name = "CODE", default_value = "en")]
    language: String,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let options = VocabOptions {
        family: args.family()?,
        size: args.size,
        min_frequency: args.min_frequency,
        limit_alphabet: args.limit_alphabet,
        tokenizer: TokenizerOptions {
            do_lower_case: !args.cased,
            strip_accents: args.strip_accents,
            tokenize_chinese_chars: !args.no_chinese_characters,
            ..Default::default()
        },
        corpus: CorpusOptions {
            layout: args.layout,
            language: args.language,
            ..Default::default()
        },
    };
    let start = Instant::now();
    let mut shown = start;
    let trained = train_vocab(&args.input, &options, &mut |progress| {
        // A line now and then: this takes seconds for a book, and minutes for a library.
        if shown.elapsed().as_secs() < 5 {
            return;
        }
        shown = Instant::now();
        match progress {
            VocabProgress::Counting(counts) => note(format_args!(
                "counting words: {} files, {} sentences, {:.1} MB",
                counts.files,
                counts.sentences,
                counts.bytes as f64 / 1e6
            )),
            VocabProgress::Joining(tokens) => {
                note(format_args!(
                    "joining pieces: {tokens} of {} tokens",
                    options.size
                ));
            }
            VocabProgress::Pruning(pieces) => {
                note(format_args!(
                    "pruning: {pieces} pieces, {} tokens wanted",
                    options.size
                ));
            }
        }
    })?;
    trained.tokenizer.save(&args.output)?;
    report(&trained.summary, start.elapsed().as_secs_f64());

    let mut output = Output::stdout();
    match args.json {
        true => output.json(&trained.summary)?,
        false => summarize(&trained.summary, &mut output)?,
    }
    output.finish()
}

impl Args {
    /// The family of the vocabulary, once options that it has no use for are refused.
    fn family(&self) -> Result<&'static Family> {
        let family = match &self.family {
            Some(name) => family_named(name)?,
            None => {
                let kind = self.kind.unwrap_or(Kind::Wordpiece);
                FAMILIES
                    .into_iter()
                    .find(|family| Kind::of(family) == kind)
                    .expect("every kind has a family")
            }
        };
        let found = Kind::of(family);
        if let Some(kind) = self.kind
            && kind != found
        {
            bail!(
                "--kind {} is not that of {}, whose vocabulary is {}: leave out --kind or --family",
                kind.name(),
                family.name,
                found.name()
            );
        }
        let folds = match family.tokenizer.model {
            TokenizerModel::WordPiece => true,
            TokenizerModel::ByteLevelBpe => false,
            TokenizerModel::Unigram(text) => text == UnigramText::Folded,
        };
        for (option, given, has_use) in [
            ("--strip-accents", self.strip_accents.is_some(), folds),
            (
                "--no-chinese-characters",
                self.no_chinese_characters,
                found == Kind::Wordpiece,
            ),
        ] {
            if given && !has_use {
                bail!(
                    "{option} is not for the tokenizer of {}, which takes the text as it is: leave it out",
                    family.name
                );
            }
        }
        Ok(family)
    }
}

fn report(summary: &VocabSummary, seconds: f64) {
    let bytes = summary.corpus.bytes as f64 / 1e6;
    note(format_args!("{bytes:.1} MB of text in {seconds:.1} s"));
    if summary.size < summary.asked {
        note(format_args!(
            "warning: the texts give {} tokens of the {} asked for: add text, or lower --min-frequency",
            summary.size, summary.asked
        ));
    }
}

fn summarize(summary: &VocabSummary, output: &mut Output) -> Result<()> {
    let corpus = summary.corpus;
    output.line(format_args!(
        "tokens           {} of {}",
        summary.size, summary.asked
    ))?;
    output.line(format_args!(
        "characters       {} of {}",
        summary.alphabet, summary.characters_seen
    ))?;
    output.line(format_args!(
        "texts            {} files, {} documents, {} sentences",
        corpus.files, corpus.documents, corpus.sentences
    ))?;
    output.line(format_args!(
        "words            {}, {} different",
        summary.words, summary.distinct_words
    ))?;
    output.line(format_args!(
        "unknown words    {:.4} %",
        100.0 * summary.unknown_share
    ))?;
    output.line(format_args!(
        "pieces per word  {:.3}",
        summary.pieces_per_word
    ))
}
