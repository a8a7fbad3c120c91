//! Job and reply of a measuring process: the same JSON for a device of ours and for a peer.
//!
//! The candle peer includes this file, so it knows nothing but `serde`; the Python peers read and write the same fields.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Workload of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The encoder with its pooler, without gradients.
    Forward,
    /// Both passes, without dropout: gradients of all parameters.
    Backward,
    /// An optimizer step of a classifier over two classes: dropout, both passes, clipping, AdamW.
    Train,
    /// An optimizer step of the pretraining heads: both of BERT, the masked LM of a family without next sentences.
    Pretrain,
    /// Texts to sentence vectors on the host, tokenisation and batching included.
    Embed,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 5] = [
        Self::Forward,
        Self::Backward,
        Self::Train,
        Self::Pretrain,
        Self::Embed,
    ];
}

impl Display for Mode {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
            Self::Train => "train",
            Self::Pretrain => "pretrain",
            Self::Embed => "embed",
        })
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.to_string() == name)
            .ok_or_else(|| {
                let names = Self::ALL.map(|mode| mode.to_string()).join(", ");
                format!("`{name}` is none of {names}")
            })
    }
}

/// The [`dtype`](Job::dtype) that stands for 32-bit floats with the encoder's weights in 8 bits.
pub const INT8: &str = "int8";

/// One thing to measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Workload to measure.
    pub mode: Mode,
    /// Model directory in the Hugging Face layout.
    pub model: PathBuf,
    /// Float type to compute in: f32, f16 or bf16; or [`INT8`].
    pub dtype: String,
    /// Device of a peer, `cpu` or `cuda`; a device of ours is named on the command line of its process.
    pub device: String,
    /// Threads to compute with; the process also finds them in its environment.
    pub threads: usize,
    /// Name in the files of the parameter whose gradient is compared, of an encoder alone.
    pub compared_gradient: String,
    /// Seed of fresh heads and of dropout.
    pub seed: u64,
    /// Batch to compute on.
    pub inputs: Inputs,
    /// Limits of the measurement.
    pub limits: Limits,
}

/// A batch on the host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// `[batch, seq]`.
    pub shape: [usize; 2],
    /// `[batch, seq]` token ids, row by row.
    pub input_ids: Vec<i64>,
    /// `[batch, seq]` segments.
    pub token_type_ids: Vec<i64>,
    /// `[batch, seq]`, 1 where a token counts and 0 at padding.
    pub attention_mask: Vec<i64>,
    /// `[batch]` classes, 0 or 1, for [`Mode::Train`].
    pub classes: Vec<i64>,
    /// `[n]` masked positions, each `row * seq + column`, for [`Mode::Pretrain`].
    pub positions: Vec<i64>,
    /// `[n]` tokens at these positions.
    pub labels: Vec<i64>,
    /// `[batch]`, 0 where the second segment follows the first; empty for a family without next sentences.
    pub next_sentence: Vec<i64>,
    /// `[batch]` texts that tokenise to the rows above, for [`Mode::Embed`].
    pub texts: Vec<String>,
}

/// Limits of a measurement, after the first iteration.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Seconds after which warming up ends even if times still change.
    pub warmup_seconds: f64,
    /// Seconds to collect samples for.
    pub seconds: f64,
    /// Samples to collect even if that takes longer; at least 1.
    pub min_samples: usize,
    /// Samples after which it is enough.
    pub max_samples: usize,
}

/// Times of iterations in seconds, in the order in which they ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// The first iteration, with whatever is compiled, tuned or allocated once.
    pub first: f64,
    /// Those until times settled.
    pub warmup: Vec<f64>,
    /// True if the times settled during the warm-up.
    pub settled: bool,
    /// Those that count.
    pub samples: Vec<f64>,
}

/// Reply that a measuring process prints on standard output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Seconds per iteration.
    pub timing: Timing,
    /// Floating-point operations per second of a large matrix product.
    #[serde(default)]
    pub peak_flops: Option<f64>,
    /// Peak of the process' memory, weights included, in bytes.
    #[serde(default)]
    pub host_memory: Option<u64>,
    /// Memory reserved on the device after the last iteration, in bytes.
    #[serde(default)]
    pub device_memory: Option<u64>,
    /// Memory after every [`MEMORY_EVERY`]th iteration: flat, or a leak.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memory: Vec<MemoryPoint>,
    /// Versions by name.
    #[serde(default)]
    pub software: BTreeMap<String, String>,
    /// The hardware, where the process knows it.
    #[serde(default)]
    pub adapter: Option<Adapter>,
    /// Values computed before the timing, by name: `output`, and `grad.…` for gradients.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Vec<f64>>,
}

/// Memory in use after an iteration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPoint {
    /// Number of the iteration, the first and those of warming up counted.
    pub iteration: usize,
    /// Physical memory of the process, in bytes.
    pub host: Option<u64>,
    /// Memory that the device's allocator has reserved, in bytes.
    pub device: Option<u64>,
}

/// Iterations between two looks at the memory in use.
pub const MEMORY_EVERY: usize = 10;

/// Rows of a batch whose results are compared.
pub const COMPARED_ROWS: usize = 8;

/// The gradient that is compared in [`Mode::Backward`], by the name of the parameter in BERT.
pub const COMPARED_GRADIENT: &str = "grad.embeddings.LayerNorm.weight";

/// The hardware behind a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// "NVIDIA H100", …
    pub name: String,
    /// Name and version of its driver, where there is one.
    pub driver: String,
    /// The interface it is driven through.
    pub api: String,
    /// Kind of hardware.
    pub kind: String,
}
