//! `bert demo`: what BERT is good for, in minutes and from nothing.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use bert::demo::text::Language;
use bert::demo::{Demo, Ending, Plan, Results, Start, Subject};
use bert_core::device::{DeviceSpec, Precision, set_dtype};
use bert_core::files::write_atomically;
use bert_core::training::{DashboardMode, Observers};

use crate::cli::interrupt::{AFTER_THE_STEP, stop_on_ctrl_c};
use crate::cli::note::note;
use crate::cli::output::Output;
use crate::cli::proof::ProofArgs;
use crate::cli::training;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Output directory for texts, models and the report: a new one, or that of an interrupted demonstration
    #[arg(long, value_name = "DIR", default_value = "bert-demo-output")]
    output: PathBuf,
    /// Language of the texts: en or zh
    #[arg(long, value_name = "CODE", default_value_t)]
    language: Language,
    /// Decides texts, weights, order and dropout
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Device to compute on [default: as for other commands]
    #[arg(long, value_name = "LABEL")]
    device: Option<DeviceSpec>,
    #[command(flatten)]
    proof: ProofArgs,
    /// Steps of pretraining [default: 5000]
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Internal: so small that it shows nothing, for tests
    #[arg(long, hide = true)]
    tiny: bool,
    /// Write the texts and end: they are data for the other commands
    #[arg(long)]
    texts_only: bool,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let start = Instant::now();
    let spec = match &args.device {
        Some(spec) => spec.clone(),
        None => DeviceSpec::default_device()?,
    };
    let device = args.proof.open(&spec, &[Precision::F32])?;
    set_dtype(&device, &spec.to_string(), Precision::F32)?;
    let mut plan = match args.tiny {
        true => Plan::tiny(),
        false => Plan::default(),
    };
    plan.steps = args.steps.unwrap_or(plan.steps).max(1);
    let demo = Demo::open(&args.output, args.language, args.seed, plan, device)?;
    let texts = demo.write_texts()?;
    note(format_args!(
        "1 of 4: {} documents written by a grammar, {} sentences: {}",
        texts.counts.documents,
        texts.counts.sentences,
        texts.corpus.display()
    ));
    if args.texts_only {
        return Ok(());
    }

    let dir = demo.pretrained();
    std::fs::create_dir_all(&dir).map_err(|error| bert_core::Error::io("create", &dir, error))?;
    let (mut observers, stop) = match demo.is_pretrained() {
        true => (Observers::default(), stop_on_ctrl_c(AFTER_THE_STEP)?),
        false => training::begin(&dir, demo.first_step()?, DashboardMode::Off)?,
    };
    note(format_args!(
        "2 of 4: pretraining on {spec}, masked words and next sentences"
    ));
    let Ending::Finished(pretraining) = demo.pretrain(&texts, &mut observers, &stop)? else {
        return Err(Stopped.into());
    };
    note(format_args!(
        "3 of 4: three tasks, learnt from {} to {} labelled examples",
        demo.plan().labelled,
        demo.plan().questions
    ));
    let mut begin = |subject: Subject, start| {
        let from = match start {
            Start::Pretrained => "from the pretrained weights",
            Start::Scratch => "from scratch",
        };
        note(format_args!("  {}, {from}", subject.described()[0]));
    };
    let Ending::Finished(tasks) = demo.fine_tune(&texts, &mut begin, &stop)? else {
        return Err(Stopped.into());
    };
    note("4 of 4: a look into the pretrained model");
    let results = Results {
        language: args.language,
        seed: args.seed,
        corpus: texts.counts,
        pretraining,
        tasks,
        inspection: demo.inspect()?,
    };
    let report = args.output.join("report.html");
    training::write_report(&dir, &report, &results.sections())?;
    let json = serde_json::to_string_pretty(&results)?;
    write_atomically(
        args.output.join("results.json"),
        format!("{json}\n").as_bytes(),
    )?;

    let mut stdout = Output::stdout();
    match args.json {
        true => stdout.json(&results)?,
        false => {
            stdout.line("")?;
            stdout.line(results.table())?;
            stdout.line(format_args!("report: {}", report.display()))?;
        }
    }
    note(format_args!("{:.0} s", start.elapsed().as_secs_f64()));
    stdout.finish()
}

/// Interruption: finished stages stay, and the one under way has a checkpoint.
#[derive(Debug)]
pub(crate) struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped; the same command goes on")
    }
}

impl std::error::Error for Stopped {}
