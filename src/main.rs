//! The `bert` command: one file per subcommand in `commands/`, what they share in `cli/`; this one dispatches and turns
//! the outcome into an exit code: 0, 1 for a failure at run time, 2 for a command line that makes no sense, 101 for a
//! defect of ours, 130 for a run that Ctrl-C stopped.

mod cli;
mod commands;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(feature = "remote")]
use std::path::PathBuf;

use bert_core::device::fault;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use cli::note::note;
use cli::usage::Usage;
use cli::{interrupt, output, training};
#[cfg(feature = "remote")]
use commands::worker;
use commands::{
    augment, bench, compare, completions, demo, doctor, embed, evaluate, explain, fill_mask,
    finetune, inspect, man, predict, pretrain, rerank, similarity, tokenize,
};

/// BERT on every GPU and CPU: texts to tokens, vectors and predictions.
#[derive(Parser)]
#[command(name = "bert", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// File with the token that `bert worker` demands, and that other commands present to the worker of a `remote:` device
    /// [default: the environment variable BERT_REMOTE_TOKEN_FILE]
    #[cfg(feature = "remote")]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Remote devices"
    )]
    token_file: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Pretrain a small model on texts of a grammar and show what that is good for; minutes, no downloads.
    Demo(demo::Args),
    /// Show what this build runs on, and test each device numerically.
    Doctor(doctor::Args),
    /// Show what a checkpoint holds and how it loads.
    Inspect(inspect::Args),
    /// Show how a model cuts texts into tokens.
    Tokenize(tokenize::Args),
    /// Turn texts, one a line, into vectors.
    Embed(embed::Args),
    /// Compare the meaning of two texts.
    Similarity(similarity::Args),
    /// Predict the masked words of a text.
    FillMask(fill_mask::Args),
    /// Pretrain a model from raw text.
    Pretrain(pretrain::Args),
    /// Train a model for a task on labelled examples.
    Finetune(Box<finetune::Args>),
    /// Predict with a fine-tuned model.
    Predict(Box<predict::Args>),
    /// Order texts by how well they go with a query, by a cross-encoder.
    Rerank(rerank::Args),
    /// Measure a fine-tuned model, or a file of predictions, on labelled data.
    Evaluate(Box<evaluate::Args>),
    /// Add altered copies to labelled texts, with a masked LM.
    Augment(Box<augment::Args>),
    /// Show which words a prediction rests on, and where the model attends.
    Explain(explain::Args),
    /// Offer this machine's devices to other machines, by labels that begin with remote:
    #[cfg(feature = "remote")]
    Worker(worker::Args),
    /// Former name of `worker`
    #[command(hide = true, disable_help_flag = true)]
    Serve {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        _arguments: Vec<OsString>,
    },
    /// Measure the throughput of devices, and of other implementations beside them.
    Bench(Box<bench::Args>),
    /// Show how far devices agree on a model: every layer, outputs and gradients.
    Compare(compare::Args),
    /// Print the completions of a shell.
    Completions(completions::Args),
    /// Print the manual page, or write those of all commands.
    Man(man::Args),
}

const SERVE: Usage = Usage(
    "`bert serve` is now `bert worker`, in builds with the feature `remote`: its labels begin with the worker's key, and it \
     demands a token where other machines reach it; see `bert worker --help`",
);

/// Exit code after a panic of ours, as Rust has it.
const DEFECT: u8 = 101;

fn main() {
    bert_core::device::exit(run());
}

/// Runs the command; its exit code.
fn run() -> u8 {
    if let Err(error) = fault::watch() {
        note(format_args!("error: {error}"));
        return 1;
    }
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let name = matches.subcommand_name().unwrap_or_default();
    let _operation = fault::during(format!("`bert {name}`"));
    let Ok(outcome) = catch_unwind(AssertUnwindSafe(|| fault::catching(|| dispatch(cli)))) else {
        bert_core::training::restore_terminal();
        note("this is a defect of bert: please report it, with the lines above");
        return DEFECT;
    };
    let outcome = blame(outcome);
    #[cfg(feature = "remote")]
    bert_core::device::close_remote_devices();
    match outcome {
        Ok(()) => 0,
        // `bert … | head` has all it wanted.
        Err(error) if output::reader_is_gone(&error) => 0,
        Err(error) if error.is::<training::Interrupted>() || error.is::<demo::Stopped>() => {
            note(error);
            interrupt::EXIT_CODE
        }
        Err(error) => {
            note(format_args!("error: {error:#}"));
            if error.is::<Usage>() { 2 } else { 1 }
        }
    }
}

/// The outcome of a command, or the failure of a device that it came out of.
fn blame(outcome: Result<anyhow::Result<()>, fault::Fault>) -> anyhow::Result<()> {
    let outcome = outcome.map_err(bert_core::Error::from)?;
    match (&outcome, fault::first()) {
        // An error that says so already may say more.
        (Err(error), Some(fault)) if format!("{error:#}").contains(&fault.cause) => outcome,
        (_, Some(fault)) => Err(bert_core::Error::from(fault).into()),
        (_, None) => outcome,
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<()> {
    #[cfg(feature = "remote")]
    if let Some(path) = &cli.token_file {
        bert_core::device::set_remote_token_file(path).map_err(bert_core::Error::from)?;
    }
    match cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Tokenize(args) => tokenize::run(args),
        Command::Embed(args) => embed::run(args),
        Command::Similarity(args) => similarity::run(args),
        Command::FillMask(args) => fill_mask::run(args),
        Command::Pretrain(args) => pretrain::run(args),
        Command::Finetune(args) => finetune::run(*args),
        Command::Predict(args) => predict::run(*args),
        Command::Rerank(args) => rerank::run(args),
        Command::Evaluate(args) => evaluate::run(*args),
        Command::Augment(args) => augment::run(*args),
        Command::Explain(args) => explain::run(args),
        #[cfg(feature = "remote")]
        Command::Worker(args) => worker::run(args),
        Command::Serve { .. } => Err(SERVE.into()),
        Command::Bench(args) => bench::run(*args),
        Command::Compare(args) => compare::run(args),
        Command::Completions(args) => completions::run(Cli::command(), &args),
        Command::Man(args) => man::run(Cli::command(), &args),
    }
}
