//! The first half: a vocabulary and a pretrained model.

use std::path::PathBuf;
use std::sync::Arc;

use bert_core::config::BertConfig;
use bert_core::stop::StopFlag;
use bert_core::tokenizer::BertTokenizer;
use bert_core::training::{
    CheckpointStore, MetricsLog, Observer, Recipe, RunContext, Split, TrainerOptions,
};
use bert_pretrain::corpus::{CorpusOptions, Documents, Layout, TokenizedCorpus};
use bert_pretrain::instances::{MaskingOptions, PairOptions};
use bert_pretrain::run::{Data, Run, Settings};
use bert_pretrain::vocab::{VocabOptions, train_vocab};

use super::directory::Demo;
use super::error::Result;
use super::files::Texts;
use super::results::{Ending, Pretraining};

impl Demo {
    /// The step that pretraining is resumed from, `None` for a fresh one.
    ///
    /// # Errors
    /// Those of a damaged checkpoint.
    pub fn first_step(&self) -> Result<Option<u64>> {
        let found = CheckpointStore::find(&self.pretrained(), true)?;
        Ok(found.map(|(_, state)| state.step))
    }

    /// Trains the vocabulary and then the model (BERT §3.1); `observer` keeps `metrics.jsonl` beside the model.
    ///
    /// # Errors
    /// Those of data, model, device and disk.
    pub fn pretrain(
        &self,
        texts: &Texts,
        observer: &mut dyn Observer,
        stop: &StopFlag,
    ) -> Result<Ending<Pretraining>> {
        let plan = &self.plan;
        let output = self.pretrained();
        if !self.is_pretrained() {
            let tokenizer = self.vocabulary(texts)?;
            let config = BertConfig {
                pad_token_id: tokenizer.pad_id() as usize,
                // BERT's 0.02 is for vectors of 768; with these, attention would stay even for hundreds of steps.
                initializer_range: 0.06,
                // No sentence is seen often enough to be learnt by heart.
                hidden_dropout_prob: 0.0,
                attention_probs_dropout_prob: 0.0,
                ..BertConfig::new(
                    tokenizer.vocab_size(),
                    plan.hidden_size,
                    2,
                    2,
                    4 * plan.hidden_size,
                )
            };
            let documents = |name: &str, file: &PathBuf| -> Result<Documents> {
                let cache = output.join(name);
                let options = CorpusOptions {
                    layout: Layout::Lines,
                    ..CorpusOptions::default()
                };
                let files = std::slice::from_ref(file);
                let corpus = TokenizedCorpus::open_or_build(
                    &cache,
                    files,
                    &tokenizer,
                    &options,
                    &mut |_| (),
                )?;
                Ok(Arc::new(corpus))
            };
            let summary = Run {
                settings: self.pretraining_settings(),
                config,
                initial: None,
                data: Data::Documents(documents("corpus", &texts.corpus)?),
                held_out: Some(documents("held-out", &texts.held_out)?),
                tokenizer: tokenizer.clone(),
                evaluation_batches: 30,
            }
            .run(RunContext {
                options: TrainerOptions {
                    title: "pretraining".to_owned(),
                    evaluate_every: (plan.steps / 4).max(1),
                    ..TrainerOptions::default()
                },
                resume: true,
                stop: stop.clone(),
                ..RunContext::new(self.device.clone(), &output, observer)
            })?;
            if !summary.finished {
                return Ok(Ending::Stopped);
            }
        }
        let events = MetricsLog::read(output.join("metrics.jsonl"))?;
        let last = events
            .iter()
            .rfind(|event| event.split == Split::Evaluation);
        let value = |name| last.and_then(|event| event.value(name)).unwrap_or(f64::NAN);
        Ok(Ending::Finished(Pretraining {
            steps: plan.steps,
            seconds: last.map_or(0.0, |event| event.elapsed_s),
            masked_words: value("mlm_accuracy"),
            commonest_word: value("unigram_accuracy"),
            next_sentence: value("nsp_accuracy"),
        }))
    }

    fn vocabulary(&self, texts: &Texts) -> Result<BertTokenizer> {
        let options = VocabOptions {
            size: self.plan.vocabulary,
            corpus: CorpusOptions {
                layout: Layout::Lines,
                ..CorpusOptions::default()
            },
            ..VocabOptions::default()
        };
        let inputs = std::slice::from_ref(&texts.corpus);
        let trained = train_vocab(inputs, &options, &mut |_| ())?;
        Ok(trained.tokenizer)
    }

    fn pretraining_settings(&self) -> Settings {
        let plan = &self.plan;
        let recipe = Recipe::HuggingFace;
        Settings {
            data: format!(
                "{} documents of the grammar, {}",
                plan.documents, self.language
            ),
            initial: format!("random, 2 layers of {}", plan.hidden_size),
            recipe,
            optimizer: recipe.optimizer(),
            schedule: recipe.schedule(plan.learning_rate, plan.steps / 10, plan.steps),
            batch_size: plan.batch_size,
            accumulate: 1,
            pairs: PairOptions {
                max_seq_length: plan.seq_length,
                short_seq_probability: 0.1,
                next_sentence: true,
            },
            masking: MaskingOptions {
                // A few more than BERT's 0.15: the steps are few.
                probability: 0.2,
                max_predictions: plan.seq_length.div_ceil(5),
                ..MaskingOptions::default()
            },
            pad_to_length: false,
            long: None,
            replaced_tokens: None,
            seed: self.seed,
        }
    }
}
