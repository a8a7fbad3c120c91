//! `bert augment`: labelled texts and altered copies of them, with a masked LM.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use bert_core::hub::resolve_model;
use bert_heads::augment::{AugmentOptions, Augmenter};
use bert_heads::datasets::{Part, RewritableRow};
use bert_heads::runner::in_windows;

use crate::cli::data::{DataArgs, reporting_skipped};
use crate::cli::device::DeviceArgs;
use crate::cli::note::note;
use crate::cli::output::Output;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model directory or hub id, of a checkpoint with a masked-LM head
    #[arg(long)]
    model: String,
    #[command(flatten)]
    device: DeviceArgs,
    /// Labelled texts: TSV, CSV or JSON lines
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    #[command(flatten)]
    format: DataArgs,
    /// File to write, in the layout of --data; it appears when it is complete [default: standard
    /// output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Altered copies of each row, which follow it; those that come out equal are written once
    #[arg(long, value_name = "N", default_value_t = 1)]
    copies: u64,
    /// Share of the words of a text that are replaced, at least one
    #[arg(long, value_name = "SHARE", default_value_t = AugmentOptions::default().share)]
    share: f64,
    /// Likeliest words from which one is drawn
    #[arg(long, value_name = "K", default_value_t = AugmentOptions::default().top_k)]
    top_k: usize,
    /// Below 1 draws likely words more often, above 1 less often
    #[arg(long, value_name = "X", default_value_t = AugmentOptions::default().temperature)]
    temperature: f64,
    /// Decides which words are replaced, and by which
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let found = args.format.rewritable(&args.data, Part::Train)?;
    let dir = resolve_model(&args.model)?;
    let device = args.device.open()?;
    let augmenter = Augmenter::from_dir(dir, &device)?;
    let mut output = Output::open(args.output.as_deref())?;
    if let Some(header) = &found.header {
        output.line(header)?;
    }
    let (mut read, mut written) = (0, 0);
    in_windows(
        reporting_skipped(found.rows),
        |row| row.text.len() + row.pair.as_ref().map_or(0, String::len),
        |rows| {
            let first = read;
            read += rows.len() as u64;
            args.copies_of(&augmenter, rows, first)
        },
        |_, row, copies| {
            output.line(row.to_line())?;
            written += copies.len();
            copies.iter().try_for_each(|copy| output.line(copy))
        },
    )?;
    output.finish()?;
    note(format_args!("{read} rows and {written} altered copies"));
    Ok(())
}

impl Args {
    /// The lines of the copies of rows, the first of which has the number `first` in the file.
    fn copies_of(
        &self,
        augmenter: &Augmenter,
        rows: &[RewritableRow],
        first: u64,
    ) -> Result<Vec<Vec<String>>> {
        let options = AugmentOptions {
            share: self.share,
            top_k: self.top_k,
            temperature: self.temperature,
            seed: self.seed,
        };
        // What is drawn follows from the place in the file, not from what is altered together.
        let numbered = || {
            let rows = rows.iter().zip(first..);
            rows.flat_map(|(row, number)| {
                let copies = (0..self.copies).map(move |copy| number * self.copies + copy);
                copies.map(move |number| (row, number))
            })
        };
        let texts: Vec<(&str, u64)> = numbered()
            .map(|(row, number)| (row.text.as_str(), 2 * number))
            .collect();
        let pairs: Vec<(&str, u64)> = numbered()
            .map(|(row, number)| (row.pair.as_deref().unwrap_or_default(), 2 * number + 1))
            .collect();
        let texts = augmenter.augment(&texts, &options)?;
        let pairs = augmenter.augment(&pairs, &options)?;
        let mut altered = numbered().zip(texts.into_iter().zip(pairs));
        Ok(rows
            .iter()
            .map(|_| {
                let copies = altered.by_ref().take(self.copies as usize);
                let lines: BTreeSet<String> = copies
                    .filter(|(_, (text, pair))| text.is_some() || pair.is_some())
                    .map(|((row, _), (text, pair))| {
                        let pair = pair.as_deref().or(row.pair.as_deref());
                        row.with_texts(text.as_deref().unwrap_or(&row.text), pair)
                    })
                    .collect();
                lines.into_iter().collect()
            })
            .collect())
    }
}
