//! `kit`: a measuring kit for machines without a toolchain, in one archive.
//!
//! A stripped `bert`, the loader and libraries it is linked with, the Vulkan loader, a tiny checkpoint and
//! `measure.sh`, which writes one JSON file and one page. docs/benchmarks.md says how it is used.

mod libraries;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::{python, shell};
use libraries::Libraries;

/// Mail, chat and the like take files of this size.
const LARGEST: u64 = 60 << 20;

const MEASURE: &str = include_str!("../kit/measure.sh");
const WRAPPER: &str = include_str!("../kit/bert.sh");
const README: &str = include_str!("../kit/README.md");

#[derive(Args)]
pub(crate) struct Options {
    /// Devices that the kit is for
    #[arg(value_enum, default_value = "vulkan")]
    kind: Kind,
    /// A `bert` that is built already with the backend, instead of one built now
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Root of the system that it was built in, whose loader and libraries go along
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Output directory of the kit [default: target/xtask/kit]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Leave it as a directory, without the archive and its limit of 60 MiB
    #[arg(long)]
    directory_only: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Cards of every vendor, by Vulkan
    Vulkan,
    /// NVIDIA's cards, by CUDA; cubecl-llvm needs its LLVM to be built
    Cuda,
}

impl Kind {
    /// Its name, the device label and the backend, which are the same word.
    fn name(self) -> &'static str {
        match self {
            Self::Vulkan => "vulkan",
            Self::Cuda => "cuda",
        }
    }

    /// Cargo features beside the default ones.
    fn features(self) -> &'static str {
        match self {
            Self::Vulkan => "vulkan,wgpu",
            Self::Cuda => "cuda",
        }
    }
}

/// Builds, lays out, tries and packs.
///
/// # Errors
/// If the program can't be built, lacks the backend or does not start from the kit, a library is not found, or the archive is
/// too large.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!("kits are made on Linux, for Linux: the loader and the C library are Linux's");
    }
    let kind = options.kind;
    let program = match &options.program {
        Some(program) => program.clone(),
        None => build(kind)?,
    };
    let out = match &options.out {
        Some(out) => std::path::absolute(out)?,
        None => python::work().join("kit"),
    };
    let describe = [
        "describe",
        "--always",
        "--dirty",
        "--abbrev=10",
        "--exclude=*",
    ];
    let commit = shell::output(
        Command::new("git")
            .args(describe)
            .current_dir(shell::root()),
    );
    let commit = commit.map_or("unknown".to_owned(), |commit| commit.trim().to_owned());
    let name = format!(
        "bert-kit-{}-{}-{}-{commit}",
        kind.name(),
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH
    );
    let directory = out.join(&name);
    lay_out(&directory, kind, &program, &options.root, &commit)?;
    if options.directory_only {
        println!("{}", directory.display());
        return Ok(());
    }
    let archive = pack(&out, &name)?;
    println!("{}", archive.display());
    Ok(())
}

fn build(kind: Kind) -> Result<PathBuf> {
    let mut cargo = shell::cargo();
    cargo.args(["build", "--release", "--workspace", "--bin", "bert"]);
    cargo.args(["--features", kind.features()]);
    shell::run(&mut cargo).with_context(|| match kind {
        Kind::Vulkan => "could not build the program",
        Kind::Cuda => {
            "could not build the program; where LLVM's download can't be reached, build it in a root that has LLVM and \
             name --program and --root"
        }
    })?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| shell::root().join("target"));
    Ok(target.join("release").join("bert"))
}

/// The directory of a kit, made anew.
fn lay_out(directory: &Path, kind: Kind, program: &Path, root: &Path, commit: &str) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)
            .with_context(|| format!("could not remove `{}`", directory.display()))?;
    }
    for inside in ["bin", "lib", "model"] {
        fs::create_dir_all(directory.join(inside))
            .with_context(|| format!("could not make `{}`", directory.display()))?;
    }
    let packed = directory.join("bin/bert");
    let mut strip = Command::new("strip");
    strip.arg("--strip-all").arg("-o").arg(&packed).arg(program);
    shell::run(&mut strip).context("could not strip the program (Debian: binutils)")?;

    let libraries = Libraries::of(&packed, root)?;
    copy(&libraries.loader, &directory.join("lib/ld.so"))?;
    for (name, path) in &libraries.needed {
        copy(path, &directory.join("lib").join(name))?;
    }
    if kind == Kind::Vulkan {
        const LOADER: &str = "libvulkan.so.1";
        let found = libraries::find(root, LOADER).with_context(|| {
            format!(
                "`{LOADER}` is not in {} (Debian: libvulkan1)",
                root.display()
            )
        })?;
        fs::create_dir_all(directory.join("vulkan"))?;
        copy(&found, &directory.join("vulkan").join(LOADER))?;
    }
    copy_checkpoint(&directory.join("model"))?;
    for (name, text) in [("measure.sh", MEASURE), ("bert", WRAPPER)] {
        write(&directory.join(name), text)?;
        shell::run(Command::new("chmod").arg("755").arg(directory.join(name)))?;
    }
    write(&directory.join("README.md"), README)?;
    let pins = shell::root().join("benchmarks/peers/requirements.txt");
    let pins = fs::read_to_string(&pins).with_context(|| format!("reading {}", pins.display()))?;
    write(&directory.join("peers.txt"), &peers(&pins))?;
    for license in ["LICENSE-APACHE", "LICENSE-MIT"] {
        copy(&shell::root().join(license), &directory.join(license))?;
    }

    let backends = backends(directory, kind)?;
    let about = json!({
        "device": kind.name(),
        "version": env!("CARGO_PKG_VERSION"),
        "commit": commit,
        "backends": backends,
        "c_library_wanted": libraries.glibc,
        "libraries": libraries.needed.keys().collect::<Vec<_>>(),
    });
    write(&directory.join("kit.json"), &format!("{about:#}\n"))
}

