//! `peers`: what `bert bench --peers` measures besides our own devices.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::{python, shell};

#[derive(Args)]
pub(crate) struct Options {
    /// The Python to make the virtual environment from.
    #[arg(long, default_value = python::SYSTEM)]
    python: PathBuf,
    /// Directory of the peers [default: target/xtask/peers, where `bert bench` looks when run from here]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Leave the Python peers out.
    #[arg(long)]
    no_python: bool,
    /// Leave the candle program out.
    #[arg(long)]
    no_candle: bool,
}

/// Makes a virtual environment with the pinned packages and builds the candle program.
///
/// # Errors
/// If Python, a package or a crate can't be had.
pub(crate) fn run(options: &Options) -> Result<()> {
    let sources = shell::root().join("benchmarks").join("peers");
    let directory = options.dir.clone().unwrap_or_else(directory);
    if !options.no_python {
        let requirements = sources.join("requirements.txt");
        python::with_packages(&options.python, &directory.join("venv"), &requirements)?;
    }
    if !options.no_candle {
        let mut cargo = shell::cargo();
        cargo.args(["build", "--release", "--locked", "--manifest-path"]);
        cargo.arg(sources.join("candle").join("Cargo.toml"));
        cargo.arg("--target-dir").arg(directory.join("candle"));
        // Candle's kernels are chosen when they are compiled, those of the other contestants when they run.
        cargo.env("RUSTFLAGS", "-C target-cpu=native");
        shell::run(&mut cargo).context("could not build the candle program")?;
    }
    eprintln!("the peers are in {}", directory.display());
    Ok(())
}

/// Default directory of the peers.
pub(crate) fn directory() -> PathBuf {
    python::work().join("peers")
}
