//! LibTorch's tensors on the processor as slices.

use std::mem::MaybeUninit;

use bert_kernels::output::init_slice;
use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use burn::tensor::Shape;
use tch::{Device, Kind, Tensor};

use super::super::host::HostTensor;

impl HostTensor for TchTensor {
    type Backend = LibTorch;

    fn is_host_f32(&self) -> bool {
        self.tensor.device() == Device::Cpu && self.tensor.kind() == Kind::Float
    }

    fn into_contiguous(self) -> Self {
        if self.tensor.is_contiguous() {
            self
        } else {
            Self::new(self.tensor.contiguous())
        }
    }

    #[expect(unsafe_code, reason = "LibTorch gives a pointer to its elements")]
    fn init_like(
        &self,
        shape: Shape,
        fill: impl for<'a> FnOnce(&'a mut [MaybeUninit<f32>]) -> &'a mut [f32],
    ) -> Self {
        let size = shape.num_elements();
        let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        let tensor = Tensor::empty(shape, (Kind::Float, Device::Cpu));
        if size > 0 {
            // SAFETY: a new tensor is contiguous, has that many elements from there on, and nobody else knows it.
            let elements =
                unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), size) };
            init_slice(elements, fill);
        }
        Self::new(tensor)
    }

    /// LibTorch frees what it has allocated alone, so this is a copy.
    fn with_values(&self, shape: Shape, values: Vec<f32>) -> Self {
        self.init_like(shape, |to| to.write_copy_of_slice(&values))
    }

    fn next_random_u64(&self) -> u64 {
        let uniform = Tensor::rand([1], (Kind::Double, Device::Cpu));
        uniform.double_value(&[0]).to_bits()
    }

    #[expect(unsafe_code, reason = "LibTorch gives a pointer to its elements")]
    fn as_slice(&self) -> &[f32] {
        assert_floats(&self.tensor);
        // SAFETY: a contiguous tensor of f32 on the processor has that many elements from there on, and holds its buffer for
        // as long as it is borrowed. LibTorch writes into a buffer by way of operations that Burn's backend only calls for
        // tensors that hold it alone, as `make_mut` does.
        unsafe { std::slice::from_raw_parts(self.tensor.data_ptr().cast(), self.tensor.numel()) }
    }

    #[expect(unsafe_code, reason = "LibTorch gives a pointer to its elements")]
    fn make_mut(&mut self) -> &mut [f32] {
        if !self.can_mut() {
            *self = Self::new(self.tensor.copy());
        }
        assert_floats(&self.tensor);
        // SAFETY: as in `as_slice`; and nobody else holds the buffer, or this tensor would not be mutable.
        unsafe {
            std::slice::from_raw_parts_mut(self.tensor.data_ptr().cast(), self.tensor.numel())
        }
    }

    fn get_mut(&mut self) -> Option<&mut [f32]> {
        self.can_mut().then(|| self.make_mut())
    }

    fn to_integers(self) -> Vec<i64> {
        let flat = self.tensor.to_kind(Kind::Int64).reshape([-1]);
        Vec::try_from(flat).expect("a flat tensor of integers")
    }

    fn to_bools(self) -> Vec<bool> {
        Vec::try_from(self.tensor.reshape([-1])).expect("a flat tensor of booleans")
    }
}

/// Refuses what has no slice of f32.
fn assert_floats(tensor: &Tensor) {
    let here = tensor.device() == Device::Cpu && tensor.kind() == Kind::Float;
    assert!(
        here && tensor.is_contiguous(),
        "a contiguous tensor of f32 on the processor"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> TchTensor {
        TchTensor::new(Tensor::arange(6, (Kind::Float, Device::Cpu)).reshape([2, 3]))
    }

    #[test]
    fn slices_follow_the_rows_of_any_view() {
        let rows = numbers();
        let columns = TchTensor::from_existing(rows.tensor.transpose(0, 1), rows.storage.clone());
        assert_eq!(rows.as_slice(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(
            columns.into_contiguous().as_slice(),
            [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
        );
        let last = TchTensor::from_existing(rows.tensor.narrow(0, 1, 1), rows.storage.clone());
        assert_eq!(last.into_contiguous().as_slice(), [3.0, 4.0, 5.0]);
        let spread = TchTensor::new(Tensor::from(7.0_f32).expand([2], false));
        assert_eq!(spread.into_contiguous().as_slice(), [7.0, 7.0]);
    }

    #[test]
    fn what_others_hold_is_copied_before_it_is_written() {
        let held = numbers();
        let mut shared = held.clone();
        shared.make_mut()[0] = 9.0;
        assert_eq!((held.as_slice()[0], shared.as_slice()[0]), (0.0, 9.0));
        let place = shared.tensor.data_ptr();
        shared.make_mut()[0] = 8.0;
        assert_eq!(
            shared.tensor.data_ptr(),
            place,
            "alone, it is written in place"
        );
    }

    #[test]
    #[should_panic(expected = "contiguous tensor of f32")]
    fn integers_are_no_floats() {
        TchTensor::new(Tensor::arange(6, (Kind::Int64, Device::Cpu))).as_slice();
    }

    #[test]
    #[should_panic(expected = "contiguous tensor of f32")]
    fn a_view_must_be_made_contiguous() {
        TchTensor::new(numbers().tensor.transpose(0, 1)).as_slice();
    }
}
