//! Default bodies of the cross-entropy and its gradient as one node of the autodiff graph.

use std::cell::Cell;

use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::{BoolTensor, FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata, get_or_init_device_settings};
use burn::tensor::{IndexingUpdateOp, Shape};

use super::GradientOps;
use super::node::keeping;

/// Rows whose softmax and weight are finite, whatever stands where a label is negative.
struct Rows<B: Backend> {
    /// `[rows, classes]`, zeros in rows that count nothing.
    logits: FloatTensor<B>,
    /// `[rows, 1]`, 0 in rows that count nothing.
    labels: IntTensor<B>,
    /// `[rows]`, 0 for rows that count nothing.
    weights: FloatTensor<B>,
    /// `[rows]`, true for rows that count nothing.
    ignored: BoolTensor<B>,
}

impl<B: Backend> Rows<B> {
    fn new(logits: FloatTensor<B>, labels: IntTensor<B>, weights: FloatTensor<B>) -> Self {
        let [rows, classes] = logits.shape().dims::<2>();
        let column = Shape::new([rows, 1]);
        let settings = get_or_init_device_settings::<B>(&logits.device());
        let ignored = B::int_lower_elem(labels.clone(), 0.into(), settings.bool_dtype);
        let labels = B::int_mask_fill(labels, ignored.clone(), 0.into());
        let weights = match weights.shape().num_elements() {
            1 => B::float_expand(weights, Shape::new([rows])),
            _ => B::float_select(weights, 0, labels.clone()),
        };
        let of_row = B::bool_reshape(ignored.clone(), column.clone());
        let of_row = B::bool_expand(of_row, Shape::new([rows, classes]));
        Self {
            logits: B::float_mask_fill(logits, of_row, 0.0.into()),
            labels: B::int_reshape(labels, column),
            weights: B::float_mask_fill(weights, ignored.clone(), 0.0.into()),
            ignored,
        }
    }
}

/// The sum of `-weight · ln softmax(logits)[label]` over the rows, `[1]`; then that, the sum of the weights, the hits and the
/// rows that count, `[4]`.
pub(super) fn totals<B: Backend>(
    logits: FloatTensor<B>,
    labels: IntTensor<B>,
    weights: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let [rows, _] = logits.shape().dims::<2>();
    let dtype = logits.dtype().into();
    let settings = get_or_init_device_settings::<B>(&logits.device());
    let best = B::float_argmax(logits.clone(), 1, labels.dtype().into()); // [rows, 1]
    let best = B::int_reshape(best, Shape::new([rows]));
    // A negative label is no row's best.
    let hits = B::int_equal(best, labels.clone(), settings.bool_dtype);
    let Rows {
        logits,
        labels,
        weights,
        ignored,
    } = Rows::<B>::new(logits, labels, weights);
    let picked = B::float_gather(1, B::log_softmax(logits, 1), labels); // [rows, 1]
    let losses = B::float_neg(B::float_reshape(picked, Shape::new([rows])));
    let sum_of = |values| B::float_reshape(B::float_sum(values), Shape::new([1]));
    let count = |rows| sum_of(B::bool_into_float(rows, dtype));
    let sum = sum_of(B::float_mul(losses, weights.clone()));
    let totals = vec![
        sum.clone(),
        sum_of(weights),
        count(hits),
        count(B::bool_not(ignored)),
    ];
    (sum, B::float_cat(totals, 0))
}

/// `grad · weight · (softmax(logits) - one_hot(label))`.
pub(super) fn backward<B: Backend>(
    logits: FloatTensor<B>,
    labels: IntTensor<B>,
    weights: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    let [rows, _] = logits.shape().dims::<2>();
    let Rows {
        logits,
        labels,
        weights,
        ..
    } = Rows::<B>::new(logits, labels, weights);
    let grad = B::float_reshape(B::float_mul(weights, grad), Shape::new([rows, 1]));
    let expected = B::float_mul(B::softmax(logits, 1), grad.clone()); // [rows, classes]
    let picked = B::float_neg(grad);
    B::float_scatter(1, expected, labels, picked, IndexingUpdateOp::Add)
}

/// [`BertOps::cross_entropy`](super::BertOps::cross_entropy) with its sum as one node, keeping the logits and not their softmax;
/// the totals are of the backend below.
pub(super) fn autodiff<B: GradientOps, C: CheckpointStrategy>(
    logits: FloatTensor<Autodiff<B, C>>,
    labels: IntTensor<B>,
    weights: FloatTensor<B>,
) -> (FloatTensor<Autodiff<B, C>>, FloatTensor<B>) {
    let totals = Cell::new(None);
    let sum = keeping::<B, C, _, 1>(
        [logits],
        |[logits]| (logits.clone(), labels.clone(), weights.clone()),
        |[logits]| {
            let (sum, all) = B::cross_entropy(logits, labels.clone(), weights.clone());
            totals.set(Some(all));
            sum
        },
        |(logits, labels, weights), grad, _| {
            [Some(B::cross_entropy_backward(
                logits, labels, weights, grad,
            ))]
        },
    );
    (sum, totals.into_inner().expect("the forward pass has run"))
}
