//! Models whose weights are held as the kernels read them, in floats and in 8 bits.

use std::path::PathBuf;

use bert_core::Error;
use bert_core::agreement::{Difference, Golden};
use bert_core::batch::BertInput;
use bert_core::checkpoint::{Checkpoint, Loading, save};
use bert_core::config::BertConfig;
use bert_core::device::{Device, Precision, test_devices};
use bert_core::inference::{
    Weights, bfloat16_instructions, libtorch_kernels_are_own, prepare, set_precision,
};
use bert_core::nn::BertModel;
use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;

fn golden(name: &str) -> Golden {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name);
    Golden::open(dir).unwrap()
}

fn model(golden: &Golden, device: &Device) -> BertModel {
    golden
        .checkpoint()
        .load_model(Loading::Strict, device)
        .unwrap()
        .0
}

fn differences(golden: &Golden, model: &BertModel, device: &Device) -> Vec<Difference> {
    golden
        .probe()
        .forward(model, device)
        .differences(golden.reference())
}

/// Devices that hold weights in 8 bits.
fn int8_devices() -> impl Iterator<Item = (String, Device)> {
    test_devices()
        .into_iter()
        .filter(|(label, _)| label == "flex")
}

/// Devices that hold weights in bf16.
fn bfloat16_devices() -> impl Iterator<Item = (String, Device)> {
    test_devices()
        .into_iter()
        .filter(|(label, _)| runs_our_kernels(label) && bfloat16_instructions().is_some())
}

fn runs_our_kernels(label: &str) -> bool {
    matches!(label, "flex" | "ndarray") || label == "libtorch" && libtorch_kernels_are_own()
}

/// Devices with each type of less than 32 bits that they hold weights in.
fn narrow_weights() -> impl Iterator<Item = (String, Device, Weights)> {
    let int8 = int8_devices().map(|(label, device)| (label, device, Weights::Int8));
    let bfloat16 = bfloat16_devices().map(|(label, device)| (label, device, Weights::BFloat16));
    int8.chain(bfloat16)
}

/// A model of usual proportions: rows for every kernel, and no width that is a multiple of a panel.
fn small(device: &Device) -> BertModel {
    BertConfig::new(50, 96, 2, 4, 200).init(3, device)
}

fn input(rows: &[&[i64]], device: &Device) -> BertInput {
    let seq = rows.iter().map(|row| row.len()).max().unwrap();
    let (mut ids, mut mask) = (Vec::new(), Vec::new());
    for row in rows {
        ids.extend(
            row.iter()
                .copied()
                .chain(std::iter::repeat_n(0, seq - row.len())),
        );
        mask.extend((0..seq).map(|at| i64::from(at < row.len())));
    }
    let segments = vec![0; ids.len()];
    BertInput::from_attention_mask(ids, segments, mask, [rows.len(), seq], device)
}

fn pooled(model: &BertModel, rows: &[&[i64]], device: &Device) -> Vec<f32> {
    let output = model.forward(input(rows, device)).pooled_output.unwrap();
    output.into_data().iter::<f32>().collect()
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).powi(2))
        .sum::<f32>()
        .sqrt()
}

#[test]
fn a_model_in_floats_is_the_same_once_it_is_prepared() {
    for (label, device) in test_devices() {
        let golden = golden("tiny-erf");
        let config = golden.checkpoint().config();
        let prepared = prepare(model(&golden, &device), Weights::Float).unwrap();
        for difference in differences(&golden, &prepared, &device) {
            assert!(difference.max_abs < 1e-5, "{label}: {difference:?}");
        }
        // The large batch is computed by blocks of rows, the sentence by columns.
        let prepared = prepare(small(&device), Weights::Float).unwrap();
        let long: Vec<i64> = (0..40).collect();
        let rows: [&[i64]; 3] = [&[7, 6, 5], &long, &[1, 2, 3, 4, 5, 6]];
        let expected = pooled(&small(&device), &rows, &device);
        let found = pooled(&prepared, &rows, &device);
        assert!(distance(&found, &expected) < 1e-5, "{label}");
        let alone = pooled(&prepared, &rows[..1], &device);
        assert!(distance(&alone, &found[..alone.len()]) < 1e-5, "{label}");

        // What is saved is what was loaded, bit for bit.
        let saved = |model: &BertModel| {
            let dir = tempfile::tempdir().unwrap();
            save(dir.path(), model, config, "BertModel").unwrap();
            std::fs::read(dir.path().join("model.safetensors")).unwrap()
        };
        let plain = model(&golden, &device);
        let before = saved(&plain);
        let prepared = prepare(plain, Weights::Float).unwrap();
        assert!(saved(&prepared) == before, "{label}");
    }
}

