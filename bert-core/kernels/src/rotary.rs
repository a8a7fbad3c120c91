//! Rotary position embedding: the halves of every head of a row turned by angles that grow with its position
//! (Su et al. 2021, in the half-split form).

use std::mem::MaybeUninit;

use crate::parallel::{par_fill_chunks, rows_per_chunk};
use crate::simd::vectorized;

/// Cosines and sines of the angles of every position, `[seq, half]` each.
#[derive(Clone, Copy, Debug)]
pub struct Angles<'a> {
    /// Cosines.
    pub cos: &'a [f32],
    /// Sines.
    pub sin: &'a [f32],
    /// Half the size of a head.
    pub half: usize,
}

impl<'a> Angles<'a> {
    /// Cosines and sines of the row with this number, in rows of whole sequences.
    fn of(&self, row: usize) -> (&'a [f32], &'a [f32]) {
        let seq = self.cos.len() / self.half;
        let at = row % seq * self.half;
        (&self.cos[at..][..self.half], &self.sin[at..][..self.half])
    }
}

/// Columns of wider rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The first one.
    pub first: usize,
    /// Their number, that of whole heads.
    pub width: usize,
    /// Width of a row.
    pub of: usize,
}

/// Rotates the heads in some columns of every row.
///
/// # Shapes
///
/// - input: `[batch · seq, columns.of]`
/// - output: `[batch · seq, columns.width]`
///
/// # Panics
///
/// Panics if the shapes do not fit together.
pub fn forward<'a>(
    input: &[f32],
    columns: Columns,
    angles: Angles<'_>,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let Columns { first, width, of } = columns;
    let rows = rows_per_chunk(width);
    par_fill_chunks(output, rows * width.max(1), |at, to| {
        vectorized(
            #[inline(always)]
            || {
                for (row, to) in (at * rows..).zip(to.chunks_exact_mut(width)) {
                    let from = &input[row * of + first..][..width];
                    turn(from, angles.half, angles.of(row), 1.0, to);
                }
            },
        );
    })
}

/// Gradient of [`forward`] with respect to its input, zero outside the columns.
///
/// # Shapes
///
/// - grad: `[batch · seq, columns.width]`
/// - output: `[batch · seq, columns.of]`
///
/// # Panics
///
/// Panics if the shapes do not fit together.
pub fn backward<'a>(
    grad: &[f32],
    columns: Columns,
    angles: Angles<'_>,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let Columns { first, width, of } = columns;
    let rows = rows_per_chunk(of);
    par_fill_chunks(output, rows * of.max(1), |at, to| {
        vectorized(
            #[inline(always)]
            || {
                for (row, to) in (at * rows..).zip(to.chunks_exact_mut(of)) {
                    let from = &grad[row * width..][..width];
                    let to = &mut to[first..][..width];
                    turn(from, angles.half, angles.of(row), -1.0, to);
                }
            },
        );
    })
}

/// Turns the heads of a row, in the direction of `sign`.
#[inline(always)]
fn turn(from: &[f32], half: usize, (cos, sin): (&[f32], &[f32]), sign: f32, to: &mut [f32]) {
    let heads = from
        .chunks_exact(2 * half)
        .zip(to.chunks_exact_mut(2 * half));
    for (from, to) in heads {
        let (from_left, from_right) = from.split_at(half);
        let (to_left, to_right) = to.split_at_mut(half);
        let from = from_left.iter().zip(from_right);
        let to = to_left.iter_mut().zip(to_right);
        for (((left, right), (to_left, to_right)), (cos, sin)) in
            from.zip(to).zip(cos.iter().zip(sin))
        {
            let sin = sign * sin;
            *to_left = left * cos - right * sin;
            *to_right = right * cos + left * sin;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::init_vec;
    use crate::testing::{assert_close, numbers, size};

    #[test]
    fn a_rotation_and_its_gradient_equal_their_definition() {
        // Several chunks; the columns in the middle of the rows.
        let (batch, seq, heads, half) = (3, size(37, 3), 5, 11);
        let (first, width) = (9, heads * 2 * half);
        let columns = Columns {
            first,
            width,
            of: first + width + 4,
        };
        let rows = batch * seq;
        let input = numbers(rows * columns.of, 7);
        let grad = numbers(rows * width, 11);
        let turns: Vec<f64> = (0..seq * half).map(|at| at as f64 * 0.37).collect();
        let [cos, sin] = [f64::cos, f64::sin].map(|of| {
            turns
                .iter()
                .map(|&turn| of(turn) as f32)
                .collect::<Vec<_>>()
        });
        let angles = Angles {
            cos: &cos,
            sin: &sin,
            half,
        };
        // The element of a head that another turns into, and by how much.
        let pair = |row: usize, at: usize| {
            let turn = turns[row % seq * half + at % half];
            let right = at % (2 * half) >= half;
            let other = if right { at - half } else { at + half };
            (
                turn.cos(),
                if right { turn.sin() } else { -turn.sin() },
                other,
            )
        };
        let mut expected = vec![0.0; rows * width];
        let mut of_input = vec![0.0; rows * columns.of];
        for row in 0..rows {
            for at in 0..width {
                let (own, crossed, other) = pair(row, at);
                let value = |at: usize| f64::from(input[row * columns.of + first + at]);
                expected[row * width + at] = own * value(at) + crossed * value(other);
                let grad = f64::from(grad[row * width + at]);
                of_input[row * columns.of + first + at] += own * grad;
                of_input[row * columns.of + first + other] += crossed * grad;
            }
        }
        let found = init_vec(expected.len(), |to| forward(&input, columns, angles, to));
        assert_close(&found, &expected, 1e-6);
        let found = init_vec(of_input.len(), |to| backward(&grad, columns, angles, to));
        assert_close(&found, &of_input, 1e-6);
        assert!(init_vec(0, |to| forward(&[], columns, angles, to)).is_empty());
    }
}
