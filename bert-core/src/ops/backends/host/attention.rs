//! Self-attention over tensors.

use bert_kernels::attention::{
    self as kernels, Bias, Dropout, ForwardPass, Projections, Scoring, Sequence, Sizes,
};
use bert_kernels::softmax::attended;
use burn::backend::TensorMetadata;
use burn::tensor::Shape;

use super::{Backend, HostTensor, Kernel, When, place, zeros_like};
use crate::ops::attention::composed;
use crate::ops::attention::layout::Layout;
use crate::ops::{
    AttentionBias, AttentionForm, AttentionGradients, AttentionInputs, AttentionOutput,
    AttentionWeights, PackedTokens,
};

/// [`BertOps::self_attention`](crate::ops::BertOps::self_attention), without dropout.
pub(in crate::ops) fn self_attention<T: HostTensor>(
    inputs: AttentionInputs<T::Backend>,
    mask_pad: T,
    form: AttentionForm,
) -> T {
    let sizes = sizes(&inputs.query, form.heads);
    match HostInputs::<T>::place(form.dropout == 0.0, inputs, sizes) {
        Ok(inputs) => {
            let attended = attended(&mask_pad.to_bools()); // [batch, seq]
            let sequences = Sequence::padded(&attended, sizes.seq);
            inputs.attend(form, &sequences, &attended)
        }
        Err(inputs) => composed::padded(inputs, mask_pad, form),
    }
}

/// [`BertOps::packed_attention`](crate::ops::BertOps::packed_attention), of the sequences as they are; without dropout.
pub(in crate::ops) fn packed_attention<T: HostTensor>(
    inputs: AttentionInputs<T::Backend>,
    tokens: PackedTokens<T::Backend>,
    form: AttentionForm,
) -> T {
    let sizes = sizes(&inputs.query, form.heads);
    match HostInputs::<T>::place(form.dropout == 0.0, inputs, sizes) {
        Ok(inputs) => {
            let sequences = Sequence::packed(&tokens.lengths);
            inputs.attend(form, &sequences, &vec![1.0; sizes.seq])
        }
        Err(inputs) => composed::packed(inputs, &Layout::Packed(tokens), form),
    }
}

/// [`GradientOps::attention_with_weights`](crate::ops::GradientOps::attention_with_weights); the state of dropout is a seed.
pub(in crate::ops) fn attention_with_weights<T: HostTensor>(
    inputs: AttentionInputs<T::Backend>,
    mask_pad: T,
    form: AttentionForm,
) -> AttentionOutput<T::Backend> {
    let sizes = sizes(&inputs.query, form.heads);
    let inputs = match HostInputs::<T>::place(true, inputs, sizes) {
        Ok(inputs) => inputs,
        Err(inputs) => return composed::with_weights(inputs, mask_pad, form),
    };
    let Sizes {
        batch, seq, heads, ..
    } = sizes;
    let [query, key, value] = &inputs.projections;
    let attended = attended(&mask_pad.to_bools()); // [batch, seq]
    let keep = (form.dropout > 0.0).then(|| {
        let mut keep = zeros_like(query, [4]);
        let seed = Dropout::seed_to_floats(query.next_random_u64());
        keep.make_mut().copy_from_slice(&seed);
        keep
    });
    let kept_keys = kernels::kept_keys(seq, form.reach);
    let shape = Shape::new([batch, heads, seq, kept_keys]);
    let probabilities = query.init_like(shape, |to| {
        let (query, key) = (query.as_slice(), key.as_slice());
        kernels::probabilities(query, key, inputs.scoring(form), sizes, &attended, to)
    });
    let dropout = recalled(keep.as_ref(), form);
    let context = query.init_like(query.shape(), |to| {
        let (value, probabilities) = (value.as_slice(), probabilities.as_slice());
        kernels::context(value, probabilities, sizes, form.reach, dropout, to)
    });
    let weights = AttentionWeights {
        probabilities,
        keep,
    };
    AttentionOutput { context, weights }
}

