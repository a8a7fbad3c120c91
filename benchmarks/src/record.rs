//! Record of a run, as it is kept in a file.

use std::path::Path;

use bert_core::files::write_atomically;
use serde::{Deserialize, Serialize};

use crate::agreement::Agreement;
use crate::contract::{Limits, Mode, Reply};
use crate::cost::Work;
use crate::error::{Error, Result};
use crate::machine::{Build, Machine};
use crate::stats::Summary;

/// The layout of the file; another number is refused.
const FORMAT: u32 = 1;

/// A run of measurements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Layout of the file.
    pub format: u32,
    /// The command line.
    pub command: String,
    /// Time of the start, in seconds since 1970.
    pub started: u64,
    /// Machine that is measured.
    pub machine: Machine,
    /// Build that measures.
    pub build: Build,
    /// Limits of each measurement.
    pub limits: Limits,
    /// One per contestant and case, in the order in which they ran.
    pub rows: Vec<Row>,
    /// Cases that were left out because they count too many operations.
    pub left_out: Vec<String>,
}

/// Result of one contestant in one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// A device label or the name of a peer.
    pub contestant: String,
    /// True for a peer, false for a device of ours.
    pub is_peer: bool,
    /// Measured case.
    pub case: Case,
    /// Work of one iteration.
    pub work: Work,
    /// Outcome of the measurement.
    pub outcome: RowOutcome,
}

/// Measured case, without the contestant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Case {
    /// Preset, directory name or hub id.
    pub model: String,
    /// Timed workload.
    pub mode: Mode,
    /// Float type.
    pub dtype: String,
    /// Threads on the processor.
    pub threads: usize,
    /// Rows, or texts for [`Mode::Embed`].
    pub batch: usize,
    /// Tokens of a row with padding; for [`Mode::Embed`] the longest text.
    pub seq: usize,
}

/// Outcome of a measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum RowOutcome {
    /// With samples.
    Ok(Box<Measured>),
    /// With an error message.
    Failed {
        /// The message.
        reason: String,
    },
    /// By a signal or a panic.
    Crashed {
        /// Which.
        reason: String,
    },
    /// Not before the time limit.
    Hung {
        /// The limit.
        reason: String,
    },
}

/// Measurement, with the values derived from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Everything the process answered but the values, which were for the comparison.
    #[serde(flatten)]
    pub reply: Reply,
    /// Summary of the samples of all rounds, in seconds.
    pub seconds: Summary,
    /// The median of each round, in seconds.
    #[serde(default)]
    pub rounds: Vec<f64>,
    /// Agreement with the results of the first contestant; none for that one.
    pub agreement: Option<Agreement>,
}

impl Measured {
    /// Measurement of a first round.
    pub(crate) fn new(reply: Reply, agreement: Option<Agreement>) -> Self {
        let seconds = Summary::of(&reply.timing.samples);
        Self {
            reply,
            seconds,
            rounds: vec![seconds.median],
            agreement,
        }
    }

    /// Adds another round; what is slow only once, and the versions, stay those of the first.
    fn add(&mut self, other: Self) {
        let (timing, more) = (&mut self.reply.timing, other.reply.timing);
        timing.settled &= more.settled;
        timing.warmup.extend(more.warmup);
        timing.samples.extend(more.samples);
        self.seconds = Summary::of(&timing.samples);
        let rounds = self.rounds.len() as f64;
        if let (Some(mean), Some(more)) = (&mut self.reply.peak_flops, other.reply.peak_flops) {
            *mean += (more - *mean) / (rounds + 1.0);
        }
        self.rounds.extend(other.rounds);
        self.reply.host_memory = self.reply.host_memory.max(other.reply.host_memory);
        self.reply.device_memory = self.reply.device_memory.max(other.reply.device_memory);
        if other.agreement.as_ref().is_some_and(|found| !found.agrees) {
            self.agreement = other.agreement;
        }
    }

    /// Noise of the median in seconds, by which it may move without anything having changed: the notch of the samples, or
    /// half of the range of the rounds' medians where that is more.
    pub fn noise(&self) -> f64 {
        let rounds = Summary::of(&self.rounds);
        self.seconds.notch().max((rounds.max - rounds.min) / 2.0)
    }
}

impl RowOutcome {
    /// Adds what another round came to; one that fails fails the row.
    pub(crate) fn add(&mut self, other: Self) {
        match (self, other) {
            (Self::Ok(measured), Self::Ok(more)) => measured.add(*more),
            (own, other) => *own = other,
        }
    }
}

impl Row {
    /// The measurement, where there is one.
    pub fn measured(&self) -> Option<&Measured> {
        match &self.outcome {
            RowOutcome::Ok(measured) => Some(measured),
            _ => None,
        }
    }

    /// Description of a failure or disagreement, where there is one: "crashed: signal: 11".
    pub fn trouble(&self) -> Option<String> {
        match &self.outcome {
            RowOutcome::Ok(measured) => {
                let agreement = measured.agreement.as_ref().filter(|found| !found.agrees)?;
                Some(format!(
                    "DISAGREES with {}: {} differs by {:.1e}",
                    agreement.reference, agreement.worst, agreement.difference
                ))
            }
            RowOutcome::Failed { reason } => Some(format!("failed: {reason}")),
            RowOutcome::Crashed { reason } => Some(format!("crashed: {reason}")),
            RowOutcome::Hung { reason } => Some(format!("hung: {reason}")),
        }
    }

    /// `amount` of an iteration per second, by the median.
    fn rate(&self, amount: f64) -> Option<f64> {
        let median = self.measured()?.seconds.median;
        (median > 0.0).then(|| amount / median)
    }

