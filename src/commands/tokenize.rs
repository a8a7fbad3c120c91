//! `bert tokenize`: how a model cuts texts into tokens.

use anyhow::Result;
use bert_core::hub::resolve_model;
use bert_core::tokenizer::{BertTokenizer, EncodeOptions, Encoding};
use bert_heads::Error;
use serde::Serialize;

use crate::cli::input;
use crate::cli::output::Output;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model directory or hub id
    #[arg(long)]
    model: String,
    /// Text to tokenize; without it, texts are read from standard input, one a line
    text: Option<String>,
    /// Second text of a pair
    #[arg(long, value_name = "TEXT", requires = "text")]
    pair: Option<String>,
    /// Print tokens, ids, segments and character offsets as a line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Tokens<'a> {
    tokens: &'a [String],
    ids: &'a [u32],
    type_ids: &'a [u32],
    offsets: &'a [(usize, usize)],
}

pub(crate) fn run(args: Args) -> Result<()> {
    let tokenizer = BertTokenizer::from_dir(&resolve_model(&args.model)?)?;
    let mut output = Output::stdout();
    let mut print = |encoding: &Encoding| match args.json {
        true => output.json(&Tokens {
            tokens: encoding.tokens(),
            ids: encoding.ids(),
            type_ids: encoding.type_ids(),
            offsets: encoding.offsets(),
        }),
        false => output.line(encoding.tokens().join(" ")),
    };
    let options = EncodeOptions::default();
    match (&args.text, &args.pair) {
        (Some(text), Some(pair)) => print(&tokenizer.encode_pair(text, pair, &options)?)?,
        (Some(text), None) => print(&tokenizer.encode(text, &options)?)?,
        (None, _) => {
            for (index, line) in input::lines(None)?.enumerate() {
                let line = line.map_err(|source| Error::Line {
                    line: index + 1,
                    source,
                })?;
                print(&tokenizer.encode(&line, &options)?)?;
            }
        }
    }
    output.finish()
}
