//! Outputs that are written without being cleared beforehand.

use std::mem::MaybeUninit;

/// A vector of `len` elements that `fill` initialises.
///
/// # Panics
///
/// Panics if `fill` returns another slice than it was given.
#[expect(unsafe_code, reason = "a vector takes over what was written into it")]
pub fn init_vec(
    len: usize,
    fill: impl for<'a> FnOnce(&'a mut [MaybeUninit<f32>]) -> &'a mut [f32],
) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    init_slice(&mut values.spare_capacity_mut()[..len], fill);
    // SAFETY: the capacity is at least `len`, and `init_slice` has returned the first `len` elements as initialised.
    unsafe { values.set_len(len) };
    values
}

/// All of `output`, which `fill` initialises.
///
/// A `&mut [f32]` at the address and with the length of `output` is the proof that every element was written: code without
/// `unsafe` has no other way to get one.
///
/// # Panics
///
/// Panics if `fill` returns another slice than it was given.
pub fn init_slice<'a>(
    output: &'a mut [MaybeUninit<f32>],
    fill: impl FnOnce(&'a mut [MaybeUninit<f32>]) -> &'a mut [f32],
) -> &'a mut [f32] {
    let expected = (output.as_ptr().cast::<f32>(), output.len());
    let filled = fill(output);
    let found = (filled.as_ptr(), filled.len());
    assert_eq!(found, expected, "a kernel returns the output it was given");
    filled
}

/// All of `output`, of which `fill` initialises chunks of `length` elements, one after another, each by its index.
///
/// # Panics
///
/// Panics if `fill` returns another slice than it was given, or if `length` is 0.
#[expect(unsafe_code, reason = "the output is initialised chunk by chunk")]
pub fn init_by_chunks(
    output: &mut [MaybeUninit<f32>],
    length: usize,
    mut fill: impl for<'a> FnMut(usize, &'a mut [MaybeUninit<f32>]) -> &'a mut [f32],
) -> &mut [f32] {
    for (at, chunk) in output.chunks_mut(length).enumerate() {
        init_slice(chunk, |chunk| fill(at, chunk));
    }
    // SAFETY: the chunks are all of the slice, and `init_slice` has returned each as initialised.
    unsafe { output.assume_init_mut() }
}

/// `output`, filled with zeros.
#[expect(unsafe_code, reason = "what has been written is initialised")]
pub fn zeroed(output: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    output.fill(MaybeUninit::new(0.0));
    // SAFETY: every element has just been written.
    unsafe { output.assume_init_mut() }
}

/// An f32 output element, initialised or not.
pub(crate) trait OutputSlot: Send {
    fn put(&mut self, value: f32);
}

impl OutputSlot for f32 {
    #[inline(always)]
    fn put(&mut self, value: f32) {
        *self = value;
    }
}

impl OutputSlot for MaybeUninit<f32> {
    #[inline(always)]
    fn put(&mut self, value: f32) {
        self.write(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_initialised_one_after_another() {
        let values = init_vec(5, |to| {
            init_by_chunks(to, 2, |at, to| {
                let to = zeroed(to);
                to.fill(at as f32);
                to
            })
        });
        assert_eq!(values, [0.0, 0.0, 1.0, 1.0, 2.0]);
        assert!(init_vec(0, |to| init_by_chunks(to, 2, |_, to| zeroed(to))).is_empty());
    }

    #[test]
    fn a_vector_holds_what_was_written() {
        let values = init_vec(3, |to| {
            let to = zeroed(to);
            to[1] = 2.0;
            to
        });
        assert_eq!(values, [0.0, 2.0, 0.0]);
        assert!(init_vec(0, zeroed).is_empty());
    }

    #[test]
    #[should_panic(expected = "the output it was given")]
    fn another_slice_is_refused() {
        init_vec(2, |_| Box::leak(Box::new([0.0; 2])));
    }

    #[test]
    #[should_panic(expected = "the output it was given")]
    fn a_part_is_refused() {
        init_vec(2, |to| zeroed(&mut to[..1]));
    }
}
