//! `bert pretrain`: from raw text to a checkpoint.

mod eval;
mod inspect;
mod options;
mod prepare;
mod train;
mod vocab;

use clap::Subcommand;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a vocabulary: WordPiece, byte-level BPE or Unigram.
    Vocab(vocab::Args),
    /// Make instances once and for all, as google-research/bert does.
    Prepare(prepare::Args),
    /// Show prepared instances and their statistics.
    Inspect(inspect::Args),
    /// Train a model on raw text or on prepared instances.
    #[command(alias = "run")]
    Train(Box<train::Args>),
    /// Measure how well a model does at its objective of pretraining on a text.
    Eval(eval::Args),
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Vocab(args) => vocab::run(args),
        Command::Prepare(args) => prepare::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Train(args) => train::run(*args),
        Command::Eval(args) => eval::run(args),
    }
}
