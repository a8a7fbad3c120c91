//! `fixtures`: the golden files, from a pinned transformers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{python, shell};

/// The part that needs neither models nor data, and whose files lie in another crate.
const METRICS: &str = "metrics";

#[derive(Args)]
pub(crate) struct Options {
    /// A Python that has the packages of xtask/python/requirements.txt already.
    #[arg(long, conflicts_with = "venv")]
    python: Option<PathBuf>,
    /// Directory of the virtual environment [default: target/xtask/venv]
    #[arg(long)]
    venv: Option<PathBuf>,
    /// Unpacked data sets (vocab/, stsbenchmark/): regenerates what depends on them too.
    #[arg(long, env = "BERT_DATA_DIR")]
    data: Option<PathBuf>,
    /// all-MiniLM-L6-v2 as a directory: regenerates what depends on it too.
    #[arg(long, env = "BERT_REAL_CHECKPOINT")]
    checkpoint: Option<PathBuf>,
    /// Only these parts.
    #[arg(long, value_delimiter = ',', value_parser = ["tokenizer", "tokenizer-config", "tokenizer-kinds", "models", "formats", "heads", "families", "curves", "sentences", "minilm", METRICS])]
    only: Vec<String>,
    /// Only these families, each a file in xtask/python/families.
    #[arg(long, value_delimiter = ',', conflicts_with = "only")]
    family: Vec<String>,
    /// Write nothing; fail if a golden file would come out different.
    #[arg(long)]
    check: bool,
}

/// Regenerates the golden files, or checks that they would come out the same.
///
/// # Errors
/// If Python or its packages are missing, the script fails, or a checked file differs.
pub(crate) fn run(options: &Options) -> Result<()> {
    let interpreter = match &options.python {
        Some(python) => python.clone(),
        None => {
            let directory = options.venv.clone();
            let directory = directory.unwrap_or_else(|| python::work().join("venv"));
            let requirements = python::scripts().join("requirements.txt");
            python::with_packages(Path::new(python::SYSTEM), &directory, &requirements)?
        }
    };
    let (metrics, parts): (Vec<&String>, Vec<&String>) =
        options.only.iter().partition(|part| *part == METRICS);
    let everything = options.only.is_empty() && options.family.is_empty();
    if everything || !metrics.is_empty() {
        let committed = shell::root().join("bert-heads/fixtures/metrics");
        let mut command = Command::new(&interpreter);
        command.arg(python::scripts().join("metric_fixtures.py"));
        make(&mut command, &committed, METRICS, options.check)?;
    }
    if everything || !parts.is_empty() || !options.family.is_empty() {
        let committed = shell::root().join("bert-core").join("fixtures");
        let mut command = Command::new(&interpreter);
        command.arg(python::scripts().join("make_fixtures.py"));
        if let Some(data) = &options.data {
            command.arg("--data").arg(data);
        }
        if let Some(checkpoint) = &options.checkpoint {
            command.arg("--checkpoint").arg(checkpoint);
        }
        for part in parts {
            command.args(["--only", part]);
        }
        for family in &options.family {
            command.args(["--family", family]);
        }
        make(&mut command, &committed, "fixtures", options.check)?;
    }
    Ok(())
}

/// Lets `command` write the files of `committed`, or, to check, those of a copy of it called `copy`.
fn make(command: &mut Command, committed: &Path, copy: &str, check: bool) -> Result<()> {
    if !check {
        return shell::run(command.arg("--out").arg(committed));
    }
    let out = python::work().join(copy);
    // A copy, because some files are sources, and others can't be made without --data or --checkpoint.
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    for file in files(committed)? {
        let target = out.join(&file);
        fs::create_dir_all(target.parent().expect("a file has a directory"))?;
        fs::copy(committed.join(&file), target)?;
    }
    shell::run(command.arg("--out").arg(&out))?;
    compare(committed, &out)
}

/// Fails unless both directories hold the same files with the same bytes.
fn compare(committed: &Path, fresh: &Path) -> Result<()> {
    let (left, right) = (files(committed)?, files(fresh)?);
    let mut different: Vec<_> = left.symmetric_difference(&right).cloned().collect();
    for file in left.intersection(&right) {
        if fs::read(committed.join(file))? != fs::read(fresh.join(file))? {
            different.push(file.clone());
        }
    }
    if !different.is_empty() {
        let list = different
            .iter()
            .map(|file| format!("\n  {}", file.display()))
            .collect::<String>();
        bail!(
            "these golden files would come out different:{list}\nthe fresh ones are in {}",
            fresh.display()
        );
    }
    eprintln!("all {} golden files come out the same", left.len());
    Ok(())
}

/// All files below `directory`, relative to it.
fn files(directory: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(current) = open.pop() {
        let entries = fs::read_dir(&current)
            .with_context(|| format!("could not read `{}`", current.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.strip_prefix(directory)?.to_path_buf());
            }
        }
    }
    Ok(found)
}
