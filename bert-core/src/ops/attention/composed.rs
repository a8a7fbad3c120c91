//! Default bodies of the attention operations, and attention as one node of the autodiff graph.

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::ops::{AttentionModuleOptions, ModuleOps};
use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

use super::BertOps;
use super::packed::Layout;

/// Attention without dropout as separate operations.
pub(super) fn composed<B: BertOps>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    mask_pad: BoolTensor<B>,
) -> FloatTensor<B> {
    B::float_matmul(probabilities::<B>(query, key, mask_pad), value) // [batch, heads, seq_q, head_size]
}

/// Attention through the backend's fused kernel; the mask is true at what is left out, as Burn documents it.
#[allow(dead_code, reason = "used by the backends that have one")]
pub(super) fn fused<B: Backend>(
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

/// `softmax(q·kᵀ / √head_size)`, zero at padding.
pub(super) fn probabilities<B: BertOps>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    mask_pad: BoolTensor<B>,
) -> FloatTensor<B> {
    let [_, _, _, head_size] = query.shape().dims::<4>();
    let scores = B::float_matmul(query, B::float_transpose(key)); // [batch, heads, seq_q, seq_k]
    B::masked_softmax(scores, mask_pad, scale(head_size))
}

/// `1 / √head_size`
fn scale(head_size: usize) -> f64 {
    1.0 / (head_size as f64).sqrt()
}

/// The default body of [`BertOps::attention_with_weights`]; what is known of dropout is what it multiplied by.
pub(super) fn with_weights<B: BertOps>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    mask_pad: BoolTensor<B>,
    heads: usize,
    dropout: f64,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let [query, key, value] = [query, key, value].map(|tensor| split::<B>(tensor, heads));
    let probabilities = probabilities::<B>(query, key, mask_pad);
    let keep = if dropout > 0.0 {
        B::dropout_mask(probabilities.clone(), probabilities.shape(), dropout)
    } else {
        probabilities.clone()
    };
    let kept = dropped::<B>(probabilities.clone(), &keep, dropout);
    let context = merge::<B>(B::float_matmul(kept, value));
    (context, probabilities, keep)
}

/// The default body of [`BertOps::attention_backward`].
pub(super) fn backward<B: BertOps>(
    inputs: [FloatTensor<B>; 3],
    [probabilities, keep]: [FloatTensor<B>; 2],
    grad: FloatTensor<B>,
    heads: usize,
    dropout: f64,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let [query, key, value] = inputs.map(|tensor| split::<B>(tensor, heads));
    let grad = split::<B>(grad, heads);
    let [_, _, _, head_size] = query.shape().dims::<4>();
    let kept = dropped::<B>(probabilities.clone(), &keep, dropout);
    let of_value = B::float_matmul(B::float_transpose(kept), grad.clone());
    let of_kept = B::float_matmul(grad, B::float_transpose(value));
    let of_probabilities = dropped::<B>(of_kept, &keep, dropout);
    let of_scores = B::softmax_backward(probabilities, of_probabilities, scale(head_size));
    let turned = B::float_transpose(of_scores.clone());
    let of_query = B::float_matmul(of_scores, key);
    let of_key = B::float_matmul(turned, query);
    (
        merge::<B>(of_query),
        merge::<B>(of_key),
        merge::<B>(of_value),
    )
}

/// `tensor` multiplied by what dropout multiplies it by, if there is any.
fn dropped<B: Backend>(
    tensor: FloatTensor<B>,
    keep: &FloatTensor<B>,
    dropout: f64,
) -> FloatTensor<B> {
    if dropout > 0.0 {
        B::float_mul(tensor, keep.clone())
    } else {
        tensor
    }
}

/// `[batch, seq, width]` to `[batch, heads, seq, head_size]`.
fn split<B: Backend>(tensor: FloatTensor<B>, heads: usize) -> FloatTensor<B> {
    let [batch, seq, width] = tensor.shape().dims::<3>();
    let by_head = Shape::new([batch, seq, heads, width / heads]);
    B::float_swap_dims(B::float_reshape(tensor, by_head), 1, 2)
}

/// `[batch, heads, seq, head_size]` to `[batch, seq, width]`.
fn merge<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    let [batch, heads, seq, head_size] = tensor.shape().dims::<4>();
    let rows = Shape::new([batch, seq, heads * head_size]);
    B::float_reshape(B::float_swap_dims(tensor, 1, 2), rows)
}

