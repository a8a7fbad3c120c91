//! Data sets as they are published: texts with classes or numbers, tagged words, questions on texts
//! and multiple choice, from TSV, CSV, JSON lines, CoNLL columns and SQuAD's JSON.
//!
//! | task | reader | gives |
//! | --- | --- | --- |
//! | classification, regression | [`read_texts`] | [`TextExample`] |
//! | word tags | [`read_tokens`] | [`TokenExample`] |
//! | answers in a context | [`read_questions`] | [`QuestionExample`] |
//! | multiple choice | [`read_choices`] | [`ChoiceExample`] |
//! | similar texts | [`read_similar`] | [`SimilarExample`] |
//!
//! Each gives [`Examples`], an iterator that holds one row in memory at a time, SQuAD's own JSON
//! excepted. What is wrong with a row is a [`RowFault`] with its file and line; [`BadRows`] says
//! whether the first one ends the reading or all are passed over and accounted for. Files may be
//! compressed (gzip, zstd) and may begin with a byte-order mark; anything but UTF-8 is a fault.
//!
//! [`Preset`] knows published data sets by name, from GLUE to CoNLL-2003 and SQuAD:
//!
//! ```no_run
//! use bert_heads::datasets::{BadRows, Format, Part, Preset, discover_labels, read_texts};
//!
//! let preset = Preset::from_name("mrpc")?;
//! let files = preset.files("glue/MRPC")?;
//! if let (Format::Texts(format), Some(train)) = (preset.format(Part::Train), files.train) {
//!     let (examples, report) = read_texts(train, &format, BadRows::Skip)?.read_all()?;
//!     println!("{} pairs, labels {:?}", report.examples, discover_labels(&examples)?.names());
//! }
//! # Ok::<(), bert_heads::Error>(())
//! ```

mod bad_rows;
mod cells;
mod choices;
mod columns;
mod dataset;
mod delimited;
mod detect;
mod example;
mod examples;
mod fault;
mod label_lists;
mod label_set;
mod layout;
mod lines;
mod predictions;
mod preset;
mod questions;
mod quoted_row;
mod rewrite;
mod sample;
mod similar;
mod table;
mod tags;
mod text;
mod tokens;
mod unread;

pub use bad_rows::{BadRow, BadRows, ReadReport};
pub use choices::{ChoiceColumns, ChoiceFormat, ChoiceTexts, read_choices};
pub use columns::{Column, Columns, TargetColumn, TargetKind};
pub use dataset::Dataset;
pub use example::{
    Answer, ChoiceExample, QuestionExample, SimilarExample, Target, TextExample, TokenExample,
};
pub use examples::Examples;
pub use fault::{Place, RowFault};
pub use label_set::{Labelled, discover_labels};
pub use layout::{Delimited, Layout, Quotes};
pub(crate) use lines::open;
pub use predictions::{
    Predicted, PredictedKind, PredictedTags, read_tag_predictions, read_text_predictions,
};
pub use preset::{DataFiles, Format, Part, Preset, TaskKind};
pub use questions::{QuestionFormat, QuestionLayout, read_questions};
pub use rewrite::{RewritableRow, Rewriting, read_rewritable};
pub use sample::{TrainValidation, sample, shuffle, split, split_groups};
pub use similar::{SimilarColumns, SimilarFormat, read_similar};
pub use tags::to_iob2;
pub use text::{Targets, TextFormat, read_texts};
pub use tokens::{Field, TokenFormat, TokenLayout, WordLine, read_tokens};
