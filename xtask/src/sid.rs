//! `sid`: a root of Debian's unstable release, for the Vulkan drivers and the LLVM that stable releases don't have.
//!
//! Its drivers (Mesa's llvmpipe and SwiftShader) render on the processor: with them the build for graphics cards is
//! tested where there is none. Its LLVM 23 is the one that CubeCL's CUDA, ROCm and processor runtimes download when they
//! are built, for machines that can't reach that download.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::shell;

const MAKE: &str = include_str!("../sid/make.sh");
const ENTER: &str = include_str!("../sid/enter");

/// Holds the recipe that a root was made by; written last, so that a root without it is not whole.
const STAMP: &str = "recipe";

#[derive(Args)]
pub(crate) struct Options {
    /// Make the root that builds the features cuda, rocm and cpu: LLVM 23 and a C++ compiler in place of drivers
    #[arg(long)]
    llvm: bool,
    #[command(flatten)]
    place: Place,
    /// Command to run in the root, after `--`
    #[arg(last = true)]
    command: Vec<String>,
}

/// Directory of roots and the mirror they are made from.
#[derive(Args)]
#[group(skip)]
pub(crate) struct Place {
    /// Directory of the roots [default: bert/sid in the user's cache directory]
    #[arg(long, value_name = "DIR")]
    roots: Option<PathBuf>,
    /// Debian mirror that they are made from [default: debootstrap's own]
    #[arg(
        long,
        env = "BERT_DEBIAN_MIRROR",
        default_value = "",
        hide_default_value = true,
        value_name = "URL"
    )]
    mirror: String,
}

/// Programs and libraries of a root.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Vulkan drivers, loader and validation layer.
    Drivers,
    /// LLVM 23 and a C++ compiler.
    Llvm,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Drivers => "drivers",
            Self::Llvm => "llvm",
        }
    }
}

/// Makes the root where it isn't there yet; runs the command in it, or prints how to.
///
/// # Errors
/// If the root can't be made or entered, or the command fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let level = if options.llvm {
        Level::Llvm
    } else {
        Level::Drivers
    };
    let enter = ensure(&options.place, level)?;
    match options.command.split_first() {
        None => {
            println!("{}", shell::quote(enter.as_os_str()));
            eprintln!(
                "runs the command that follows it with the programs and libraries of Debian sid"
            );
            if level == Level::Drivers {
                for (driver, manifest) in crate::legs::DRIVERS {
                    eprintln!("VK_DRIVER_FILES={manifest} chooses {driver}");
                }
            }
            Ok(())
        }
        Some((program, arguments)) => {
            let status = Command::new(&enter).arg(program).args(arguments).status();
            let status =
                status.with_context(|| format!("could not start `{}`", enter.display()))?;
            if !status.success() {
                bail!("`{program}` failed ({status})");
            }
            Ok(())
        }
    }
}

/// The program that enters the root, which is made if it isn't there.
///
/// # Errors
/// If it can't be made, or a process may not enter it.
pub(crate) fn ensure(place: &Place, level: Level) -> Result<PathBuf> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!("Debian's packages are taken for x86-64 and run on Linux only");
    }
    let roots = match &place.roots {
        Some(roots) => std::path::absolute(roots)?,
        None => shell::cache("--roots")?.join("bert").join("sid"),
    };
    let directory = roots.join(level.name());
    let enter = directory.join("enter");
    let release = llvm_release()?;
    let recipe = format!("{MAKE}\nLLVM {release}\n");
    fs::create_dir_all(&directory)
        .with_context(|| format!("could not make `{}`", directory.display()))?;

    // Another run may be at it: wait, then look again.
    let lock = File::create(directory.join("lock"))?;
    lock.lock().context("could not lock the root")?;
    let stamp = directory.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|made| made == recipe) {
        write_program(&enter, ENTER)?;
    } else {
        if stamp.exists() {
            fs::remove_file(&stamp)?;
        }
        fill(&directory, place, level, &release)?;
        write_program(&enter, ENTER)?;
        fs::write(&stamp, &recipe)?;
    }
    if !shell::succeeds(Command::new(&enter).arg("true")) {
        bail!(
            "`{0} true` fails: this process may not bind directories into a root of its own. In a container give it the \
             capability SYS_ADMIN (docker run --privileged); outside of one run it as root, or allow user namespaces \
             (sysctl kernel.unprivileged_userns_clone=1)",
            enter.display()
        );
    }
    Ok(enter)
}