/// [`GradientOps::attention_backward`](crate::ops::GradientOps::attention_backward).
pub(in crate::ops) fn attention_backward<T: HostTensor>(
    [query, key, value]: [T; 3],
    weights: AttentionWeights<T::Backend>,
    grad: T,
    form: AttentionForm,
    bias: Option<Shape>,
) -> AttentionGradients<T::Backend> {
    let sizes = sizes(&query, form.heads);
    let when = When::Preferred.and(!is_empty(sizes));
    let AttentionWeights {
        probabilities,
        keep,
    } = weights;
    match place(when, [query, key, value, probabilities, grad]) {
        Kernel([query, key, value, probabilities, grad]) => {
            let pass = ForwardPass {
                inputs: projections([&query, &key, &value]),
                probabilities: probabilities.as_slice(),
                sizes,
                scale: form.scale as f32,
                reach: form.reach,
                dropout: recalled(keep.as_ref(), form),
            };
            let grads = kernels::backward(pass, grad.as_slice(), bias.is_some());
            AttentionGradients {
                inputs: [
                    query.init_like(query.shape(), |to| grads.query(to)),
                    key.init_like(key.shape(), |to| grads.key(to)),
                    value.init_like(value.shape(), |to| grads.value(to)),
                ],
                bias: bias.map(|shape| {
                    let [_, _, size, _] = shape.dims::<4>();
                    query.init_like(shape, |to| grads.bias(size, to))
                }),
            }
        }
        Backend([query, key, value, probabilities, grad]) => {
            let weights = AttentionWeights {
                probabilities,
                keep,
            };
            composed::backward([query, key, value], weights, grad, form, bias)
        }
    }
}

/// Operands that a kernel can read.
struct HostInputs<T> {
    projections: [T; 3],
    bias: Option<T>,
    sizes: Sizes,
}

impl<T: HostTensor> HostInputs<T> {
    /// The operands for a kernel that has the form of attention that is asked for, or as they came for the backend.
    fn place(
        has_form: bool,
        inputs: AttentionInputs<T::Backend>,
        sizes: Sizes,
    ) -> Result<Self, AttentionInputs<T::Backend>> {
        let when = When::Preferred.and(has_form && !is_empty(sizes));
        let AttentionInputs {
            query,
            key,
            value,
            bias,
        } = inputs;
        let (placed, bias) = match bias {
            AttentionBias::Absent => (place(when, [query, key, value]), None),
            AttentionBias::Present(bias) => match place(when, [query, key, value, bias]) {
                Kernel([query, key, value, bias]) => (Kernel([query, key, value]), Some(bias)),
                Backend([query, key, value, bias]) => (Backend([query, key, value]), Some(bias)),
            },
        };
        match placed {
            Kernel(projections) => Ok(Self {
                projections,
                bias,
                sizes,
            }),
            Backend([query, key, value]) => Err(AttentionInputs {
                query,
                key,
                value,
                bias: bias.map_or(AttentionBias::Absent, AttentionBias::Present),
            }),
        }
    }

    fn scoring(&self, form: AttentionForm) -> Scoring<'_> {
        Scoring {
            scale: form.scale as f32,
            reach: form.reach,
            bias: self.bias.as_ref().map(|bias| {
                let [batch, heads, size, _] = bias.shape().dims();
                Bias::new(bias.as_slice(), [batch, heads, size])
            }),
        }
    }

    fn attend(&self, form: AttentionForm, sequences: &[Sequence], attended: &[f32]) -> T {
        let (query, scoring) = (&self.projections[0], self.scoring(form));
        let inputs = projections(self.projections.each_ref());
        query.init_like(query.shape(), |to| {
            kernels::attention(inputs, scoring, self.sizes, sequences, attended, to)
        })
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

fn projections<T: HostTensor>([query, key, value]: [&T; 3]) -> Projections<'_> {
    Projections {
        query: query.as_slice(),
        key: key.as_slice(),
        value: value.as_slice(),
    }
}

/// Dropout by the seed in `keep`.
fn recalled(keep: Option<&impl HostTensor>, form: AttentionForm) -> Option<Dropout> {
    keep.map(|keep| {
        let seed = Dropout::seed_from_floats(keep.as_slice());
        Dropout::new(seed, form.dropout)
    })
}
