//! The names and the kind of a classifier's outputs, as `config.json` states them.

pub(crate) mod marks;
mod problem_type;

use bert_core::checkpoint::Checkpoint;
use bert_core::config::BertConfig;
use burn::nn::Linear;
use serde_json::{Map, Value, json};

pub use problem_type::ProblemType;

use crate::error::{Error, Result};

/// One distinct name for every output of a classifier, at least one (`id2label` and `label2id` of
/// transformers `configuration_utils.py`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    names: Vec<String>,
}

/// The field with the names.
const ID2LABEL: &str = "id2label";
/// Outputs of a classifier whose configuration says nothing of labels.
const DEFAULT_COUNT: usize = 2;
/// Far more than any task has; a damaged file must not make a classifier that fills the memory.
const MAX_COUNT: usize = 1 << 20;

impl Labels {
    /// Labels by the order of their ids.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] when there are none, or two are equal.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let refuse = |reason| Err(Error::Labels { reason });
        if names.is_empty() {
            return refuse("there are none, but a classifier needs at least one".to_owned());
        }
        let mut seen = std::collections::HashMap::new();
        for (id, name) in names.iter().enumerate() {
            if let Some(first) = seen.insert(name, id) {
                return refuse(format!("`{name}` is both {first} and {id}: name each once"));
            }
        }
        Ok(Self { names })
    }

    /// `LABEL_0`, `LABEL_1`, …: the names that transformers gives by default.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] when `count` is 0 or beyond a million.
    pub fn numbered(count: usize) -> Result<Self> {
        if count > MAX_COUNT {
            let reason = format!("{count} are far beyond any task (at most {MAX_COUNT})");
            return Err(Error::Labels { reason });
        }
        Self::new((0..count).map(|id| format!("LABEL_{id}")))
    }

    /// The labels of a checkpoint: `id2label`, else `num_labels` numbered ones, else two.
    ///
    /// # Errors
    ///
    /// [`Error::Core`] naming the field when ids are not 0, 1, 2, … or disagree with `num_labels`, or
    /// two names are equal.
    pub fn of(config: &BertConfig) -> Result<Self> {
        let count = stated_count(config).or_else(|(field, reason)| refuse(field, reason))?;
        let Some(value) = stated(config, ID2LABEL) else {
            return Self::numbered(count.map_or(DEFAULT_COUNT, |(_, count)| count));
        };
        let labels = Self::from_id2label(value).or_else(|reason| refuse(ID2LABEL, reason))?;
        match count {
            Some((field, count)) if count != labels.count() => refuse(
                field,
                format!(
                    "is {count}, but `id2label` names {}: correct one of them",
                    labels.count()
                ),
            ),
            _ => Ok(labels),
        }
    }

    /// The labels of a head with `outputs` outputs in `checkpoint`: `id2label`, else numbered ones.
    ///
    /// # Errors
    ///
    /// [`Error::HeadLabels`] naming the field when its names are not as many as the outputs, or are no
    /// names, or two are equal.
    pub(crate) fn of_head(checkpoint: &Checkpoint, outputs: usize) -> Result<Self> {
        let config = checkpoint.config();
        let refuse = |field, reason: String| {
            Err(Error::HeadLabels {
                path: checkpoint.dir().join("config.json"),
                field,
                reason,
            })
        };
        let weight = checkpoint.file_name("classifier.weight");
        let against = format!("but `{weight}` has {outputs} output(s)");
        let Some(value) = stated(config, ID2LABEL) else {
            return match stated_count(config) {
                Err((field, reason)) => refuse(field, reason),
                Ok(Some((field, count))) if count != outputs => {
                    refuse(field, format!("is {count}, {against}"))
                }
                Ok(_) => Self::numbered(outputs),
            };
        };
        match Self::from_id2label(value) {
            Err(reason) => refuse(ID2LABEL, reason),
            Ok(labels) if labels.count() != outputs => {
                refuse(ID2LABEL, format!("names {}, {against}", labels.count()))
            }
            Ok(labels) => Ok(labels),
        }
    }

    fn from_id2label(value: &Value) -> Result<Self, String> {
        let Some(fields) = value.as_object() else {
            return Err(format!("is {value}, but must be an object"));
        };
        let mut names = vec![None; fields.len()];
        for (key, value) in fields {
            let slot = key.parse::<usize>().ok().and_then(|id| names.get_mut(id));
            let name = match value {
                Value::String(name) => Some(name.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            };
            match (slot, name) {
                (Some(slot @ None), Some(name)) => *slot = Some(name),
                _ => {
                    return Err(format!(
                        "entry `{key}`: {value} is not a name under one of the ids 0 to {}",
                        fields.len() - 1
                    ));
                }
            }
        }
        // As many distinct ids below the count as entries: none is left out.
        Self::new(names.into_iter().flatten()).map_err(|error| match error {
            Error::Labels { reason } => reason,
            other => other.to_string(),
        })
    }

    /// Number of labels.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// The names by id.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The id of a name.
    pub fn id(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// The name of an id.
    pub fn name(&self, id: usize) -> Option<&str> {
        self.names.get(id).map(String::as_str)
    }

    /// Refuses a classifier with more or fewer outputs than there are names.
    pub(crate) fn check_outputs(&self, classifier: &Linear) -> Result<()> {
        let [_, outputs] = classifier.weight.val().dims();
        let labels = self.count();
        if labels == outputs {
            Ok(())
        } else {
            Err(Error::LabelNames { labels, outputs })
        }
    }

    /// Puts the labels into `config` in place of those it has, as transformers writes them.
    pub fn write_into(&self, config: &mut BertConfig) {
        remove_labels(config);
        let names = self.names.iter().enumerate();
        let id2label: Map<_, _> = names
            .clone()
            .map(|(id, name)| (id.to_string(), json!(name)))
            .collect();
        let label2id: Map<_, _> = names.map(|(id, name)| (name.clone(), json!(id))).collect();
        config.extra.insert("id2label".to_owned(), id2label.into());
        config.extra.insert("label2id".to_owned(), label2id.into());
    }
}

/// The number of labels that a configuration states, and in which field.
fn stated_count(
    config: &BertConfig,
) -> Result<Option<(&'static str, usize)>, (&'static str, String)> {
    let stated = ["num_labels", "_num_labels"]
        .into_iter()
        .find_map(|field| Some((field, stated(config, field)?)));
    let Some((field, value)) = stated else {
        return Ok(None);
    };
    match value.as_u64().and_then(|n| usize::try_from(n).ok()) {
        Some(count) if count > 0 => Ok(Some((field, count))),
        _ => Err((field, format!("is {value}, but must be a count above 0"))),
    }
}

/// Takes everything about labels out of `config`: a head with a fixed number of outputs must not
/// inherit the labels of the task that its encoder was fine-tuned for.
pub(crate) fn remove_labels(config: &mut BertConfig) {
    for field in [
        "id2label",
        "label2id",
        "num_labels",
        "_num_labels",
        "problem_type",
    ] {
        config.extra.shift_remove(field);
    }
    marks::remove_marks(config);
}

/// A field of the configuration that is there and not null.
pub(crate) fn stated<'a>(config: &'a BertConfig, field: &str) -> Option<&'a Value> {
    config.extra.get(field).filter(|value| !value.is_null())
}

