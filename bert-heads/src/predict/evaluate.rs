//! Predictions against what is known: the metrics of a task, and the loss.

use super::classify::{TextClassifier, TextPrediction, argmax};
use super::rows::WordRows;
use super::tag::{TokenTagger, WordTag, are_tags, decode, tag_or_outside, with_token, word_logits};
use crate::crf::CrfChain;
use crate::datasets::{RowFault, TextExample, TokenExample};
use crate::error::Result;
use crate::finetune::{Dataset, RowTarget, Task};
use crate::labels::Labels;
use crate::metrics::{
    ConfusionMatrix, EntityScorer, GlueTask, MultiLabelScorer, RegressionScorer, Scores, TagReading,
};

impl TextClassifier {
    /// The predictions for examples, and how good they are: the metrics of `glue`, or else those of
    /// the model's task, and the `loss`.
    ///
    /// # Errors
    ///
    /// [`BadRow`](crate::Error::BadRow) for an example without a fitting target, and those of
    /// [`predict`](Self::predict).
    pub fn evaluate(
        &self,
        data: &Dataset<TextExample>,
        glue: Option<GlueTask>,
    ) -> Result<(Scores, Vec<TextPrediction>)> {
        let task = Task::of(self.problem_type());
        let gold = data.targets(task, self.labels())?;
        let predictions = self.predict(data.inputs())?;
        let logits: Vec<Vec<f32>> = predictions.iter().map(|p| self.scored(p)).collect();
        let scores = score_texts(task, self.labels(), glue, &gold, &logits)?;
        Ok((scores, predictions))
    }
}

impl TokenTagger {
    /// The tags for examples, and how good they are: seqeval's metrics where labels are tags of a
    /// scheme, else those of single words, and the `loss`.
    ///
    /// # Errors
    ///
    /// [`BadRow`](crate::Error::BadRow) for an example without tags or with unknown ones, and those
    /// of [`tag_words`](Self::tag_words).
    pub fn evaluate(&self, data: &Dataset<TokenExample>) -> Result<(Scores, Vec<Vec<WordTag>>)> {
        let gold = gold_tags(data, self.labels())?;
        let words = data.examples.iter().map(|example| example.words.as_slice());
        let made: WordRows = self.row_maker().words(words)?;
        let logits = word_logits(self.model(), self.row_maker(), &made, &|| false)?;
        let scores = score_tokens(self.labels(), self.chain(), &gold, &logits)?;
        Ok((scores, self.tags_of(logits)))
    }
}

/// The tags of every sentence.
///
/// # Errors
///
/// [`BadRow`](crate::Error::BadRow) for a sentence without tags or with one that is not a label.
pub(crate) fn gold_tags<'a>(
    data: &'a Dataset<TokenExample>,
    labels: &Labels,
) -> Result<Vec<&'a [String]>> {
    data.examples
        .iter()
        .map(|example| {
            let fault = match &example.tags {
                None => RowFault::TagCount {
                    words: example.words.len(),
                    tags: 0,
                },
                Some(tags) => match tags.iter().find(|tag| labels.id(tag).is_none()) {
                    None => return Ok(tags.as_slice()),
                    Some(tag) => RowFault::UnknownLabel {
                        label: tag.clone(),
                        known: labels.names().join(", "),
                    },
                },
            };
            Err(data.fault(example.line, fault))
        })
        .collect()
}

/// The metrics of a task on texts and `loss`, the mean over the examples that training minimises,
/// without class weights.
pub(crate) fn score_texts(
    task: Task,
    labels: &Labels,
    glue: Option<GlueTask>,
    gold: &[RowTarget],
    logits: &[impl AsRef<[f32]>],
) -> Result<Scores> {
    let pairs = gold.iter().zip(logits.iter().map(AsRef::as_ref));
    let loss = mean(pairs.map(|(gold, logits)| text_loss(gold, logits)));
    let predicted: Vec<RowTarget> = logits
        .iter()
        .map(|logits| predicted(task, logits.as_ref()))
        .collect();
    let scores = text_metrics(task, labels, glue, gold, &predicted)?;
    Ok(scores.with_value("loss", loss))
}

/// Predicted target of a text, decoded from its logits.
fn predicted(task: Task, logits: &[f32]) -> RowTarget {
    match task {
        Task::Classify
        | Task::NextSentence
        | Task::Tokens
        | Task::Qa
        | Task::Choice
        | Task::Similarity => RowTarget::Class(argmax(logits)),
        Task::MultiLabel => RowTarget::Flags(logits.iter().map(|&x| x > 0.0).collect()),
        Task::Regress => RowTarget::Number(logits[0]),
    }
}