    /// Rows or texts per second.
    pub fn sequences_per_second(&self) -> Option<f64> {
        self.rate(self.work.sequences as f64)
    }

    /// Tokens per second, padding left out.
    pub fn tokens_per_second(&self) -> Option<f64> {
        self.rate(self.work.tokens as f64)
    }

    /// Tokens per second, padding included.
    pub fn padded_tokens_per_second(&self) -> Option<f64> {
        self.rate(self.work.padded_tokens as f64)
    }

    /// Counted operations per second.
    pub fn flops_per_second(&self) -> Option<f64> {
        self.rate(self.work.flops)
    }

    /// Share of the rate of a large matrix product in the same process.
    pub fn share_of_peak(&self) -> Option<f64> {
        let peak = self.measured()?.reply.peak_flops?;
        Some(self.flops_per_second()? / peak)
    }
}

impl Record {
    /// A record without rows.
    pub(crate) fn new(command: String, limits: Limits) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            format: FORMAT,
            command,
            started: now.map_or(0, |since| since.as_secs()),
            machine: Machine::here(),
            build: Build::this(),
            limits,
            rows: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Core`] naming the file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).expect("records always serialise");
        text.push('\n');
        Ok(write_atomically(path, text.as_bytes())?)
    }

    /// Reads a file that [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Record`] for anything else.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::io(format!("read {}", path.display()), source))?;
        let refuse = |reason: String| Error::Record {
            path: path.to_owned(),
            reason,
        };
        let record: Self =
            serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
        if record.format != FORMAT {
            return Err(refuse(format!(
                "its format is {}, and this version reads {FORMAT}",
                record.format
            )));
        }
        Ok(record)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::contract::Timing;

    /// A row of a device with these samples.
    pub(crate) fn row(contestant: &str, batch: usize, samples: &[f64]) -> Row {
        Row {
            contestant: contestant.to_owned(),
            is_peer: false,
            case: Case {
                model: "tiny".to_owned(),
                mode: Mode::Forward,
                dtype: "f32".to_owned(),
                threads: 2,
                batch,
                seq: 13,
            },
            work: Work {
                sequences: batch,
                tokens: 7 * batch,
                padded_tokens: 13 * batch,
                flops: 1e9 * batch as f64,
            },
            outcome: RowOutcome::Ok(Box::new(Measured {
                reply: Reply {
                    timing: Timing {
                        first: 2.5,
                        warmup: vec![1.5],
                        settled: true,
                        samples: samples.to_vec(),
                    },
                    peak_flops: Some(1e11),
                    host_memory: Some(300 << 20),
                    ..Reply::default()
                },
                seconds: Summary::of(samples),
                rounds: vec![Summary::of(samples).median],
                agreement: None,
            })),
        }
    }

    /// A record of these rows, on no machine in particular.
    pub(crate) fn record(rows: Vec<Row>) -> Record {
        let limits = Limits {
            warmup_seconds: 1.0,
            seconds: 1.0,
            min_samples: 1,
            max_samples: 5,
        };
        Record {
            rows,
            machine: Machine {
                threads: 2,
                ..Machine::default()
            },
            ..Record::new("bert bench".to_owned(), limits)
        }
    }

    #[test]
    fn a_record_comes_back_from_its_file() {
        let mut crashed = row("libtorch", 8, &[]);
        crashed.outcome = RowOutcome::Crashed {
            reason: "signal: 11".to_owned(),
        };
        let record = record(vec![row("flex", 8, &[0.5, 0.25]), crashed]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        record.write(&path).unwrap();
        assert_eq!(Record::read(&path).unwrap(), record);
    }

    #[test]
    fn other_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        let read = || Record::read(&path).unwrap_err().to_string();
        assert!(read().contains("a.json"));
        std::fs::write(&path, "{}").unwrap();
        assert!(read().contains("is not a record"), "{}", read());
        let newer = Record {
            format: 9,
            ..record(vec![])
        };
        newer.write(&path).unwrap();
        assert!(read().contains("its format is 9"), "{}", read());
    }

    #[test]
    fn rounds_add_up_and_one_that_fails_fails_the_row() {
        let mut first = row("flex", 8, &[1.0, 1.0, 1.2]);
        first.outcome.add(row("flex", 8, &[2.0, 2.0, 2.2]).outcome);
        let measured = first.measured().unwrap();
        assert_eq!(measured.rounds, [1.0, 2.0]);
        assert_eq!((measured.seconds.count, measured.seconds.median), (6, 1.6));
        assert!(measured.noise() >= 0.5);
        assert_eq!(measured.reply.peak_flops, Some(1e11));
        first.outcome.add(RowOutcome::Hung {
            reason: "late".to_owned(),
        });
        assert_eq!(first.trouble().unwrap(), "hung: late");
    }

    #[test]
    fn rates_follow_from_the_median() {
        let row = row("flex", 8, &[0.5, 0.25, 1.0]);
        assert_eq!(row.sequences_per_second(), Some(16.0));
        assert_eq!(row.tokens_per_second(), Some(112.0));
        assert_eq!(row.padded_tokens_per_second(), Some(208.0));
        assert_eq!(row.flops_per_second(), Some(16e9));
        assert_eq!(row.share_of_peak(), Some(0.16));
        assert_eq!(row.trouble(), None);
    }

    #[test]
    fn a_device_that_disagrees_is_marked() {
        let mut row = row("flex", 8, &[0.5]);
        if let RowOutcome::Ok(measured) = &mut row.outcome {
            measured.agreement = Some(Agreement {
                reference: "libtorch".to_owned(),
                worst: "output".to_owned(),
                difference: 0.25,
                agrees: false,
            });
        }
        assert!(row.trouble().unwrap().contains("DISAGREES with libtorch"));
    }
}
