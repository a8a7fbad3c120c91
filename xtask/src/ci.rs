//! `ci`: what a change must pass, in the order in which a mistake is cheapest to hear of.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::parity::FEATURES;
use crate::{layers, llvm, parity, shell, words};

#[derive(Args)]
pub(crate) struct Options {
    /// Leave these out.
    #[arg(long, value_enum, value_delimiter = ',')]
    skip: Vec<Step>,
    #[command(flatten)]
    parity: parity::Options,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// The test command of the README.
    Test,
    /// cargo fmt --check
    Fmt,
    /// The first words of doc comments.
    Words,
    /// The order of crates and modules.
    Layers,
    /// cargo clippy, warnings are errors
    Clippy,
    /// cargo doc, warnings are errors
    Doc,
    /// The tests on all backends and drivers.
    Parity,
    /// CubeCL's processor, CUDA and ROCm runtimes, built in a root of Debian sid; with --full only
    Llvm,
}

impl Step {
    fn run(self, options: &Options) -> Result<()> {
        let mut cargo = shell::cargo();
        match self {
            Step::Test => {
                options.parity.real.apply(&mut cargo)?;
                cargo.args(["test", "--release", "--workspace"])
            }
            Step::Fmt => cargo.args(["fmt", "--all", "--check"]),
            Step::Words => return words::run(),
            Step::Layers => return layers::run(),
            // One build of everything serves clippy, docs and parity: LibTorch's C++ and every build script compile once.
            // That is also why clippy and docs run with --release.
            Step::Clippy => {
                options.parity.libtorch.apply(&mut cargo)?;
                cargo.args([
                    "clippy",
                    "--release",
                    "--workspace",
                    "--all-targets",
                    "--features",
                    FEATURES,
                ]);
                cargo.args(["--", "-D", "warnings"])
            }
            Step::Doc => {
                options.parity.libtorch.apply(&mut cargo)?;
                cargo.args([
                    "doc",
                    "--release",
                    "--workspace",
                    "--no-deps",
                    "--features",
                    FEATURES,
                ]);
                cargo.env("RUSTDOCFLAGS", "-D warnings")
            }
            Step::Parity => {
                // The README's test command runs on Flex.
                let flex: &[&str] = match options.skip.contains(&Step::Test) {
                    true => &[],
                    false => &["flex"],
                };
                return parity::run(&options.parity, flex);
            }
            Step::Llvm => return llvm::run(&options.parity),
        };
        shell::run(&mut cargo)
    }
}

/// Runs the steps until one fails; the table of times comes either way.
///
/// # Errors
/// If a step fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut table = Vec::new();
    let mut failure = None;
    for step in Step::value_variants()
        .iter()
        .filter(|step| !options.skip.contains(step))
        .filter(|step| options.parity.full || **step != Step::Llvm)
    {
        let name = step
            .to_possible_value()
            .expect("no step is hidden")
            .get_name()
            .to_owned();
        eprintln!("\n=== {name} ===");
        let start = Instant::now();
        let result = step.run(options);
        let elapsed = start.elapsed();
        eprintln!(
            "=== {name}: {} in {} ===",
            verdict(&result),
            minutes(elapsed)
        );
        table.push((name.clone(), verdict(&result), elapsed));
        if let Err(error) = result {
            failure = Some(error.context(format!("the step `{name}` failed")));
            break;
        }
    }

    eprintln!("\n| step   | result | time     |\n| ------ | ------ | -------- |");
    for (name, verdict, elapsed) in &table {
        eprintln!("| {name:<6} | {verdict:<6} | {:>8} |", minutes(*elapsed));
    }
    let total = table.iter().map(|(_, _, elapsed)| *elapsed).sum();
    eprintln!(
        "| all    | {:<6} | {:>8} |",
        if failure.is_some() { "FAILED" } else { "ok" },
        minutes(total)
    );
    failure.map_or(Ok(()), Err)
}

fn verdict(result: &Result<()>) -> &'static str {
    if result.is_ok() { "ok" } else { "FAILED" }
}

fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}m {:02}s", seconds / 60, seconds % 60)
}
