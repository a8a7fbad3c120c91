//! The second half: names are learnt from few labels, from the pretrained weights and from random ones.

use std::path::PathBuf;

use bert_core::checkpoint::Checkpoint;
use bert_core::tokenizer::BertTokenizer;
use bert_core::training::{Observers, Recipe, StopFlag, TrainerOptions};
use bert_heads::finetune::{FineTuning, LayerRules, Settings, Task, TrainingData, best_metric};
use bert_heads::labels::Labels;
use bert_heads::predict::{PredictOptions, TokenTagger};

use crate::demo::{Demo, is_finished};
use crate::error::Result;
use crate::files::Texts;
use crate::results::{Comparison, Ending};

/// What a model starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The pretrained weights.
    Pretrained,
    /// Random weights.
    Scratch,
}

impl Demo {
    /// Learns to find names from the pretrained weights and from random ones, with the same settings, and measures on the
    /// test's examples. `begin` is told each run before it starts.
    ///
    /// # Errors
    /// Those of data, model, device and disk.
    pub fn fine_tune(
        &self,
        texts: &Texts,
        begin: &mut dyn FnMut(Start),
        stop: &StopFlag,
    ) -> Result<Ending<Comparison>> {
        let mut scores = Vec::new();
        for start in [Start::Pretrained, Start::Scratch] {
            begin(start);
            match self.train(texts, start, stop)? {
                Ending::Stopped => return Ok(Ending::Stopped),
                Ending::Finished(score) => scores.push(score),
            }
        }
        Ok(Ending::Finished(Comparison {
            labelled: self.plan.labelled,
            tested: self.plan.tested,
            pretrained: scores[0],
            scratch: scores[1],
        }))
    }

    /// One fine-tuned model's score on the test.
    fn train(&self, texts: &Texts, start: Start, stop: &StopFlag) -> Result<Ending<f64>> {
        let plan = &self.plan;
        let pretrained = self.pretrained();
        let output = self.model_dir(start);
        if !is_finished(&output) {
            let tags = ["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER"];
            let labels = Labels::new(tags)?;
            let task = Task::Tokens;
            let recipe = Recipe::HuggingFace;
            let steps = plan.fine_tuning_steps;
            let summary = FineTuning {
                settings: Settings {
                    task,
                    model: "pretrained".to_owned(),
                    from_scratch: start == Start::Scratch,
                    data: format!("{} examples of the grammar", plan.labelled),
                    labels: labels.names().to_vec(),
                    class_weights: None,
                    recipe,
                    optimizer: recipe.optimizer(),
                    schedule: recipe.schedule(plan.fine_tuning_rate, steps / 10, steps),
                    layers: LayerRules::default(),
                    crf: None,
                    batch_size: 16,
                    accumulate: 1,
                    bucket: 1,
                    max_length: plan.seq_length,
                    metric: best_metric(task, &labels, None)?,
                    seed: self.seed,
                    questions: None,
                    similarity: None,
                },
                checkpoint: Checkpoint::open(&pretrained)?,
                tokenizer: BertTokenizer::from_dir(&pretrained)?,
                data: TrainingData::Tokens {
                    train: texts.names[0].clone(),
                    validation: None,
                },
                glue: None,
                devices: vec![self.device.clone()],
                gradient_checkpointing: false,
                options: TrainerOptions {
                    title: format!("fine-tuning: {task}"),
                    ..TrainerOptions::default()
                },
                output: output.clone(),
                keep: 1,
                resume: true,
                observer: &mut Observers::default(),
                stop: stop.clone(),
            }
            .run()?;
            if !summary.finished {
                return Ok(Ending::Stopped);
            }
        }
        let tagger = TokenTagger::from_dir(&output, &PredictOptions::default(), &self.device)?;
        let (scores, _) = tagger.evaluate(&texts.names[1])?;
        Ok(Ending::Finished(scores.get("f1").unwrap_or(f64::NAN)))
    }

    /// The directory of a fine-tuned model.
    pub fn model_dir(&self, start: Start) -> PathBuf {
        self.dir.join(match start {
            Start::Pretrained => "names-pretrained",
            Start::Scratch => "names-scratch",
        })
    }
}
