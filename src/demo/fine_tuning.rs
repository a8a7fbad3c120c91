//! The second half: three tasks are learnt from few labels, from the pretrained weights and from random ones.

use std::path::{Path, PathBuf};

use bert_core::checkpoint::Checkpoint;
use bert_core::stop::StopFlag;
use bert_core::tokenizer::BertTokenizer;
use bert_core::training::{Observers, Recipe, RunContext, TrainerOptions};
use bert_heads::runner::PredictOptions;
use bert_heads::task::{LayerRules, Settings};
use bert_heads::tasks::question_answering::{QuestionAnswerer, QuestionOptions, QuestionSettings};
use bert_heads::tasks::sequence_classification::TextClassifier;
use bert_heads::tasks::token_classification::TokenTagger;

use super::directory::{Demo, is_finished};
use super::error::Result;
use super::files::Texts;
use super::results::{Comparison, Ending};
use super::subject::{Start, Subject};

/// Tokens of a name, at most.
const LONGEST_NAME: usize = 4;

impl Demo {
    /// Learns every task from the pretrained weights and from random ones, with the same settings, and measures on the
    /// test's examples. `begin` receives each run before it starts.
    ///
    /// # Errors
    /// Those of data, model, device and disk.
    pub fn fine_tune(
        &self,
        texts: &Texts,
        begin: &mut dyn FnMut(Subject, Start),
        stop: &StopFlag,
    ) -> Result<Ending<Vec<Comparison>>> {
        let mut comparisons = Vec::new();
        for subject in Subject::ALL {
            let mut scores = [0.0; 2];
            for (score, start) in scores.iter_mut().zip([Start::Pretrained, Start::Scratch]) {
                begin(subject, start);
                match self.train(texts, subject, start, stop)? {
                    Ending::Stopped => return Ok(Ending::Stopped),
                    Ending::Finished(found) => *score = found,
                }
            }
            comparisons.push(Comparison {
                subject,
                labelled: self.labelled(subject),
                tested: self.plan.tested,
                pretrained: scores[0],
                scratch: scores[1],
            });
        }
        Ok(Ending::Finished(comparisons))
    }

    /// One fine-tuned model's score on the test.
    fn train(
        &self,
        texts: &Texts,
        subject: Subject,
        start: Start,
        stop: &StopFlag,
    ) -> Result<Ending<f64>> {
        let plan = &self.plan;
        let pretrained = self.pretrained();
        let output = self.model_dir(subject, start);
        if !is_finished(&output) {
            let data = subject.data(texts);
            let task = data.task();
            let labels = subject.labels()?;
            let recipe = Recipe::HuggingFace;
            let steps = match subject {
                Subject::Questions => 3 * plan.fine_tuning_steps,
                _ => plan.fine_tuning_steps,
            };
            let settings = Settings {
                model: "pretrained".to_owned(),
                from_scratch: start == Start::Scratch,
                data: format!("{} examples of the grammar", self.labelled(subject)),
                labels: labels.names().to_vec(),
                class_weights: None,
                recipe,
                optimizer: recipe.optimizer(),
                schedule: recipe.schedule(plan.fine_tuning_rate, steps / 10, steps),
                layers: LayerRules {
                    decay: plan.layer_decay,
                    ..LayerRules::default()
                },
                crf: None,
                batch_size: 16,
                accumulate: 1,
                bucket: 1,
                max_length: plan.seq_length,
                metric: task.best_metric(&labels, None)?,
                seed: self.seed,
                questions: (subject == Subject::Questions).then(|| QuestionSettings {
                    max_answer_length: LONGEST_NAME,
                    ..QuestionSettings::usual(plan.seq_length)
                }),
                similarity: None,
            };
            let checkpoint = Checkpoint::open(&pretrained)?;
            let tokenizer = BertTokenizer::from_dir(&pretrained)?;
            let data = data.prepare(settings, &checkpoint, &tokenizer, None)?;
            let mut observer = Observers::default();
            let context = RunContext {
                options: TrainerOptions {
                    title: format!("fine-tuning: {task}"),
                    ..TrainerOptions::default()
                },
                resume: true,
                stop: stop.clone(),
                ..RunContext::new(self.device.clone(), &output, &mut observer)
            };
            let summary = data.train(&checkpoint, &tokenizer, context)?;
            if !summary.finished {
                return Ok(Ending::Stopped);
            }
        }
        Ok(Ending::Finished(self.score(texts, subject, &output)?))
    }

    fn labelled(&self, subject: Subject) -> usize {
        match subject {
            Subject::Questions => self.plan.questions,
            _ => self.plan.labelled,
        }
    }

    /// The score of a fine-tuned model on the test, 0 to 1.
    fn score(&self, texts: &Texts, subject: Subject, model: &Path) -> Result<f64> {
        let (device, options) = (&self.device, PredictOptions::default());
        let (scores, metric, whole) = match subject {
            Subject::Reviews => {
                let classifier = TextClassifier::from_dir(model, &options, device)?;
                (
                    classifier.evaluate(&texts.reviews[1], None)?.0,
                    "accuracy",
                    1.0,
                )
            }
            Subject::Names => {
                let tagger = TokenTagger::from_dir(model, &options, device)?;
                (tagger.evaluate(&texts.names[1])?.0, "f1", 1.0)
            }
            Subject::Questions => {
                let of_questions = QuestionOptions::default();
                let answerer = QuestionAnswerer::from_dir(model, &of_questions, &options, device)?;
                let questions = &texts.questions[1].examples;
                (answerer.evaluate(questions)?.0, "exact_match", 100.0)
            }
        };
        Ok(scores.get(metric).unwrap_or(f64::NAN) / whole)
    }

    /// The directory of a fine-tuned model.
    pub fn model_dir(&self, subject: Subject, start: Start) -> PathBuf {
        let start = match start {
            Start::Pretrained => "pretrained",
            Start::Scratch => "scratch",
        };
        self.dir.join(format!("{}-{start}", subject.name()))
    }
}
