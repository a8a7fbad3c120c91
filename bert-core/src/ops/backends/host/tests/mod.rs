//! The kernels over the tensors of each backend, whichever that backend prefers on this processor, against its own operations.

mod attention;
mod dense;
mod elementwise;

use super::tensor::HostTensor;
use super::tensor::tests::filled;
use burn::backend::ops::{BoolTensorOps, IntTensorOps};
use burn::backend::tensor::{BoolTensor, IntTensor};
use burn::tensor::{DType, TensorData};

/// Numbers between -1 and 1 in no order.
fn numbers<T: HostTensor, const D: usize>(like: &T, shape: [usize; D], step: usize) -> T {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|at| (at * step % 997) as f32 / 498.0 - 1.0)
        .collect();
    filled(like, shape, &values)
}

fn integers<T: HostTensor>(like: &T, values: Vec<i32>) -> IntTensor<T::Backend> {
    let shape = [values.len()];
    T::Backend::int_from_data(
        TensorData::new(values, shape).convert_dtype(DType::I64),
        &like.device(),
    )
}

fn truths<T: HostTensor, const D: usize>(
    like: &T,
    shape: [usize; D],
    values: &[bool],
) -> BoolTensor<T::Backend> {
    let data = TensorData::new(values.to_vec(), shape);
    T::Backend::bool_from_data(data, &like.device())
}

fn assert_close<T: HostTensor>(found: T, expected: T, what: &str) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    let (found, expected) = (found.into_contiguous(), expected.into_contiguous());
    for (at, (found, expected)) in found.as_slice().iter().zip(expected.as_slice()).enumerate() {
        assert!(
            (found - expected).abs() < 1e-5,
            "{what}: {found} is not {expected} at {at}"
        );
    }
}
