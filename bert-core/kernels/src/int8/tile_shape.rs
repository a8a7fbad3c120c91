//! Shapes of the tiles that the instructions sum up at a time.

/// Rows of a tile in vector registers: their sums with a panel fill 24 of the 32 registers of AVX-512.
pub(super) const VECTOR_ROWS: usize = 6;

/// Rows of a tile on the matrix unit (AMX), the most that there are.
pub(super) const MATRIX_ROWS: usize = 32;

/// Rows from which the matrix unit is worth it: one sentence of 16 tokens took half as long again with it.
const MIN_MATRIX_ROWS: usize = 2 * MATRIX_ROWS;

/// Rows of a tile where there are `rows`, with or without a matrix unit that suits their depth.
pub(super) fn rows_per_tile(rows: usize, matrix_unit: bool) -> usize {
    if matrix_unit && rows >= MIN_MATRIX_ROWS {
        MATRIX_ROWS
    } else {
        VECTOR_ROWS
    }
}
