//! Twenty steps of pretraining against PyTorch in float64, for every recipe and device.

mod common;

use bert_core::agreement::{Trace, push_gradients};
use bert_core::checkpoint;
use bert_core::device::{Device, test_devices};
use bert_core::training::{
    Optimizer, Recipe, StopFlag, Trainer, TrainerOptions, TrainerState,
};
use bert_pretrain::Error;
use bert_pretrain::model::BertForPreTraining;
use bert_pretrain::objective::PreTrainingBatch;
use common::{Recorder, UPDATES, fixture, model, schedule, tensors, updates};
use safetensors::SafeTensors;
use serde_json::Value;

/// Runs the curve of `recipe` on `devices`.
fn train(recipe: Recipe, devices: &[Device], gradient_checkpointing: bool) -> (BertForPreTraining, Recorder) {
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
    let data = updates(0, config.loss_epsilon).into_iter().map(Ok::<_, Error>);
    let (model, state, _) = trainer.run(data).unwrap();
    assert_eq!(state.step, UPDATES as u64);
    (model, recorder)
}

/// Weights in the layout of a file, by name.
fn weights(model: &BertForPreTraining) -> Vec<(String, Vec<f64>)> {
    let dir = tempfile::tempdir().unwrap();
    let config = checkpoint::Checkpoint::open(fixture("tiny-pretraining")).unwrap().config().clone();
    checkpoint::save(dir.path(), model, &config, model.architecture()).unwrap();
    let bytes = std::fs::read(dir.path().join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.tensors()
        .into_iter()
        .map(|(name, tensor)| {
            let values = tensor.data().as_chunks().0.iter();
            (name, values.map(|b| f64::from(f32::from_le_bytes(*b))).collect())
        })
        .collect()
}

fn check(label: &str, recipe: Recipe, model: &BertForPreTraining, recorder: &Recorder) {
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
        assert!(worst <= 2e-4, "{label}, {recipe}: {name} is off by {worst:e} at the end");
    }
}

fn curve(recipe: Recipe) {
    for (label, device) in test_devices() {
        let (model, recorder) = train(recipe, &[device], false);
        check(&label, recipe, &model, &recorder);
    }
}

#[test]
fn google_as_in_pytorch() {
    curve(Recipe::Google);
}

#[test]
fn hf_as_in_pytorch() {
    curve(Recipe::HuggingFace);
}

#[test]
fn nvidia_as_in_pytorch() {
    curve(Recipe::Nvidia);
}

#[test]
fn two_devices_follow_the_same_curve() {
    for (label, device) in test_devices() {
        let devices = [device.clone(), device];
        let (model, recorder) = train(Recipe::HuggingFace, &devices, false);
        check(&format!("{label} twice"), Recipe::HuggingFace, &model, &recorder);
    }
}

#[test]
fn gradient_checkpointing_changes_nothing() {
    for (label, device) in test_devices() {
        let (model, recorder) = train(Recipe::Google, &[device], true);
        check(&format!("{label}, checkpointing"), Recipe::Google, &model, &recorder);
    }
}

/// The pretraining loss of the fixture and all its gradients.
#[test]
fn loss_and_gradients_as_in_transformers() {
    let path = fixture("tiny-pretraining").join("reference.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let integers = |name: &str| -> Vec<i64> {
        let tensor = file.tensor(name).unwrap();
        tensor.data().as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()
    };
    let mut reference = Trace::default();
    for (name, tensor) in file.tensors() {
        if tensor.dtype() == safetensors::Dtype::F64 {
            let values = tensor.data().as_chunks().0.iter().map(|b| f64::from_le_bytes(*b));
            reference.push(name, values.collect());
        }
    }
    let shape = file.tensor("input_ids").unwrap().shape().to_vec();
    let (positions, labels): (Vec<i64>, Vec<i64>) =
        (0..).zip(integers("labels")).filter(|(_, label)| *label != -100).unzip();
    let batch = PreTrainingBatch {
        input_ids: integers("input_ids"),
        token_type_ids: integers("token_type_ids"),
        attention_mask: integers("attention_mask"),
        shape: [shape[0], shape[1]],
        predictions: labels.len() as f64,
        positions,
        labels,
        next_sentence: integers("next_sentence_label"),
        rows: shape[0] as f64,
    };
    for (label, device) in test_devices() {
        let model = model(&device.autodiff());
        let (loss, _) = model.loss(&batch);
        let mut trace = Trace::default();
        trace.push_tensor("loss", loss.clone());
        push_gradients(&mut trace, &model, &loss.backward());
        let differences = trace.differences(&reference);
        assert!(differences.iter().filter(|difference| difference.is_gradient()).count() > 40);
        for difference in differences {
            assert!(difference.is_within_bars(), "{label}: {difference:?}");
        }
    }
}
