//! The reference curves as data for the trainer.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bert_core::agreement::without_dropout;
use bert_core::checkpoint::{self, Checkpoint};
use bert_core::device::Device;
use bert_core::stop::{ShouldStop, StopFlag};
use bert_core::training::{
    Event, Observer, Optimizer, Recipe, RunContext, RunInfo, Schedule, Summary, Trainer,
    TrainerOptions, TrainerState, Update,
};
use bert_pretrain::Error;
use bert_pretrain::model::BertForPreTraining;
use bert_pretrain::objective::PreTrainingBatch;
use bert_pretrain::recipe::loss_epsilon;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

pub(crate) const UPDATES: usize = 20;
pub(crate) const MICRO_BATCHES: usize = 2;
const SEQ: usize = 10;

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../bert-core/fixtures")
        .join(name)
}

/// Every tensor of a file of the curves as f64.
pub(crate) fn tensors(name: &str) -> BTreeMap<String, Vec<f64>> {
    let path = fixture("pretraining-curves").join(format!("{name}.safetensors"));
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.tensors()
        .into_iter()
        .map(|(name, tensor)| {
            let data = tensor.data();
            let values = match tensor.dtype() {
                Dtype::I64 => data
                    .as_chunks()
                    .0
                    .iter()
                    .map(|b| i64::from_le_bytes(*b) as f64)
                    .collect(),
                Dtype::F64 => data
                    .as_chunks()
                    .0
                    .iter()
                    .map(|b| f64::from_le_bytes(*b))
                    .collect(),
                Dtype::F32 => data
                    .as_chunks()
                    .0
                    .iter()
                    .map(|b| f64::from(f32::from_le_bytes(*b)))
                    .collect(),
                other => panic!("{other:?}"),
            };
            (name, values)
        })
        .collect()
}

/// The updates of the curves, from `first` on.
pub(crate) fn updates(first: usize, loss_epsilon: f64) -> Vec<Update<PreTrainingBatch>> {
    let batches = tensors("batches");
    let take = |name: &str, start: usize, count: usize| -> Vec<i64> {
        batches[name][start..start + count]
            .iter()
            .map(|&value| value as i64)
            .collect()
    };
    let (mut row, mut prediction) = (0, 0);
    let mut all = Vec::new();
    for update in 0..UPDATES {
        let mut micro_batches = Vec::new();
        for part in 0..MICRO_BATCHES {
            let index = update * MICRO_BATCHES + part;
            let rows = batches["rows"][index] as usize;
            let predictions = batches["predictions"][index] as usize;
            micro_batches.push(PreTrainingBatch {
                input_ids: take("input_ids", row * SEQ, rows * SEQ),
                token_type_ids: take("token_type_ids", row * SEQ, rows * SEQ),
                attention_mask: take("attention_mask", row * SEQ, rows * SEQ),
                shape: [rows, SEQ],
                positions: take("masked_positions", prediction, predictions),
                labels: take("masked_labels", prediction, predictions),
                next_sentence: take("next_sentence_labels", row, rows),
                predictions: 0.0,
                rows: 0.0,
                real_tokens: 0.0,
            });
            row += rows;
            prediction += predictions;
        }
        PreTrainingBatch::share(&mut micro_batches, loss_epsilon);
        all.push(Update {
            tokens: micro_batches.iter().map(PreTrainingBatch::tokens).sum(),
            padded_tokens: micro_batches
                .iter()
                .map(|batch| batch.input_ids.len())
                .sum(),
            micro_batches,
            cursor: Value::from(update + 1),
        });
    }
    all.split_off(first)
}

/// The model that the curves start from, on `device` with autodiff.
pub(crate) fn model(device: &Device) -> BertForPreTraining {
    load("tiny-pretraining", device)
}

/// The model of a fixture, without dropout.
pub(crate) fn load(name: &str, device: &Device) -> BertForPreTraining {
    let checkpoint = Checkpoint::open(fixture(name)).unwrap();
    let (model, report) =
        BertForPreTraining::from_checkpoint(&checkpoint, true, 0, device).unwrap();
    assert!(report.missing.is_empty(), "{:?}", report.missing);
    without_dropout(model)
}

/// The schedule of the curves.
pub(crate) fn schedule(recipe: Recipe) -> Schedule {
    let peak = if recipe == Recipe::Nvidia { 1e-2 } else { 1e-3 };
    recipe.schedule(peak, 5, UPDATES as u64)
}

/// Remembers every event; asks the run to stop after so many.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) events: Vec<Event>,
    pub(crate) stop_after: Option<usize>,
}

impl Recorder {
    pub(crate) fn values(&self, name: &str) -> Vec<f64> {
        self.events
            .iter()
            .filter_map(|event| event.value(name))
            .collect()
    }
}

impl Observer for Recorder {
    fn start(&mut self, _run: &RunInfo) -> bert_core::Result<()> {
        Ok(())
    }

    fn event(&mut self, event: &Event) -> bert_core::Result<()> {
        self.events.push(event.clone());
        Ok(())
    }

    fn wants_to_stop(&self) -> bool {
        let events = self.events.len();
        self.stop_after.is_some_and(|after| events >= after)
    }

    fn finish(&mut self) -> bert_core::Result<()> {
        Ok(())
    }
}

