//! LibTorch's tensors on the processor as slices.

use std::mem::MaybeUninit;

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use burn::tensor::Shape;
use tch::{Device, Kind, Tensor};

use crate::ops::host::HostTensor;

impl HostTensor for TchTensor {
    type Backend = LibTorch;

    fn is_here(&self) -> bool {
        self.tensor.device() == Device::Cpu && self.tensor.kind() == Kind::Float
    }

    fn dense(self) -> Self {
        if self.tensor.is_contiguous() {
            self
        } else {
            Self::new(self.tensor.contiguous())
        }
    }

    fn zeros_like_this(&self, shape: Shape) -> Self {
        let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        Self::new(Tensor::zeros(shape, (Kind::Float, Device::Cpu)))
    }

    #[expect(unsafe_code, reason = "LibTorch gives a pointer to its elements")]
    unsafe fn written_like_this(
        &self,
        shape: Shape,
        write: impl FnOnce(&mut [MaybeUninit<f32>]),
    ) -> Self {
        let size = shape.num_elements();
        let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        let tensor = Tensor::empty(shape, (Kind::Float, Device::Cpu));
        if size > 0 {
            // SAFETY: a new tensor is contiguous, has that many elements from there on, and nobody else knows it.
            write(unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), size) });
        }
        Self::new(tensor)
    }

    fn draw(&self) -> u64 {
        let uniform = Tensor::rand([1], (Kind::Double, Device::Cpu));
        uniform.double_value(&[0]).to_bits()
    }

    #[expect(unsafe_code, reason = "LibTorch gives a pointer to its elements")]
    fn floats(&self) -> &[f32] {
        assert_floats(&self.tensor);
        // SAFETY: a contiguous tensor of f32 on the processor has that many elements from there on, and holds its buffer for
        // as long as it is borrowed. LibTorch writes into a buffer by way of operations that Burn's backend only calls for
        // tensors that hold it alone, as `floats_mut` does.
        unsafe { std::slice::from_raw_parts(self.tensor.data_ptr().cast(), self.tensor.numel()) }
    }

    #[expect(unsafe_code, reason = "LibTorch gives a pointer to its elements")]
    fn floats_mut(&mut self) -> &mut [f32] {
        if !self.can_mut() {
            *self = Self::new(self.tensor.copy());
        }
        assert_floats(&self.tensor);
        // SAFETY: as in `floats`; and nobody else holds the buffer, or this tensor would not be mutable.
        unsafe {
            std::slice::from_raw_parts_mut(self.tensor.data_ptr().cast(), self.tensor.numel())
        }
    }

    fn floats_if_alone(&mut self) -> Option<&mut [f32]> {
        self.can_mut().then(|| self.floats_mut())
    }

    fn indices(self) -> Vec<usize> {
        let flat = self.tensor.to_kind(Kind::Int64).reshape([-1]);
        let indices = Vec::<i64>::try_from(flat).expect("a flat tensor of whole numbers");
        indices.into_iter().map(|index| index as usize).collect()
    }

    fn truths(self) -> Vec<bool> {
        Vec::try_from(self.tensor.reshape([-1])).expect("a flat tensor of truth values")
    }
}

/// Refuses what has no slice of f32.
fn assert_floats(tensor: &Tensor) {
    let here = tensor.device() == Device::Cpu && tensor.kind() == Kind::Float;
    assert!(
        here && tensor.is_contiguous(),
        "a dense tensor of f32 on the processor"
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
        assert_eq!(rows.floats(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(columns.dense().floats(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        let last = TchTensor::from_existing(rows.tensor.narrow(0, 1, 1), rows.storage.clone());
        assert_eq!(last.dense().floats(), [3.0, 4.0, 5.0]);
        let spread = TchTensor::new(Tensor::from(7.0_f32).expand([2], false));
        assert_eq!(spread.dense().floats(), [7.0, 7.0]);
    }

    #[test]
    fn what_others_hold_is_copied_before_it_is_written() {
        let held = numbers();
        let mut shared = held.clone();
        shared.floats_mut()[0] = 9.0;
        assert_eq!((held.floats()[0], shared.floats()[0]), (0.0, 9.0));
        let place = shared.tensor.data_ptr();
        shared.floats_mut()[0] = 8.0;
        assert_eq!(
            shared.tensor.data_ptr(),
            place,
            "alone, it is written in place"
        );
    }

    #[test]
    #[should_panic(expected = "dense tensor of f32")]
    fn whole_numbers_are_no_floats() {
        TchTensor::new(Tensor::arange(6, (Kind::Int64, Device::Cpu))).floats();
    }

    #[test]
    #[should_panic(expected = "dense tensor of f32")]
    fn a_view_must_be_made_dense() {
        TchTensor::new(numbers().tensor.transpose(0, 1)).floats();
    }
}
