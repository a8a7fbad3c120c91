//! `launches`: kernels that a build for graphics cards launches, by CubeCL's profile on a software driver.
//!
//! Counts are those of an iteration: what `bert bench` launches for three of them less what it launches for one, halved. What a
//! layer adds is the difference of models with four and eight layers. Autotuning launches kernels too, but once: a run before
//! keeps its choices.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::sid::{self, Level};
use crate::{legs, shell};

/// Presets of one width, by which small parameters are told from large ones, and of 4 and 8 layers.
const PRESETS: [(&str, i64); 2] = [("small", 4), ("medium", 8)];

#[derive(Args)]
pub(crate) struct Options {
    /// Program to count, built with the feature vulkan [default: release/bert in the target directory]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Modes of `bert bench` to count
    #[arg(long, value_delimiter = ',', default_value = "pretrain,train,forward")]
    modes: Vec<String>,
    /// Device of the software driver, Mesa's llvmpipe: vulkan:cpu, or wgpu:cpu
    #[arg(long, default_value = "vulkan:cpu")]
    device: String,
    /// Rows of a batch
    #[arg(long, default_value_t = 4)]
    batch_size: usize,
    /// Tokens of a row
    #[arg(long, default_value_t = 64)]
    seq_length: usize,
    #[command(flatten)]
    place: sid::Place,
}

/// Launches of every kernel.
type Counts = BTreeMap<String, i64>;

/// Prints a table for every mode: launches of each kernel, in a layer and besides.
///
/// # Errors
/// If there is no driver, or the program fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let enter = sid::ensure(&options.place, Level::Drivers)?;
    let default = || shell::target().join("release").join("bert");
    let program = std::path::absolute(options.program.clone().unwrap_or_else(default))?;
    if !program.is_file() {
        bail!(
            "`{}` is not there; build it with the feature vulkan, or name another with --program",
            program.display()
        );
    }
    let directory = shell::target().join("xtask").join("launches");
    fs::create_dir_all(&directory)?;
    for mode in &options.modes {
        let bench =
            |preset, samples| count(&enter, &program, &directory, options, mode, preset, samples);
        let mut of_presets = Vec::new();
        for (preset, _) in PRESETS {
            // Tunes.
            bench(preset, 1)?;
            of_presets.push(of_iteration(&bench(preset, 1)?, &bench(preset, 3)?));
        }
        let layers = PRESETS.map(|(_, layers)| layers);
        println!("{}", table(mode, &of_presets[0], &of_presets[1], layers));
    }
    Ok(())
}

/// Launches of a whole process that measures so many iterations.
fn count(
    enter: &Path,
    program: &Path,
    directory: &Path,
    options: &Options,
    mode: &str,
    preset: &str,
    samples: usize,
) -> Result<Counts> {
    let log = directory.join("log");
    if log.exists() {
        fs::remove_file(&log)?;
    }
    let settings = format!(
        "[profiling]\nlogger = {{ level = \"minimal\", file = {:?} }}\n",
        log.display().to_string()
    );
    fs::write(directory.join("cubecl.toml"), settings)?;
    let mut command = Command::new(enter);
    command.arg(program).current_dir(directory);
    command.args(["bench", "--devices", &options.device, "--mode", mode]);
    command.args(["--preset", preset]);
    command.args(["--batch-sizes", &options.batch_size.to_string()]);
    command.args(["--seq-lengths", &options.seq_length.to_string()]);
    command.args(["--rounds", "1", "--seconds", "0", "--warmup-seconds", "0"]);
    let samples = samples.to_string();
    command.args(["--min-samples", &samples, "--max-samples", &samples]);
    command.args(["--time-limit", "3600", "--unproven-device"]);
    command.env("VK_DRIVER_FILES", legs::DRIVERS[0].1);
    command.env("BERT_CACHE_DIR", directory.join("cache"));
    shell::run(&mut command)?;
    let text = fs::read_to_string(&log).context("the program has written no profile")?;
    Ok(launches(&text))
}

/// Kernels in a profile, one `Executing NAME` each.
fn launches(profile: &str) -> Counts {
    let mut counts = Counts::new();
    for line in profile.lines() {
        if let Some((_, kernel)) = line.split_once("Executing ") {
            *counts.entry(kind(kernel)).or_default() += 1;
        }
    }
    counts
}

/// The name of a kernel without its types and the hash of its settings, which differ by the width of a model: the last part of
/// its path.
fn kind(kernel: &str) -> String {
    let name = kernel.split(['<', ' ', '|']).next().unwrap_or(kernel);
    let name = name.trim_end_matches(':');
    let name = name.rsplit("::").next().unwrap_or(name);
    let is_hash = |end: &str| end.len() == 8 && end.bytes().all(|byte| byte.is_ascii_hexdigit());
    match name.rsplit_once('_') {
        Some((name, end)) if is_hash(end) => name.to_owned(),
        _ => name.to_owned(),
    }
}

/// Launches of one iteration, from runs of one and of three.
fn of_iteration(one: &Counts, three: &Counts) -> Counts {
    let mut counts = three.clone();
    for (kernel, count) in one {
        *counts.entry(kernel.clone()).or_default() -= count;
    }
    counts.retain(|_, count| *count > 0);
    counts.values_mut().for_each(|count| *count /= 2);
    counts
}

/// Launches by kernel, in a layer and besides, the most frequent first.
fn table(mode: &str, few: &Counts, many: &Counts, layers: [i64; 2]) -> String {
    let [least, most] = layers;
    let row = |name: &str, few: i64, many: i64| {
        let in_layer = (many - few) as f64 / (most - least) as f64;
        let besides = few as f64 - in_layer * least as f64;
        format!("| {name} | {few} | {many} | {in_layer} | {besides} |\n")
    };
    let count = |counts: &Counts, name: &str| counts.get(name).copied().unwrap_or(0);
    let mut names: Vec<_> = many.keys().chain(few.keys()).collect();
    names.sort_by_key(|name| (-count(many, name), name.as_str()));
    names.dedup();
    let mut table = format!(
        "{mode}\n\n| kernel | {least} layers | {most} layers | a layer | besides |\n| --- | ---: | ---: | ---: | ---: |\n"
    );
    for name in names {
        table += &row(name, count(few, name), count(many, name));
    }
    table + &row("**all**", few.values().sum(), many.values().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, i64)]) -> Counts {
        of.iter()
            .map(|&(name, count)| (name.to_owned(), count))
            .collect()
    }

    #[test]
    fn kernels_are_counted_by_the_end_of_their_path() {
        let profile = "Executing a::b::Adam_0123abcd<f32>\nother\nExecuting a::b::Adam<f16>\nExecuting c::Sum: x\n";
        assert_eq!(launches(profile), counts(&[("Adam", 2), ("Sum", 1)]));
    }

    #[test]
    fn an_iteration_is_half_of_what_two_more_launch() {
        let one = counts(&[("a", 10), ("tuned", 5)]);
        let three = counts(&[("a", 16), ("b", 2), ("tuned", 5)]);
        assert_eq!(of_iteration(&one, &three), counts(&[("a", 3), ("b", 1)]));
    }

    #[test]
    fn a_layer_is_half_of_what_two_more_launch() {
        let (few, many) = (counts(&[("a", 10)]), counts(&[("a", 16), ("b", 1)]));
        let table = table("train", &few, &many, [2, 4]);
        assert!(table.contains("| a | 10 | 16 | 3 | 4 |"), "{table}");
        assert!(table.contains("| **all** | 10 | 17 | 3.5 | 3 |"), "{table}");
    }
}
