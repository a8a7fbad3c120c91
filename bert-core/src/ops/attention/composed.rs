//! Default bodies of the attention operations.

use burn::backend::ops::{AttentionModuleOptions, ModuleOps};
use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{Backend, TensorMetadata, get_or_init_device_settings};
use burn::tensor::{Shape, Slice};

use super::heads::{merge, split};
use super::{
    AttentionBias, AttentionForm, AttentionGradients, AttentionInputs, AttentionLayout,
    AttentionOutput, AttentionState, AttentionWeights, relative,
};
use crate::ops::{BertOps, GradientOps};

/// The default body of [`BertOps::attend_by_head`].
pub(in crate::ops) fn by_head<B: BertOps>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    mask_pad: BoolTensor<B>,
) -> FloatTensor<B> {
    let [_, heads, _, head_size] = query.shape().dims::<4>();
    let form = AttentionForm::new(heads, head_size);
    let probabilities = probabilities::<B>(query, key, AttentionBias::Absent, mask_pad, form);
    B::float_matmul(probabilities, value) // [batch, heads, seq, head_size]
}

/// Attention through the backend's fused kernel; the mask is true at what is left out, as Burn documents it.
#[allow(dead_code, reason = "used by the backends that have one")]
pub(in crate::ops) fn fused<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    mask_pad: BoolTensor<B>,
) -> FloatTensor<B> {
    let [batch, heads, seq_q, _] = query.shape().dims::<4>();
    let [_, _, seq_k, _] = key.shape().dims::<4>();
    let mask = B::bool_expand(mask_pad, Shape::new([batch, heads, seq_q, seq_k]));
    <B as ModuleOps<B>>::attention(
        query,
        key,
        value,
        Some(mask),
        None,
        AttentionModuleOptions::default(),
    )
}

/// The default body of [`BertOps::self_attention`]: heads split and joined by views and one copy.
pub(in crate::ops) fn padded<B: BertOps>(
    inputs: AttentionInputs<B>,
    mask_pad: BoolTensor<B>,
    form: AttentionForm,
) -> FloatTensor<B> {
    if !is_plain(&inputs, form) {
        return with_weights::<B>(inputs, mask_pad, form).0;
    }
    let AttentionInputs {
        query, key, value, ..
    } = inputs;
    let [query, key, value] = [query, key, value].map(|tensor| split::<B>(tensor, form.heads));
    merge::<B>(B::attend_by_head(query, key, value, mask_pad))
}

/// True for what [`BertOps::attend_by_head`] computes.
fn is_plain<B: Backend>(inputs: &AttentionInputs<B>, form: AttentionForm) -> bool {
    let [_, _, width] = inputs.query.shape().dims::<3>();
    let plain = AttentionForm::new(form.heads, width / form.heads);
    let usual_scale = (form.scale / plain.scale - 1.0).abs() < 1e-9;
    usual_scale
        && form.reach.is_none()
        && form.dropout == 0.0
        && matches!(inputs.bias, AttentionBias::Absent)
}

/// Attention of any form as separate operations, with the probabilities of all keys and the factors of dropout.
pub(in crate::ops) fn with_weights<B: BertOps>(
    inputs: AttentionInputs<B>,
    mask_pad: BoolTensor<B>,
    form: AttentionForm,
) -> (FloatTensor<B>, AttentionWeights<B>) {
    let AttentionInputs {
        query,
        key,
        value,
        bias,
    } = inputs;
    let [query, key, value] = [query, key, value].map(|tensor| split::<B>(tensor, form.heads));
    let probabilities = probabilities::<B>(query, key, bias, mask_pad, form);
    let keep = (form.dropout > 0.0)
        .then(|| B::dropout_mask(probabilities.clone(), probabilities.shape(), form.dropout));
    let kept = dropped::<B>(probabilities.clone(), keep.as_ref());
    let context = merge::<B>(B::float_matmul(kept, value));
    let weights = AttentionWeights {
        probabilities,
        keep,
    };
    (context, weights)
}

