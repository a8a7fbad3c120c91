//! A pretraining run from settings to a finished checkpoint.

use std::sync::Arc;

use bert_core::batch::Workload;
use bert_core::checkpoint::Checkpoint;
use bert_core::config::BertConfig;
use bert_core::device::Device;
use bert_core::ops::Products;
use bert_core::stop::ShouldStop;
use bert_core::tokenizer::BertTokenizer;
use bert_core::training::{
    Evaluation, MicroBatch, Observer, RunContext, Summary, TrainerState, Update,
};
use burn::train::InferenceStep;

use crate::corpus::Documents;
use crate::data::{
    DynamicInstances, DynamicOptions, InstanceStream, Stage, StaticInstances, Updates,
    UpdatesOptions, evaluation_batches,
};
use crate::instances::{MaskingOptions, PairOptions, PreparedInstances};
use crate::model::{BertForPreTraining, check_segments};
use crate::objective::{PreTrainingBatch, PreTrainingModel, unigram_accuracy};
use crate::recipe::loss_epsilon;
use crate::replaced_tokens::ReplacedTokenDetection;
pub use crate::settings::{LongStage, ReplacedTokenOptions, Settings};
use crate::{Error, Result};

/// Training data.
pub enum Data {
    /// Documents: pairs and masks are made anew in every pass.
    Documents(Documents),
    /// Prepared instances, the same in every pass.
    Instances(Arc<PreparedInstances>),
}

/// A pretraining run: model, data and settings.
pub struct Run {
    /// Settings that determine the outcome.
    pub settings: Settings,
    /// Sizes and dropout of the model.
    pub config: BertConfig,
    /// The checkpoint to start from; none starts from random weights.
    pub initial: Option<Checkpoint>,
    /// Its vocabulary is the model's.
    pub tokenizer: BertTokenizer,
    /// Training data.
    pub data: Data,
    /// Documents to evaluate on.
    pub held_out: Option<Documents>,
    /// Batches of an evaluation, at most.
    pub evaluation_batches: usize,
}

impl Run {
    /// Trains to the end, or until asked to stop; the model of the last step is then in the output directory.
    ///
    /// # Errors
    /// [`bert_core::Error::Run`] if that directory holds another run; those of data, model, device and disk.
    pub fn run(&self, context: RunContext<'_>) -> Result<Summary> {
        match &self.settings.replaced_tokens {
            None => self.train::<BertForPreTraining>(context),
            Some(options) => {
                options.check()?;
                self.train::<ReplacedTokenDetection>(context)
            }
        }
    }

