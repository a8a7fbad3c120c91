//! Self-attention over tensors.

use bert_kernels::attention::{
    self as kernels, Attention, Bias, Dropout, ForwardPass, Heads, Projections, RelativePositions,
    Scoring, Sequence,
};
use bert_kernels::softmax::attended;

use super::{Backend, HostTensor, Kernel, When, place};
use crate::ops::attention::composed;
use crate::ops::{
    AttentionBias, AttentionForm, AttentionGradients, AttentionInputs, AttentionLayout,
    AttentionOutput, AttentionState, AttentionStatistics, PackedTokens, PositionRows,
    RelativeProjections,
};

/// [`BertOps::self_attention`](crate::ops::BertOps::self_attention).
pub(in crate::ops) fn self_attention<T: HostTensor>(
    inputs: AttentionInputs<T::Backend>,
    mask_pad: T,
    form: AttentionForm,
) -> T {
    match HostInputs::<T>::place(inputs) {
        Ok(inputs) => inputs.attend(&AttentionLayout::Padded { mask_pad }, form),
        Err(inputs) => composed::padded(inputs, mask_pad, form),
    }
}

/// [`BertOps::packed_attention`](crate::ops::BertOps::packed_attention), of the sequences as they are.
pub(in crate::ops) fn packed_attention<T: HostTensor>(
    inputs: AttentionInputs<T::Backend>,
    tokens: PackedTokens<T::Backend>,
    form: AttentionForm,
) -> T {
    let layout = AttentionLayout::Packed(tokens);
    match HostInputs::<T>::place(inputs) {
        Ok(inputs) => inputs.attend(&layout, form),
        Err(inputs) => composed::packed(inputs, &layout, form),
    }
}

/// [`GradientOps::attention_with_state`](crate::ops::GradientOps::attention_with_state), of packed sequences as they are; the
/// state is [`AttentionState::Statistics`].
pub(in crate::ops) fn attention_with_state<T: HostTensor>(
    inputs: AttentionInputs<T::Backend>,
    layout: AttentionLayout<T::Backend>,
    form: AttentionForm,
) -> AttentionOutput<T::Backend> {
    let inputs = match inputs.bias {
        AttentionBias::Relative(_) => Err(inputs),
        _ => HostInputs::<T>::place(inputs),
    };
    let inputs = match inputs {
        Ok(inputs) => inputs,
        Err(inputs) => return composed::tracked(inputs, &layout, form),
    };
    let rows = inputs.rows(&layout);
    let seed = inputs.seed(form);
    let mut statistics = Vec::new();
    let query = &inputs.projections[0];
    let context = query.init_like(query.shape(), |to| {
        let attention = inputs.attention(&rows, form, seed);
        let (context, of_rows) = kernels::forward_with_statistics(attention, to);
        statistics = of_rows;
        context
    });
    AttentionOutput {
        context: context.clone(),
        state: AttentionState::Statistics(AttentionStatistics {
            context,
            rows: statistics.into(),
            seed,
        }),
    }
}

/// [`GradientOps::attention_backward`](crate::ops::GradientOps::attention_backward).
pub(in crate::ops) fn attention_backward<T: HostTensor>(
    inputs: AttentionInputs<T::Backend>,
    state: AttentionState<T::Backend>,
    layout: AttentionLayout<T::Backend>,
    grad: T,
    form: AttentionForm,
    with_bias: bool,
) -> AttentionGradients<T::Backend> {
    let state = match state {
        AttentionState::Statistics(state) => state,
        AttentionState::Probabilities(weights) => {
            return composed::backward(inputs, weights, &layout, grad, form, with_bias);
        }
        AttentionState::Rows(_) => unreachable!("no state of a backend in this process' memory"),
    };
    let Ok(inputs) = HostInputs::<T>::place(inputs) else {
        unreachable!("statistics are those of operands that a kernel has read");
    };
    let [context, grad] = [state.context, grad].map(T::into_contiguous);
    let rows = inputs.rows(&layout);
    let pass = ForwardPass {
        context: context.as_slice(),
        statistics: &state.rows,
    };
    let attention = inputs.attention(&rows, form, state.seed);
    let gradients = kernels::backward(attention, pass, grad.as_slice(), with_bias);
    let of_inputs = [gradients.query, gradients.key, gradients.value];
    AttentionGradients {
        inputs: of_inputs.map(|values| grad.with_values(grad.shape(), values)),
        bias: match (&inputs.term, gradients.bias) {
            // The gradient of a bias has its shape.
            (Term::Bias(bias), Some(values)) => Some(bias.with_values(bias.shape(), values)),
            _ => None,
        },
    }
}

/// Operands that a kernel can read.
struct HostInputs<T> {
    /// Queries, keys and values.
    projections: [T; 3],
    term: Term<T>,
}

