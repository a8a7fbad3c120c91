//! Shapes of the tiles that the instructions sum up at a time, and of the blocks of rows that a thread works on.

/// Numbers of a row that the kernels take in a step.
pub(super) const STEP: usize = 32;

/// Rows of a tile in vector registers: their sums with a panel fill 24 of the 32 registers of AVX-512.
pub(super) const VECTOR_ROWS: usize = 6;

/// Rows of a tile on the matrix unit (AMX), which are half of them in its registers at a time.
pub(super) const MATRIX_ROWS: usize = 64;

/// Rows of a tile on the matrix unit where there are few.
pub(super) const FEW_ROWS: usize = 16;

/// Bytes of rounded rows that a thread works on at a time: they and a panel stay in its L2 cache, which has 2 MiB on processors
/// with a matrix unit and 1 MiB on the others.
const BLOCK_BYTES: [usize; 2] = [1 << 19, 3 << 19];

/// Rows of a tile where there are `rows`, with or without a matrix unit, which is left to none, however few: vectors sum in another
/// order, and a row would depend on its batch.
pub(super) fn rows_per_tile(rows: usize, matrix_unit: bool) -> usize {
    match rows {
        _ if !matrix_unit => VECTOR_ROWS,
        ..MATRIX_ROWS => FEW_ROWS,
        _ => MATRIX_ROWS,
    }
}

/// Most rows that a thread works on at a time, at least a tile of any kind.
pub(super) fn rows_per_block(depth: usize, matrix_unit: bool) -> usize {
    (BLOCK_BYTES[usize::from(matrix_unit)] / 2 / depth.max(1)).max(MATRIX_ROWS)
}
