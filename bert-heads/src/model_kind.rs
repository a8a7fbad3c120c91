//! Finding out from the files of a model directory whether it answers for texts, words, questions or
//! choices, or makes vectors.
//!
//! `architectures` of `config.json` names the class, and `modules.json` a model of
//! sentence-transformers. Several classes of transformers have a head of the same name over different
//! vectors, and authors have classes of their own: where neither files nor tensors decide, nothing is
//! guessed.

use std::path::Path;

use bert_core::checkpoint::Checkpoint;
use bert_core::config::BertConfig;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::labels::{ProblemType, marks, stated};
use crate::sentence_embedding::cross_encoder;
use crate::sentence_embedding::fields::Fields;
use crate::sentence_embedding::files::{LIBRARY_CONFIG, TRANSFORMER_CONFIG};
use crate::sentence_embedding::modules::{MODULES, Module, modules};

/// The head of a model, and so the questions that it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelKind {
    /// Classes, labels or numbers for texts and pairs of texts.
    Texts,
    /// True if the second of two texts follows the first.
    NextSentence,
    /// A label per word.
    Tokens,
    /// The answer to a question in a context.
    Questions,
    /// The right one of several choices.
    Choices,
    /// A vector per text.
    Sentences,
    /// A probability per token that it stands in the place of another.
    ReplacedTokens,
}

/// The kind of a model directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundKind {
    /// The kind.
    pub kind: ModelKind,
    /// Evidence for it, where no class in `config.json` does.
    pub evidence: Option<&'static str>,
}

/// Endings of transformers' classes whose heads are known.
const CLASSES: [(&str, ModelKind); 6] = [
    ("ForSequenceClassification", ModelKind::Texts),
    ("ForTokenClassification", ModelKind::Tokens),
    ("ForMultipleChoice", ModelKind::Choices),
    ("ForQuestionAnswering", ModelKind::Questions),
    ("ForNextSentencePrediction", ModelKind::NextSentence),
    ("ForPreTraining", ModelKind::NextSentence),
];

/// The hidden layer of a classifier: weight and bias of its dense layer, then those of a LayerNorm.
pub(crate) const HIDDEN_LAYER: [&str; 4] = [
    "pre_classifier.dense.weight",
    "pre_classifier.dense.bias",
    "pre_classifier.LayerNorm.weight",
    "pre_classifier.LayerNorm.bias",
];

/// The parameters of a conditional random field over words.
pub(crate) const CRF_TENSORS: [&str; 3] = [
    "crf.transitions",
    "crf.start_transitions",
    "crf.end_transitions",
];

impl ModelKind {
    /// The kind of the model in `dir`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownKind`] naming file and field where the files do not decide,
    /// [`Error::NoKnownHead`] for an encoder alone, [`Error::Unsupported`] for a model of
    /// sentence-transformers that is not implemented; [`Error::Core`] for files that are missing or
    /// malformed.
    pub fn find(dir: impl AsRef<Path>) -> Result<FoundKind> {
        let dir = dir.as_ref();
        let by_modules = match modules(dir)? {
            Some(modules) => of_library(dir, &modules)?,
            None => None,
        };
        let kind = match by_modules {
            Some(kind) => kind,
            None => return of_checkpoint(&Checkpoint::open(dir)?),
        };
        Ok(FoundKind {
            kind,
            evidence: None,
        })
    }

    /// The kind of a class of transformers, or of an author whose class is called alike.
    pub(crate) fn of_class(class: &str) -> Option<Self> {
        let mut known = CLASSES.into_iter();
        known
            .find(|(end, _)| class.ends_with(end))
            .map(|(_, kind)| kind)
    }

    /// The tensor that only a head of this kind has, or several kinds have.
    const fn tensor(self) -> Option<&'static str> {
        match self {
            Self::Texts | Self::Tokens | Self::Choices => Some("classifier.weight"),
            Self::Questions => Some("qa_outputs.weight"),
            Self::NextSentence => Some("cls.seq_relationship.weight"),
            Self::ReplacedTokens => Some("cls.discriminator.dense_prediction.weight"),
            Self::Sentences => None,
        }
    }

    /// True if its head has the tensors of other kinds.
    pub(crate) fn shares_tensors(self) -> bool {
        self.tensor() == Self::Texts.tensor()
    }
}

