//! A run: every contestant on every case, each in a process of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use bert_core::config::BertConfig;
use bert_core::device::DeviceSpec;
use bert_core::models::Family;
use bert_core::tokenizer::BertTokenizer;

use crate::agreement::Agreement;
use crate::child::{Outcome, supervise};
use crate::contract::{INT8, Inputs, Job, Mode, Reply};
use crate::error::{Error, Result};
use crate::inputs::Words;
use crate::model;
use crate::peers::{Peer, Peers};
use crate::plan::{Model, ModelSource, Plan};
use crate::record::{Case, Measured, Record, Row, RowOutcome};

/// Runner of a plan, with the parts that the command supplies.
pub struct Runner<'a> {
    /// The command line, for the record.
    pub command_line: String,
    /// The process that answers a job file for a device: it prints the reply of [`device::measure`](crate::device::measure).
    pub device_command: &'a dyn Fn(&DeviceSpec, &Path) -> Command,
    /// Hears of every step.
    pub progress: &'a mut dyn FnMut(&str),
}

/// Device or peer that is measured.
#[derive(Clone, Debug)]
enum Contestant {
    Device(DeviceSpec),
    /// Flex with weights in 8 bits.
    Int8,
    Peer(Peer),
}

/// A case about to be measured.
struct Prepared<'a> {
    plan: &'a Plan,
    job: Job,
    job_file: PathBuf,
    peers: &'a Peers,
}

/// Parameter of an encoder whose gradient is compared, by our name.
const NORM_OF_EMBEDDINGS: &str = "embeddings.LayerNorm.weight";

/// Results that the others of a case are compared with, and whose they are.
type Reference = Option<(String, BTreeMap<String, Vec<f64>>)>;

/// Measures everything of `plan`; what goes wrong with one contestant is a row of the record.
///
/// # Errors
/// [`Error::Option`] for a plan that makes no sense, [`Error::NoCases`] if nothing is left of it, and those of the model's
/// files.
pub fn run(plan: &Plan, runner: Runner<'_>) -> Result<Record> {
    plan.check()?;
    let Runner {
        command_line,
        device_command,
        progress,
    } = runner;
    let mut record = Record::new(command_line, plan.limits);
    if record.machine.is_busy() {
        progress(&format!(
            "warning: others keep {:.0} % of the machine busy; these times will say little",
            record.machine.busy * 100.0
        ));
    }
    let scratch =
        tempfile::tempdir().map_err(|source| Error::io("make a temporary directory", source))?;
    let peers = Peers::new(&plan.peers_dir)?;
    let mut beyond = None;
    for chosen in &plan.models {
        let config = chosen.config()?;
        let (fitting, long): (Vec<usize>, Vec<usize>) = plan
            .seq_lengths
            .iter()
            .partition(|&&seq| seq <= config.max_input_length());
        for seq in long {
            let error = too_long(seq, &config);
            record.left_out.push(format!("{}: {error}", chosen.name));
            beyond = Some(error);
        }
        if fitting.is_empty() {
            continue;
        }
        let dir = open(plan, chosen, scratch.path(), progress)?;
        let contestants = contestants(plan, config.family, progress);
        let tokenizer = BertTokenizer::from_dir(&dir)?;
        // Words are drawn from the whole vocabulary.
        tokenizer.check_every_token(config.vocab_size)?;
        let words = Words::new(&tokenizer, &config, &dir)?;
        let lengths = plan.lengths.as_ref();
        let lengths = lengths
            .map(|lengths| lengths.resolve(&tokenizer))
            .transpose()?;
        for seq in fitting {
            for &batch in &plan.batch_sizes {
                let inputs = words.inputs(plan.mode, [batch, seq], lengths.as_deref(), plan.seed);
                let work = plan.work(&config, &inputs);
                let case = Case {
                    model: chosen.name.clone(),
                    mode: plan.mode,
                    dtype: plan.dtype.to_string(),
                    threads: plan.threads,
                    batch,
                    seq,
                };
                let name = format!("{} {batch} x {seq}", chosen.name);
                if plan.max_gflop.is_some_and(|most| work.flops > most * 1e9) {
                    let gflop = work.flops / 1e9;
                    record
                        .left_out
                        .push(format!("{name}: counts {gflop:.0} GFLOP"));
                    continue;
                }
                let prepared = Prepared::new(plan, &dir, &config, inputs, scratch.path(), &peers)?;
                let mut reference: Reference = None;
                let mut rows: Vec<Row> = Vec::new();
                for round in 0..plan.rounds {
                    for (at, contestant) in contestants.iter().enumerate() {
                        let outcome = match rows.get(at) {
                            Some(row) if row.measured().is_none() => continue, // as in the round before
                            _ => prepared.measure(contestant, device_command, &mut reference),
                        };
                        let row = Row {
                            contestant: contestant.label(),
                            is_peer: matches!(contestant, Contestant::Peer(_)),
                            case: case.clone(),
                            work,
                            outcome,
                        };
                        progress(&format!(
                            "{:<22} {name}: {}",
                            row.contestant,
                            one_line_summary(&row)
                        ));
                        match round {
                            0 => rows.push(row),
                            _ => rows[at].outcome.add(row.outcome),
                        }
                    }
                }
                record.rows.append(&mut rows);
            }
        }
        if matches!(chosen.source, ModelSource::Fresh(_)) {
            // Several large models would fill the disk.
            std::fs::remove_dir_all(&dir)
                .map_err(|source| Error::io(format!("remove {}", dir.display()), source))?;
        }
    }
    match (record.rows.is_empty(), plan.max_gflop, beyond) {
        (true, _, Some(error)) => Err(error),
        (true, Some(limit), None) => Err(Error::NoCases { limit }),
        _ => Ok(record),
    }
}

