//! Shapes of the tiles that the instructions sum up at a time.

/// Rows of a tile in vector registers: their sums with a panel fill 24 of the 32 registers of AVX-512.
pub(super) const VECTOR_ROWS: usize = 6;

/// Rows of a tile on the matrix unit (AMX), the most that there are.
pub(super) const MATRIX_ROWS: usize = 32;

/// Rows from which the matrix unit is worth it: one sentence of 16 tokens took half as long again with it.
const MIN_MATRIX_ROWS: usize = 2 * MATRIX_ROWS;

/// Bytes of floats between two layers that a thread works on at a time: they and a panel stay in its L2 cache, which has 2 MiB on
/// processors with a matrix unit and 1 MiB on the others.
const BLOCK_BYTES: [usize; 2] = [1 << 19, 3 << 19];

/// Most rows of `width` floats between two layers that a thread works on at a time, whole tiles and at least one.
pub(super) fn rows_per_block(width: usize, rows_per_tile: usize) -> usize {
    let bytes = BLOCK_BYTES[usize::from(rows_per_tile == MATRIX_ROWS)];
    let rows = bytes / size_of::<f32>() / width.max(1);
    (rows / rows_per_tile).max(1) * rows_per_tile
}

/// Rows of a tile where there are `rows`, with or without a matrix unit that suits their depth.
pub(super) fn rows_per_tile(rows: usize, matrix_unit: bool) -> usize {
    if matrix_unit && rows >= MIN_MATRIX_ROWS {
        MATRIX_ROWS
    } else {
        VECTOR_ROWS
    }
}
