//! Right matrices in 8 bits, packed in panels.

use std::fmt::{self, Debug, Formatter};

use rayon::prelude::*;

use crate::simd::vectorized;

/// Columns of a panel.
pub(super) const PANEL: usize = 64;
/// Numbers of a column that the kernel multiplies and sums at a time.
pub(super) const GROUP: usize = 4;
/// The largest magnitude of a number; −128 is left out, so that the range is symmetric.
const LARGEST: f32 = 127.0;

/// A few rows of a panel, column by column.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Group(pub(super) [[i8; GROUP]; PANEL]);

/// A matrix `[depth, columns]` as `number · scale`, with a scale for each column.
pub struct QuantizedMatrix {
    depth: usize,
    columns: usize,
    panels: Vec<Panel>,
}

/// Up to 64 columns; zeros fill up the last panel, and the last group of each.
pub(super) struct Panel {
    pub(super) groups: Vec<Group>,
    /// Quantisation scale of each column.
    pub(super) scales: [f32; PANEL],
    /// The sum of each column's numbers.
    pub(super) sums: [i32; PANEL],
}

impl QuantizedMatrix {
    /// The nearest numbers to `values`, rows of `columns` one after another; `None` if a value is not finite.
    pub fn quantize(values: &[f32], columns: usize) -> Option<Self> {
        let panels: Option<Vec<_>> = (0..columns)
            .into_par_iter()
            .step_by(PANEL)
            .map(|first| Panel::quantize(values, columns, first))
            .collect();
        Some(Self {
            depth: values.len() / columns.max(1),
            columns,
            panels: panels?,
        })
    }

    /// The values that the numbers stand for, row by row.
    pub fn dequantize(&self) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.depth * self.columns);
        for row in 0..self.depth {
            values.extend((0..self.columns).map(|column| {
                let panel = &self.panels[column / PANEL];
                let number = panel.groups[row / GROUP].0[column % PANEL][row % GROUP];
                f32::from(number) * panel.scales[column % PANEL]
            }));
        }
        values
    }

    /// `[depth, columns]`
    pub fn shape(&self) -> [usize; 2] {
        [self.depth, self.columns]
    }

    pub(super) fn panel(&self, at: usize) -> &Panel {
        &self.panels[at]
    }
}

impl Debug for QuantizedMatrix {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "QuantizedMatrix {:?}", self.shape())
    }
}

impl Panel {
    fn quantize(values: &[f32], columns: usize, first: usize) -> Option<Self> {
        let width = PANEL.min(columns - first);
        let rows = || {
            values
                .chunks_exact(columns)
                .map(|row| &row[first..][..width])
        };
        let mut made = Self {
            groups: vec![Group([[0; GROUP]; PANEL]); rows().len().div_ceil(GROUP)],
            scales: [0.0; PANEL],
            sums: [0; PANEL],
        };
        vectorized(
            #[inline(always)]
            || {
                let (mut largest, mut check) = ([0.0_f32; PANEL], [0.0_f32; PANEL]);
                for row in rows() {
                    for (at, &value) in row.iter().enumerate() {
                        let magnitude = value.abs();
                        largest[at] = if magnitude > largest[at] {
                            magnitude
                        } else {
                            largest[at]
                        };
                        check[at] += 0.0 * value; // NaN from here on, if the value is not finite
                    }
                }
                if check.iter().any(|&check| check != 0.0) {
                    return None;
                }
                made.scales = largest.map(|largest| largest / LARGEST);
                let inverse = largest.map(|largest| {
                    if largest > 0.0 {
                        LARGEST / largest
                    } else {
                        0.0
                    }
                });
                for (at, row) in rows().enumerate() {
                    let group = &mut made.groups[at / GROUP].0;
                    for (column, &value) in row.iter().enumerate() {
                        let number = (value * inverse[column]).round_ties_even() as i32;
                        group[column][at % GROUP] = number as i8;
                        made.sums[column] += number;
                    }
                }
                Some(made)
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_within_half_a_step_of_their_column() {
        let (depth, columns) = (7, 70);
        let mut values: Vec<f32> = (0..depth * columns)
            .map(|at| ((at * 37 % 101) as f32 - 50.0) * (1.0 + (at % columns) as f32))
            .collect();
        for row in values.chunks_exact_mut(columns) {
            row[3] = 0.0; // a column of zeros has no scale
        }
        let weight = QuantizedMatrix::quantize(&values, columns).unwrap();
        assert_eq!(weight.shape(), [depth, columns]);
        for (at, (found, value)) in weight.dequantize().iter().zip(&values).enumerate() {
            let largest = values.iter().skip(at % columns).step_by(columns);
            let largest = largest.fold(0.0_f32, |most, value| most.max(value.abs()));
            assert!((found - value).abs() <= 0.5001 * largest / LARGEST, "{at}");
        }
        // Numbers are their own quantisation.
        let again = QuantizedMatrix::quantize(&weight.dequantize(), columns).unwrap();
        assert_eq!(again.dequantize(), weight.dequantize());
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        assert!(QuantizedMatrix::quantize(&[1.0, f32::NAN], 2).is_none());
        assert!(QuantizedMatrix::quantize(&[1.0, f32::INFINITY], 1).is_none());
    }
}