fn contestants(plan: &Plan, family: &Family, progress: &mut dyn FnMut(&str)) -> Vec<Contestant> {
    let mut contestants = Vec::new();
    for spec in &plan.devices {
        contestants.push(Contestant::Device(spec.clone()));
        if plan.int8 && *spec == DeviceSpec::Flex {
            if matches!(plan.mode, Mode::Forward | Mode::Embed) {
                contestants.push(Contestant::Int8);
            } else {
                progress(&format!(
                    "weights in 8 bits have no gradients: nothing to measure in mode {}",
                    plan.mode
                ));
            }
        }
    }
    for &peer in &plan.peers {
        if !peer.knows(family) {
            progress(&format!("{peer} has no model of {}", family.name));
        } else if peer.measures(plan.mode) {
            contestants.push(Contestant::Peer(peer));
        } else {
            progress(&format!(
                "{peer} has nothing to measure in mode {}",
                plan.mode
            ));
        }
    }
    contestants
}

/// An error about rows that are longer than `config` has positions.
fn too_long(seq: usize, config: &BertConfig) -> Error {
    Error::Option {
        option: "--seq-lengths",
        value: seq.to_string(),
        expected: format!(
            "at most {}, the positions of the model",
            config.max_input_length()
        ),
    }
}

/// The directory of a model, written if it is a fresh one.
fn open(
    plan: &Plan,
    chosen: &Model,
    scratch: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf> {
    match &chosen.source {
        ModelSource::Directory(dir) => Ok(dir.clone()),
        ModelSource::Fresh(config) => {
            progress(&format!("making a model {}", chosen.name));
            let dir = scratch.join("model");
            let device = plan.devices.first().unwrap_or(&DeviceSpec::Flex);
            model::write(config, plan.seed, device, &dir)?;
            Ok(dir)
        }
    }
}

fn one_line_summary(row: &Row) -> String {
    let time = row
        .measured()
        .map(|measured| format!("{:.1} ms", measured.seconds.median * 1e3));
    let parts: Vec<_> = time.into_iter().chain(row.trouble()).collect();
    parts.join(", ")
}

impl Contestant {
    fn label(&self) -> String {
        match self {
            Self::Device(spec) => spec.to_string(),
            Self::Int8 => format!("{} {INT8}", DeviceSpec::Flex),
            Self::Peer(peer) => peer.to_string(),
        }
    }
}

impl<'a> Prepared<'a> {
    fn new(
        plan: &'a Plan,
        model: &Path,
        config: &BertConfig,
        inputs: Inputs,
        scratch: &Path,
        peers: &'a Peers,
    ) -> Result<Self> {
        let cannot = |source| Error::io("write the job of a measurement", source);
        let job = Job {
            mode: plan.mode,
            model: std::path::absolute(model).map_err(cannot)?,
            dtype: plan.dtype.to_string(),
            device: plan.peer_device.clone(),
            threads: plan.threads,
            compared_gradient: config.family.file_name(NORM_OF_EMBEDDINGS, ""),
            seed: plan.seed,
            inputs,
            limits: plan.limits_of_a_round(),
        };
        let job_file = scratch.join("job.json");
        write(&job, &job_file)?;
        Ok(Self {
            plan,
            job,
            job_file,
            peers,
        })
    }

    /// A file with the same job in another type.
    fn write(&self, dtype: &str) -> Result<PathBuf> {
        let file = self.job_file.with_file_name(format!("job-{dtype}.json"));
        let job = Job {
            dtype: dtype.to_owned(),
            ..self.job.clone()
        };
        write(&job, &file)?;
        Ok(file)
    }

    /// Lets a contestant do the job; the first that can becomes the reference.
    fn measure(
        &self,
        contestant: &Contestant,
        device_command: &dyn Fn(&DeviceSpec, &Path) -> Command,
        reference: &mut Reference,
    ) -> RowOutcome {
        let mut command = match contestant {
            Contestant::Device(spec) => device_command(spec, &self.job_file),
            Contestant::Int8 => match self.write(INT8) {
                Ok(file) => device_command(&DeviceSpec::Flex, &file),
                Err(error) => {
                    let reason = error.to_string();
                    return RowOutcome::Failed { reason };
                }
            },
            Contestant::Peer(peer) => match self.peers.command(*peer, &self.job_file) {
                Ok(command) => command,
                Err(reason) => return RowOutcome::Failed { reason },
            },
        };
        for variable in ["RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
            command.env(variable, self.plan.threads.to_string());
        }
        let outcome = match supervise(command, self.plan.time_limit) {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed(format!("the process did not start: {error}")),
        };
        let output = match outcome {
            Outcome::Finished(output) => output,
            Outcome::Failed(message) => {
                // Before the error there may be notes, or a traceback.
                let last = message.lines().rev().find(|line| !line.trim().is_empty());
                let reason = last.unwrap_or("it gave no reason").trim();
                let reason = reason.trim_start_matches("error: ").to_owned();
                return RowOutcome::Failed { reason };
            }
            Outcome::Crashed(mut reason) => {
                if reason.contains("signal: 9") {
                    reason.push_str(", as where memory is exhausted");
                }
                return RowOutcome::Crashed { reason };
            }
            Outcome::Hung => {
                let limit = self.plan.time_limit.as_secs_f64();
                let reason = format!("not finished after {limit} s (--time-limit)");
                return RowOutcome::Hung { reason };
            }
        };
        let mut reply: Reply = match serde_json::from_str(&output) {
            Ok(reply) => reply,
            Err(error) => {
                let reason = format!("its answer is unreadable: {error}");
                return RowOutcome::Failed { reason };
            }
        };
        let values = std::mem::take(&mut reply.values);
        let dtype = match contestant {
            Contestant::Int8 | Contestant::Peer(Peer::OnnxRuntimeInt8) => INT8,
            // Ten bits of mantissa in its products.
            Contestant::Peer(Peer::TransformersTf32) => "tf32",
            _ => &self.job.dtype,
        };
        let agreement = reference
            .as_ref()
            .and_then(|(label, expected)| Agreement::of(&values, label, expected, dtype));
        if reference.is_none() {
            *reference = Some((contestant.label(), values));
        }
        RowOutcome::Ok(Box::new(Measured::new(reply, agreement)))
    }
}

fn write(job: &Job, file: &Path) -> Result<()> {
    let text = serde_json::to_vec(job).expect("jobs always serialise");
    std::fs::write(file, text).map_err(|source| Error::io("write the job of a measurement", source))
}