/// Attention of all heads over padded rows, split and joined by views and one copy.
pub(super) fn padded<B: BertOps>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    mask_pad: BoolTensor<B>,
    heads: usize,
    dropout: f64,
) -> FloatTensor<B> {
    if dropout > 0.0 {
        return B::attention_with_weights(query, key, value, mask_pad, heads, dropout).0;
    }
    let [query, key, value] = [query, key, value].map(|tensor| split::<B>(tensor, heads));
    merge::<B>(<B as BertOps>::attention(query, key, value, mask_pad))
}

/// [`padded`] attention of the groups of packed tokens.
pub(super) fn packed<B: BertOps>(
    inputs: [FloatTensor<B>; 3],
    layout: &Layout<B>,
    heads: usize,
    dropout: f64,
) -> FloatTensor<B> {
    let [query, key, value] = inputs.map(|tensor| layout.part(tensor).into_iter());
    let groups = query.zip(key).zip(value).zip(layout.masks());
    let contexts = groups.map(|(((query, key), value), mask_pad)| {
        B::self_attention(query, key, value, mask_pad, heads, dropout)
    });
    layout.join(contexts.collect())
}

/// Attention from projections to context as one node, which keeps the projections, the probabilities and what dropout made
/// of them.
pub(super) fn autodiff<B: BertOps, C: CheckpointStrategy>(
    inputs: [FloatTensor<Autodiff<B, C>>; 3],
    layout: Layout<B>,
    heads: usize,
    dropout: f64,
) -> FloatTensor<Autodiff<B, C>> {
    #[derive(Debug)]
    struct Attention;

    #[derive(Clone, Debug)]
    struct Kept<B: Backend> {
        inputs: [FloatTensor<B>; 3],
        /// Probabilities and what is known of dropout, of each group.
        weights: Vec<[FloatTensor<B>; 2]>,
        layout: Layout<B>,
        heads: usize,
        dropout: f64,
    }

    impl<B: BertOps> Backward<B, 3> for Attention {
        type State = Kept<B>;

        fn backward(
            self,
            ops: Ops<Self::State, 3>,
            grads: &mut Gradients,
            _checkpointer: &mut Checkpointer,
        ) {
            let Kept {
                inputs,
                weights,
                layout,
                heads,
                dropout,
            } = ops.state;
            let [query, key, value] = inputs.map(|tensor| layout.part(tensor).into_iter());
            let grad = layout.part_with_zeros(grads.consume::<B>(&ops.node));
            let groups = query.zip(key).zip(value).zip(grad).zip(weights);
            let [mut of_query, mut of_key, mut of_value] = [(); 3].map(|()| Vec::new());
            for ((((query, key), value), grad), [probabilities, keep]) in groups {
                let (query, key, value) = B::attention_backward(
                    query,
                    key,
                    value,
                    probabilities,
                    keep,
                    grad,
                    heads,
                    dropout,
                );
                of_query.push(query);
                of_key.push(key);
                of_value.push(value);
            }
            for (parent, parts) in ops.parents.into_iter().zip([of_query, of_key, of_value]) {
                if let Some(node) = parent {
                    grads.register::<B>(node.id, layout.join(parts));
                }
            }
        }
    }

    let nodes = inputs.each_ref().map(|tensor| tensor.node());
    match Attention.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let inputs = inputs.map(|tensor| tensor.into_primitive());
            let [query, key, value] = inputs.clone().map(|tensor| layout.part(tensor).into_iter());
            let groups = query.zip(key).zip(value).zip(layout.masks());
            let (contexts, weights) = groups
                .map(|(((query, key), value), mask_pad)| {
                    let (context, probabilities, keep) =
                        B::attention_with_weights(query, key, value, mask_pad, heads, dropout);
                    (context, [probabilities, keep])
                })
                .unzip();
            let output = layout.join(contexts);
            let kept = Kept {
                inputs,
                weights,
                layout,
                heads,
                dropout,
            };
            prep.finish(kept, output)
        }
        OpsKind::UnTracked(prep) => {
            let inputs = inputs.map(|tensor| tensor.into_primitive());
            prep.finish(packed::<B>(inputs, &layout, heads, dropout))
        }
    }
}
