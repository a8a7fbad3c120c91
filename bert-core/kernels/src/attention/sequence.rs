//! Sequences among the rows of a batch.

/// A sequence among the rows of queries, keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Its first row.
    pub first: usize,
    /// Rows that attend.
    pub queries: usize,
    /// Rows that may be attended to, from the first on.
    pub keys: usize,
}

impl Sequence {
    /// The rows of a padded batch; nothing is computed for keys after the last one that is attended to.
    ///
    /// # Shapes
    ///
    /// - attended: `[batch, seq]`, 0 at padding
    pub fn padded(attended: &[f32], seq: usize) -> Vec<Self> {
        let rows = attended.chunks_exact(seq).enumerate();
        rows.map(|(row, attended)| {
            let last = attended.iter().rposition(|&key| key != 0.0);
            Self {
                first: row * seq,
                queries: seq,
                keys: last.map_or(0, |last| last + 1),
            }
        })
        .collect()
    }

    /// Sequences of `lengths` tokens, side by side.
    pub fn packed(lengths: &[usize]) -> Vec<Self> {
        let sequences = lengths.iter().scan(0, |next, &length| {
            let first = *next;
            *next += length;
            Some(Self {
                first,
                queries: length,
                keys: length,
            })
        });
        sequences.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padded_rows_end_with_the_last_key_and_packed_ones_follow_each_other() {
        let of = |[first, queries, keys]: [usize; 3]| Sequence {
            first,
            queries,
            keys,
        };
        let attended = [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0];
        assert_eq!(
            Sequence::padded(&attended, 3),
            [[0, 3, 3], [3, 3, 0], [6, 3, 3]].map(of)
        );
        assert_eq!(Sequence::padded(&attended[..4], 4), [of([0, 4, 3])]);
        assert_eq!(
            Sequence::packed(&[2, 0, 1]),
            [[0, 2, 2], [2, 0, 0], [2, 1, 1]].map(of)
        );
    }
}