/// The names in `architectures`, which should be a list.
pub(crate) fn stated_classes(config: &BertConfig) -> Vec<&str> {
    match stated(config, "architectures") {
        Some(Value::Array(classes)) => classes.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(class)) => vec![class],
        _ => Vec::new(),
    }
}

/// The one kind of classifier that the configuration states, and the class; `None` where it states
/// none or several.
pub(crate) fn stated_classifier(config: &BertConfig) -> Option<(ModelKind, &str)> {
    let classes = stated_classes(config).into_iter();
    let mut classifiers = classes
        .filter_map(|class| Some((ModelKind::of_class(class)?, class)))
        .filter(|(kind, _)| kind.shares_tensors());
    let first = classifiers.next()?;
    classifiers
        .all(|(kind, _)| kind == first.0)
        .then_some(first)
}

/// The kind of the `classifier` of a checkpoint; `None` where nothing tells.
pub(crate) fn classifier_kind(checkpoint: &Checkpoint) -> Option<FoundKind> {
    if let Some((kind, _)) = stated_classifier(checkpoint.config()) {
        return Some(FoundKind {
            kind,
            evidence: None,
        });
    }
    let (kind, evidence) = evidence(checkpoint)?;
    Some(FoundKind {
        kind,
        evidence: Some(evidence),
    })
}

/// Fields of a configuration that belong to one kind of classifier only.
fn evidence(checkpoint: &Checkpoint) -> Option<(ModelKind, &'static str)> {
    let config = checkpoint.config();
    let problem_type = stated(config, "problem_type").and_then(Value::as_str);
    let only_of_texts = config.heads.token.hidden.is_none();
    let of_texts = if only_of_texts && checkpoint.contains(HIDDEN_LAYER[0]) {
        Some("its classifier has a hidden layer, as those of texts have")
    } else if problem_type.is_some_and(|name| name.parse::<ProblemType>().is_ok()) {
        Some("its `problem_type` is one of a classifier of texts")
    } else if marks::is_marked(config) {
        Some("it has the activation of a cross-encoder")
    } else {
        None
    };
    let of_tokens = if CRF_TENSORS.iter().all(|name| checkpoint.contains(name)) {
        Some("it has a conditional random field over words")
    } else if names_are_tags(config) {
        Some("its `id2label` are tags of words")
    } else {
        None
    };
    match (of_texts, of_tokens) {
        (Some(why), None) => Some((ModelKind::Texts, why)),
        (None, Some(why)) => Some((ModelKind::Tokens, why)),
        _ => None,
    }
}

/// True if the labels are `O` and tags such as `B-PER` and `I-PER`, and nothing else.
fn names_are_tags(config: &BertConfig) -> bool {
    let Some(Value::Object(names)) = stated(config, "id2label") else {
        return false;
    };
    let is_tag = |name: &str| {
        let parts = name.split_once('-');
        parts.is_some_and(|(letter, label)| {
            ["B", "I", "E", "S", "M", "L", "U"].contains(&letter) && !label.is_empty()
        })
    };
    let names: Option<Vec<&str>> = names.values().map(Value::as_str).collect();
    names.is_some_and(|names| {
        names.contains(&"O")
            && names.iter().any(|name| is_tag(name))
            && names.iter().all(|name| *name == "O" || is_tag(name))
    })
}

