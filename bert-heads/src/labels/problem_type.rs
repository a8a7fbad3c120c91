//! Kind of a classifier's outputs.

use bert_core::config::BertConfig;

use super::{Labels, refuse, stated};
use crate::error::{Error, Result};

/// Kind of a sequence classifier's outputs, which decides the loss that trains it (`problem_type` of
/// the configuration).
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(parse_err_ty = Error, parse_err_fn = unknown_problem_type)]
pub enum ProblemType {
    /// Each output is a number; [`mean_squared_error`](crate::losses::mean_squared_error).
    #[strum(serialize = "regression")]
    Regression,
    /// One label of several applies; [`cross_entropy`](crate::losses::cross_entropy).
    #[strum(serialize = "single_label_classification")]
    SingleLabel,
    /// Any number of labels apply;
    /// [`binary_cross_entropy_with_logits`](crate::losses::binary_cross_entropy_with_logits).
    #[strum(serialize = "multi_label_classification")]
    MultiLabel,
}

impl ProblemType {
    /// The name in `config.json`.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The type that a configuration states, else regression for one label and a single label for
    /// several, as transformers takes it from the number of labels.
    ///
    /// # Errors
    ///
    /// [`Error::Core`] naming `problem_type` when it is unknown or does not fit the number of
    /// labels, and those of [`Labels::of`].
    pub fn of(config: &BertConfig) -> Result<Self> {
        Self::of_outputs(config, Labels::of(config)?.count())
    }

    /// The type that a configuration states for a head with `count` outputs, else as
    /// [`of`](Self::of).
    ///
    /// # Errors
    ///
    /// [`Error::Core`] naming `problem_type`.
    pub fn of_outputs(config: &BertConfig, count: usize) -> Result<Self> {
        let Some(value) = stated(config, "problem_type") else {
            return Ok(match count {
                1 => Self::Regression,
                _ => Self::SingleLabel,
            });
        };
        match value.as_str() {
            Some(name) => name.parse::<Self>()?.check(count),
            None => refuse("problem_type", format!("is {value}, but must be a string")),
        }
    }

    /// Choosing one label of one is no choice.
    pub(crate) fn check(self, num_labels: usize) -> Result<Self> {
        if self == Self::SingleLabel && num_labels == 1 {
            let remedy = "use regression, multi_label_classification or at least two labels";
            let reason = format!("is {} with a single label: {remedy}", self.name());
            return refuse("problem_type", reason);
        }
        Ok(self)
    }
}

fn unknown_problem_type(name: &str) -> Error {
    let reason = format!(
        "`{name}` is not known; use regression, single_label_classification or multi_label_classification"
    );
    bert_core::Error::config("problem_type", reason).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_problem_type_is_stated_or_follows_from_the_labels() {
        let of = |fields: serde_json::Value| {
            let mut config = BertConfig::new(37, 12, 2, 3, 29);
            config.extra = fields.as_object().unwrap().clone();
            ProblemType::of(&config).map_err(|error| error.to_string())
        };
        for (fields, expected) in [
            (json!({}), ProblemType::SingleLabel),
            (json!({"num_labels": 1}), ProblemType::Regression),
            (
                json!({"num_labels": 3, "problem_type": null}),
                ProblemType::SingleLabel,
            ),
            (
                json!({"num_labels": 3, "problem_type": "regression"}),
                ProblemType::Regression,
            ),
            (
                json!({"num_labels": 1, "problem_type": "multi_label_classification"}),
                ProblemType::MultiLabel,
            ),
        ] {
            assert_eq!(of(fields.clone()), Ok(expected), "{fields}");
        }
        for (fields, needle) in [
            (json!({"problem_type": "ranking"}), "`ranking` is not known"),
            (json!({"problem_type": 3}), "must be a string"),
            (
                json!({"num_labels": 1, "problem_type": "single_label_classification"}),
                "at least two labels",
            ),
        ] {
            let message = of(fields.clone()).unwrap_err();
            assert!(
                message.contains(needle) && message.contains("problem_type"),
                "{fields}: {message}"
            );
        }
    }
}
