//! The one error type of this crate.

use std::path::PathBuf;

use bert_core::device::fault;
use burn::tensor::TensorReadError;

use crate::datasets::{Place, RowFault};

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong between a text and an answer.
///
/// Messages are a fact followed by the remedy; causes are reached through
/// [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The work was asked to stop before it was done.
    #[error("interrupted")]
    Interrupted,
    /// Loading, tokenizing or batching failed.
    #[error(transparent)]
    Core(#[from] bert_core::Error),
    /// A checkpoint was saved without the head that predicts masked tokens.
    #[error("{} has no masked-LM head (it lacks {}): {}", dir.display(), missing.join(", "), remedy)]
    NoMaskedLmHead {
        /// The model directory.
        dir: PathBuf,
        /// The tensors of the head that are absent, in Hugging Face spelling.
        missing: Vec<String>,
        /// Remedy.
        remedy: String,
    },
    /// A checkpoint was saved without the head of a task.
    #[error("{} has no head for {class} (it lacks {}): use a checkpoint of that class, or fine-tune one from this encoder", dir.display(), missing.join(", "))]
    NoHead {
        /// The model directory.
        dir: PathBuf,
        /// The class of transformers that has the head.
        class: String,
        /// The tensors of the head that are absent, in Hugging Face spelling.
        missing: Vec<String>,
    },
    /// Transformers has no class for a task in the family of a model.
    #[error(
        "transformers has no {class}, so that no program could load such a model of {family}: use one of another family ({others})"
    )]
    NoClass {
        /// The class that there is not.
        class: String,
        /// The family's name.
        family: &'static str,
        /// Names of the families that have one.
        others: String,
    },
    /// A checkpoint's head has tensors of the right names, but belongs to another task.
    #[error("{}: config.json states the class {stated}, whose head reads other vectors than that of {class}: load it as {stated}, correct `architectures`, or overrule it with --task", dir.display())]
    WrongHead {
        /// The model directory.
        dir: PathBuf,
        /// The class of transformers that was asked for.
        class: String,
        /// The class that the configuration states.
        stated: String,
    },
    /// A classifier has several outputs where one is a score.
    #[error("{} has {outputs} outputs, but texts are ranked by a single score: take a cross-encoder with one label, or ask this model with `bert predict`", dir.display())]
    NotAReranker {
        /// The model directory.
        dir: PathBuf,
        /// Outputs of its head.
        outputs: usize,
    },
    /// The files do not decide which head a model has.
    #[error("{}: field `{field}` is {found}, {reason}: say with --task (classify, tokens, choice, similarity, …) which it is, or {remedy}", path.display())]
    UnknownKind {
        /// The file.
        path: PathBuf,
        /// Its field.
        field: &'static str,
        /// The value.
        found: String,
        /// Reason why it does not decide.
        reason: &'static str,
        /// Remedy in the files.
        remedy: String,
    },
    /// A checkpoint without any head that answers something.
    #[error("{} is no fine-tuned model of texts, words, questions or choices (its config.json states {stated}): train one with `bert finetune`, or make vectors with --task similarity", dir.display())]
    NoKnownHead {
        /// The model directory.
        dir: PathBuf,
        /// The classes that the configuration states.
        stated: String,
    },
    /// Input of a kind that the head of a pipeline does not take.
    #[error("{given} were given to a {head} model, which takes {takes}")]
    WrongInput {
        /// Kind of the input.
        given: &'static str,
        /// Kind of the head.
        head: &'static str,
        /// Input that it takes, with the method of [`Pipeline`](crate::pipeline::Pipeline).
        takes: &'static str,
    },
    /// The names of outputs in a configuration are not those of the head.
    #[error("{}: field `{field}` {reason}: correct it, or give the names with --labels", path.display())]
    HeadLabels {
        /// The file.
        path: PathBuf,
        /// Its field.
        field: &'static str,
        /// Fault, as a part of the message.
        reason: String,
    },
    /// The weights of a module of sentence-transformers do not fit its configuration.
    #[error("{} has no weights that fit its config.json: take the whole directory as it was saved", dir.display())]
    ModuleWeights {
        /// The directory of the module.
        dir: PathBuf,
        /// Fault, as a part of the message.
        source: bert_core::Error,
    },
    /// Label names that cannot be the outputs of a classifier.
    #[error("labels: {reason}")]
    Labels {
        /// Fault and remedy, as a part of the message.
        reason: String,
    },
    /// Label names that do not fit a classifier.
    #[error(
        "{labels} label name(s) for a classifier with {outputs} output(s): give it as many names as it has outputs"
    )]
    LabelNames {
        /// Names given.
        labels: usize,
        /// Outputs of the classifier.
        outputs: usize,
    },
    /// A text to fill in has nothing to fill in.
    #[error("the text holds no {mask_token}: put it where a word is to be predicted")]
    NoMask {
        /// The mask token as this vocabulary spells it.
        mask_token: String,
    },
    /// Pooler vectors were asked of a checkpoint saved without a pooler.
    #[error("{} has no pooler (it lacks bert.pooler.dense.weight): choose cls, mean or max pooling", dir.display())]
    NoPooler {
        /// The model directory.
        dir: PathBuf,
    },
    /// A pooling by a name that does not exist.
    #[error(
        "pooling `{name}` is not known: use cls, mean, mean-sqrt-len, weighted-mean, max, last-token, pooler, or several joined by +"
    )]
    UnknownPooling {
        /// The unknown name.
        name: String,
    },
    /// A sentence-transformers directory asks for something that is not implemented.
    #[error("{}: field `{field}` is {found}, but {supported}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The field, with its place in the file.
        field: String,
        /// Its value.
        found: String,
        /// Supported values or the remedy, as a part of the message.
        supported: String,
    },
    /// A maximal length beyond the positions the model has.
    #[error("a maximal length of {requested} tokens exceeds the model's {positions} positions")]
    MaxLength {
        /// Tokens asked for.
        requested: usize,
        /// `max_position_embeddings` of the configuration.
        positions: usize,
    },
    /// A text of a stream could not be read.
    #[error("line {line} of the input")]
    Line {
        /// Counted from 1.
        line: usize,
        /// The reason.
        source: std::io::Error,
    },
    /// A vector came out with infinities or NaN.
    #[error(
        "the vector of text {index} (counted from 0) is not finite: compute in f32, or check the weights"
    )]
    NotFinite {
        /// Position of the text in the input, counted from 0.
        index: usize,
    },
    /// Gold and predicted values of a metric are not as many.
    #[error("{what}: {gold} are gold and {predicted} predicted: give one prediction for each")]
    Unpaired {
        /// Name of the scored items.
        what: &'static str,
        /// Gold values.
        gold: usize,
        /// Predicted values.
        predicted: usize,
    },
    /// A prediction that names another example than the one whose turn it is.
    #[error("{}, line {line}: it is about line {found} of the data, where line {expected} is due: predict for the same rows in the same order", path.display())]
    PredictionOrder {
        /// The file of predictions.
        path: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// The line of the data that it names.
        found: usize,
        /// The line of the example.
        expected: usize,
    },
    /// Tags that were predicted for other words.
    #[error("{}, the sentence of line {line}: its word `{found}` is `{expected}` in the data: predict for the same sentences in the same order", path.display())]
    PredictionWords {
        /// The file of predictions.
        path: PathBuf,
        /// Line on which the sentence begins, counted from 1.
        line: usize,
        /// The first word that differs.
        found: String,
        /// The word of the data.
        expected: String,
    },
    /// A file of predictions that is no such JSON.
    #[error("{}, line {line}: expected {expected}", path.display())]
    Predictions {
        /// The file.
        path: PathBuf,
        /// Line of the failure, counted from 1.
        line: usize,
        /// Expected JSON.
        expected: &'static str,
        /// Error of the JSON parser.
        source: serde_json::Error,
    },
    /// A class beyond those that are scored.
    #[error(
        "example {example} (counted from 0): class {class} is beyond the {classes} classes 0 to {}: check the labels of data and model",
        classes.saturating_sub(1)
    )]
    ClassOutOfRange {
        /// The class, gold or predicted.
        class: usize,
        /// Number of classes.
        classes: usize,
        /// The example, counted from 0.
        example: u64,
    },
    /// An example with labels for another number of them than are scored.
    #[error(
        "example {example} (counted from 0) has {found} labels instead of {expected}: give one true or false for each label"
    )]
    LabelsPerExample {
        /// Labels scored.
        expected: usize,
        /// Labels given.
        found: usize,
        /// The example, counted from 0.
        example: u64,
    },
    /// A word tag that cannot be read.
    #[error(
        "tag `{tag}` of {place}: expected {expected}, alone or before `-` and a label; O stands alone"
    )]
    Tag {
        /// The unreadable tag.
        tag: String,
        /// Its word, counted from 1, and its sentence.
        place: String,
        /// The letters that would be read.
        expected: String,
    },
    /// A question of SQuAD 1.1 without a gold answer.
    #[error(
        "question `{id}` has no gold answer: score data with unanswerable questions as version 2"
    )]
    NoGoldAnswer {
        /// The id of the question.
        id: String,
    },
    /// A score for "no answer" that cannot be compared.
    #[error("{place}: the score for no answer is {found}: give a finite number")]
    NoAnswerScore {
        /// Place of the value.
        place: String,
        /// The number.
        found: f64,
    },
    /// Predictions of a kind that a GLUE task does not have.
    #[error("the GLUE task {task} predicts {predicts}")]
    GlueTarget {
        /// The task.
        task: &'static str,
        /// Kind of prediction that the task takes, and the remedy.
        predicts: &'static str,
    },
    /// A choice by a name that does not exist.
    #[error("{what} `{name}` is not known: use one of {known}")]
    UnknownChoice {
        /// Kind of the choice, such as `data set`.
        what: &'static str,
        /// The unknown name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A row of a data set that cannot be used.
    #[error("{}, {place}: {fault} (or skip bad rows)", path.display())]
    BadRow {
        /// The file.
        path: PathBuf,
        /// Place of the row.
        place: Place,
        /// Fault, as a part of the message.
        fault: Box<RowFault>,
    },
    /// A data file without a single row that can be used.
    #[error("{} holds no example: {reason}", path.display())]
    NoExamples {
        /// The file.
        path: PathBuf,
        /// Fault of the file, as a part of the message.
        reason: String,
    },
    /// A column that a data file does not have.
    #[error("{} has no column `{column}`: {reason}", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// Its name or number.
        column: String,
        /// Existing columns or the remedy, as a part of the message.
        reason: String,
    },
    /// The columns to read were not given and could not be found.
    #[error("columns of {}: {reason}", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// Columns searched for and the remedy, as a part of the message.
        reason: String,
    },
    /// Invalid column name.
    #[error("column `{text}`: {reason}")]
    ColumnName {
        /// The rejected name.
        text: String,
        /// Fault, as a part of the message.
        reason: &'static str,
    },
    /// A file that should be SQuAD's JSON is something else.
    #[error("{}, line {line}: not the JSON of SQuAD: {reason} (JSON lines are another layout)", path.display())]
    Questions {
        /// The file.
        path: PathBuf,
        /// Line of the failure, counted from 1.
        line: usize,
        /// Message of the JSON parser.
        reason: String,
    },
    /// A directory without any file of a data set.
    #[error("{} holds no file of the data set {preset} ({looked_for}): give the directory that does, or name the files", dir.display())]
    NoDataFiles {
        /// The directory.
        dir: PathBuf,
        /// The data set.
        preset: &'static str,
        /// The names that were tried.
        looked_for: String,
    },
    /// Examples that cannot be split in two.
    #[error("cannot split off a validation set: {reason}")]
    Split {
        /// Fault and remedy, as a part of the message.
        reason: String,
    },
    /// An option that makes no sense.
    #[error("{option} {value}: expected {expected}")]
    InvalidOption {
        /// Name of the option.
        option: &'static str,
        /// The rejected value.
        value: String,
        /// Expected values, as a part of the message.
        expected: &'static str,
    },
}

impl From<TensorReadError> for Error {
    /// The failure of the device that a result was read from.
    fn from(error: TensorReadError) -> Self {
        Self::Core(fault::failed_read(&error))
    }
}