    fn train<M: PreTrainingModel>(&self, context: RunContext<'_>) -> Result<Summary> {
        let (config, settings, tokenizer) = (&self.config, &self.settings, &self.tokenizer);
        self.check_lengths()?;
        self.check_embeddings()?;
        self.check_buffers(&context.devices)?;
        let initial = TrainerState::new(
            settings.seed,
            settings.optimizer,
            settings.schedule,
            serde_json::to_value(settings).expect("settings are JSON"),
        );
        let session = context.begin(initial, |checkpoint, device, observer| {
            self.model::<M>(checkpoint, device, observer)
        })?;
        let held_out = match &self.held_out {
            Some(documents) => held_out_batches(
                documents,
                tokenizer,
                settings.pairs.clone(),
                settings.masking.clone(),
                settings.batch_size,
                self.evaluation_batches,
            )?,
            None => Vec::new(),
        };
        let evaluate = |model: &M, should_stop: ShouldStop<'_>| -> Result<Option<Evaluation>> {
            let Some(mut values) = evaluate_unless(should_stop, model, &held_out) else {
                return Ok(None);
            };
            // The same every time: no news in the course of a run.
            values.retain(|(name, _)| name != "predictions");
            let all = values.iter().cloned();
            let all = all.map(|(name, value)| (name, value.into())).collect();
            Ok(Some((values, all)))
        };
        let cursor = session.state.cursor_as(&session.context.output)?;
        let updates = self.updates(session.state.step, cursor)?;
        session.train(
            updates,
            |model, dir| model.write(dir, config, settings, tokenizer),
            (!held_out.is_empty()).then_some(evaluate),
            false,
        )
    }

    /// The model of the run's checkpoint, or that of a new run.
    fn model<M: PreTrainingModel>(
        &self,
        resumed: Option<&Checkpoint>,
        device: &Device,
        observer: &mut dyn Observer,
    ) -> Result<M> {
        let Some(checkpoint) = resumed.or(self.initial.as_ref()) else {
            return M::fresh(&self.config, &self.settings, device);
        };
        let (model, missing) = M::load(checkpoint, &self.settings, device)?;
        let dir = checkpoint.dir();
        match missing.first() {
            Some(name) if resumed.is_some() => {
                let dir = dir.to_owned();
                let reason =
                    format!("lacks the tensor `{name}`: it is not a checkpoint of this run");
                return Err(bert_core::Error::Run { dir, reason }.into());
            }
            Some(_) => observer.message(&format!(
                "{} has no {}: these start from random values",
                dir.display(),
                missing.join(", ")
            )),
            None => {}
        }
        Ok(model)
    }

    /// Refuses tokens and segments that the model has no embedding for. Masks draw from the whole vocabulary.
    fn check_embeddings(&self) -> Result<()> {
        self.tokenizer.check_every_token(self.config.vocab_size)?;
        let pairs = match &self.data {
            Data::Documents(_) => self.settings.pairs.next_sentence,
            Data::Instances(instances) => instances.options().pair.next_sentence,
        };
        check_segments(&self.config, pairs || self.settings.pairs.next_sentence)
    }

    /// Refuses micro-batches that make buffers beyond what a device gives out.
    fn check_buffers(&self, devices: &[Device]) -> Result<()> {
        let settings = &self.settings;
        let stages = [
            Some((
                settings.batch_size,
                settings.pairs.max_seq_length,
                settings.masking.max_predictions,
            )),
            settings
                .long
                .as_ref()
                .map(|long| (long.batch_size, long.seq_length, long.max_predictions)),
        ];
        for (rows, tokens, predictions) in stages.into_iter().flatten() {
            let workload = Workload {
                rows,
                tokens,
                scored: rows.saturating_mul(predictions),
                remedy: "use a smaller --batch-size (--accumulate makes up for it), or shorter sequences",
            };
            for device in devices {
                workload.check(&self.config, device)?;
            }
        }
        Ok(())
    }

    /// Refuses sequences longer than the model has positions before hours are spent on others.
    fn check_lengths(&self) -> Result<()> {
        let main = self.settings.pairs.max_seq_length;
        let length = self
            .settings
            .long
            .map_or(main, |long| long.seq_length.max(main));
        let maximum = self.config.max_input_length();
        if length > maximum {
            return Err(bert_core::Error::TooLong { length, maximum }.into());
        }
        match self.settings.long {
            Some(long) if long.steps > self.settings.schedule.total_steps => {
                Err(Error::InvalidOption {
                    option: "long steps",
                    value: long.steps.to_string(),
                    expected: "at most the steps of the whole run",
                })
            }
            _ => Ok(()),
        }
    }

    /// The updates after `step` ones, in both stages.
    fn updates(
        &self,
        step: u64,
        reached: Stage,
    ) -> Result<impl Iterator<Item = Result<Update<PreTrainingBatch>>> + Send + use<>> {
        let total = self.settings.schedule.total_steps;
        let long_steps = self.settings.long.map_or(0, |long| long.steps);
        let main_steps = total - long_steps;
        let mut stages = Vec::new();
        if step < main_steps {
            let left = main_steps - step;
            stages.push((self.stage(reached, None)?, left));
        }
        if let Some(long) = self.settings.long {
            let done = step.saturating_sub(main_steps);
            let start = match reached.stage {
                1 => reached,
                _ => Stage {
                    stage: 1,
                    ..Stage::default()
                },
            };
            if done < long.steps {
                stages.push((self.stage(start, Some(long))?, long.steps - done));
            }
        }
        Ok(stages.into_iter().flat_map(|(updates, steps)| {
            updates.take(usize::try_from(steps).unwrap_or(usize::MAX))
        }))
    }

    fn stage(
        &self,
        start: Stage,
        long: Option<LongStage>,
    ) -> Result<Updates<Box<dyn InstanceStream>>> {
        let mut pairs = self.settings.pairs.clone();
        let mut masking = self.settings.masking.clone();
        let mut batch_size = self.settings.batch_size;
        let mut seed = self.settings.seed;
        if let Some(long) = long {
            pairs.max_seq_length = long.seq_length;
            masking.max_predictions = long.max_predictions;
            batch_size = long.batch_size;
            seed = seed.wrapping_add(1); // an order of its own
        }
        let max_seq_length = pairs.max_seq_length;
        let instances: Box<dyn InstanceStream> = match &self.data {
            Data::Documents(documents) => {
                let options = DynamicOptions {
                    pairs,
                    masking,
                    seed,
                };
                let documents = Arc::clone(documents);
                Box::new(DynamicInstances::new(
                    documents,
                    &self.tokenizer,
                    options,
                    start.cursor,
                )?)
            }
            Data::Instances(instances) => Box::new(StaticInstances::new(
                Arc::clone(instances),
                seed,
                start.cursor,
            )?),
        };
        let options = UpdatesOptions {
            batch_size,
            micro_batches: self.settings.accumulate,
            pad_id: self.tokenizer.pad_id(),
            pad_to: self.settings.pad_to_length.then_some(max_seq_length),
        };
        let loss_epsilon = loss_epsilon(self.settings.recipe);
        Ok(Updates::new(instances, options, start.stage, loss_epsilon))
    }
}

