//! The tasks of fine-tuned models, a folder each: model, features, loss, decoding and score; and the
//! registry, a line each.

pub(crate) mod head;
pub(crate) mod hidden_layer;
pub(crate) mod logits;
pub mod masked_lm;
pub mod multiple_choice;
pub mod next_sentence;
pub mod question_answering;
pub mod replaced_tokens;
pub mod reranking;
pub mod sequence_classification;
pub mod similarity;
pub(crate) mod stretch;
pub mod token_classification;

use crate::error::{Error, Result};
use crate::task::TaskEntry;

/// Registry of the tasks that models are fine-tuned for.
pub static TASKS: [&TaskEntry; 8] = [
    &sequence_classification::CLASSIFY,
    &next_sentence::NEXT_SENTENCE,
    &sequence_classification::MULTI_LABEL,
    &sequence_classification::REGRESS,
    &token_classification::TOKENS,
    &question_answering::QA,
    &multiple_choice::CHOICE,
    &similarity::SIMILARITY,
];

/// The task of a name.
///
/// # Errors
///
/// [`Error::UnknownChoice`] for a name that no task has.
pub fn by_name(name: &str) -> Result<&'static TaskEntry> {
    let mut all = TASKS.into_iter();
    all.find(|task| task.name == name)
        .ok_or_else(|| Error::UnknownChoice {
            what: "task",
            name: name.to_owned(),
            known: TASKS.map(|task| task.name).join(", "),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Labels;
    use crate::metrics::GlueTask;

    #[test]
    fn every_task_has_metrics_and_a_primary_one() {
        let labels = Labels::new(["O", "B-A"]).unwrap();
        for (name, glue, primary) in [
            ("classify", None, "accuracy"),
            ("classify", Some(GlueTask::Cola), "matthews_correlation"),
            ("next-sentence", None, "accuracy"),
            ("regress", None, "spearmanr"),
            ("regress", Some(GlueTask::Stsb), "combined_score"),
            ("multi-label", None, "micro_f1"),
            ("tokens", None, "f1"),
            ("qa", None, "f1"),
            ("choice", None, "accuracy"),
            ("similarity", None, "spearmanr"),
        ] {
            let task = by_name(name).unwrap();
            assert_eq!(task.best_metric(&labels, glue).unwrap(), primary);
            let names = task.metric_names(&labels, glue).unwrap();
            assert!(names.contains(&primary), "{names:?}");
            let has_loss = name != "similarity";
            assert_eq!(names.contains(&"loss"), has_loss, "{names:?}");
            assert!(!names.contains(&"examples"));
        }
        let error = by_name("rank").unwrap_err().to_string();
        assert!(error.contains("classify, next-sentence"), "{error}");
    }
}