/// [`AttentionBias`] that a kernel can read.
enum Term<T> {
    Absent,
    Bias(T),
    /// Keys and queries.
    Positions([Option<T>; 2]),
}

/// Rows of a layout, as kernels take them.
struct Rows {
    sequences: Vec<Sequence>,
    /// `[rows]`, 0 at padding and 1 elsewhere.
    attended: Vec<f32>,
}

impl<T: HostTensor> HostInputs<T> {
    /// The operands for a kernel, or as they came for the backend.
    fn place(inputs: AttentionInputs<T::Backend>) -> Result<Self, AttentionInputs<T::Backend>> {
        let AttentionInputs {
            query,
            key,
            value,
            bias,
        } = inputs;
        let is_readable = match &bias {
            AttentionBias::Absent => true,
            AttentionBias::Present(bias) => bias.is_host_f32(),
            AttentionBias::Relative(RelativeProjections { keys, queries }) => {
                [keys, queries].iter().all(|rows| match rows {
                    PositionRows::Present(rows) => rows.is_host_f32(),
                    PositionRows::Absent => true,
                })
            }
        };
        let when = When::Preferred.and(query.shape().num_elements() > 0 && is_readable);
        match place(when, [query, key, value]) {
            Kernel(projections) => Ok(Self {
                projections,
                term: Term::new(bias),
            }),
            Backend([query, key, value]) => Err(AttentionInputs {
                query,
                key,
                value,
                bias,
            }),
        }
    }

    /// The rows of the operands.
    fn rows(&self, layout: &AttentionLayout<T::Backend>) -> Rows {
        let [batch, seq, _] = self.projections[0].shape().dims();
        match layout {
            AttentionLayout::Padded { mask_pad } => {
                let attended = attended(&mask_pad.clone().to_bools());
                Rows {
                    sequences: Sequence::padded(&attended, seq),
                    attended,
                }
            }
            AttentionLayout::Packed(tokens) => Rows {
                sequences: Sequence::packed(&tokens.lengths),
                attended: vec![1.0; batch * seq],
            },
        }
    }

    /// A seed from the generator of the device, if there is dropout.
    fn seed(&self, form: AttentionForm) -> Option<u64> {
        (form.dropout > 0.0).then(|| self.projections[0].next_random_u64())
    }

    fn attention<'a>(
        &'a self,
        rows: &'a Rows,
        form: AttentionForm,
        seed: Option<u64>,
    ) -> Attention<'a> {
        let [query, key, value] = self.projections.each_ref().map(T::as_slice);
        let [_, _, width] = self.projections[0].shape().dims();
        Attention {
            inputs: Projections { query, key, value },
            sequences: &rows.sequences,
            attended: &rows.attended,
            heads: Heads {
                count: form.heads,
                size: width / form.heads,
            },
            scoring: Scoring {
                scale: form.scale as f32,
                reach: form.reach,
                positions: self.term.positions(),
                bias: self.term.bias(),
            },
            dropout: seed.map(|seed| Dropout::new(seed, form.dropout)),
        }
    }

    fn attend(&self, layout: &AttentionLayout<T::Backend>, form: AttentionForm) -> T {
        let (rows, seed) = (self.rows(layout), self.seed(form));
        let query = &self.projections[0];
        query.init_like(query.shape(), |to| {
            kernels::forward(self.attention(&rows, form, seed), to)
        })
    }
}

impl<T: HostTensor> Term<T> {
    /// The term of f32 in this process, contiguous.
    fn new(bias: AttentionBias<T::Backend>) -> Self {
        match bias {
            AttentionBias::Absent => Self::Absent,
            AttentionBias::Present(bias) => Self::Bias(bias.into_contiguous()),
            AttentionBias::Relative(RelativeProjections { keys, queries }) => {
                Self::Positions([keys, queries].map(|rows| match rows {
                    PositionRows::Present(rows) => Some(rows.into_contiguous()),
                    PositionRows::Absent => None,
                }))
            }
        }
    }

    fn bias(&self) -> Option<Bias<'_>> {
        let Self::Bias(bias) = self else { return None };
        let [batch, heads, size, _] = bias.shape().dims();
        Some(Bias::new(bias.as_slice(), [batch, heads, size]))
    }

    fn positions(&self) -> Option<RelativePositions<'_>> {
        let Self::Positions(rows) = self else {
            return None;
        };
        let [keys, queries] = rows.each_ref().map(Option::as_ref);
        let [distances, _] = keys.or(queries)?.shape().dims();
        Some(RelativePositions {
            keys: keys.map(T::as_slice),
            queries: queries.map(T::as_slice),
            longest: distances.div_ceil(2),
        })
    }
}
