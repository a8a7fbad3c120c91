//! Self-attention over tensors.

use bert_kernels::attention::{self as kernels, Dropout, Projections, Sequence, Sizes};
use bert_kernels::softmax::attended;
use burn::backend::TensorMetadata;
use burn::tensor::Shape;

use super::{Backend, HostTensor, Kernel, When, place, zeros_like};
use crate::ops::packed::Layout;
use crate::ops::{PackedForm, attention};

/// [`BertOps::self_attention`](crate::ops::BertOps::self_attention), without dropout.
pub(in crate::ops) fn self_attention<T: HostTensor>(
    query: T,
    key: T,
    value: T,
    mask_pad: T,
    heads: usize,
    dropout: f64,
) -> T {
    let sizes = sizes(&query, heads);
    let when = When::Preferred.and(dropout == 0.0 && !is_empty(sizes));
    match place(when, [query, key, value]) {
        Kernel(inputs) => {
            let attended = attended(&mask_pad.to_bools()); // [batch, seq]
            let sequences = Sequence::padded(&attended, sizes.seq);
            attend(&inputs, sizes, &sequences, &attended)
        }
        Backend([query, key, value]) => {
            attention::padded::<T::Backend>(query, key, value, mask_pad, heads, dropout)
        }
    }
}

/// [`BertOps::packed_attention`](crate::ops::BertOps::packed_attention), of the sequences as they are; without dropout.
pub(in crate::ops) fn packed_attention<T: HostTensor>(
    query: T,
    key: T,
    value: T,
    places: T,
    slots: T,
    padding: T,
    form: PackedForm,
) -> T {
    let sizes = sizes(&query, form.heads);
    let when = When::Preferred.and(form.dropout == 0.0 && !is_empty(sizes));
    match place(when, [query, key, value]) {
        Kernel(inputs) => {
            let sequences = Sequence::packed(&form.lengths);
            attend(&inputs, sizes, &sequences, &vec![1.0; sizes.seq])
        }
        Backend(inputs) => {
            let layout = Layout::<T::Backend>::packed([places, slots], padding, &form);
            attention::packed(inputs, &layout, form.heads, form.dropout)
        }
    }
}

fn attend<T: HostTensor>(
    inputs: &[T; 3],
    sizes: Sizes,
    sequences: &[Sequence],
    attended: &[f32],
) -> T {
    let [query, ..] = inputs;
    query.init_like(query.shape(), |to| {
        kernels::attention(projections(inputs), sizes, sequences, attended, to)
    })
}

/// [`BertOps::attention_with_weights`](crate::ops::BertOps::attention_with_weights); the state of dropout is a seed.
pub(in crate::ops) fn attention_with_weights<T: HostTensor>(
    query: T,
    key: T,
    value: T,
    mask_pad: T,
    heads: usize,
    dropout: f64,
) -> (T, T, T) {
    let sizes = sizes(&query, heads);
    let when = When::Preferred.and(!is_empty(sizes));
    match place(when, [query, key, value]) {
        Kernel([query, key, value]) => {
            let Sizes { batch, seq, .. } = sizes;
            let attended = attended(&mask_pad.to_bools()); // [batch, seq]
            let mut keep = zeros_like(&query, [4]);
            if dropout > 0.0 {
                let seed = Dropout::seed_to_floats(query.next_random_u64());
                keep.make_mut().copy_from_slice(&seed);
            }
            let shape = Shape::new([batch, heads, seq, seq]);
            let probabilities = query.init_like(shape, |to| {
                kernels::probabilities(query.as_slice(), key.as_slice(), sizes, &attended, to)
            });
            let dropout = recalled(&keep, dropout);
            let context = query.init_like(query.shape(), |to| {
                let probabilities = probabilities.as_slice();
                kernels::context(value.as_slice(), probabilities, sizes, dropout, to)
            });
            (context, probabilities, keep)
        }
        Backend([query, key, value]) => {
            attention::with_weights::<T::Backend>(query, key, value, mask_pad, heads, dropout)
        }
    }
}

/// [`BertOps::attention_backward`](crate::ops::BertOps::attention_backward).
#[expect(
    clippy::too_many_arguments,
    reason = "what the forward pass took and gave"
)]
pub(in crate::ops) fn attention_backward<T: HostTensor>(
    query: T,
    key: T,
    value: T,
    probabilities: T,
    keep: T,
    grad: T,
    heads: usize,
    dropout: f64,
) -> (T, T, T) {
    let sizes = sizes(&query, heads);
    let when = When::Preferred.and(!is_empty(sizes));
    match place(when, [query, key, value, probabilities, keep, grad]) {
        Kernel([query, key, value, probabilities, keep, grad]) => {
            let (inputs, dropout) = ([query, key, value], recalled(&keep, dropout));
            let [query, key, value] = &inputs;
            let (projections, probabilities) = (projections(&inputs), probabilities.as_slice());
            let grads =
                kernels::backward(projections, probabilities, sizes, dropout, grad.as_slice());
            (
                query.init_like(query.shape(), |to| grads.query(to)),
                key.init_like(key.shape(), |to| grads.key(to)),
                value.init_like(value.shape(), |to| grads.value(to)),
            )
        }
        Backend([query, key, value, probabilities, keep, grad]) => {
            let inputs = [query, key, value];
            let weights = [probabilities, keep];
            attention::backward::<T::Backend>(inputs, weights, grad, heads, dropout)
        }
    }
}

fn sizes(query: &impl TensorMetadata, heads: usize) -> Sizes {
    let [batch, seq, width] = query.shape().dims();
    Sizes {
        batch,
        seq,
        heads,
        head_size: width / heads,
    }
}

fn is_empty(sizes: Sizes) -> bool {
    sizes.batch * sizes.seq * sizes.width() == 0
}

fn projections<T: HostTensor>([query, key, value]: &[T; 3]) -> Projections<'_> {
    Projections {
        query: query.as_slice(),
        key: key.as_slice(),
        value: value.as_slice(),
    }
}

/// Dropout by the seed in `keep`.
fn recalled(keep: &impl HostTensor, probability: f64) -> Option<Dropout> {
    (probability > 0.0).then(|| {
        let seed = Dropout::seed_from_floats(keep.as_slice());
        Dropout::new(seed, probability)
    })
}
