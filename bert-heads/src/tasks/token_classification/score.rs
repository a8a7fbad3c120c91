//! Metrics and loss of predicted word labels.

use super::crf::CrfChain;
use super::tagger::{
    TokenTagger, WordTag, are_tags, decode, tag_or_outside, with_token, word_logits,
};
use crate::datasets::{Dataset, RowFault, TokenExample};
use crate::error::Result;
use crate::labels::Labels;
use crate::metrics::{ConfusionMatrix, EntityScorer, Scores, TagReading};
use crate::runner::WordRows;
use crate::tasks::logits::{cross_entropy, mean};

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
        let features: WordRows = self.featurizer().words(words)?;
        let logits = word_logits(self.model(), self.featurizer(), &features, &|| false)?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