/// Makes the root in a directory beside, then renames: a root is whole or absent.
fn fill(directory: &Path, place: &Place, level: Level, release: &str) -> Result<()> {
    for (program, package) in [("debootstrap", "debootstrap"), ("unshare", "util-linux")] {
        // /usr/sbin is not in everybody's PATH.
        let found = ["/usr/sbin", "/sbin"]
            .iter()
            .any(|bin| Path::new(bin).join(program).exists())
            || shell::succeeds(Command::new(program).arg("--version"));
        if !found {
            bail!(
                "`{program}`, which makes a root of Debian, is not installed; apt-get install {package} \
                 (debootstrap runs on other distributions as well)"
            );
        }
    }
    let partial = directory.join("root.partial");
    let root = directory.join("root");
    let script = directory.join("make.sh");
    write_program(&script, MAKE)?;
    eprintln!("Debian sid ({}): into {}", level.name(), root.display());
    shell::run(as_root()?.args(["rm", "-rf"]).args([&partial, &root]))?;
    let mut make = as_root()?;
    make.arg("sh").arg(&script).arg(&partial);
    make.args([&place.mirror, level.name(), release]);
    make.env("PATH", path_with_sbin());
    shell::run(&mut make).with_context(|| {
        let from = match place.mirror.as_str() {
            "" => String::new(),
            mirror => format!(" from {mirror}"),
        };
        format!("could not make a root of Debian sid{from}; --mirror names another mirror")
    })?;
    fs::rename(&partial, &root)
        .with_context(|| format!("could not move to `{}`", root.display()))?;
    Ok(())
}

/// `env`, by way of sudo where this process is not root.
fn as_root() -> Result<Command> {
    let root = shell::output(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0");
    if root {
        return Ok(Command::new("env"));
    }
    if !shell::succeeds(Command::new("sudo").args(["-n", "true"])) {
        bail!(
            "making a root of Debian takes the rights of root: run it as root, or allow sudo without a password"
        );
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "env"]);
    sudo.arg(format!("PATH={}", path_with_sbin()));
    Ok(sudo)
}

fn path_with_sbin() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/local/sbin:/usr/sbin:/sbin")
}

/// The release of LLVM that the locked cubecl-llvm wants, by the name of its bundle.
fn llvm_release() -> Result<String> {
    let path = shell::root().join("Cargo.lock");
    let lock = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    locked_version(&lock, "tracel-llvm-bundler")
        .map(str::to_owned)
        .context("Cargo.lock has no tracel-llvm-bundler")
}

/// The version of a package in a Cargo.lock.
fn locked_version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let (_, entry) = lock.split_once(&format!("name = \"{package}\"\n"))?;
    entry.strip_prefix("version = \"")?.split('"').next()
}

/// Writes a program that may be executed, at once and whole.
fn write_program(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    let partial = path.with_extension("partial");
    fs::write(&partial, text)
        .with_context(|| format!("could not write `{}`", partial.display()))?;
    shell::run(Command::new("chmod").arg("755").arg(&partial))?;
    fs::rename(&partial, path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_version_is_found() {
        let lock = "[[package]]\nname = \"a-b\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"a\"\nversion = \"2.3.4-5\"\n";
        assert_eq!(locked_version(lock, "a"), Some("2.3.4-5"));
        assert_eq!(locked_version(lock, "b"), None);
        assert!(llvm_release().unwrap().starts_with("23."));
    }
}
