//! Errors on the way from a text file to a pretrained model.

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error of this crate; each message names the file or option and a remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Tokenizer, checkpoint, device or training loop.
    #[error(transparent)]
    Core(#[from] bert_core::Error),
    /// The data hold nothing to train on.
    #[error(
        "the data hold no instance: give documents of two sentences and more, or prepare instances again"
    )]
    NoInstances,
    /// A document holds an id that the tokenizer does not have.
    #[error(
        "document {document} holds token id {id}, but the vocabulary has only {size} ids: use the tokenizer that the corpus was made with"
    )]
    OutsideVocabulary {
        /// The document's number, from 0.
        document: usize,
        /// The id.
        id: u32,
        /// The vocabulary's highest id plus one.
        size: usize,
    },
    /// Prepared instances were made with another vocabulary.
    #[error(
        "the instances in {} were made with another vocabulary ({expected} ids, the tokenizer has {found}): use the tokenizer that lies beside them, or prepare them again", dir.display()
    )]
    OtherVocabulary {
        /// The directory of the instances.
        dir: std::path::PathBuf,
        /// Ids of their vocabulary.
        expected: usize,
        /// Ids of the tokenizer.
        found: usize,
    },
    /// An option outside its range.
    #[error("option `{option}` is {value}: it must be {expected}")]
    InvalidOption {
        /// The option's name.
        option: &'static str,
        /// The rejected value.
        value: String,
        /// Expected values, as a part of the message.
        expected: &'static str,
    },
    /// A line of a text that is not UTF-8, too long, or behind which the compressed data is broken.
    #[error("cannot read line {line} of {}", path.display())]
    TextLine {
        /// The file.
        path: std::path::PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// Position in the line and remedy.
        source: std::io::Error,
    },
    /// An input that cannot be part of a corpus.
    #[error("{}: {reason}", path.display())]
    Input {
        /// The path as given.
        path: std::path::PathBuf,
        /// Fault and remedy, as a part of the message.
        reason: &'static str,
    },
    /// Texts without a single sentence.
    #[error(
        "{inputs} hold(s) no sentence: name files with text in them, one sentence a line or running text"
    )]
    EmptyCorpus {
        /// The inputs as given.
        inputs: String,
    },
    /// A file of a tokenised corpus is cut short or altered.
    #[error("{} is not as it was written: {reason}; delete its directory and build the corpus again", path.display())]
    CorpusFile {
        /// The shard or manifest.
        path: std::path::PathBuf,
        /// Fault, as a part of the message.
        reason: String,
    },
}

impl Error {
    /// Error for inputs that hold no sentence as given.
    pub(crate) fn empty(inputs: &[std::path::PathBuf]) -> Self {
        let inputs: Vec<String> = inputs.iter().map(|p| p.display().to_string()).collect();
        Self::EmptyCorpus {
            inputs: inputs.join(", "),
        }
    }
}
