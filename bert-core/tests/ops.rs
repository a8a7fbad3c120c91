//! Overrides of `BertOps` against the default bodies, on every device.

use bert_core::device::{Device, test_devices};
use bert_core::ops;
use burn::tensor::{Bool, Tensor, TensorData};

const BATCH: usize = 2;
const HEADS: usize = 3;
const SEQ: usize = 7;
const HEAD_SIZE: usize = 5;

/// Numbers without any pattern that an axis swapped by mistake would keep.
fn numbers(shape: [usize; 4], seed: u32, device: &Device) -> Tensor<4> {
    let mut state = seed;
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn values(tensor: Tensor<4>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

struct Inputs {
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    mask_pad: Tensor<2, Bool>,
}

/// The second row is padded by three tokens.
fn inputs(device: &Device) -> Inputs {
    let shape = [BATCH, HEADS, SEQ, HEAD_SIZE];
    let mask: Vec<bool> = (0..BATCH * SEQ).map(|at| at >= 2 * SEQ - 3).collect();
    Inputs {
        query: numbers(shape, 1, device),
        key: numbers(shape, 2, device),
        value: numbers(shape, 3, device),
        mask_pad: Tensor::from_data(TensorData::new(mask, [BATCH, SEQ]), device),
    }
}

fn assert_close(label: &str, found: &[f32], expected: &[f32], bar: f32) {
    assert_eq!(found.len(), expected.len(), "{label}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= bar,
            "{label}: {found} instead of {expected}"
        );
    }
}

#[test]
fn fused_attention_equals_the_default_body() {
    for (label, device) in test_devices() {
        let Inputs {
            query,
            key,
            value,
            mask_pad,
        } = inputs(&device);
        let fused = ops::attention(
            query.clone(),
            key.clone(),
            value.clone(),
            mask_pad.clone(),
            None,
        );
        let (composed, probabilities) =
            ops::attention_with_probabilities(query, key, value, mask_pad, None);
        assert_close(&label, &values(fused), &values(composed), 2e-6);

        let probabilities = values(probabilities);
        for (at, row) in probabilities.chunks(SEQ).enumerate() {
            let padded = at >= HEADS * SEQ;
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{label}");
            assert_eq!(row[SEQ - 3..] == [0.0; 3], padded, "{label}: row {at}");
        }
    }
}

#[test]
fn dropout_multiplies_the_probabilities_after_the_softmax() {
    for (label, device) in test_devices() {
        let Inputs {
            query,
            key,
            value,
            mask_pad,
        } = inputs(&device);
        let keep = numbers([BATCH, HEADS, SEQ, SEQ], 4, &device)
            .greater_elem(-0.5)
            .float()
            * (1.0 / 0.75);
        let (_, probabilities) = ops::attention_with_probabilities(
            query.clone(),
            key.clone(),
            value.clone(),
            mask_pad.clone(),
            None,
        );
        let expected = values((probabilities * keep.clone()).matmul(value.clone()));
        let found = ops::attention(query, key, value, mask_pad, Some(keep));
        assert_close(&label, &values(found), &expected, 2e-6);
    }
}

#[test]
fn gradients_of_attention_equal_those_of_the_default_body() {
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let gradients = |with_probabilities: bool| {
            let Inputs {
                query,
                key,
                value,
                mask_pad,
            } = inputs(&device);
            let [query, key, value] = [query, key, value].map(Tensor::require_grad);
            let parts = (query.clone(), key.clone(), value.clone());
            let context = if with_probabilities {
                ops::attention_with_probabilities(parts.0, parts.1, parts.2, mask_pad, None).0
            } else {
                ops::attention(parts.0, parts.1, parts.2, mask_pad, None)
            };
            let weights = numbers([BATCH, HEADS, SEQ, HEAD_SIZE], 5, &device);
            let gradients = (context * weights).sum().backward();
            [query, key, value].map(|leaf| values(leaf.grad(&gradients).unwrap()))
        };
        let (found, expected) = (gradients(false), gradients(true));
        for (found, expected) in found.iter().zip(&expected) {
            assert_close(&label, found, expected, 2e-6);
            assert!(expected.iter().any(|gradient| gradient.abs() > 1e-3));
        }
    }
}

#[test]
fn a_row_without_keys_is_zero_and_not_nan() {
    for (label, device) in test_devices() {
        let Inputs {
            query, key, value, ..
        } = inputs(&device);
        let nothing = Tensor::<2, Bool>::from_data(
            TensorData::new(vec![true; BATCH * SEQ], [BATCH, SEQ]),
            &device,
        );
        let (context, _) = ops::attention_with_probabilities(
            query.clone(),
            key.clone(),
            value.clone(),
            nothing.clone(),
            None,
        );
        let zeros = vec![0.0; BATCH * HEADS * SEQ * HEAD_SIZE];
        assert_close(&label, &values(context), &zeros, 0.0);
        let fused = values(ops::attention(query, key, value, nothing, None));
        assert_close(&label, &fused, &zeros, 0.0);
    }
}
