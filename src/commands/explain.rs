//! `bert explain`: which tokens a prediction rests on, and where the model attends.

use std::path::PathBuf;

use anyhow::Result;
use bert_core::files::write_atomically;
use bert_core::hub::resolve_model;
use bert_core::tokenizer::TextInput;
use bert_heads::explain::{Attribution, ExplainOptions, Explainer, Explanation};
use bert_heads::labels::Labels;
use bert_heads::task::Overrule;

use crate::cli::device::DeviceArgs;
use crate::cli::note::note;
use crate::cli::output::Output;
use crate::cli::task::ModelTask;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Directory or hub id of a fine-tuned classifier of texts; of any other model attention alone
    /// is shown
    #[arg(long)]
    model: String,
    #[command(flatten)]
    device: DeviceArgs,
    /// Text to explain
    text: String,
    /// Second text, for classifiers of pairs
    #[arg(long, value_name = "TEXT")]
    pair: Option<String>,
    /// Label whose score is explained [default: the predicted one]
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// Names of the outputs in their order, in place of those that the model's files give
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    labels: Vec<String>,
    /// Task of the model, in place of what its files say
    #[arg(long, value_enum)]
    task: Option<ModelTask>,
    /// Points at which integrated gradients are taken
    #[arg(long, value_name = "N", default_value_t = ExplainOptions::default().steps)]
    steps: usize,
    /// Page of HTML to write
    #[arg(long, value_name = "FILE", required_unless_present = "json")]
    output: Option<PathBuf>,
    /// Print all numbers as a line of JSON
    #[arg(long)]
    json: bool,
}

/// Share of the difference of scores that integrated gradients should not miss.
const TOLERATED: f64 = 0.05;

pub(crate) fn run(args: Args) -> Result<()> {
    if args.text.trim().is_empty() {
        anyhow::bail!("the text is empty: give one with words to explain");
    }
    let dir = resolve_model(&args.model)?;
    let device = args.device.open()?;
    let overrule = Overrule {
        task: args.task.map(ModelTask::task),
        labels: match args.labels.as_slice() {
            [] => None,
            names => Some(Labels::new(names)?),
        },
    };
    let explainer = Explainer::open(dir, &args.model, &overrule, &device)?;
    if !explainer.attributes() && overrule.labels.is_some() {
        anyhow::bail!("--labels: the model has no classifier of texts, whose outputs have names");
    }
    if !explainer.attributes() {
        note("the model has no classifier of texts: attention alone is shown");
    }
    let input = match &args.pair {
        Some(pair) => TextInput::Pair(&args.text, pair),
        None => TextInput::Single(&args.text),
    };
    let options = ExplainOptions {
        label: args.label.clone(),
        steps: args.steps,
    };
    let explanation = explainer.explain(input, &options)?;
    if let Some(path) = &args.output {
        write_atomically(path, explanation.page().as_bytes())?;
        note(format_args!("{}", path.display()));
    }
    let mut output = Output::stdout();
    match (&explanation.attribution, args.json) {
        (_, true) => output.json(&explanation)?,
        (Some(attribution), false) => print(&mut output, &explanation, attribution)?,
        (None, false) => {}
    }
    output.finish()?;
    let error = explanation
        .attribution
        .and_then(|found| found.relative_error);
    if let Some(error) = error.filter(|error| *error > TOLERATED) {
        note(format_args!(
            "the integrated gradients miss {:.1} % of the difference of the scores: take more --steps",
            100.0 * error
        ));
    }
    Ok(())
}

/// The outputs, then token by token the integrated gradients and gradient × input, then the check.
fn print(output: &mut Output, explanation: &Explanation, attribution: &Attribution) -> Result<()> {
    for scored in &attribution.outputs {
        let mark = if scored.label == attribution.label {
            "*"
        } else {
            ""
        };
        output.line(format_args!("{}{mark}\t{:.6}", scored.label, scored.logit))?;
    }
    output.line("")?;
    let numbers = attribution
        .integrated_gradients
        .iter()
        .zip(&attribution.gradient_times_input);
    for (token, (integrated, gradient)) in explanation.tokens.iter().zip(numbers) {
        output.line(format_args!("{token}\t{integrated:+.6}\t{gradient:+.6}"))?;
    }
    output.line("")?;
    let difference = attribution.score - attribution.baseline_score;
    output.line(format_args!("sum\t{:+.6}", attribution.sum))?;
    output.line(format_args!("f(x) - f(baseline)\t{difference:+.6}"))?;
    match attribution.relative_error {
        Some(error) => output.line(format_args!("relative error\t{error:.2e}")),
        None => output.line("relative error\tnone, for the scores are equal"),
    }
}
