//! A device is believed once it has passed its self-test in a process of its own, with this build.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use benchmarks::child::{Outcome, Program, supervise};
use bert_core::Error;
use bert_core::device::{
    Device, DeviceSpec, GpuApi, Measurement, Precision, Proof, ProofSubject, compiled_backends,
    remote_token_environment,
};
use bert_core::files::cache_dir;

use super::note::note;

/// Seconds after which a self-test counts as hung, unless `BERT_PROOF_SECONDS` says otherwise: software rasterisers take a
/// minute to compile and tune what a GPU does in seconds.
const PATIENCE: u64 = 600;

/// The option that uses a device without its proof.
#[derive(clap::Args)]
pub(crate) struct ProofArgs {
    /// Use the device even if it has not passed its self-test, whose results may then be wrong
    #[arg(long)]
    pub(crate) unproven_device: bool,
}

impl ProofArgs {
    /// Opens a device that is proven in all of `precisions`.
    pub(crate) fn open(&self, spec: &DeviceSpec, precisions: &[Precision]) -> Result<Device> {
        self.require(spec, precisions)?;
        Ok(spec.open()?)
    }

    /// Proves the device where that has not happened yet.
    ///
    /// # Errors
    /// If it fails its self-test, crashes in it or does not end it.
    pub(crate) fn require(&self, spec: &DeviceSpec, precisions: &[Precision]) -> Result<()> {
        if !spec.wants_proof() || !spec.is_compiled() {
            return Ok(());
        }
        if self.unproven_device {
            note(format_args!(
                "device {spec} is used unproven (--unproven-device): its results may be wrong"
            ));
            return Ok(());
        }
        // Opening says best what is missing.
        if spec.adapter().is_none() {
            return Ok(());
        }
        for &precision in precisions {
            let proving = Proving::of(spec, precision)?;
            if proving.recall().is_none() {
                note(format_args!(
                    "proving {spec} in {precision}{}: its first use with this build",
                    proving.adapter()
                ));
                let proof = proving.run(Duration::from_secs(patience()))?;
                note(format_args!(
                    "proved {spec} in {precision}: {}",
                    Summary(&proof)
                ));
            }
        }
        Ok(())
    }
}

fn patience() -> u64 {
    std::env::var("BERT_PROOF_SECONDS")
        .ok()
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or(PATIENCE)
}

/// A device and float type that are to be proven, or have been.
pub(crate) struct Proving {
    spec: DeviceSpec,
    precision: Precision,
    subject: ProofSubject,
    cache: Option<PathBuf>,
}

/// End of a self-test without a proof.
#[derive(Debug)]
pub(crate) enum Unproven {
    /// The device differs from the reference.
    Differs(Vec<Measurement>),
    /// The process reported an error.
    Failed(String),
    /// The process crashed.
    Crashed(String),
    /// The process did not end in time.
    Hung(u64),
}

impl Proving {
    pub(crate) fn of(spec: &DeviceSpec, precision: Precision) -> Result<Self> {
        Ok(Self {
            spec: spec.clone(),
            precision,
            subject: ProofSubject::of(spec, precision, build()?),
            cache: cache_dir(),
        })
    }

    /// The proof from an earlier run.
    pub(crate) fn recall(&self) -> Option<Proof> {
        self.subject.recall(self.cache.as_deref()?)
    }

    fn adapter(&self) -> String {
        match self.subject.adapter.as_str() {
            "" => String::new(),
            adapter => format!(" ({adapter})"),
        }
    }

    fn run(&self, limit: Duration) -> Result<Proof> {
        self.attempt(limit).map_err(|unproven| match unproven {
            // It could not be opened, and says why.
            Unproven::Failed(reason) if reason.starts_with("device `") => anyhow!(reason),
            unproven => Error::DeviceUnfit {
                label: self.spec.to_string(),
                reason: format!(
                    "{unproven}{}; --unproven-device uses it all the same",
                    remedy(&self.spec)
                ),
            }
            .into(),
        })
    }

    /// Runs the self-test and remembers a proof; a failure forgets the one that was there.
    pub(crate) fn attempt(&self, limit: Duration) -> Result<Proof, Unproven> {
        let start = Instant::now();
        let measured = self.measured(limit);
        let Some(cache) = &self.cache else {
            return measured.map(|measured| self.proof(measured, start));
        };
        match measured {
            Ok(measured) => {
                let proof = self.proof(measured, start);
                if let Err(error) = proof.remember(cache) {
                    note(format_args!(
                        "the proof is not remembered, and every run makes it again: {error}"
                    ));
                }
                Ok(proof)
            }
            Err(unproven) => {
                self.subject.forget(cache);
                self.spec.forget_tuning();
                Err(unproven)
            }
        }
    }

    fn proof(&self, measured: Vec<Measurement>, start: Instant) -> Proof {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Proof {
            subject: self.subject.clone(),
            measured,
            seconds: start.elapsed().as_secs_f64(),
            unix_time: since.map_or(0, |since| since.as_secs()),
        }
    }

