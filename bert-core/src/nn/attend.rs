//! Attention over a batch in either layout.

use burn::tensor::Tensor;

use crate::batch::TokenLayout;
use crate::ops::{self, AttentionForm, AttentionTerm};

/// Attention from projections to context, with a term of the scores if there is one: a bias, `[1, heads, longest, longest]`, or
/// relative positions.
///
/// # Shapes
///
/// - query, key, value, context: `[batch, seq, hidden]`, or `[1, tokens, hidden]` if `layout` is packed
/// - probabilities, if asked for and `layout` is padded: `[batch, heads, seq, seq]`
pub(super) fn attend(
    inputs: [Tensor<3>; 3],
    term: Option<AttentionTerm>,
    layout: &TokenLayout,
    form: AttentionForm,
    with_probabilities: bool,
) -> (Tensor<3>, Option<Tensor<4>>) {
    let mask_pad = match layout {
        TokenLayout::Packed(sequences) => {
            let context = match term {
                Some(term) => ops::packed_biased_attention(inputs, term, sequences, form),
                None => ops::packed_attention(inputs, sequences, form),
            };
            return (context, None);
        }
        TokenLayout::Padded(mask_pad) => mask_pad.clone(),
    };
    if with_probabilities {
        let (context, probabilities) =
            ops::attention_with_probabilities(inputs, term, mask_pad, form);
        return (context, Some(probabilities));
    }
    let context = match term {
        Some(term) => ops::biased_attention(inputs, term, mask_pad, form),
        None => ops::self_attention(inputs, mask_pad, form),
    };
    (context, None)
}
