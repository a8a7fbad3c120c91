//! Operations that go element by element or row by row.

use burn::backend::ops::{BoolTensorOps, FloatTensorOps, IntTensorOps, ModuleOps};
use burn::tensor::Shape;

use super::super as host;
use super::{assert_close, integers, numbers, truths};
use crate::ops::{Activation, activation, cross_entropy, norm, scale, softmax};
use host::tensor::HostTensor;
use host::tensor::tests::{filled, for_each_backend};

fn softmax_and_its_gradient<T: HostTensor>(like: &T) {
    let shape = [2, 3, 5, 9];
    let scores = || numbers(like, shape, 7);
    let grad = || numbers(like, shape, 11);
    let padding: Vec<bool> = (0..18).map(|at| at >= 13).collect();
    let mask = || truths(like, [2, 1, 1, 9], &padding);
    // A mask of its own for every query is the backend's.
    let every_query = || T::Backend::bool_expand(mask(), Shape::new([2, 1, 5, 9]));
    assert_close(
        host::masked_softmax(scores(), every_query(), 0.5),
        softmax::masked::<T::Backend>(scores(), mask(), 0.5),
        "masked_softmax by query",
    );
    let found = host::masked_softmax(scores(), mask(), 0.5);
    let expected = softmax::masked::<T::Backend>(scores(), mask(), 0.5);
    assert_close(found.clone(), expected, "masked_softmax");
    assert_close(
        host::softmax_backward(found.clone(), grad(), 0.5),
        softmax::backward::<T::Backend>(found, grad(), 0.5),
        "softmax_backward",
    );
}

fn layer_norm_and_its_gradients<T: HostTensor>(like: &T) {
    let (rows, width) = (50, 36);
    let input = || numbers(like, [2, rows, width], 7);
    let residual = || numbers(like, [2, rows, width], 11);
    let [gamma, beta] = [13, 17].map(|step| move || numbers(like, [width], step));
    let layer_norm = |input| T::Backend::layer_norm(input, gamma(), Some(beta()), 1e-6);
    assert_close(
        host::normalize(input(), gamma(), beta(), 1e-6),
        layer_norm(input()),
        "normalize",
    );
    assert_close(
        host::add_normalize(input(), residual(), gamma(), beta(), 1e-6),
        layer_norm(T::Backend::float_add(input(), residual())),
        "add_normalize",
    );
    let found = host::normalize_backward(input(), gamma(), residual(), 1e-6);
    let expected = norm::backward::<T::Backend>(input(), gamma(), residual(), 1e-6);
    assert_close(found.0, expected.0, "gradient of the input");
    assert_close(found.1, expected.1, "gradient of gamma");
    assert_close(found.2, expected.2, "gradient of beta");
}

fn activations_and_gates<T: HostTensor>(like: &T) {
    let input = || T::Backend::float_mul_scalar(numbers(like, [3, 100], 7), 4.0.into());
    let other = || numbers(like, [3, 100], 13);
    let grad = || numbers(like, [3, 100], 11);
    for kind in [
        Activation::Identity,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Swish(1.702),
    ] {
        let expected = || activation::forward::<T::Backend>(input(), kind);
        let alone = host::activate(input(), kind);
        assert_close(alone.clone(), expected(), "activate");
        let held = input();
        let found = host::activate(held.clone(), kind);
        assert_close(found, alone, "activate what others hold");
        assert_close(held, input(), "what others hold");
        let of_input = |grad| activation::backward::<T::Backend>(input(), grad, kind);
        assert_close(
            host::activate_backward(input(), grad(), kind),
            of_input(grad()),
            "activate_backward",
        );
        assert_close(
            host::gate_apart(input(), other(), kind),
            T::Backend::float_mul(expected(), other()),
            "gate_apart",
        );
        let (of_gate, of_other) = host::gate_apart_backward(input(), other(), grad(), kind);
        let of_value = T::Backend::float_mul(grad(), other());
        assert_close(of_gate, of_input(of_value), "gradient of a gate");
        let expected = T::Backend::float_mul(grad(), expected());
        assert_close(of_other, expected, "gradient of the other half");
    }
}

fn cross_entropy_and_its_gradient<T: HostTensor>(like: &T) {
    let logits = || numbers(like, [7, 50], 7);
    let labels = || integers(like, vec![0, 49, 3, -100, 3, 20, 7]);
    let grad = || numbers(like, [1], 11);
    for classes in [1, 50] {
        let weights = || numbers(like, [classes], 5);
        let (sum, totals) = host::cross_entropy(logits(), labels(), weights());
        let (expected_sum, expected_totals) =
            cross_entropy::totals::<T::Backend>(logits(), labels(), weights());
        assert_close(sum, expected_sum, "cross_entropy");
        assert_close(totals, expected_totals, "totals of the cross-entropy");
        assert_close(
            host::cross_entropy_backward(logits(), labels(), weights(), grad()),
            cross_entropy::backward::<T::Backend>(logits(), labels(), weights(), grad()),
            "cross_entropy_backward",
        );
    }
}

fn rows_of_a_table<T: HostTensor>(like: &T) {
    let table = || numbers(like, [9, 20], 7);
    let grad = || numbers(like, [2, 4, 20], 11);
    // One row three times, others never.
    let ids = || integers(like, vec![3, 0, 3, 8, 1, 3, 0, 7]);
    let ids = || T::Backend::int_reshape(ids(), Shape::new([2, 4]));
    assert_close(
        host::lookup(table(), ids()),
        T::Backend::embedding(table(), ids()),
        "lookup",
    );
    // Several pieces.
    let many: Vec<i32> = (0..2000).map(|at| at * 7 % 9).collect();
    let many = || T::Backend::int_reshape(integers(like, many.clone()), Shape::new([4, 500]));
    assert_close(
        host::lookup(table(), many()),
        T::Backend::embedding(table(), many()),
        "lookup of many",
    );
    assert_close(
        host::lookup_backward(table(), ids(), grad()),
        T::Backend::embedding_backward(table(), grad(), ids()),
        "lookup_backward",
    );
}

fn size_and_multiplication_by_one_number<T: HostTensor>(like: &T) {
    let input = || numbers(like, [21], 7);
    assert_close(
        host::sum_of_squares(input()),
        scale::sum_of_squares::<T::Backend>(input()),
        "sum_of_squares",
    );
    // Several pieces, whose exact sum is known: a third of them is 1, a third -2, the rest 0.
    let count = 3 * 30_000;
    let values: Vec<f32> = (0..count).map(|at| [1.0, -2.0, 0.0][at % 3]).collect();
    let large = filled(like, [count], &values);
    assert_eq!(host::sum_of_squares(large.clone()).as_slice(), [150_000.0]);
    for factor in [0.25, 1.0] {
        let factor = || filled(like, [1], &[factor]);
        assert_close(
            host::scale_by(large.clone(), factor()),
            T::Backend::float_mul(large.clone(), factor()),
            "scale_by",
        );
    }
    assert_eq!(large.as_slice(), values, "what others hold stays");
}

for_each_backend!(
    rows_of_a_table,
    size_and_multiplication_by_one_number,
    softmax_and_its_gradient,
    layer_norm_and_its_gradients,
    activations_and_gates,
    cross_entropy_and_its_gradient
);
