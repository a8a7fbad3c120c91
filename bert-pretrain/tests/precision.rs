//! Training in 16 bits with weights in 32.

mod common;

use bert_core::device::{Device, Precision, test_devices};
use bert_core::inference::{bfloat16_instructions, libtorch_kernels_are_own};
use bert_core::ops::Products;
use bert_core::stop::StopFlag;
use bert_core::training::{
    LossScale, MicroBatch, Optimizer, ParameterGradients, PassPrecision, Recipe, Trainer,
    TrainerOptions, TrainerState,
};
use bert_pretrain::Error;
use bert_pretrain::model::BertForPreTraining;
use bert_pretrain::recipe::loss_epsilon;
use burn::train::TrainStep;
use common::{Recorder, UPDATES, model, schedule, tensors, updates, weights};
use serde_json::Value;

const RECIPE: Recipe = Recipe::HuggingFace;

fn run(
    device: &Device,
    precision: Precision,
    loss_scale: Option<LossScale>,
    steps: usize,
) -> (BertForPreTraining, Recorder, TrainerState) {
    let device = device.clone().autodiff();
    let config = RECIPE.optimizer();
    let mut schedule = schedule(RECIPE);
    schedule.total_steps = steps as u64;
    schedule.warmup_steps = schedule.warmup_steps.min(steps as u64);
    let mut state = TrainerState::new(0, config, schedule, Value::Null);
    state.loss_scale = loss_scale;
    let mut recorder = Recorder::default();
    let trainer = Trainer {
        model: model(&device),
        optimizer: Optimizer::new(config),
        schedule,
        devices: vec![device],
        options: TrainerOptions {
            log_every: 1,
            precision,
            ..TrainerOptions::default()
        },
        state,
        store: None,
        write_model: &|_, _| Ok(()),
        evaluate: None,
        observer: &mut recorder,
        stop: StopFlag::new(),
    };
    let data = updates(0, loss_epsilon(RECIPE))
        .into_iter()
        .map(Ok::<_, Error>);
    let (model, state, _) = trainer.run(data).unwrap();
    (model, recorder, state)
}

/// The devices that train in `precision`.
fn devices(precision: Precision) -> Vec<(String, Device)> {
    let trains = |label: &str, device: &Device| {
        let found = PassPrecision::new(precision, device, label);
        let expected = match (label, precision) {
            ("flex" | "ndarray", Precision::BF16) => bfloat16_instructions().is_some(),
            ("flex", Precision::F16) => true,
            // By our kernels, or by its own.
            ("libtorch", Precision::BF16) => {
                !libtorch_kernels_are_own() || bfloat16_instructions().is_some()
            }
            ("libtorch", _) => true,
            // Software rasterisers do, and take their time.
            _ => false,
        };
        assert!(
            found.is_ok() || !expected,
            "{label} does not train in {precision}"
        );
        expected
    };
    let devices = test_devices().into_iter();
    devices
        .filter(|(label, device)| trains(label, device))
        .collect()
}

#[test]
fn half_precision_follows_the_curve_of_full_precision() {
    let reference = &tensors("hf")["loss"];
    for (precision, loss_scale) in [
        (Precision::BF16, None),
        (Precision::F16, Some(LossScale::default())),
    ] {
        for (label, device) in devices(precision) {
            let passes = PassPrecision::new(precision, &device, &label).unwrap();
            let bar = match passes {
                PassPrecision::Products => 0.02,
                _ => 0.1,
            };
            let (_, recorder, _) = run(&device, precision, loss_scale, UPDATES);
            let losses = recorder.values("loss");
            assert_eq!(losses.len(), UPDATES);
            for (step, (loss, expected)) in losses.iter().zip(reference).enumerate() {
                assert!(
                    (loss - expected).abs() <= bar,
                    "{label}, {precision}, step {step}: {loss} against {expected}"
                );
            }
            // Rounded, and not in f32 after all.
            let exact = losses.iter().zip(reference);
            assert!(
                exact
                    .into_iter()
                    .any(|(loss, expected)| (loss - expected).abs() > 1e-4)
            );
        }
    }
}

#[test]
fn products_in_bf16_give_nearly_the_gradients_of_f32() {
    // Our kernels have them on every processor, fast or not.
    let ours = |label: &str| match label {
        "flex" | "ndarray" => true,
        "libtorch" => libtorch_kernels_are_own(),
        _ => false,
    };
    for (label, device) in test_devices().into_iter().filter(|(label, _)| ours(label)) {
        let model = model(&device.autodiff());
        let pass = |products| {
            let mut updates = updates(0, loss_epsilon(RECIPE));
            let batch = MicroBatch {
                data: updates.swap_remove(0).micro_batches.swap_remove(0),
                seed: 0,
                loss_scale: 1.0,
                products,
            };
            let output = TrainStep::step(&model, batch);
            let gradients = ParameterGradients::take(&model, output.grads);
            let norm = gradients.norm().unwrap().into_scalar::<f64>();
            [output.item.to_host()[0], norm]
        };
        let (exact, rounded) = (pass(Products::Float), pass(Products::BFloat16));
        for (found, expected) in rounded.iter().zip(exact) {
            let difference = (found / expected - 1.0).abs();
            assert!(
                difference > 1e-7 && difference < 0.01,
                "{label}: {found} against {expected}"
            );
        }
        assert_eq!(pass(Products::Float), exact, "{label}");
    }
}

#[test]
fn bfloat16_without_instructions_for_it_is_refused() {
    for (label, device) in test_devices() {
        let found = PassPrecision::new(Precision::BF16, &device, &label);
        if let ("flex" | "ndarray", None) = (label.as_str(), bfloat16_instructions()) {
            let error = found.unwrap_err().to_string();
            assert!(error.contains("AVX-512 BF16"), "{error}");
        }
    }
}

#[test]
fn an_overflow_skips_the_step_and_lowers_the_scale() {
    for (label, device) in devices(Precision::F16) {
        let before = weights(&model(&device.clone().autodiff()));
        let huge = LossScale {
            scale: 2_f64.powi(40),
            good_steps: 5,
        };
        let (model, _, state) = run(&device, Precision::F16, Some(huge), 2);
        assert!(weights(&model) == before, "{label}: weights moved");
        let scale = state.loss_scale.unwrap();
        assert_eq!(
            (scale.scale, scale.good_steps),
            (2_f64.powi(38), 0),
            "{label}"
        );
    }
}
