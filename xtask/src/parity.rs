//! `parity`: all tests, on several backends and drivers, with one build.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::backends::{BACKENDS, BackendId, BackendInfo};
use crate::legs::{Leg, Tools};
use crate::sid::{self, Level};
use crate::{libtorch, python, shell};

/// The features of the build that everything is tested with, on top of the default ones: one build of every backend that
/// can be built and run here. clippy and docs share it.
pub(crate) const FEATURES: &str = "ndarray,tch,wgpu,vulkan,remote,dashboard";

#[derive(Args)]
#[group(skip)] // `ci` has these options besides its own
pub(crate) struct Options {
    /// Run all tests on these devices, with the drivers of this machine, in place of the legs; their Cargo features are
    /// compiled in
    #[arg(long, value_delimiter = ',', value_name = "LABELS")]
    devices: Vec<String>,
    /// Run these legs only
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with = "devices")]
    legs: Vec<Leg>,
    /// Run every family on every leg, with heads, curves of training and the leg of 16-bit matrices, which do not fit into
    /// CI's time
    #[arg(long, conflicts_with = "devices")]
    pub(crate) full: bool,
    #[command(flatten)]
    pub(crate) real: RealFiles,
    #[command(flatten)]
    pub(crate) libtorch: LibTorch,
    #[command(flatten)]
    pub(crate) place: sid::Place,
}

/// Files from outside the project, for the tests that want them.
#[derive(Args)]
pub(crate) struct RealFiles {
    /// Unpacked data sets: vocab/, stsbenchmark/ and so on. Without it the tests that read them are skipped.
    #[arg(long, env = "BERT_DATA_DIR")]
    data: Option<PathBuf>,
    /// all-MiniLM-L6-v2 as a directory. Without it the tests that read it are skipped.
    #[arg(long, env = "BERT_REAL_CHECKPOINT")]
    checkpoint: Option<PathBuf>,
}

/// Which LibTorch to build against.
#[derive(Args, Default)]
pub(crate) struct LibTorch {
    /// Directory of LibTorch, which is made if it isn't there [default: bert/libtorch-2.9.0 in the user's cache directory]
    #[arg(long = "libtorch")]
    dir: Option<PathBuf>,
}

/// Runs the tests of the workspace, leg by leg or on the devices named; those of processors not on `tested`, where all tests
/// have run already.
///
/// # Errors
/// If a label is unknown, a device or driver can't be had, or a test fails.
pub(crate) fn run(options: &Options, tested: &[&str]) -> Result<()> {
    if !options.devices.is_empty() {
        return run_on(&options.devices, options);
    }
    let legs: Vec<Leg> = match &options.legs[..] {
        [] => Leg::value_variants()
            .iter()
            .copied()
            .filter(|leg| options.full || !leg.is_long())
            .collect(),
        some => some.to_vec(),
    };
    // Drivers first: one that can't be had is better known before the long build.
    let tools = if legs.iter().any(|leg| leg.has_driver()) {
        Some(Tools::new(sid::ensure(&options.place, Level::Drivers)?)?)
    } else {
        None
    };
    let mut legs_and_variables = Vec::new();
    for leg in legs {
        legs_and_variables.push((leg, leg.variables(tools.as_ref(), options.full, tested)?));
    }
    // One build for all legs, shown as it goes.
    let mut build = cargo_test(FEATURES);
    options.libtorch.apply(&mut build)?;
    shell::run(build.arg("--no-run"))?;
    // The processors' tests take all threads; drivers that render on the processor spend most of their time on one, which
    // compiles kernels, so that two of them run side by side.
    let (processors, drivers): (Vec<_>, Vec<_>) = legs_and_variables
        .into_iter()
        .partition(|(leg, _)| !leg.has_driver());
    let mut times = Vec::new();
    for (leg, variables) in processors {
        times.push(run_leg(leg, &variables, options)?);
    }
    let waiting = Mutex::new(VecDeque::from(drivers));
    let next = || {
        waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    };
    let work = || -> Result<Vec<String>> {
        let mut times = Vec::new();
        while let Some((leg, variables)) = next() {
            times.push(run_leg(leg, &variables, options)?);
        }
        Ok(times)
    };
    std::thread::scope(|scope| -> Result<()> {
        let beside = scope.spawn(work);
        let own = work();
        let other = beside.join().expect("legs do not panic");
        times.extend(own?);
        times.extend(other?);
        Ok(())
    })?;
    eprintln!("\n--- {} ---", times.join(", "));
    Ok(())
}

/// Runs the tests of a leg; its name and the seconds it took.
fn run_leg(leg: Leg, variables: &Variables, options: &Options) -> Result<String> {
    let name = leg.name();
    eprintln!("\n--- {name} ---");
    let start = Instant::now();
    for run in leg.runs(options.full) {
        let mut cargo = cargo_test(FEATURES);
        options.libtorch.apply(&mut cargo)?;
        options.real.apply(&mut cargo)?;
        cargo.envs(variables.iter().cloned());
        leg.test(run, &mut cargo)
            .with_context(|| format!("the leg `{name}` failed"))?;
    }
    let seconds = start.elapsed().as_secs();
    eprintln!("--- {name}: {seconds} s ---");
    Ok(format!("{name}: {seconds} s"))
}