/// Begins or resumes the curve of `recipe` by `schedule`, and trains on `data` from its step on; `evaluate` measures the
/// model where `options` want that.
pub(crate) fn session(
    recipe: Recipe,
    schedule: Schedule,
    context: RunContext<'_>,
    data: impl FnOnce(usize) -> Vec<Update<PreTrainingBatch>>,
    mut evaluate: impl FnMut(&BertForPreTraining, ShouldStop<'_>) -> Option<f64>,
) -> Result<Summary, Error> {
    let initial = TrainerState::new(0, recipe.optimizer(), schedule, json!({}));
    let session = context.begin(initial, |checkpoint, device, _| -> Result<_, Error> {
        let Some(checkpoint) = checkpoint else {
            return Ok(model(device));
        };
        let (model, _) = BertForPreTraining::from_checkpoint(checkpoint, true, 0, device)?;
        Ok(without_dropout(model))
    })?;
    let first = session.state.step;
    assert_eq!(session.state.cursor.as_u64().unwrap_or(0), first);
    let checkpoint = Checkpoint::open(fixture("tiny-pretraining")).unwrap();
    let config = checkpoint.config();
    let evaluates = session.context.options.evaluate_every > 0;
    session.train(
        data(first as usize).into_iter().map(Ok),
        |model: &BertForPreTraining, dir| {
            let architecture = model.architecture(config);
            Ok(checkpoint::save(dir, model, config, &architecture)?)
        },
        evaluates.then_some(|model: &BertForPreTraining, should_stop: ShouldStop<'_>| {
            let loss = evaluate(model, should_stop);
            Ok(loss.map(|loss| (vec![("loss".to_owned(), loss)], Map::new())))
        }),
        false,
    )
}

/// Runs the curve of `recipe` on `devices`.
pub(crate) fn train(
    recipe: Recipe,
    devices: &[Device],
    gradient_checkpointing: bool,
) -> (BertForPreTraining, Recorder) {
    let data = updates(0, loss_epsilon(recipe));
    train_on(data, recipe, devices, gradient_checkpointing)
}

/// Runs `recipe` with `data` on `devices`.
pub(crate) fn train_on(
    data: Vec<Update<PreTrainingBatch>>,
    recipe: Recipe,
    devices: &[Device],
    gradient_checkpointing: bool,
) -> (BertForPreTraining, Recorder) {
    let devices: Vec<Device> = devices
        .iter()
        .map(|device| match gradient_checkpointing {
            true => device.clone().autodiff().gradient_checkpointing(),
            false => device.clone().autodiff(),
        })
        .collect();
    let config = recipe.optimizer();
    let schedule = schedule(recipe);
    let mut recorder = Recorder::default();
    let trainer = Trainer {
        model: model(&devices[0]),
        optimizer: Optimizer::new(config),
        schedule,
        devices,
        options: TrainerOptions {
            log_every: 1,
            ..TrainerOptions::default()
        },
        state: TrainerState::new(0, config, schedule, Value::Null),
        store: None,
        write_model: &|_, _| Ok(()),
        evaluate: None,
        observer: &mut recorder,
        stop: StopFlag::new(),
    };
    let (model, state, _) = trainer.run(data.into_iter().map(Ok::<_, Error>)).unwrap();
    assert_eq!(state.step, UPDATES as u64);
    (model, recorder)
}

/// Weights in the layout of a file, by name.
pub(crate) fn weights(model: &BertForPreTraining) -> BTreeMap<String, Vec<f64>> {
    let dir = tempfile::tempdir().unwrap();
    let config = Checkpoint::open(fixture("tiny-pretraining"))
        .unwrap()
        .config()
        .clone();
    checkpoint::save(dir.path(), model, &config, &model.architecture(&config)).unwrap();
    let bytes = std::fs::read(dir.path().join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.tensors()
        .into_iter()
        .map(|(name, tensor)| {
            let values = tensor.data().as_chunks().0.iter();
            (
                name,
                values.map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
            )
        })
        .collect()
}

pub(crate) fn check(label: &str, recipe: Recipe, model: &BertForPreTraining, recorder: &Recorder) {
    let reference = tensors(&recipe.to_string());
    for (name, bar) in [
        ("loss", 1e-4),
        ("mlm_loss", 1e-4),
        ("nsp_loss", 1e-4),
        ("learning_rate", 1e-12),
        ("gradient_norm", 1e-3),
    ] {
        let (found, expected) = (recorder.values(name), &reference[name]);
        assert_eq!(found.len(), UPDATES, "{name}");
        for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
            let difference = (found - expected).abs();
            assert!(
                difference <= bar,
                "{label}, {recipe}, {name} at step {step}: {found} against {expected}"
            );
        }
    }
    for (name, values) in weights(model) {
        // Its gradient is zero but for rounding, and Adam makes steps of full length out of that.
        if name.ends_with("attention.self.key.bias") {
            continue;
        }
        let expected = &reference[&format!("final.{name}")];
        let worst = values
            .iter()
            .zip(expected)
            .map(|(found, expected)| (found - expected).abs())
            .fold(0.0, f64::max);
        assert!(
            worst <= 2e-4,
            "{label}, {recipe}: {name} is off by {worst:e} at the end"
        );
    }
}
