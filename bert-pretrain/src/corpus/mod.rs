//! Text files as documents of sentences, and as token ids on disk.
//!
//! [`CorpusReader`] streams documents from files of either [`Layout`]; [`TokenizedCorpus`] cuts them
//! into WordPieces once and reads them back by number, as a [`DocumentSource`].

pub(crate) mod batches;
mod counts;
mod held_out;
mod inputs;
mod layout;
mod lines;
mod paragraphs;
mod reader;
mod sentences;
mod source;
mod tokenized;

pub use counts::CorpusCounts;
pub use held_out::{Documents, hold_out};
pub use layout::Layout;
pub use reader::{CorpusOptions, CorpusReader, RawDocument};
pub use source::{DocumentSource, TokenizedDocument};
pub use tokenized::TokenizedCorpus;
