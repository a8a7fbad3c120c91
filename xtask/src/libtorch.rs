//! `libtorch`: a LibTorch that runs without CUDA, from the wheels on PyPI.
//!
//! `torch-sys` downloads LibTorch by itself where it can reach PyTorch's own server; this is for where it can't, and
//! for CI, where the download should be kept. The wheel on PyPI is the CUDA build, but its CPU half stands alone once
//! it has the two small CUDA libraries it was linked with and a `libtorch.so` that doesn't ask for the other half.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{python, shell};

/// The only release that tch 0.22, and so burn-tch 0.22, accepts.
const VERSION: &str = "2.9.0";

/// torch first; the others are the versions its metadata asks for.
const WHEELS: [&str; 3] = [
    "torch==2.9.0",
    "nvidia-cuda-runtime-cu12==12.8.90",
    "nvidia-cuda-cupti-cu12==12.8.90",
];

/// Present in a finished layout only: it is written last.
const MARKER: &str = ".complete";

#[derive(Args)]
pub(crate) struct Options {
    /// Directory of LibTorch [default: bert/libtorch-2.9.0 in the user's cache directory]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The Python whose pip downloads the wheels.
    #[arg(long, default_value = python::SYSTEM)]
    python: PathBuf,
}

/// Puts LibTorch in place and prints the lines to `eval`.
///
/// # Errors
/// If the platform has no such wheel, or the download or unpacking fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let directory = ensure(options.dir.as_deref(), &options.python)?;
    println!("export LIBTORCH={}", shell::quote(directory.as_os_str()));
    let library = shell::quote(directory.join("lib").as_os_str());
    println!("export LD_LIBRARY_PATH={library}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}");
    Ok(())
}

/// The directory for `LIBTORCH`, filled if it isn't yet.
///
/// # Errors
/// Those of [`run`].
pub(crate) fn ensure(directory: Option<&Path>, python: &Path) -> Result<PathBuf> {
    let directory = match directory {
        Some(directory) => std::path::absolute(directory)?,
        None => shell::cache("--dir")?
            .join("bert")
            .join(format!("libtorch-{VERSION}")),
    };
    if directory.join(MARKER).exists() {
        return Ok(directory);
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!(
            "`cargo xtask libtorch` is for Linux on x86-64; elsewhere leave LIBTORCH unset and torch-sys downloads it"
        );
    }
    let parent = directory
        .parent()
        .context("--dir has no parent directory")?;
    fs::create_dir_all(parent).with_context(|| format!("could not make `{}`", parent.display()))?;

    // Another run may be at it: wait, then look again.
    let lock = File::create(beside(&directory, ".lock"))?;
    lock.lock().context("could not lock the download")?;
    if !directory.join(MARKER).exists() {
        fill(&directory, python)?;
    }
    Ok(directory)
}

/// The environment that building and running with LibTorch in `directory` takes.
pub(crate) fn environment(directory: &Path) -> Result<Vec<(&'static str, OsString)>> {
    let mut paths = vec![directory.join("lib")];
    if let Some(present) = std::env::var_os("LD_LIBRARY_PATH") {
        paths.extend(std::env::split_paths(&present));
    }
    Ok(vec![
        ("LIBTORCH", directory.into()),
        ("LD_LIBRARY_PATH", std::env::join_paths(paths)?),
    ])
}

/// Downloads and lays out in a directory beside, then renames: what lies at `directory` is whole or absent.
fn fill(directory: &Path, python: &Path) -> Result<()> {
    // What this task puts there appears at once and whole, so anything else is somebody else's.
    if directory
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_some())
    {
        bail!(
            "`{}` is not empty and was not filled by this task; remove it, name another with --dir, \
             or point LIBTORCH at it if it is a LibTorch {VERSION}",
            directory.display()
        );
    }
    let partial = beside(directory, ".partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)
            .with_context(|| format!("could not remove `{}`", partial.display()))?;
    }
    let download = partial.join("download");
    let layout = partial.join("layout");
    fs::create_dir_all(&download)?;
    fs::create_dir_all(&layout)?;

    eprintln!(
        "LibTorch {VERSION}: downloading about 900 MB, keeping 500 MB in {}",
        directory.display()
    );
    let python = python::with_pip(python, &partial.join("venv"))?;
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--no-cache-dir",
        "--only-binary=:all:",
    ]);
    // The same wheel whichever Python downloads it: nothing of it is imported.
    pip.args([
        "--python-version",
        "3.11",
        "--implementation",
        "cp",
        "--abi",
        "cp311",
        "--abi",
        "none",
    ]);
    for platform in [
        "manylinux_2_28_x86_64",
        "manylinux_2_17_x86_64",
        "manylinux2014_x86_64",
    ] {
        pip.args(["--platform", platform]);
    }
    shell::run(pip.arg("--dest").arg(&download).args(WHEELS))
        .context("could not download the wheels from PyPI")?;

    let mut wheels = fs::read_dir(&download)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    wheels.sort();
    let script = python::scripts().join("unpack_libtorch.py");
    shell::run(Command::new(&python).arg(script).arg(&layout).args(wheels))
        .context("could not unpack the wheels")?;

    fs::write(layout.join("build-version"), format!("{VERSION}\n"))?;
    fs::write(layout.join(MARKER), "")?;
    fs::rename(&layout, directory)
        .with_context(|| format!("could not move to `{}`", directory.display()))?;
    fs::remove_dir_all(&partial)?;
    eprintln!("LibTorch {VERSION}: in place");
    Ok(())
}

/// `directory` with `suffix` on its last component: the same file system, so that a rename works.
fn beside(directory: &Path, suffix: &str) -> PathBuf {
    let mut name = directory.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