/// The batches of an evaluation on `documents`: the same at every call, whatever the seed of the run.
///
/// # Errors
/// [`Error::NoInstances`] if the documents are too short for any.
pub fn held_out_batches(
    documents: &Documents,
    tokenizer: &BertTokenizer,
    pairs: PairOptions,
    masking: MaskingOptions,
    batch_size: usize,
    limit: usize,
) -> Result<Vec<PreTrainingBatch>> {
    const SEED: u64 = 0x0BE7;
    let options = DynamicOptions {
        pairs,
        masking,
        seed: SEED,
    };
    let stream = DynamicInstances::new(
        Arc::clone(documents),
        tokenizer,
        options,
        Default::default(),
    )?;
    evaluation_batches(stream, batch_size, tokenizer.pad_id(), limit)
}

/// Losses and accuracies of the model's objective and the masked LM's perplexity over `batches`, and the accuracy of always
/// predicting the most frequent token.
pub fn evaluate<M: PreTrainingModel>(
    model: &M,
    batches: &[PreTrainingBatch],
) -> Vec<(String, f64)> {
    evaluate_unless(&|| false, model, batches).unwrap_or_default()
}

/// [`evaluate`], or none if asked to stop before it is done.
fn evaluate_unless<M: PreTrainingModel>(
    should_stop: ShouldStop<'_>,
    model: &M,
    batches: &[PreTrainingBatch],
) -> Option<Vec<(String, f64)>> {
    let mut sums: Vec<f64> = Vec::new();
    for batch in batches {
        if should_stop() {
            return None;
        }
        let passed = InferenceStep::step(
            model,
            MicroBatch {
                data: batch.clone(),
                seed: 0,
                loss_scale: 1.0,
                products: Products::Float,
            },
        );
        let passed = passed.to_host();
        sums.resize(passed.len(), 0.0);
        for (sum, value) in sums.iter_mut().zip(passed) {
            *sum += value;
        }
    }
    let mut values = M::evaluation_values(&sums);
    values.push(("unigram_accuracy".to_owned(), unigram_accuracy(batches)));
    Some(values)
}
