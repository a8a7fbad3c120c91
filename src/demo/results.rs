//! Results of a demonstration.

use bert_core::report::{Section, SectionBody};
use serde::Serialize;

use super::files::Counts;
use super::inspection::Inspection;
use super::subject::Subject;
use super::text::Language;

/// End of a stage.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending<T> {
    /// With a result.
    Finished(T),
    /// By the flag, with a checkpoint to go on from.
    Stopped,
}

/// Results of pretraining, measured on documents of the test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pretraining {
    /// Optimizer steps.
    pub steps: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Share of masked tokens that are predicted right, 0 to 1.
    pub masked_words: f64,
    /// Share that always predicting the commonest token gets right, 0 to 1.
    pub commonest_word: f64,
    /// Accuracy of next-sentence prediction, 0 to 1.
    pub next_sentence: f64,
}

/// A task, learnt twice from the same labels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Task.
    pub subject: Subject,
    /// Examples trained on.
    pub labelled: usize,
    /// Examples tested with.
    pub tested: usize,
    /// The score after pretraining, 0 to 1.
    pub pretrained: f64,
    /// The score of the same network from random weights.
    pub scratch: f64,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Results {
    /// The language.
    pub language: Language,
    /// The seed.
    pub seed: u64,
    /// Counts of the pretraining corpus.
    pub corpus: Counts,
    /// Results of pretraining.
    pub pretraining: Pretraining,
    /// Comparison with training from scratch, for each task.
    pub tasks: Vec<Comparison>,
    /// Inspection of the pretrained model.
    #[serde(rename = "looks")]
    pub inspection: Inspection,
}

impl Results {
    /// The results as text tables for a terminal.
    pub fn table(&self) -> String {
        let Pretraining {
            masked_words,
            commonest_word,
            next_sentence,
            ..
        } = self.pretraining;
        let mut text = format!(
            "pretraining, on documents it has not seen\n  \
             masked words        {:>6}   (always the commonest: {})\n  \
             next sentence       {:>6}   (chance: 50.0 %)\n\n\
             {:<42}pretrained   from scratch\n",
            percent(masked_words),
            percent(commonest_word),
            percent(next_sentence),
            "fine-tuning on few labelled examples",
        );
        for task in &self.tasks {
            let [done, metric] = task.subject.described();
            text.push_str(&format!(
                "  {:<40}{:>10}{:>15}\n",
                format!("{done} ({} examples), {metric}", task.labelled),
                percent(task.pretrained),
                percent(task.scratch)
            ));
        }
        text.push_str(
            "\none word, two meanings (mean cosine)       same meaning   other meaning   static vectors\n",
        );
        for word in &self.inspection.words {
            let name = format!("{}: {}, {}", word.word, word.meanings[0], word.meanings[1]);
            let pad = 42_usize.saturating_sub(columns(&name));
            text.push_str(&format!(
                "  {name}{:pad$}{:>11.2}{:>16.2}{:>17.2}\n",
                "", word.same, word.other, 1.0
            ));
        }
        text
    }

    /// The results as parts of a report.
    pub fn sections(&self) -> Vec<Section> {
        let table = |title: &str, header: &[&str], rows| Section {
            title: title.to_owned(),
            body: SectionBody::Table {
                header: header.iter().map(|&cell| cell.to_owned()).collect(),
                rows,
            },
        };
        let tasks = self.tasks.iter().map(|task| {
            let [done, metric] = task.subject.described();
            vec![
                done.to_owned(),
                metric.to_owned(),
                task.labelled.to_string(),
                task.tested.to_string(),
                percent(task.pretrained),
                percent(task.scratch),
            ]
        });
        let words = self.inspection.words.iter().map(|word| {
            vec![
                format!("{}: {}, {}", word.word, word.meanings[0], word.meanings[1]),
                format!("{:.2}", word.same),
                format!("{:.2}", word.other),
                "1.00".to_owned(),
                word.examples[0].clone(),
                word.examples[1].clone(),
            ]
        });
        vec![
            table(
                "What pretraining is worth",
                &[
                    "Task",
                    "Metric",
                    "Labelled",
                    "Tested",
                    "Pretrained",
                    "From scratch",
                ],
                tasks.collect(),
            ),
            table(
                "One word, two meanings: mean cosine between its vectors",
                &[
                    "Word",
                    "Same meaning",
                    "Other meaning",
                    "Static vectors",
                    "First",
                    "Second",
                ],
                words.collect(),
            ),
            Section {
                title: "Attention".to_owned(),
                body: SectionBody::Html(self.inspection.attention.clone()),
            },
        ]
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Columns of a terminal: Chinese characters take two.
fn columns(text: &str) -> usize {
    text.chars()
        .map(|letter| if letter > '\u{2e7f}' { 2 } else { 1 })
        .sum()
}