    fn measured(&self, limit: Duration) -> Result<Vec<Measurement>, Unproven> {
        let label = self.spec.to_string();
        let dtype = self.precision.to_string();
        let outcome = child(&["--self-test", &label, "--dtype", &dtype], limit);
        let output = match outcome {
            Outcome::Finished(output) => output,
            Outcome::Failed(reason) => return Err(Unproven::Failed(last_line(&reason))),
            Outcome::Crashed(reason) => return Err(Unproven::Crashed(reason)),
            Outcome::Hung => return Err(Unproven::Hung(limit.as_secs())),
        };
        let measured: Vec<Measurement> = serde_json::from_str(&output)
            .map_err(|error| Unproven::Failed(format!("its result is unreadable: {error}")))?;
        if measured.is_empty() {
            return Err(Unproven::Failed("it measured nothing".to_owned()));
        }
        if !measured.iter().all(Measurement::is_within_bar) {
            return Err(Unproven::Differs(measured));
        }
        Ok(measured)
    }
}

impl Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs(measured) => {
                let wrong = measured.iter().filter(|found| !found.is_within_bar());
                let wrong: Vec<_> = wrong
                    .map(|found| {
                        let Measurement {
                            what,
                            difference,
                            bar,
                        } = found;
                        if *difference == f64::MAX {
                            return format!("{what} (not a number)");
                        }
                        format!("{what} (by {difference:.1e}, where {bar:.0e} is allowed)")
                    })
                    .collect();
                write!(
                    f,
                    "in its self-test it differs from the reference in {}",
                    wrong.join(", ")
                )
            }
            Self::Failed(reason) => write!(f, "its self-test failed: {reason}"),
            Self::Crashed(reason) => write!(f, "its self-test crashed ({reason})"),
            Self::Hung(seconds) => write!(
                f,
                "its self-test did not end in {seconds} s (BERT_PROOF_SECONDS sets the limit)"
            ),
        }
    }
}

/// The end of a child's message: notes come before the error.
fn last_line(message: &str) -> String {
    let last = message.lines().rev().find(|line| !line.trim().is_empty());
    let last = last.unwrap_or("it gave no reason").trim();
    last.trim_start_matches("error: ").to_owned()
}

/// Other ways to the same or another device.
fn remedy(spec: &DeviceSpec) -> &'static str {
    match spec {
        DeviceSpec::Gpu {
            api: GpuApi::Vulkan | GpuApi::Metal,
            ..
        } => {
            ": update the graphics driver, try `wgpu` in place of the label's first word or another adapter (`bert doctor` \
             lists them), or build without that feature"
        }
        DeviceSpec::Gpu { .. } => {
            ": update the graphics driver, or try another adapter (`bert doctor` lists them) or another backend (`--features`)"
        }
        DeviceSpec::Cuda(_) | DeviceSpec::Rocm(_) => {
            ": update the driver, or try the same card through `vulkan` or `wgpu` (`--features vulkan`)"
        }
        _ => ": try another device (`bert doctor` lists them)",
    }
}

/// The numbers of a proof for a person.
pub(crate) struct Summary<'a>(pub(crate) &'a Proof);

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (forward, gradients) = worst(&self.0.measured);
        let seconds = self.0.seconds;
        write!(
            f,
            "max |difference| {forward:.1e}, gradients {gradients:.1e}, {seconds:.1} s"
        )
    }
}

/// Largest differences of forward values and of gradients.
pub(crate) fn worst(measured: &[Measurement]) -> (f64, f64) {
    let largest = |gradient: bool| {
        let those = measured
            .iter()
            .filter(|found| found.is_gradient() == gradient);
        those.map(|found| found.difference).fold(0.0, f64::max)
    };
    (largest(false), largest(true))
}

/// This program as proofs know it: another build is another program, even of one version.
fn build() -> Result<String> {
    let program = Program::this().context("cannot find this program")?;
    let about = std::fs::metadata(&program.file)
        .with_context(|| format!("cannot read {}", program.file.display()))?;
    let modified = about.modified().ok();
    let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok(format!(
        "bert {} ({}; {} bytes of {})",
        env!("CARGO_PKG_VERSION"),
        compiled_backends().join(","),
        about.len(),
        modified.unwrap_or_default().as_secs()
    ))
}

/// Runs `bert doctor` with internal arguments.
pub(crate) fn child(arguments: &[&str], limit: Duration) -> Outcome {
    let supervised = Program::this().and_then(|program| {
        let mut command = program.command();
        command.arg("doctor").args(arguments);
        command.envs(remote_token_environment());
        supervise(command, limit)
    });
    match supervised {
        Ok(outcome) => outcome,
        Err(error) => Outcome::Failed(format!("the child process did not start: {error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_differed() {
        let right = Measurement {
            what: "hidden states, packed".to_owned(),
            difference: 3e-6,
            bar: 1e-5,
        };
        let wrong = Measurement {
            what: "hidden states, padded".to_owned(),
            difference: 3.8,
            bar: 1e-5,
        };
        let none = Measurement {
            what: "gradients, packed".to_owned(),
            difference: f64::MAX,
            bar: 1e-4,
        };
        let message = Unproven::Differs(vec![right, wrong, none]).to_string();
        assert_eq!(
            message,
            "in its self-test it differs from the reference in hidden states, padded (by 3.8e0, where 1e-5 is allowed), \
             gradients, packed (not a number)"
        );
    }

    #[test]
    fn the_last_line_of_a_message_is_its_error() {
        assert_eq!(last_line("device: x\nerror: no driver\n"), "no driver");
        assert_eq!(last_line(""), "it gave no reason");
    }
}