/// The metrics of a task on texts, from what was predicted for each of them.
pub(crate) fn text_metrics(
    task: Task,
    labels: &Labels,
    glue: Option<GlueTask>,
    gold: &[RowTarget],
    predicted: &[RowTarget],
) -> Result<Scores> {
    let pairs = || gold.iter().zip(predicted);
    let classes = || -> (Vec<usize>, Vec<usize>) {
        pairs()
            .filter_map(|pair| match pair {
                (RowTarget::Class(gold), RowTarget::Class(predicted)) => Some((*gold, *predicted)),
                _ => None,
            })
            .unzip()
    };
    let numbers = || -> (Vec<f64>, Vec<f64>) {
        pairs()
            .filter_map(|pair| match pair {
                (RowTarget::Number(gold), RowTarget::Number(predicted)) => {
                    Some((f64::from(*gold), f64::from(*predicted)))
                }
                _ => None,
            })
            .unzip()
    };
    Ok(match (task, glue) {
        (Task::Classify, Some(glue)) if glue.classes().is_some() => {
            let (gold, predicted) = classes();
            glue.score_classes(&gold, &predicted)?
        }
        (Task::Regress, Some(glue)) if glue.classes().is_none() => {
            let (gold, predicted) = numbers();
            glue.score_values(&gold, &predicted)?
        }
        (
            Task::Classify
            | Task::NextSentence
            | Task::Tokens
            | Task::Qa
            | Task::Choice
            | Task::Similarity,
            _,
        ) => {
            let (gold, predicted) = classes();
            let mut matrix = ConfusionMatrix::new(labels.count());
            matrix.add_all(&gold, &predicted)?;
            matrix.scores(labels.names())
        }
        (Task::MultiLabel, _) => {
            let mut scorer = MultiLabelScorer::new(labels.count());
            for pair in pairs() {
                if let (RowTarget::Flags(gold), RowTarget::Flags(predicted)) = pair {
                    scorer.add(gold, predicted)?;
                }
            }
            scorer.scores(labels.names())
        }
        (Task::Regress, _) => {
            let mut scorer = RegressionScorer::default();
            let (gold, predicted) = numbers();
            gold.iter()
                .zip(&predicted)
                .for_each(|(gold, x)| scorer.add(*gold, *x));
            scorer.scores()
        }
    })
}

/// The metrics of word labels and `loss`, the mean over the words that have a token; `chain` chooses
/// the labels of a sentence together.
pub(crate) fn score_tokens(
    labels: &Labels,
    chain: Option<&CrfChain>,
    gold: &[&[String]],
    logits: &[Vec<Option<Vec<f32>>>],
) -> Result<Scores> {
    let sentences = || gold.iter().zip(logits);
    let classes = |(tags, logits): (&&[String], &Vec<Option<Vec<f32>>>)| -> Vec<usize> {
        let words = tags.iter().zip(logits);
        let words = words.filter(|(_, logits)| logits.is_some());
        words.filter_map(|(tag, _)| labels.id(tag)).collect()
    };
    let loss = match chain {
        Some(chain) => {
            let losses = sentences().map(|sentence| {
                chain.negative_log_likelihood(&with_token(sentence.1), &classes(sentence))
            });
            let words: usize = sentences().map(|sentence| classes(sentence).len()).sum();
            losses.sum::<f64>() / words.max(1) as f64
        }
        None => mean(sentences().flat_map(|sentence| {
            let words = classes(sentence).into_iter().zip(with_token(sentence.1));
            words.map(|(class, logits)| cross_entropy(class, logits))
        })),
    };
    let predicted: Vec<Vec<&str>> = logits
        .iter()
        .map(|sentence| {
            let words = decode(chain, sentence).into_iter();
            words
                .map(|found| tag_or_outside(labels, found.map(|(tag, _)| tag)))
                .collect()
        })
        .collect();
    Ok(tag_metrics(labels, gold, &predicted)?.with_value("loss", loss))
}

