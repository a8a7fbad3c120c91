//! Shapes of the tiles that the instructions sum up at a time, and of the blocks of rows that a thread works on.

/// Rows of a tile in vector registers: their sums with a panel fill 24 of the 32 registers of AVX-512.
pub(super) const VECTOR_ROWS: usize = 6;

/// Rows of a tile on the matrix unit (AMX), the most that there are.
pub(super) const MATRIX_ROWS: usize = 32;

/// Rows from which the matrix unit is worth it.
const MIN_MATRIX_ROWS: usize = 2 * MATRIX_ROWS;

/// Bytes of rounded rows that a thread works on at a time: they and a panel stay in its L2 cache.
const BLOCK_BYTES: usize = 1 << 20;

/// Rows of a tile where there are `rows`, with or without a matrix unit.
pub(super) fn rows_per_tile(rows: usize, matrix_unit: bool) -> usize {
    if matrix_unit && rows >= MIN_MATRIX_ROWS {
        MATRIX_ROWS
    } else {
        VECTOR_ROWS
    }
}

/// Most rows that a thread works on at a time, at least a tile of any kind.
pub(super) fn rows_per_block(depth: usize) -> usize {
    (BLOCK_BYTES / 2 / depth.max(1)).max(MATRIX_ROWS)
}
