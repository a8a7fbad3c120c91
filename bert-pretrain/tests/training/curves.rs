//! Twenty steps of pretraining against PyTorch in float64, for every recipe and device.

use crate::common::{check, fixture, load, train};
use bert_core::agreement::{Trace, push_gradients};
use bert_core::device::test_devices;
use bert_core::training::Recipe;
use bert_pretrain::objective::PreTrainingBatch;
use safetensors::SafeTensors;

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
fn gradient_checkpointing_changes_nothing() {
    for (label, device) in test_devices() {
        let (model, recorder) = train(Recipe::Google, &[device], true);
        check(
            &format!("{label}, checkpointing"),
            Recipe::Google,
            &model,
            &recorder,
        );
    }
}

/// The pretraining loss of the fixture and all its gradients.
#[test]
fn loss_and_gradients_as_in_transformers() {
    for name in ["tiny-pretraining", "tiny-untied-pretraining"] {
        check_loss_and_gradients(name);
    }
}

fn check_loss_and_gradients(name: &str) {
    let path = fixture(name).join("reference.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let integers = |name: &str| -> Vec<i64> {
        let tensor = file.tensor(name).unwrap();
        tensor
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|b| i64::from_le_bytes(*b))
            .collect()
    };
    let mut reference = Trace::default();
    for (name, tensor) in file.tensors() {
        if tensor.dtype() == safetensors::Dtype::F64 {
            let values = tensor
                .data()
                .as_chunks()
                .0
                .iter()
                .map(|b| f64::from_le_bytes(*b));
            // The bias of an untied decoder, beside which the other plays no part.
            reference.push(name.replace("decoder.bias", "bias"), values.collect());
        }
    }
    let parameters = reference.names().filter(|name| name.starts_with("grad."));
    let parameters = parameters.count();
    let shape = file.tensor("input_ids").unwrap().shape().to_vec();
    let (positions, labels): (Vec<i64>, Vec<i64>) = (0..)
        .zip(integers("labels"))
        .filter(|(_, label)| *label != -100)
        .unzip();
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
        real_tokens: 0.0,
    };
    for (label, device) in test_devices() {
        let model = load(name, &device.autodiff());
        let (loss, _) = model.loss(&batch);
        let mut trace = Trace::default();
        trace.push_tensor("loss", loss.clone());
        push_gradients(&mut trace, &model, &loss.backward());
        let differences = trace.differences(&reference);
        let gradients = differences.iter().filter(|d| d.is_gradient()).count();
        assert_eq!(gradients, parameters, "{label} {name}");
        for difference in differences {
            assert!(
                difference.is_within_bars(),
                "{label} {name}: {difference:?}"
            );
        }
    }
}