#[test]
fn a_model_in_few_bits_is_saved_and_trained_as_what_its_numbers_stand_for() {
    for (_, device, weights) in narrow_weights() {
        let golden = golden("tiny-erf");
        let config = golden.checkpoint().config();
        let weight = |model: &BertModel| {
            let dense = &model.encoder.layer[1].intermediate.dense;
            dense.weight.val().into_data()
        };
        let prepared = prepare(model(&golden, &device), weights).unwrap();
        let dir = tempfile::tempdir().unwrap();
        save(dir.path(), &prepared, config, "BertModel").unwrap();
        let (again, report) = Checkpoint::open(dir.path())
            .unwrap()
            .load_model(Loading::Strict, &device)
            .unwrap();
        assert!(report.is_exact(), "{report:?}");
        weight(&again).assert_eq(&weight(&prepared), true);

        // Numbers are their own rounding.
        let twice = prepare(again, weights).unwrap();
        weight(&twice).assert_eq(&weight(&prepared), true);

        let prepared = prepare(model(&golden, &device), weights).unwrap();
        let gradients = golden
            .probe()
            .backward(prepared.train(), &device.clone().autodiff());
        assert!(
            gradients
                .names()
                .any(|name| name.contains("intermediate.dense.weight"))
        );

        // What was frozen stays so.
        let mut model = model(&golden, &device);
        model.encoder.layer[0] = model.encoder.layer[0].clone().no_grad();
        let trained = prepare(model, weights).unwrap().train();
        let [frozen, free] = [0, 1].map(|layer| {
            let dense = &trained.encoder.layer[layer].intermediate.dense;
            dense.weight.val().is_require_grad()
        });
        assert!(!frozen && free);
    }
}

#[test]
fn a_weight_that_was_changed_afterwards_counts() {
    for (label, device, weights) in narrow_weights() {
        let rows: [&[i64]; 2] = [&[1, 2, 3, 4], &[9, 8]];
        let mut plain = small(&device);
        let mut prepared = prepare(plain.clone(), weights).unwrap();
        for model in [&mut plain, &mut prepared] {
            let dense = &mut model.encoder.layer[0].output.dense;
            dense.weight = dense.weight.clone().map(|weight| weight * 3.0);
        }
        let found = pooled(&prepared, &rows, &device);
        let unchanged = prepare(small(&device), weights).unwrap();
        let far = distance(&found, &pooled(&unchanged, &rows, &device));
        let near = distance(&found, &pooled(&plain, &rows, &device));
        assert!(near < 0.2 * far, "{label}: {near} {far}");
    }
}

#[test]
fn eight_bits_stay_near_the_floats() {
    for (_, device) in int8_devices() {
        let golden = golden("tiny-erf");
        let model = prepare(model(&golden, &device), Weights::Int8).unwrap();
        let found = differences(&golden, &model, &device);
        // Near, and not the floats themselves.
        for difference in &found {
            assert!(
                difference.mean_abs < 0.05 * difference.scale,
                "{difference:?}"
            );
        }
        assert!(found.iter().any(|difference| difference.relative() > 1e-4));

        let rows: [&[i64]; 2] = [&[1, 2, 3, 4], &[9, 8]];
        let plain = small(&device);
        let expected = pooled(&plain, &rows, &device);
        let found = pooled(&prepare(plain, Weights::Int8).unwrap(), &rows, &device);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let norms = dot(&found, &found).sqrt() * dot(&expected, &expected).sqrt();
        assert!(dot(&found, &expected) / norms > 0.999);
    }
}

/// Adds `value` to a column of what a LayerNorm gives, and takes it away again from the layers that read it and from the sum that
/// it is the residual of.
fn plant(
    column: usize,
    value: f32,
    norm: &mut LayerNorm,
    readers: &mut [&mut Linear],
    sum: &mut Linear,
) {
    let device = sum.weight.val().device();
    let shift = |bias: &mut Option<Param<Tensor<1>>>, change: Tensor<1>| {
        *bias = bias
            .take()
            .map(|bias| bias.map(|bias| bias + change.clone()));
    };
    let at_column = |width: usize, value: f32| {
        let mut values = vec![0.0; width];
        values[column] = value;
        Tensor::<1>::from_floats(values.as_slice(), &device)
    };
    let [width] = norm.gamma.val().dims();
    shift(&mut norm.beta, at_column(width, value));
    shift(&mut sum.bias, at_column(width, -value));
    for reader in readers {
        let row = reader.weight.val().narrow(0, column, 1).squeeze_dim::<1>(0);
        shift(&mut reader.bias, row * -value);
    }
}

