//! Rows into updates: shuffled anew in every epoch, rows of similar length together.

use std::sync::Arc;

use bert_core::training::Update;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::task::{LabelledBatch, LabelledRow, Settings, Targets};

/// Batch sizes and what goes with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpdatesOptions {
    /// Rows of a micro-batch.
    pub batch_size: usize,
    /// Micro-batches of an update.
    pub accumulate: usize,
    /// Updates whose rows are sorted by length before they are parted; 1 leaves chance alone.
    pub bucket: usize,
    /// The id of `[PAD]`.
    pub pad_id: u32,
    /// Decides the order.
    pub seed: u64,
}

/// Position of a run in its data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Passes over the data that are complete.
    pub epoch: u64,
    /// Updates of the current pass that have been handed out.
    pub update: u64,
}

/// Updates without end.
///
/// A pass visits every row once; its last update is smaller where the rows don't come out even.
pub struct Updates<T: Targets> {
    rows: Arc<[LabelledRow<T::Target>]>,
    class_weights: Option<Arc<[f32]>>,
    options: UpdatesOptions,
    cursor: Cursor,
    /// The rows of each update of the current pass.
    pass: Vec<Vec<u32>>,
}

impl UpdatesOptions {
    /// Rows of an update.
    fn update_rows(&self) -> usize {
        self.batch_size.max(1) * self.accumulate.max(1)
    }

    /// Number of updates of a pass over `rows` rows.
    pub fn updates_per_epoch(&self, rows: usize) -> u64 {
        rows.div_ceil(self.update_rows()) as u64
    }

    /// The rows of every update of a pass, each once.
    fn pass<T>(&self, rows: &[LabelledRow<T>], epoch: u64) -> Vec<Vec<u32>> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(epoch);
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        order.shuffle(&mut random);
        let update_rows = self.update_rows();
        if self.bucket > 1 {
            for block in order.chunks_mut(update_rows * self.bucket) {
                // Stable: rows of one length stay in random order.
                block.sort_by_key(|&row| rows[row as usize].length());
            }
        }
        let mut updates: Vec<Vec<u32>> = order.chunks(update_rows).map(<[u32]>::to_vec).collect();
        if self.bucket > 1 {
            // Otherwise lengths would rise through every block.
            updates.shuffle(&mut random);
        }
        updates
    }
}

impl Settings {
    /// Updates of a pass over `rows` examples.
    pub fn updates_per_epoch(&self, rows: usize) -> u64 {
        self.updates(0).updates_per_epoch(rows)
    }

    pub(super) fn updates(&self, pad_id: u32) -> UpdatesOptions {
        UpdatesOptions {
            batch_size: self.batch_size,
            accumulate: self.accumulate,
            bucket: self.bucket,
            pad_id,
            seed: self.seed,
        }
    }
}

impl<T: Targets> Updates<T> {
    /// Updates from `cursor` on; the default cursor is the beginning. There must be a row.
    pub fn new(
        rows: Arc<[LabelledRow<T::Target>]>,
        class_weights: Option<Arc<[f32]>>,
        options: UpdatesOptions,
        cursor: Cursor,
    ) -> Self {
        Self {
            pass: options.pass(&rows, cursor.epoch),
            rows,
            class_weights,
            options,
            cursor,
        }
    }
}

impl<T: Targets> Iterator for Updates<T> {
    type Item = Update<LabelledBatch<T>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.update >= self.pass.len() as u64 {
            self.cursor = Cursor {
                epoch: self.cursor.epoch + 1,
                update: 0,
            };
            self.pass = self.options.pass(&self.rows, self.cursor.epoch);
        }
        let chosen: Vec<&LabelledRow<T::Target>> = self
            .pass
            .get(self.cursor.update as usize)?
            .iter()
            .map(|&row| &self.rows[row as usize])
            .collect();
        self.cursor.update += 1;
        let parts = chosen.chunks(self.options.batch_size.max(1));
        let mut micro_batches: Vec<LabelledBatch<T>> = parts
            .map(|rows| LabelledBatch::new(rows, self.options.pad_id, self.class_weights.clone()))
            .collect();
        LabelledBatch::share(&mut micro_batches);
        Some(Update {
            cursor: serde_json::json!(self.cursor),
            tokens: micro_batches.iter().map(LabelledBatch::tokens).sum(),
            padded_tokens: micro_batches
                .iter()
                .map(|batch| batch.shape[0] * batch.shape[1])
                .sum(),
            micro_batches,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::Row;
    use crate::tasks::sequence_classification::{TextTarget, TextTargets};

    fn rows() -> Arc<[LabelledRow<TextTarget>]> {
        (0..43)
            .map(|class| {
                let row = Row {
                    ids: vec![5; 1 + class * 7 % 13],
                    type_ids: vec![0; 1 + class * 7 % 13],
                };
                LabelledRow::new(row, TextTarget::Class(class))
            })
            .collect()
    }

    fn updates(bucket: usize, cursor: Cursor) -> Updates<TextTargets> {
        let options = UpdatesOptions {
            batch_size: 3,
            accumulate: 2,
            bucket,
            pad_id: 0,
            seed: 7,
        };
        assert_eq!(options.updates_per_epoch(43), 8);
        Updates::new(rows(), None, options, cursor)
    }

    fn classes(update: &Update<LabelledBatch<TextTargets>>) -> Vec<i64> {
        let of = |batch: &LabelledBatch<TextTargets>| match &batch.targets {
            TextTargets::Classes(classes) => classes.clone(),
            other => panic!("{other:?}"),
        };
        update.micro_batches.iter().flat_map(of).collect()
    }

    #[test]
    fn a_pass_has_every_row_once_and_the_next_another_order() {
        for bucket in [1, 4] {
            let all: Vec<_> = updates(bucket, Cursor::default()).take(16).collect();
            let orders: Vec<Vec<i64>> = all
                .chunks(8)
                .map(|pass| pass.iter().flat_map(classes).collect())
                .collect();
            for order in &orders {
                let mut sorted = order.clone();
                sorted.sort();
                assert_eq!(sorted, (0..43).collect::<Vec<_>>());
            }
            assert_ne!(orders[0], orders[1]);
            for update in &all {
                let rows = classes(update).len() as f64;
                assert!(
                    update
                        .micro_batches
                        .iter()
                        .all(|batch| batch.weight == rows)
                );
            }
        }
    }

    #[test]
    fn buckets_save_padding() {
        let padding = |bucket| -> usize {
            let updates = updates(bucket, Cursor::default()).take(8);
            updates
                .map(|update| update.padded_tokens - update.tokens)
                .sum()
        };
        assert!(
            padding(8) * 3 < padding(1),
            "{} against {}",
            padding(8),
            padding(1)
        );
    }

    #[test]
    fn going_on_from_a_cursor_changes_nothing() {
        let whole: Vec<_> = updates(4, Cursor::default()).take(20).collect();
        for cut in [1, 8, 13] {
            let cursor = serde_json::from_value(whole[cut - 1].cursor.clone()).unwrap();
            let rest: Vec<_> = updates(4, cursor).take(20 - cut).collect();
            for (a, b) in whole[cut..].iter().zip(&rest) {
                assert_eq!((classes(a), &a.cursor), (classes(b), &b.cursor));
            }
        }
    }
}