/// `softmax(scale · q·kᵀ + bias)`, relative positions being part of the products, zero at keys that are left out:
/// `[batch, heads, seq, seq]`.
fn probabilities<B: BertOps>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    bias: AttentionBias<B>,
    mask_pad: BoolTensor<B>,
    form: AttentionForm,
) -> FloatTensor<B> {
    let [_, _, seq, _] = query.shape().dims::<4>();
    let scores = B::float_matmul(query.clone(), B::float_transpose(key.clone())); // [batch, heads, seq, seq]
    let mask = left_out::<B>(mask_pad, form.reach);
    match bias {
        AttentionBias::Absent => B::masked_softmax(scores, mask, form.scale),
        AttentionBias::Present(bias) => {
            let scores = B::float_mul_scalar(scores, form.scale.into());
            let bias = first_rows_and_columns::<B>(bias, seq);
            B::masked_softmax(B::float_add(scores, bias), mask, 1.0)
        }
        AttentionBias::Relative(positions) => {
            let scores = match relative::scores::<B>(query, key, positions) {
                Some(of_positions) => B::float_add(scores, of_positions),
                None => scores,
            };
            B::masked_softmax(scores, mask, form.scale)
        }
    }
}

/// Keys that are left out: true at padding and outside of a window.
///
/// # Shapes
///
/// - mask_pad: `[batch, 1, 1, seq]`
/// - output: `[batch, 1, 1 or seq, seq]`
fn left_out<B: Backend>(mask_pad: BoolTensor<B>, reach: Option<usize>) -> BoolTensor<B> {
    let Some(reach) = reach else {
        return mask_pad;
    };
    let [batch, _, _, seq] = mask_pad.shape().dims::<4>();
    let device = mask_pad.device();
    let settings = get_or_init_device_settings::<B>(&device);
    let places = B::int_arange(0..seq as i64, &device, settings.int_dtype);
    let [queries, keys] = [[1, 1, seq, 1], [1, 1, 1, seq]]
        .map(|shape| B::int_reshape(places.clone(), Shape::new(shape)));
    let distances = B::int_abs(B::int_sub(queries, keys));
    let reach = reach.min(seq) as i64;
    let outside = B::int_greater_elem(distances, reach.into(), settings.bool_dtype);
    let shape = Shape::new([batch, 1, seq, seq]);
    let [mask_pad, outside] = [mask_pad, outside].map(|mask| B::bool_expand(mask, shape.clone()));
    B::bool_or(mask_pad, outside)
}

/// `[any, heads, size, size]` to `[any, heads, seq, seq]`.
fn first_rows_and_columns<B: Backend>(bias: FloatTensor<B>, seq: usize) -> FloatTensor<B> {
    let shape = bias.shape().dims::<4>();
    match shape[2] == seq {
        true => bias,
        false => B::float_slice(bias, &corner(shape, seq)),
    }
}

/// The first `seq` rows and columns of matrices.
fn corner([batch, heads, ..]: [usize; 4], seq: usize) -> [Slice; 4] {
    [batch, heads, seq, seq].map(|size| Slice::from(0..size))
}

/// The default body of [`GradientOps::attention_with_state`]: [`with_weights`] of every group.
pub(in crate::ops) fn tracked<B: BertOps>(
    inputs: AttentionInputs<B>,
    layout: &AttentionLayout<B>,
    form: AttentionForm,
) -> AttentionOutput<B> {
    let groups = layout.groups(inputs);
    let outputs = groups.map(|(inputs, mask_pad)| with_weights::<B>(inputs, mask_pad, form));
    let (contexts, weights) = outputs.unzip();
    AttentionOutput {
        context: layout.join(contexts),
        state: AttentionState::Probabilities(weights),
    }
}