/// RoBERTa and XLM-R have columns in which every token's vector is far from 0.
#[test]
fn eight_bits_bear_columns_of_outliers() {
    for (_, device) in int8_devices() {
        let rows: [&[i64]; 2] = [&[1, 2, 3, 4], &[9, 8]];
        let plain = small(&device);
        let mut planted = plain.clone();
        let mut before = planted.embeddings.layer_norm.clone();
        for at in 0..planted.encoder.layer.len() {
            for (column, value) in [(7, 40.0), (60, -25.0)] {
                let layer = &mut planted.encoder.layer[at];
                let attention = &mut layer.attention;
                let of_self = &mut attention.self_attention;
                let readers = [
                    Some(&mut of_self.query),
                    of_self.key.as_mut(),
                    of_self.value.as_mut(),
                ];
                let mut readers: Vec<_> = readers.into_iter().flatten().collect();
                plant(
                    column,
                    value,
                    &mut before,
                    &mut readers,
                    &mut attention.output.dense,
                );
                let norm = attention.output.layer_norm.as_mut().unwrap();
                plant(
                    column,
                    value,
                    norm,
                    &mut [&mut layer.intermediate.dense],
                    &mut layer.output.dense,
                );
            }
            match at {
                0 => planted.embeddings.layer_norm = before,
                _ => planted.encoder.layer[at - 1].output.layer_norm = Some(before),
            }
            before = planted.encoder.layer[at].output.layer_norm.clone().unwrap();
        }
        let expected = pooled(&plain, &rows, &device);
        let floats = distance(&pooled(&planted, &rows, &device), &expected);
        assert!(floats < 1e-3, "{floats}");
        let in_few_bits = |model| pooled(&prepare(model, Weights::Int8).unwrap(), &rows, &device);
        let usual = distance(&in_few_bits(plain), &expected);
        let found = distance(&in_few_bits(planted), &expected);
        assert!(found < 2.0 * usual, "{found} {usual}");
    }
}

#[test]
fn bfloat16_stays_nearer_the_floats() {
    for (label, device) in bfloat16_devices() {
        let golden = golden("tiny-erf");
        let model = prepare(model(&golden, &device), Weights::BFloat16).unwrap();
        let found = differences(&golden, &model, &device);
        // Near, and not the floats themselves.
        for difference in &found {
            let bar = 0.015 * difference.scale;
            assert!(difference.mean_abs < bar, "{label}: {difference:?}");
        }
        assert!(found.iter().any(|difference| difference.relative() > 1e-4));

        let rows: [&[i64]; 2] = [&[1, 2, 3, 4], &[9, 8]];
        let plain = small(&device);
        let expected = pooled(&plain, &rows, &device);
        let found = pooled(&prepare(plain, Weights::BFloat16).unwrap(), &rows, &device);
        let length = distance(&expected, &vec![0.0; expected.len()]);
        assert!(distance(&found, &expected) < 0.01 * length, "{label}");
    }
}

#[test]
fn a_sentence_in_few_bits_does_not_depend_on_its_batch() {
    for (_, device, weights) in narrow_weights() {
        let model = prepare(small(&device), weights).unwrap();
        let long: Vec<i64> = (0..40).collect();
        let rows: [&[i64]; 3] = [&[7, 6, 5], &long, &[1, 2, 3, 4, 5, 6]];
        let together = pooled(&model, &rows, &device);
        for (row, together) in rows.iter().zip(together.chunks(together.len() / 3)) {
            let alone = pooled(&model, &[row], &device);
            for (alone, together) in alone.iter().zip(together) {
                assert!((alone - together).abs() < 1e-6);
            }
        }
    }
}

#[test]
fn what_cannot_be_held_in_eight_bits_is_refused() {
    for (label, device) in test_devices() {
        let mut model = small(&device);
        if label != "flex" {
            let error = prepare(model, Weights::Int8).unwrap_err();
            assert!(matches!(error, Error::Int8NotSupported { .. }), "{error}");
            assert!(error.to_string().contains("use flex"), "{error}");
            continue;
        }
        let query = &mut model.encoder.layer[1].attention.self_attention.query;
        query.weight = query
            .weight
            .clone()
            .map(|weight| weight / Tensor::zeros([1, 1], &device));
        let error = prepare(model, Weights::Int8).unwrap_err().to_string();
        assert!(error.contains("encoder.layer.1.attention"), "{error}");
    }
}

#[test]
fn bfloat16_where_it_is_not_fast_is_refused() {
    for (label, device) in test_devices() {
        let result = prepare(small(&device), Weights::BFloat16);
        match (runs_our_kernels(&label), bfloat16_instructions()) {
            (true, Some(_)) => {
                result.unwrap();
                let weights = set_precision(&device, &label, Precision::BF16).unwrap();
                assert_eq!(weights, Weights::BFloat16);
            }
            (true, None) => {
                for error in [
                    result.unwrap_err(),
                    set_precision(&device, &label, Precision::BF16).unwrap_err(),
                ] {
                    assert!(matches!(error, Error::NoBFloat16Instructions), "{error}");
                }
            }
            (false, _) => {
                let error = result.unwrap_err();
                assert!(error.to_string().contains("use flex"), "{error}");
            }
        }
        let weights = set_precision(&device, &label, Precision::F32).unwrap();
        assert_eq!(weights, Weights::Float);
    }
}
