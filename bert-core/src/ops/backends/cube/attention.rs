//! Attention with gradients that keeps two numbers a row in place of probabilities.

use burn::backend::TensorMetadata;
use burn::backend::tensor::{BoolTensor, FloatTensor};

use super::{CubeKernels, seed, unread};
use crate::ops::attention::composed;
use crate::ops::attention::heads::merge;
use crate::ops::{
    AttentionBias, AttentionForm, AttentionGradients, AttentionInputs, AttentionLayout,
    AttentionOutput, AttentionRows, AttentionState, GradientOps,
};

/// [`GradientOps::attention_with_state`]: products with the softmax between them in one pass; composed where there is a bias.
pub(in crate::ops) fn with_state<B: GradientOps + CubeKernels>(
    inputs: AttentionInputs<B>,
    layout: AttentionLayout<B>,
    form: AttentionForm,
) -> AttentionOutput<B> {
    if !matches!(inputs.bias, AttentionBias::Absent) {
        return composed::tracked(inputs, &layout, form);
    }
    let groups = layout.groups(inputs);
    let outputs = groups.map(|(inputs, mask_pad)| {
        let AttentionInputs {
            query, key, value, ..
        } = inputs;
        group::<B>([query, key, value], mask_pad, form)
    });
    let (contexts, rows) = outputs.unzip();
    AttentionOutput {
        context: layout.join(contexts),
        state: AttentionState::Rows(rows),
    }
}

/// Tokens of the longest sequences whose scores are held in memory without gradients, which takes the fewest launches; longer
/// ones are left to Burn's attention, which can do without them.
const LONGEST: usize = 512;

/// True if the scores of sequences of `seq` tokens are held in memory.
pub(in crate::ops) fn holds_scores(seq: usize) -> bool {
    seq <= LONGEST
}

/// [`BertOps::self_attention`](crate::ops::BertOps::self_attention).
pub(in crate::ops) fn of_rows<B: GradientOps + CubeKernels>(
    inputs: AttentionInputs<B>,
    mask_pad: BoolTensor<B>,
    form: AttentionForm,
) -> FloatTensor<B> {
    let [_, seq, _] = inputs.query.shape().dims::<3>();
    match inputs {
        AttentionInputs {
            query,
            key,
            value,
            bias: AttentionBias::Absent,
        } if holds_scores(seq) => group::<B>([query, key, value], mask_pad, form).0,
        inputs => composed::padded(inputs, mask_pad, form),
    }
}

/// Context of a group of rows and what its gradients take.
fn group<B: GradientOps + CubeKernels>(
    inputs: [FloatTensor<B>; 3],
    mask_pad: BoolTensor<B>,
    form: AttentionForm,
) -> (FloatTensor<B>, AttentionRows<B>) {
    let [query, key, value] = inputs.map(|tensor| B::heads_apart(tensor, form.heads));
    let seed = (form.dropout > 0.0).then(|| seed::<B>(&query.device()));
    let numbers = seed.clone().unwrap_or_else(|| unread::<B>(&query.device()));
    let scores = B::float_matmul(query, B::float_transpose(key)); // [batch, heads, seq, seq]
    let (kept, statistics) = B::softmax_rows(scores, mask_pad, numbers, form);
    let context = merge::<B>(B::float_matmul(kept, value));
    (context, AttentionRows { statistics, seed })
}

/// [`GradientOps::attention_backward`], whose probabilities are computed again.
pub(in crate::ops) fn backward<B: GradientOps + CubeKernels>(
    inputs: AttentionInputs<B>,
    state: AttentionState<B>,
    layout: AttentionLayout<B>,
    grad: FloatTensor<B>,
    form: AttentionForm,
    with_bias: bool,
) -> AttentionGradients<B> {
    let rows = match state {
        AttentionState::Rows(rows) => rows,
        AttentionState::Probabilities(weights) => {
            return composed::backward(inputs, weights, &layout, grad, form, with_bias);
        }
        AttentionState::Statistics(_) => unreachable!("no state of a backend on CubeCL"),
    };
    let grads = layout.part_with_zeros(grad);
    let groups = layout.groups(inputs).zip(grads).zip(rows);
    let mut gradients = [(); 3].map(|()| Vec::new());
    for (((inputs, mask_pad), grad), rows) in groups {
        let AttentionInputs {
            query, key, value, ..
        } = inputs;
        let of_group = backward_of_group::<B>([query, key, value], mask_pad, rows, grad, form);
        for (parts, part) in gradients.iter_mut().zip(of_group) {
            parts.push(part);
        }
    }
    AttentionGradients {
        inputs: gradients.map(|parts| layout.join(parts)),
        bias: None,
    }
}

/// Gradients of [`group`].
fn backward_of_group<B: GradientOps + CubeKernels>(
    inputs: [FloatTensor<B>; 3],
    mask_pad: BoolTensor<B>,
    rows: AttentionRows<B>,
    grad: FloatTensor<B>,
    form: AttentionForm,
) -> [FloatTensor<B>; 3] {
    let [query, key, value] = inputs.map(|tensor| B::heads_apart(tensor, form.heads));
    let grad = B::heads_apart(grad, form.heads);
    let scores = B::float_matmul(query.clone(), B::float_transpose(key.clone()));
    let of_kept = B::float_matmul(grad.clone(), B::float_transpose(value));
    let AttentionRows { statistics, seed } = rows;
    let numbers = seed.unwrap_or_else(|| unread::<B>(&key.device()));
    let (kept, of_scores) =
        B::softmax_rows_backward(scores, of_kept, mask_pad, statistics, numbers, form);
    let of_value = B::float_matmul(B::float_transpose(kept), grad);
    let of_query = B::float_matmul(of_scores.clone(), key);
    let of_key = B::float_matmul(B::float_transpose(of_scores), query);
    [of_query, of_key, of_value].map(merge::<B>)
}
