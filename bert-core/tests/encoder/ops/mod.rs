//! Overrides of `BertOps` against the default bodies, on every device.

mod attention;
mod dropout;
mod layers;
mod lookup;
mod packed;
mod positions;

use bert_core::device::Device;
use bert_core::ops::AttentionForm;
use burn::tensor::{Bool, Tensor, TensorData, activation};

// Enough rows that a kernel which works on pieces has two of them, the border inside a batch row.
const BATCH: usize = 3;
const HEADS: usize = 5;
const SEQ: usize = 37;
const HEAD_SIZE: usize = 7;

/// Numbers without any pattern that an axis swapped by mistake would keep.
fn numbers<const D: usize>(shape: [usize; D], seed: u32, device: &Device) -> Tensor<D> {
    let mut state = seed;
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

struct Inputs {
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    mask_pad: Tensor<2, Bool>,
}

/// The last row is padded by three tokens.
fn inputs(device: &Device) -> Inputs {
    let shape = [BATCH, HEADS, SEQ, HEAD_SIZE];
    let mask: Vec<bool> = (0..BATCH * SEQ).map(|at| at >= BATCH * SEQ - 3).collect();
    Inputs {
        query: numbers(shape, 1, device),
        key: numbers(shape, 2, device),
        value: numbers(shape, 3, device),
        mask_pad: Tensor::from_data(TensorData::new(mask, [BATCH, SEQ]), device),
    }
}

/// Attention from Burn's own differentiable operations.
fn reference(inputs: Inputs) -> Tensor<4> {
    let form = AttentionForm::new(HEADS, HEAD_SIZE);
    let projections = [inputs.query, inputs.key, inputs.value];
    let mask_pad = Some(inputs.mask_pad);
    composed(projections, None, mask_pad, form, None)
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

/// Padding of three rows: none, nothing else, and at the end with a hole before it.
fn gaps(seq: usize, device: &Device) -> Tensor<2, Bool> {
    let mask: Vec<bool> = (0..BATCH * seq)
        .map(|at| match at / seq {
            0 => false,
            1 => true,
            _ => at % seq == 5 || at % seq >= seq - seq / 4,
        })
        .collect();
    Tensor::from_data(TensorData::new(mask, [BATCH, seq]), device)
}

/// The context and the gradients of its weighted sum with respect to query, key and value.
fn with_gradients(
    shape: [usize; 3],
    device: &Device,
    attention: impl Fn([Tensor<3>; 3]) -> Tensor<3>,
) -> [Vec<f32>; 4] {
    let leaves = [1, 2, 3].map(|seed| numbers(shape, seed, device).require_grad());
    let context = attention(leaves.clone());
    let weights = numbers(shape, 5, device);
    let gradients = (context.clone() * weights).sum().backward();
    let [query, key, value] = leaves.map(|leaf| values(leaf.grad(&gradients).unwrap()));
    [values(context), query, key, value]
}

/// `[batch, seq, width]` to `[batch, HEADS, seq, head_size]`.
fn split(tensor: Tensor<3>) -> Tensor<4> {
    let [batch, seq, width] = tensor.dims();
    tensor
        .reshape([batch, seq, HEADS, width / HEADS])
        .swap_dims(1, 2)
}

/// `[batch, HEADS, seq, head_size]` to `[batch, seq, width]`.
fn merge(tensor: Tensor<4>) -> Tensor<3> {
    let [batch, heads, seq, head_size] = tensor.dims();
    tensor
        .swap_dims(1, 2)
        .reshape([batch, seq, heads * head_size])
}

/// Attention from Burn's own differentiable operations, with what dropout multiplies the probabilities by.
fn composed(
    [query, key, value]: [Tensor<4>; 3],
    bias: Option<Tensor<4>>,
    mask_pad: Option<Tensor<2, Bool>>,
    form: AttentionForm,
    keep: Option<Tensor<4>>,
) -> Tensor<4> {
    let [batch, heads, seq, _] = query.dims();
    let shape = [batch, heads, seq, seq];
    let mut scores = query.matmul(key.transpose()) * form.scale;
    if let Some(bias) = bias {
        scores = scores + bias;
    }
    let device = scores.device();
    let outside: Vec<bool> = (0..seq * seq)
        .map(|at| {
            form.reach
                .is_some_and(|reach| (at / seq).abs_diff(at % seq) > reach)
        })
        .collect();
    let outside = Tensor::<2, Bool>::from_data(TensorData::new(outside, [seq, seq]), &device);
    let mut left_out = outside.reshape([1, 1, seq, seq]).expand(shape);
    if let Some(mask_pad) = mask_pad {
        left_out = left_out.bool_or(mask_pad.reshape([batch, 1, 1, seq]).expand(shape));
    }
    let scores = scores.mask_fill(left_out.clone(), -1e9);
    let mut probabilities = activation::softmax(scores, 3).mask_fill(left_out, 0.0);
    if let Some(keep) = keep {
        probabilities = probabilities * keep;
    }
    probabilities.matmul(value)
}

/// [`composed`] of projections.
fn of_projections(
    inputs: [Tensor<3>; 3],
    bias: Option<Tensor<4>>,
    mask_pad: Option<Tensor<2, Bool>>,
    form: AttentionForm,
    keep: Option<Tensor<4>>,
) -> Tensor<3> {
    merge(composed(inputs.map(split), bias, mask_pad, form, keep))
}

/// The plain form, and forms of which one property each is another: windows of one key, of a few, of more than a block of
/// queries, and as long as a sequence; a scale.
fn forms(head_size: usize, seq: usize) -> Vec<AttentionForm> {
    let plain = AttentionForm::new(HEADS, head_size);
    let with_reach = |reach| AttentionForm { reach, ..plain };
    let mut forms: Vec<_> = [
        None,
        Some(0),
        Some(1),
        Some(19),
        Some(seq - 1),
        Some(usize::MAX),
    ]
    .map(with_reach)
    .into();
    forms.push(AttentionForm {
        scale: 0.2,
        ..plain
    });
    forms
}

/// A bias of each form: none, one that all rows share, one for each row.
fn biases(heads: usize, seq: usize, device: &Device) -> [Option<Tensor<4>>; 3] {
    [0, 1, BATCH].map(|batch| {
        (batch > 0).then(|| (numbers([batch, heads, seq, seq], 9, device) * 3.0).detach())
    })
}

/// The context of attention with a bias, and the gradients of its weighted sum with respect to query, key, value and bias.
fn with_gradients_and_bias(
    shape: [usize; 3],
    bias: Tensor<4>,
    device: &Device,
    attention: impl Fn([Tensor<3>; 3], Tensor<4>) -> Tensor<3>,
) -> [Vec<f32>; 5] {
    let bias = bias.require_grad();
    let leaves = [1, 2, 3].map(|seed| numbers(shape, seed, device).require_grad());
    let context = attention(leaves.clone(), bias.clone());
    let weights = numbers(shape, 5, device);
    let gradients = (context.clone() * weights).sum().backward();
    let [query, key, value] = leaves.map(|leaf| values(leaf.grad(&gradients).unwrap()));
    let bias = values(bias.grad(&gradients).unwrap());
    [values(context), query, key, value, bias]
}