/// A checkpoint with a vocabulary, of those that the tests have.
fn copy_checkpoint(to: &Path) -> Result<()> {
    let fixture = shell::root().join("bert-core/fixtures/tiny-pretraining");
    for name in [
        "config.json",
        "model.safetensors",
        "reference.safetensors",
        "tokenizer_config.json",
        "vocab.txt",
    ] {
        copy(&fixture.join(name), &to.join(name))?;
    }
    Ok(())
}

/// The pins of what `measure.sh` measures beside us.
fn peers(pins: &str) -> String {
    let wanted = |line: &&str| {
        ["torch==", "transformers=="]
            .iter()
            .any(|name| line.starts_with(name))
    };
    pins.lines()
        .filter(wanted)
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The backends of the kit's program, which has to pass its self-test with the loader and the libraries of the kit, and nothing
/// bound later than at the start.
fn backends(directory: &Path, kind: Kind) -> Result<Vec<String>> {
    let program = directory.join("bert");
    let mut doctor = Command::new(&program);
    doctor.args(["doctor", "--json", "--devices", "flex"]);
    doctor
        .env("BERT_KIT_THROUGH", "kit")
        .env("LD_BIND_NOW", "1");
    let output = doctor
        .output()
        .with_context(|| format!("could not start `{}`", program.display()))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!(
            "the program does not pass its self-test with the libraries of the kit ({}): {}",
            output.status,
            errors.trim()
        );
    }
    let report: Value = serde_json::from_slice(&output.stdout)
        .context("reading what `bert doctor --json` wrote")?;
    let backends = report["machine"]["backends"]
        .as_array()
        .context("`bert doctor --json` names no backends")?;
    let backends: Vec<String> = backends
        .iter()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    if !backends.iter().any(|name| name == kind.name()) {
        bail!(
            "`{}` has the backends {}: build it with --features {}",
            program.display(),
            backends.join(", "),
            kind.features()
        );
    }
    Ok(backends)
}

/// `NAME.tar.xz` beside the directory: bare machines have a tar for it, or a Python, and the largest kit needs it.
fn pack(out: &Path, name: &str) -> Result<PathBuf> {
    let archive = out.join(format!("{name}.tar.xz"));
    let partial = out.join(format!("{name}.tar.xz.partial"));
    let mut tar = Command::new("tar");
    tar.args([
        "--create",
        "--xz",
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
    ]);
    tar.arg("--file")
        .arg(&partial)
        .arg("--directory")
        .arg(out)
        .arg(name);
    shell::run(tar.env("XZ_OPT", "-9"))
        .context("could not pack the kit (Debian: tar, xz-utils)")?;
    let size = fs::metadata(&partial)?.len();
    check_size(size, &out.join(name))?;
    fs::rename(&partial, &archive)?;
    eprintln!("{}: {:.1} MiB", archive.display(), mebibytes(size));
    Ok(archive)
}

fn check_size(size: u64, directory: &Path) -> Result<()> {
    if size <= LARGEST {
        return Ok(());
    }
    let mut files = Vec::new();
    for inside in ["bin", "lib"] {
        for entry in fs::read_dir(directory.join(inside))? {
            let entry = entry?;
            let bytes = entry.metadata()?.len();
            files.push((
                bytes,
                format!(
                    "{inside}/{} {:.1} MiB",
                    entry.file_name().display(),
                    mebibytes(bytes)
                ),
            ));
        }
    }
    files.sort();
    let largest: Vec<String> = files
        .into_iter()
        .rev()
        .take(5)
        .map(|(_, text)| text)
        .collect();
    bail!(
        "the kit is {:.1} MiB, and may be {:.0}: its largest files, unpacked, are {}; build with fewer features",
        mebibytes(size),
        mebibytes(LARGEST),
        largest.join(", ")
    );
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// A copy with the bytes and the mode of the file that a link leads to.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("could not copy `{}` to `{}`", from.display(), to.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("could not write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_of_the_peers_that_are_measured_are_picked() {
        let pins = "# pins\nnumpy==2.4.6\nsentence-transformers==6.2.0\ntorch==2.9.0\ntransformers==5.23.0\n";
        assert_eq!(peers(pins), "torch==2.9.0\ntransformers==5.23.0\n");
        let pins = fs::read_to_string(shell::root().join("benchmarks/peers/requirements.txt"));
        assert_eq!(peers(&pins.unwrap()).lines().count(), 2);
    }

    #[test]
    fn a_kit_that_is_too_large_names_what_makes_it_so() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        fs::create_dir(directory.join("bin")).unwrap();
        fs::create_dir(directory.join("lib")).unwrap();
        fs::write(directory.join("bin/bert"), vec![0; 3 << 20]).unwrap();
        assert!(check_size(LARGEST, directory).is_ok());
        let refusal = check_size(LARGEST + (1 << 20), directory);
        let refusal = refusal.unwrap_err().to_string();
        assert!(
            refusal.contains("61.0 MiB") && refusal.contains("bin/bert 3.0 MiB"),
            "{refusal}"
        );
    }

    #[test]
    fn the_checkpoint_of_the_kit_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        copy_checkpoint(directory.path()).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 5);
    }
}