/// Devices, driver and whatever else the tests of a leg learn from the environment.
type Variables = Vec<(&'static str, OsString)>;

/// Runs all tests on devices and drivers of this machine.
fn run_on(devices: &[String], options: &Options) -> Result<()> {
    let mut features = Vec::new();
    for label in devices {
        let feature = feature(label)?;
        if !features.contains(&feature) {
            features.push(feature);
        }
    }
    if devices.iter().any(|label| is_vulkan(label)) {
        require_vulkan(devices)?;
    }
    // Tests reach a remote device through a server of their own on the loopback interface.
    features.push("remote");
    let mut cargo = cargo_test(&features.join(","));
    if features.contains(&"tch") {
        options.libtorch.apply(&mut cargo)?;
    }
    cargo.env("BERT_TEST_DEVICES", devices.join(","));
    options.real.apply(&mut cargo)?;
    shell::run(&mut cargo)
}

/// The test command with the features that ship: the default ones, fusion and autotune among them, and `features`.
///
/// Chores have no backends, and a feature of a crate that they share with CubeCL would build that anew.
fn cargo_test(features: &str) -> Command {
    let mut cargo = shell::cargo();
    cargo.args(["test", "--release", "--workspace", "--exclude", "xtask"]);
    cargo.args(["--features", features]);
    cargo
}

impl RealFiles {
    /// Tells the tests where the files are, as absolute paths: each crate's tests run in a directory of their own.
    pub(crate) fn apply(&self, command: &mut Command) -> Result<()> {
        for (name, directory) in [
            ("BERT_DATA_DIR", &self.data),
            ("BERT_REAL_CHECKPOINT", &self.checkpoint),
        ] {
            if let Some(directory) = directory {
                let found = directory.canonicalize();
                command.env(
                    name,
                    found.with_context(|| format!("`{}` isn't there", directory.display()))?,
                );
            }
        }
        Ok(())
    }
}

impl LibTorch {
    /// Puts LibTorch in place and `command` in its environment. A LIBTORCH that is set already is left alone.
    ///
    /// # Errors
    /// If it can't be put in place.
    pub(crate) fn apply(&self, command: &mut Command) -> Result<()> {
        let chosen = ["LIBTORCH", "LIBTORCH_USE_PYTORCH"]
            .iter()
            .any(|name| std::env::var_os(name).is_some());
        let ours = cfg!(all(target_os = "linux", target_arch = "x86_64"));
        if self.dir.is_some() || (ours && !chosen) {
            let directory = libtorch::ensure(self.dir.as_deref(), Path::new(python::SYSTEM))?;
            command
                .env_remove("LIBTORCH_USE_PYTORCH")
                .envs(libtorch::environment(&directory)?);
        }
        Ok(())
    }
}

/// The backend behind a device label of this machine.
fn backend(label: &str) -> Option<&'static BackendInfo> {
    let backend = BackendInfo::named(label.split(':').next().unwrap_or_default())?;
    (backend.id != BackendId::Remote).then_some(backend)
}

/// The Cargo feature behind a device label.
pub(crate) fn feature(label: &str) -> Result<&'static str> {
    backend(label)
        .map(|backend| backend.feature)
        .with_context(|| {
            let labels: Vec<_> = BACKENDS
                .iter()
                .filter(|backend| backend.id != BackendId::Remote)
                .map(|backend| backend.labels)
                .collect();
            format!(
                "`{label}` is no device label; known are {}",
                labels.join(", ")
            )
        })
}

/// True if the device is reached through Vulkan here.
fn is_vulkan(label: &str) -> bool {
    let reached = [BackendId::Wgpu, BackendId::Vulkan, BackendId::WebGpu];
    cfg!(target_os = "linux") && backend(label).is_some_and(|backend| reached.contains(&backend.id))
}

/// Says now what would otherwise come out as an adapter not found, after a long build.
fn require_vulkan(devices: &[String]) -> Result<()> {
    let remedy = "install the driver of the graphics card (without a card, the legs of `cargo xtask parity` bring \
                  drivers that render on the processor), or leave the device out of --devices";
    if let Some(summary) = shell::output(Command::new("vulkaninfo").arg("--summary")) {
        let wants_cpu = devices
            .iter()
            .any(|label| is_vulkan(label) && label.ends_with(":cpu"));
        if !summary.contains("deviceName") {
            bail!("vulkaninfo finds no Vulkan device; {remedy}");
        }
        if wants_cpu && !summary.contains("PHYSICAL_DEVICE_TYPE_CPU") {
            bail!(
                "vulkaninfo finds no Vulkan device on the CPU, which a label with :cpu asks for; {remedy}"
            );
        }
        return Ok(());
    }
    // No vulkaninfo: a driver's manifest is the next best sign.
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    let directories =
        ["/usr/share", "/usr/local/share", "/etc"].map(|base| Path::new(base).join("vulkan/icd.d"));
    let manifest = directories
        .iter()
        .filter_map(|directory| directory.read_dir().ok())
        .flatten()
        .flatten();
    if !named
        && !manifest
            .map(|entry| entry.path())
            .any(|path| path.extension().is_some_and(|e| e == "json"))
    {
        bail!("no Vulkan driver is installed; {remedy}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_map_to_features() {
        assert_eq!(feature("libtorch:cuda:1").unwrap(), "tch");
        assert_eq!(feature("wgpu:cpu").unwrap(), "wgpu");
        assert_eq!(feature("cpu").unwrap(), "cpu");
        assert!(feature("gpu").unwrap_err().to_string().contains("`gpu`"));
        assert!(feature("").is_err());
        assert!(feature("remote:KEY@HOST:3000").is_err());
    }

    #[test]
    fn the_build_of_the_legs_has_known_features() {
        let known = |name| BACKENDS.iter().any(|backend| backend.feature == name);
        for feature in FEATURES.split(',') {
            assert!(known(feature) || feature == "dashboard", "{feature}");
        }
    }
}