/// The kind of a checkpoint without files of sentence-transformers that tell.
fn of_checkpoint(checkpoint: &Checkpoint) -> Result<FoundKind> {
    let config = checkpoint.config();
    let by_class = |kind| {
        Ok(FoundKind {
            kind,
            evidence: None,
        })
    };
    let is_there = |kind: &ModelKind| kind.tensor().is_some_and(|name| checkpoint.contains(name));
    let classes = stated_classes(config).into_iter();
    let mut stated_kinds: Vec<ModelKind> = classes.filter_map(ModelKind::of_class).collect();
    stated_kinds.dedup();
    let mut with_head = stated_kinds.iter().copied().filter(is_there);
    if let (Some(kind), None) = (with_head.next(), with_head.next()) {
        return by_class(kind);
    }
    if !is_there(&ModelKind::Texts) {
        // These heads are alone in having their names.
        let own = [
            ModelKind::Questions,
            ModelKind::NextSentence,
            ModelKind::ReplacedTokens,
        ];
        if let Some(kind) = own.into_iter().find(is_there) {
            return by_class(kind);
        }
        return match stated_kinds.first() {
            // Loading it says what is missing.
            Some(kind) => by_class(*kind),
            None => Err(Error::NoKnownHead {
                dir: checkpoint.dir().to_owned(),
                stated: shown(config),
            }),
        };
    }
    classifier_kind(checkpoint).ok_or_else(|| unknown_classifier(checkpoint))
}

/// An error about a classifier of which nothing tells what its labels are about.
pub(crate) fn unknown_classifier(checkpoint: &Checkpoint) -> Error {
    Error::UnknownKind {
        path: checkpoint.dir().join("config.json"),
        field: "architectures",
        found: shown(checkpoint.config()),
        reason: "which does not say whether `classifier` is about texts, words or choices",
        remedy: {
            let class = |ending| checkpoint.config().family.class(ending);
            format!(
                "state {}, {} or {}",
                class("ForSequenceClassification"),
                class("ForTokenClassification"),
                class("ForMultipleChoice")
            )
        },
    }
}

fn shown(config: &BertConfig) -> String {
    let stated = config.extra.get("architectures");
    stated.map_or("missing".to_owned(), Value::to_string)
}

/// The kind of a directory that sentence-transformers saved; `None` where its files do not tell.
fn of_library(dir: &Path, modules: &[Module]) -> Result<Option<ModelKind>> {
    let library = Fields::read(dir.join(LIBRARY_CONFIG))?;
    let stated = library.as_ref().and_then(|fields| {
        let kind = fields.object.get("model_type");
        kind.filter(|kind| !kind.is_null())
            .map(|kind| (fields, kind))
    });
    match stated {
        Some((_, kind)) if kind == "CrossEncoder" => {
            cross_encoder::check(dir, modules)?;
            return Ok(Some(ModelKind::Texts));
        }
        Some((_, kind)) if kind == "SentenceTransformer" => {}
        Some((fields, other)) => {
            let supported = "only \"SentenceTransformer\" and \"CrossEncoder\" are implemented";
            return Err(fields.unsupported("model_type", other, supported));
        }
        None => {
            let transformer = modules
                .first()
                .map(|module| module.dir().join(TRANSFORMER_CONFIG));
            let fields = transformer.map(Fields::read).transpose()?.flatten();
            let task = fields.and_then(|fields| fields.object.get("transformer_task").cloned());
            if task.is_some_and(|task| task == "sequence-classification") {
                cross_encoder::check(dir, modules)?;
                return Ok(Some(ModelKind::Texts));
            }
            if modules.len() < 2 {
                return Ok(None);
            }
        }
    }
    // The library saves an encoder without a head; a head means that one of the files is older.
    if dir.join("config.json").is_file() {
        let checkpoint = Checkpoint::open(dir)?;
        if stated_classifier(checkpoint.config()).is_some()
            && checkpoint.contains("classifier.weight")
        {
            return Err(Error::UnknownKind {
                path: dir.join(MODULES),
                field: "type",
                found: modules
                    .iter()
                    .map(Module::class)
                    .collect::<Vec<_>>()
                    .join(", "),
                reason: "which makes vectors, but config.json states a class with a classifier",
                remedy: "take modules.json away if it is left from another model".to_owned(),
            });
        }
    }
    Ok(Some(ModelKind::Sentences))
}

#[cfg(test)]
mod tests;
