//! Feed-forward layers with weights in 8 bits.

use std::mem::MaybeUninit;

use super::tile_shape::{rows_per_block, rows_per_tile};
use super::weights::GROUP;
use super::{QuantizedMatrix, QuantizedRows, block, has_matrix_unit, linear};
use crate::activation::{Activation, Identity, with_function};
use crate::linear::assert_feed_forward_fits;
use crate::output::init_vec;
use crate::parallel::for_each_row_block;

/// `second(activation(first(input)))`, what [`linear`] gives twice, the rows between staying in the cache of the thread that computes
/// them.
///
/// # Shapes
///
/// - input: `[rows, depth]`
/// - first: `[depth, width]`, and its bias `[width]`
/// - second: `[width, columns]`, and its bias `[columns]`
/// - output: `[rows, columns]`
///
/// # Panics
///
/// Panics if the shapes do not fit together.
#[expect(unsafe_code, reason = "the output is not cleared beforehand")]
pub fn feed_forward<'a>(
    input: &QuantizedRows,
    [first, second]: [(&QuantizedMatrix, &[f32]); 2],
    activation: Activation,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let [count, _] = input.shape();
    let [width, columns] = second.0.shape();
    let shapes = [first, second].map(|(weight, bias)| (weight.shape(), bias));
    assert_feed_forward_fits(input.shape(), shapes, output.len());
    let tile_rows = input.rows_per_tile();
    let tile_rows_of_widened = rows_per_tile(count, has_matrix_unit(width.div_ceil(GROUP)));
    if count < 2 * tile_rows * rayon::current_num_threads() || tile_rows != tile_rows_of_widened {
        let widened = init_vec(count * width, |to| {
            linear(input, first.0, first.1, activation, to)
        });
        let widened = QuantizedRows::quantize(&widened, width);
        return linear(&widened, second.0, second.1, Activation::Identity, output);
    }
    let tiles = rows_per_block(width, tile_rows) / tile_rows;
    for_each_row_block(columns, (tile_rows, tiles), output, |row, part| {
        let rows = part.len() / columns;
        let mut widened = vec![0.0; rows * width];
        with_function!(activation, function => {
            let layer = (input, first.0, first.1, function);
            block(layer, (row, 0), (&mut widened[..], width));
        });
        let widened = QuantizedRows::by_this_thread(&widened, width, tile_rows);
        let layer = (&widened, second.0, second.1, Identity);
        block(layer, (0, 0), (part, columns));
    });
    // SAFETY: `block` has written every column of every row, of which the output has whole ones alone.
    unsafe { output.assume_init_mut() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ACTIVATIONS, numbers};

    #[test]
    fn a_feed_forward_layer_is_two_linear_ones() {
        // Few rows; several blocks, with and without rows and panels that are not full, and for a matrix unit.
        let sizes = [
            (3, 40, 70, 5),
            (300, 70, 200, 130),
            (300, 64, 64, 70),
            (700, 64, 704, 64),
        ];
        let sizes = if cfg!(miri) { &sizes[..1] } else { &sizes };
        let cases = sizes
            .iter()
            .flat_map(|size| ACTIVATIONS.map(|activation| (size, activation)));
        for (&(rows, depth, width, columns), activation) in cases {
            let input = QuantizedRows::quantize(&numbers(rows * depth, 7), depth);
            let quantized = |rows: usize, columns: usize| {
                QuantizedMatrix::quantize(&numbers(rows * columns, 5), columns).unwrap()
            };
            let [first, second] = [quantized(depth, width), quantized(width, columns)];
            let biases = [numbers(width, 3), numbers(columns, 11)];
            let layers = [(&first, &biases[0][..]), (&second, &biases[1][..])];
            let found = init_vec(rows * columns, |to| {
                feed_forward(&input, layers, activation, to)
            });
            let widened = init_vec(rows * width, |to| {
                linear(&input, layers[0].0, layers[0].1, activation, to)
            });
            let widened = QuantizedRows::quantize(&widened, width);
            let expected = init_vec(rows * columns, |to| {
                linear(&widened, layers[1].0, layers[1].1, Activation::Identity, to)
            });
            assert_eq!(found, expected, "{rows} rows");
        }
    }
}
