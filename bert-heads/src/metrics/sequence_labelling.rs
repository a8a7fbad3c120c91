//! Entities found against entities there (seqeval `metrics/`).

use std::collections::{BTreeMap, HashSet};

use super::averages::{Averages, LabelCounts, PrecisionRecallF1};
use super::entities::{Entity, TagReading, read};
use super::{ratio, same_length, scores::Scores};
use crate::error::Result;

/// Compares the tags of sentences. An entity counts as found only with the right label, start and
/// end.
#[derive(Clone, Debug, Default)]
pub struct EntityScorer {
    reading: TagReading,
    labels: BTreeMap<String, LabelCounts>,
    sentences: u64,
    tokens: u64,
    correct_tokens: u64,
}

impl EntityScorer {
    /// Nothing counted yet; `reading` says what tags mean that break their scheme.
    pub fn new(reading: TagReading) -> Self {
        Self {
            reading,
            ..Self::default()
        }
    }

    /// Counts one sentence: the gold and the predicted tag of each word.
    ///
    /// # Errors
    ///
    /// [`Error::Unpaired`](crate::Error::Unpaired) for lists of different length and
    /// [`Error::Tag`](crate::Error::Tag) for a tag that cannot be read; nothing is counted then.
    pub fn add(&mut self, gold: &[impl AsRef<str>], predicted: &[impl AsRef<str>]) -> Result<()> {
        same_length("tags of a sentence", gold.len(), predicted.len())?;
        let sentence = self.sentences + 1;
        let gold_entities = read(gold, self.reading).map_err(|position| {
            let place = format!(" of sentence {sentence}, gold tags");
            self.reading.error(gold, position, place)
        })?;
        let predicted_entities = read(predicted, self.reading).map_err(|position| {
            let place = format!(" of sentence {sentence}, predicted tags");
            self.reading.error(predicted, position, place)
        })?;

        for entity in &gold_entities {
            self.counts(&entity.label).gold += 1;
        }
        let gold_entities: HashSet<Entity> = gold_entities.into_iter().collect();
        for entity in predicted_entities {
            let counts = self.counts(&entity.label);
            counts.predicted += 1;
            counts.true_positives += u64::from(gold_entities.contains(&entity));
        }
        let pairs = gold.iter().zip(predicted);
        let right = pairs.filter(|(gold, predicted)| gold.as_ref() == predicted.as_ref());
        self.correct_tokens += right.count() as u64;
        self.tokens += gold.len() as u64;
        self.sentences += 1;
        Ok(())
    }

    fn counts(&mut self, label: &str) -> &mut LabelCounts {
        if !self.labels.contains_key(label) {
            self.labels.insert(label.to_owned(), LabelCounts::default());
        }
        self.labels.get_mut(label).expect("it was inserted")
    }

    /// Precision, recall, F1 and support of every label that is gold or predicted somewhere, in the
    /// order of their code points.
    pub fn labels(&self) -> impl Iterator<Item = (&str, PrecisionRecallF1)> {
        let labels = self.labels.iter();
        labels.map(|(label, counts)| (label.as_str(), counts.scores()))
    }

    /// The averages over these labels; `micro_average` is the F1 that papers report.
    pub fn averages(&self) -> Averages {
        Averages::of(self.labels.values().copied())
    }

    /// Share of the words with the right tag, 0 to 1, `O` included and read as text.
    pub fn token_accuracy(&self) -> f64 {
        ratio(self.correct_tokens, self.tokens)
    }

    /// `precision`, `recall` and `f1` (the micro average, `f1` the primary number), `macro_…` and
    /// `weighted_…`, `accuracy` of the words, and how many `entities` (gold), `tokens` and
    /// `sentences` there are.
    pub fn scores(&self) -> Scores {
        let averages = self.averages();
        let scores = Scores::new("f1")
            .with_average(["precision", "recall", "f1"], averages.micro_average)
            .with_average(
                ["macro_precision", "macro_recall", "macro_f1"],
                averages.macro_average,
            )
            .with_average(
                ["weighted_precision", "weighted_recall", "weighted_f1"],
                averages.weighted_average,
            )
            .with_value("accuracy", self.token_accuracy())
            .with_count("entities", averages.micro_average.support)
            .with_count("tokens", self.tokens)
            .with_count("sentences", self.sentences);
        self.labels().fold(scores, |scores, (label, counts)| {
            scores.with_label(label, counts)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Scheme;

    #[test]
    fn an_entity_needs_label_start_and_end() {
        let mut scorer = EntityScorer::default();
        let gold = ["B-A", "I-A", "O", "B-B"];
        for predicted in [
            ["B-A", "I-A", "O", "B-B"],
            ["B-A", "O", "O", "B-B"],
            ["O", "B-A", "O", "O"],
            ["B-B", "I-B", "O", "B-B"],
        ] {
            scorer.add(&gold, &predicted).unwrap();
        }
        let scores = scorer.scores();
        // Found: A once, B three times; predicted: A three times, B four times.
        assert_eq!(scores.get("precision"), Some(4.0 / 7.0));
        assert_eq!(scores.get("recall"), Some(4.0 / 8.0));
        assert_eq!(scores.get("entities"), Some(8.0));
        assert_eq!(scores.get("accuracy"), Some(10.0 / 16.0));
        assert_eq!(scores.per_label()[0].1.precision, 1.0 / 3.0);
    }

    #[test]
    fn entities_do_not_run_on_into_the_next_sentence() {
        let mut scorer = EntityScorer::default();
        scorer.add(&["I-A"], &["I-A"]).unwrap();
        scorer.add(&["I-A"], &["I-A"]).unwrap();
        scorer.add(&[] as &[&str], &[] as &[&str]).unwrap();
        assert_eq!(scorer.averages().micro_average.support, 2);
        assert_eq!(scorer.scores().get("sentences"), Some(3.0));
    }

    #[test]
    fn what_cannot_be_read_is_placed_and_leaves_no_trace() {
        let mut scorer = EntityScorer::new(TagReading::Strict(Scheme::Iob2));
        scorer.add(&["B-A"], &["B-A"]).unwrap();
        let error = scorer.add(&["B-A", "O"], &["B-A", "S-A"]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("word 2 of sentence 2, predicted"), "{text}");
        let text = scorer.add(&["x"], &["O"]).unwrap_err().to_string();
        assert!(text.contains("gold tags"), "{text}");
        assert!(scorer.add(&["O"], &["O", "O"]).is_err());
        assert_eq!(scorer.averages().micro_average.support, 1);
        assert_eq!(scorer.token_accuracy(), 1.0);
    }
}