/// An error about a field of `config.json`.
pub(crate) fn refuse<T>(field: &str, reason: String) -> Result<T> {
    Err(bert_core::Error::config(field, reason).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(fields: Value) -> BertConfig {
        let mut config = BertConfig::new(37, 12, 2, 3, 29);
        config.extra = fields.as_object().unwrap().clone();
        config
    }

    #[test]
    fn labels_are_read_as_transformers_reads_them() {
        for (fields, expected) in [
            (json!({}), vec!["LABEL_0", "LABEL_1"]),
            (json!({"id2label": null, "num_labels": 1}), vec!["LABEL_0"]),
            (
                json!({"_num_labels": 3}),
                vec!["LABEL_0", "LABEL_1", "LABEL_2"],
            ),
            (
                json!({"id2label": {"1": "yes", "0": "no"}, "num_labels": 2}),
                vec!["no", "yes"],
            ),
            (json!({"id2label": {"0": 5}}), vec!["5"]),
        ] {
            assert_eq!(
                Labels::of(&config(fields.clone())).unwrap().names(),
                expected,
                "{fields}"
            );
        }
        // Keys come in the order of strings in many files.
        let many: Map<_, _> = ["0", "1", "10", "2", "3", "4", "5", "6", "7", "8", "9"]
            .map(|id| (id.to_owned(), json!(format!("class {id}"))))
            .into_iter()
            .collect();
        let labels = Labels::of(&config(json!({ "id2label": many }))).unwrap();
        assert_eq!(labels.name(10), Some("class 10"));
        assert_eq!(labels.id("class 2"), Some(2));
        assert_eq!((labels.name(11), labels.id("class 11")), (None, None));
    }

    #[test]
    fn what_cannot_be_labels_is_refused_by_field() {
        for (fields, needle) in [
            (json!({"id2label": ["a", "b"]}), "id2label"),
            (json!({"id2label": {}}), "at least one"),
            (json!({"id2label": {"0": "a", "2": "b"}}), "`2`"),
            (json!({"id2label": {"0": "a", "00": "b"}}), "`00`"),
            (json!({"id2label": {"0": "a", "-1": "b"}}), "`-1`"),
            (json!({"id2label": {"0": null}}), "null"),
            (json!({"id2label": {"0": "a", "1": "a"}}), "`a`"),
            (
                json!({"id2label": {"0": "a"}, "num_labels": 2}),
                "num_labels",
            ),
            (json!({"num_labels": 0}), "num_labels"),
            (json!({"num_labels": "two"}), "num_labels"),
            (json!({"num_labels": 4_000_000_000_u32}), "4000000000"),
        ] {
            let message = Labels::of(&config(fields.clone())).unwrap_err().to_string();
            assert!(message.contains(needle), "{fields}: {message}");
        }
        assert!(Labels::new(Vec::<String>::new()).is_err());
        assert!(Labels::numbered(0).is_err());
    }

    #[test]
    fn labels_replace_those_of_an_earlier_task() {
        let mut config = config(json!({
            "num_labels": 5, "label2id": {"x": 4}, "problem_type": "regression", "other": 1,
            "sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity",
        }));
        let labels = Labels::new(["no", "yes"]).unwrap();
        labels.write_into(&mut config);
        let expected = json!({
            "other": 1, "id2label": {"0": "no", "1": "yes"}, "label2id": {"no": 0, "yes": 1},
        });
        assert_eq!(Value::Object(config.extra.clone()), expected);
        assert_eq!(Labels::of(&config).unwrap(), labels);
    }
}