/// seqeval's metrics where `labels` are tags of a scheme, else those of single words.
pub(crate) fn tag_metrics(
    labels: &Labels,
    gold: &[&[String]],
    predicted: &[Vec<&str>],
) -> Result<Scores> {
    if are_tags(labels) {
        let mut scorer = EntityScorer::new(TagReading::Lenient);
        for (gold, predicted) in gold.iter().zip(predicted) {
            scorer.add(gold, predicted)?;
        }
        return Ok(scorer.scores());
    }
    let mut matrix = ConfusionMatrix::new(labels.count());
    let words = gold
        .iter()
        .zip(predicted)
        .flat_map(|(gold, predicted)| gold.iter().zip(predicted));
    for (gold, predicted) in words {
        if let (Some(gold), Some(predicted)) = (labels.id(gold), labels.id(predicted)) {
            matrix.add(gold, predicted)?;
        }
    }
    Ok(matrix.scores(labels.names()))
}

fn text_loss(gold: &RowTarget, logits: &[f32]) -> f64 {
    match gold {
        RowTarget::Class(class) => cross_entropy(*class, logits),
        RowTarget::Number(number) => (f64::from(logits[0]) - f64::from(*number)).powi(2),
        RowTarget::Flags(flags) => mean(flags.iter().zip(logits).map(|(&flag, &logit)| {
            let x = f64::from(if flag { logit } else { -logit });
            // -ln σ(x)
            (-x).max(0.0) + (-x.abs()).exp().ln_1p()
        })),
        // The tasks that are not on texts alone are scored elsewhere.
        RowTarget::Tokens(_)
        | RowTarget::Span(..)
        | RowTarget::Choice(_)
        | RowTarget::Cosine(_)
        | RowTarget::Like { .. } => 0.0,
    }
}

/// In nats.
pub(super) fn cross_entropy(class: usize, logits: &[f32]) -> f64 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits
        .iter()
        .map(|logit| f64::from(logit - highest).exp())
        .sum();
    let logit = logits.get(class).copied().unwrap_or(f32::NAN);
    sum.ln() - f64::from(logit - highest)
}

/// 0 of nothing.
pub(super) fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let values = values.into_iter();
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    sum / count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} against {b}");
    }

    #[test]
    fn losses_are_those_of_training() {
        near(cross_entropy(1, &[0.0, 0.0, 0.0]), 3_f64.ln());
        near(cross_entropy(0, &[1000.0, 0.0]), 0.0);
        near(text_loss(&RowTarget::Number(2.0), &[-1.0]), 9.0);
        let flags = RowTarget::Flags(vec![true, false]);
        near(text_loss(&flags, &[0.0, 0.0]), 2_f64.ln());
        near(text_loss(&flags, &[1000.0, -1000.0]), 0.0);
    }

    #[test]
    fn every_task_is_scored() {
        let labels = Labels::new(["a", "b"]).unwrap();
        let gold = [1, 0, 1].map(RowTarget::Class);
        let logits = [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]];
        let scores = score_texts(Task::Classify, &labels, None, &gold, &logits).unwrap();
        assert_eq!(scores.get("accuracy"), Some(2.0 / 3.0));
        let glue = Some(GlueTask::Mrpc);
        let scores = score_texts(Task::Classify, &labels, glue, &gold, &logits).unwrap();
        assert_eq!(scores.get("f1"), Some(0.8));
        let gold = [1.0, 2.0, 4.0].map(RowTarget::Number);
        let logits = [[2.0], [4.0], [8.0]];
        let scores = score_texts(Task::Regress, &labels, None, &gold, &logits).unwrap();
        assert_eq!(scores.get("mse"), Some(7.0));
        assert_eq!(scores.get("loss"), Some(7.0));
        let gold = [RowTarget::Flags(vec![true, false])];
        let scores = score_texts(Task::MultiLabel, &labels, None, &gold, &[[1.0, 1.0]]).unwrap();
        assert_eq!(scores.get("subset_accuracy"), Some(0.0));
    }

    #[test]
    fn a_word_without_a_token_counts_as_outside() {
        let labels = Labels::new(["O", "B-A"]).unwrap();
        let tags = ["B-A", "O", "B-A"].map(String::from);
        let logits = vec![Some(vec![0.0, 1.0]), None, None];
        let scores = score_tokens(&labels, None, &[&tags], &[logits]).unwrap();
        assert_eq!(
            (scores.get("precision"), scores.get("recall")),
            (Some(1.0), Some(0.5))
        );
        let labels = Labels::new(["NN", "VB"]).unwrap();
        let tags = ["VB", "NN"].map(String::from);
        let logits = vec![Some(vec![0.0, 1.0]), None];
        let scores = score_tokens(&labels, None, &[&tags], &[logits]).unwrap();
        assert_eq!(scores.get("accuracy"), Some(1.0));
    }
}