/// The default body of [`GradientOps::attention_backward`]: [`backward_of_group`] of every group.
pub(in crate::ops) fn backward<B: GradientOps>(
    inputs: AttentionInputs<B>,
    weights: Vec<AttentionWeights<B>>,
    layout: &AttentionLayout<B>,
    grad: FloatTensor<B>,
    form: AttentionForm,
    with_bias: bool,
) -> AttentionGradients<B> {
    let bias = match &inputs.bias {
        AttentionBias::Present(bias) if with_bias => Some(bias.shape()),
        _ => None,
    };
    let projections = [inputs.query, inputs.key, inputs.value];
    let [query, key, value] = projections.map(|tensor| layout.part(tensor).into_iter());
    let grad = layout.part_with_zeros(grad);
    let groups = query.zip(key).zip(value).zip(grad).zip(weights);
    let mut of_projections = [(); 3].map(|()| Vec::new());
    let mut of_bias = None;
    for ((((query, key), value), grad), weights) in groups {
        let inputs = [query, key, value];
        let gradients = backward_of_group(inputs, weights, grad, form, bias.clone());
        for (parts, part) in of_projections.iter_mut().zip(gradients.inputs) {
            parts.push(part);
        }
        of_bias = match (of_bias, gradients.bias) {
            (Some(sum), Some(gradient)) => Some(B::float_add(sum, gradient)),
            (sum, gradient) => sum.or(gradient),
        };
    }
    AttentionGradients {
        inputs: of_projections.map(|parts| layout.join(parts)),
        bias: of_bias,
    }
}

/// Gradients of [`with_weights`], with that of a bias of shape `bias` if it is wanted.
pub(in crate::ops) fn backward_of_group<B: GradientOps>(
    inputs: [FloatTensor<B>; 3],
    weights: AttentionWeights<B>,
    grad: FloatTensor<B>,
    form: AttentionForm,
    bias: Option<Shape>,
) -> AttentionGradients<B> {
    let AttentionWeights {
        probabilities,
        keep,
    } = weights;
    let [query, key, value] = inputs.map(|tensor| split::<B>(tensor, form.heads));
    let grad = split::<B>(grad, form.heads);
    let kept = dropped::<B>(probabilities.clone(), keep.as_ref());
    let of_value = B::float_matmul(B::float_transpose(kept), grad.clone());
    let of_kept = B::float_matmul(grad, B::float_transpose(value));
    let of_probabilities = dropped::<B>(of_kept, keep.as_ref());
    let (of_scores, of_bias) = match bias {
        None => {
            let of_products = B::softmax_backward(probabilities, of_probabilities, form.scale);
            (of_products, None)
        }
        Some(shape) => {
            let of_scores = B::softmax_backward(probabilities, of_probabilities, 1.0);
            let of_products = B::float_mul_scalar(of_scores.clone(), form.scale.into());
            (of_products, Some(of_bias::<B>(of_scores, shape)))
        }
    };
    let of_query = B::float_matmul(of_scores.clone(), key);
    let of_key = B::float_matmul(B::float_transpose(of_scores), query);
    AttentionGradients {
        inputs: [of_query, of_key, of_value].map(merge::<B>),
        bias: of_bias,
    }
}

/// Gradient of a bias of `shape` from that of the scores, `[batch, heads, seq, seq]`.
fn of_bias<B: Backend>(of_scores: FloatTensor<B>, shape: Shape) -> FloatTensor<B> {
    let [batch, _, seq, _] = of_scores.shape().dims::<4>();
    let [of_batch, _, size, _] = shape.dims::<4>();
    let summed = match of_batch < batch {
        true => B::float_sum_dim(of_scores, 0),
        false => of_scores,
    };
    if size == seq {
        return summed;
    }
    let zeros = B::float_zeros(shape.clone(), &summed.device(), summed.dtype().into());
    B::float_slice_assign(zeros, &corner(shape.dims(), seq), summed)
}

/// `tensor` multiplied by the factors of dropout, if there are any.
fn dropped<B: Backend>(tensor: FloatTensor<B>, keep: Option<&FloatTensor<B>>) -> FloatTensor<B> {
    match keep {
        Some(keep) => B::float_mul(tensor, keep.clone()),
        None => tensor,
    }
}

/// The default body of [`BertOps::packed_attention`]: [`padded`] attention of the groups of packed tokens.
pub(in crate::ops) fn packed<B: BertOps>(
    inputs: AttentionInputs<B>,
    layout: &AttentionLayout<B>,
    form: AttentionForm,
) -> FloatTensor<B> {
    let groups = layout.groups(inputs);
    let contexts = groups.map(|(inputs, mask_pad)| B::self_attention(inputs, mask_pad, form));
    layout.join(contexts.collect())
}
