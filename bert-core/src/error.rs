//! The one error type of this crate.

mod remote;

use std::path::PathBuf;

pub use remote::RemoteError;

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong between a file on disk and a tensor on a device.
///
/// Messages are a fact followed by the remedy; causes are reached through
/// [`source`](std::error::Error::source), so that `{:#}` of `anyhow` prints the whole chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// Attempted action: "read", "write", "create", …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A directory lacks every file that could play a part.
    #[error("{} holds none of {}: {remedy}", dir.display(), looked_for.join(", "))]
    FileMissing {
        /// The model directory.
        dir: PathBuf,
        /// The names that were tried, in order of preference.
        looked_for: Vec<String>,
        /// Remedy.
        remedy: String,
    },
    /// A file is there but is not what its name promises.
    #[error("{} is not a valid {format} file: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// "config.json", "safetensors", "PyTorch checkpoint", …
        format: &'static str,
        /// Position and cause of the failure.
        reason: String,
    },
    /// A field of the configuration is absent, of the wrong type or out of range.
    #[error("config field `{field}`: {reason}")]
    Config {
        /// The field as spelled in `config.json`.
        field: String,
        /// Fault of the field and the accepted values.
        reason: String,
    },
    /// A tensor of the checkpoint does not fit the parameter of the same name.
    #[error(
        "tensor `{name}` has shape {found:?} in the checkpoint, but the model expects {expected:?}: check that config.json belongs to these weights"
    )]
    ShapeMismatch {
        /// Name in Hugging Face spelling.
        name: String,
        /// Shape the configuration asks for.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// Parameters without a tensor in the checkpoint, under strict loading.
    #[error("{} tensor(s) missing from the checkpoint ({}): check that config.json belongs to these weights; in Rust, `Loading::Partial` gives them fresh values", names.len(), crate::error::abridged(names))]
    MissingTensors {
        /// Names in Hugging Face spelling.
        names: Vec<String>,
    },
    /// A tensor's element type cannot become a weight.
    #[error(
        "tensor `{name}` has element type {found}, which is not a float type this loader reads (F64, F32, F16, BF16)"
    )]
    UnsupportedDType {
        /// Name in the file.
        name: String,
        /// The element type as the file spells it.
        found: String,
    },
    /// Tokenizer files are missing, inconsistent or refuse the text.
    #[error("tokenizer: {reason}")]
    Tokenizer {
        /// Fault and remedy.
        reason: String,
        /// The cause in the `tokenizers` crate, where there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A directory holds another run than the one asked for, or one that cannot be taken up again.
    #[error("{} {reason}", dir.display())]
    Run {
        /// The output directory.
        dir: PathBuf,
        /// Obstacle and remedy.
        reason: String,
    },
    /// A run cannot go on.
    #[error("training: {reason}")]
    Training {
        /// Cause and remedy.
        reason: String,
    },
    /// Training whose numbers are not finite any more.
    #[error(
        "{quantity} is not finite at step {step}: lower the learning rate, warm up longer or clip harder{remains}"
    )]
    Diverged {
        /// The loss, the gradient norm or a weight, with its value or name.
        quantity: String,
        /// Optimizer steps taken.
        step: u64,
        /// The checkpoint from before and how to resume from it, after a semicolon; empty where no run is written.
        remains: String,
    },
    /// A device that failed while it computed.
    #[error("the device failed during {operation} ({cause}): {remedy}")]
    DeviceFailed {
        /// The operation under way.
        operation: String,
        /// The message of the driver or runtime.
        cause: String,
        /// Ways out, and for training the checkpoint that remains.
        remedy: String,
    },
    /// The dashboard was asked for where it cannot be drawn.
    #[error("the dashboard cannot be drawn because {reason}: {remedy}, or choose plain lines")]
    NoDashboard {
        /// Obstacle to drawing it.
        reason: String,
        /// Way to have it drawn.
        remedy: &'static str,
    },
    /// Token ids the model has no embedding for.
    #[error(
        "token id {id} of the tokenizer is outside the model's vocabulary of {vocab_size}: tokenizer and weights do not belong together, or the token was added without a row for it in the embeddings"
    )]
    VocabularyMismatch {
        /// The largest id seen or possible.
        id: usize,
        /// `vocab_size` of the configuration.
        vocab_size: usize,
    },
    /// A segment id the model has no embedding for.
    #[error(
        "segment {segment} (counted from 0) of the input is outside the model's {segments} segment(s), `type_vocab_size` of config.json: give single texts instead of pairs, or use a model of two segments"
    )]
    SegmentMismatch {
        /// The segment id.
        segment: usize,
        /// `type_vocab_size` of the configuration.
        segments: usize,
    },
    /// An input is longer than the position embeddings reach.
    #[error(
        "sequence of {length} tokens exceeds the model's {maximum} positions: truncate or split the text"
    )]
    TooLong {
        /// Tokens in the input.
        length: usize,
        /// `max_position_embeddings`.
        maximum: usize,
    },
    /// A batch without rows, or whose rows are all empty.
    #[error("the batch holds no tokens: give it at least one text")]
    EmptyBatch,
    /// A device label that cannot be parsed.
    #[error("device `{label}`: {reason}")]
    DeviceLabel {
        /// Label or value as given.
        label: String,
        /// Fault of the label and the labels that exist.
        reason: String,
    },
    /// A backend that this binary was built without.
    #[error(
        "device `{label}` needs the Cargo feature `{feature}`, which this build lacks (it has: {compiled}): rebuild with `--features {feature}`"
    )]
    BackendNotCompiled {
        /// Label or value as given.
        label: String,
        /// The missing feature.
        feature: &'static str,
        /// The features that are present.
        compiled: String,
    },
    /// A device that the backend does not find on this machine.
    #[error("device `{label}` is not present: {reason}")]
    DeviceNotFound {
        /// Label or value as given.
        label: String,
        /// Reason, and the devices that are there instead.
        reason: String,
    },
    /// A device that is there, and that the backend would compute wrongly on or not at all.
    #[error("device `{label}` cannot be used: {reason}")]
    DeviceUnfit {
        /// Label or value as given.
        label: String,
        /// Lack or difference, and the alternative.
        reason: String,
    },
    /// A buffer beyond what the graphics adapter gives out in one piece.
    #[error(
        "{what} would take {:.1} MiB in one buffer, and this device allows {:.1} MiB: {remedy}",
        mebibytes(*bytes), mebibytes(*limit)
    )]
    BufferTooLarge {
        /// Purpose of the buffer.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// The largest size there.
        limit: u64,
        /// Remedy.
        remedy: &'static str,
    },
    /// A remote device, or a worker that offers devices.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// An environment variable with a value that means nothing.
    #[error("environment variable {name} is `{value}`: set it to {allowed}, or to nothing")]
    InvalidVariable {
        /// The variable.
        name: &'static str,
        /// Current value.
        value: String,
        /// Accepted values.
        allowed: &'static str,
    },
    /// An element type the device does not compute in.
    #[error("device `{label}` does not compute in {dtype}: use one of {supported}")]
    DTypeNotSupported {
        /// The device.
        label: String,
        /// The requested element type.
        dtype: String,
        /// Supported element types.
        supported: String,
    },
    /// Weights in bf16 on a device that does not run our kernels.
    #[error(
        "device `{device}` does not hold weights in bf16: only flex, ndarray and libtorch with our kernels do, so leave them in 32 bits or use flex"
    )]
    BFloat16NotSupported {
        /// The device.
        device: String,
    },
    /// Weights in bf16 on a processor without instructions for them.
    #[error(
        "this processor has neither AMX nor AVX-512 BF16, without which bf16 is slower than f32: compute in f32"
    )]
    NoBFloat16Instructions,
    /// Weights in 8 bits on a device without kernels for them.
    #[error(
        "device `{device}` does not compute with weights in 8 bits: only flex does, so leave them in 32 bits or use flex"
    )]
    Int8NotSupported {
        /// The device.
        device: String,
    },
    /// Weights that cannot be held in 8 bits.
    #[error(
        "`{name}` has weights that are not finite, which 8 bits cannot hold: the checkpoint is damaged"
    )]
    NotFinite {
        /// The parameter.
        name: String,
    },
    /// An element type asked for after the device has settled on another.
    #[error(
        "device `{label}` computes in {settled} already, so {dtype} comes too late: choose it before anything is made on the device"
    )]
    DTypeSettled {
        /// The device.
        label: String,
        /// The requested element type.
        dtype: String,
        /// The element type it has.
        settled: String,
    },
    /// A model id that could not be fetched from the hub.
    #[error("hub model `{id}`: {reason}")]
    Hub {
        /// `owner/name`.
        id: String,
        /// Failure and remedy.
        reason: String,
        /// The transport's reason, where there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The first few of many names, for a message of one line.
pub(crate) fn abridged(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(", and {} more", names.len() - SHOWN));
    }
    text
}

impl Error {
    /// Wraps an operating-system error with what was attempted on which path.
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            action,
            path: path.into(),
            source,
        }
    }

    /// A configuration field that is absent, mistyped or out of range.
    pub fn config(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Config {
            field: field.into(),
            reason: reason.into(),
        }
    }

    /// A file that is not what its name promises.
    pub fn malformed(
        path: impl Into<PathBuf>,
        format: &'static str,
        reason: impl std::fmt::Display,
    ) -> Self {
        Self::Malformed {
            path: path.into(),
            format,
            reason: reason.to_string(),
        }
    }
}
