//! Instances into updates.

use bert_core::training::Update;
use serde::{Deserialize, Serialize};

use super::{Cursor, InstanceStream};
use crate::instances::Instance;
use crate::objective::PreTrainingBatch;
use crate::{Error, Result};

/// Batch sizes and what goes with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdatesOptions {
    /// Rows of a micro-batch.
    pub batch_size: usize,
    /// Micro-batches of an update.
    pub micro_batches: usize,
    /// The id of `[PAD]`.
    pub pad_id: u32,
    /// Pads every row to this length, so that all batches have one shape; `None` pads to the longest of a batch.
    pub pad_to: Option<usize>,
}

/// Part of a run's cursor that the data need to resume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// 0 for the main phase, 1 for the one with long sequences.
    pub stage: u32,
    /// Position of its instances.
    #[serde(flatten)]
    pub cursor: Cursor,
}

/// Updates without end out of a stream of instances.
pub struct Updates<S> {
    instances: S,
    options: UpdatesOptions,
    stage: u32,
    loss_epsilon: f64,
}

impl<S: InstanceStream> Updates<S> {
    /// Updates for stage `stage`; [`loss_epsilon`](crate::recipe::loss_epsilon) is that of the recipe.
    pub fn new(instances: S, options: UpdatesOptions, stage: u32, loss_epsilon: f64) -> Self {
        Self {
            instances,
            options,
            stage,
            loss_epsilon,
        }
    }

    fn update(&mut self) -> Result<Update<PreTrainingBatch>> {
        let mut micro_batches = Vec::with_capacity(self.options.micro_batches);
        for _ in 0..self.options.micro_batches {
            let instances: Vec<Instance> = (0..self.options.batch_size)
                .map(|_| self.instances.next_instance())
                .collect::<Result<_>>()?;
            check_length(&instances, self.options.pad_to)?;
            micro_batches.push(PreTrainingBatch::new(
                &instances,
                self.options.pad_id,
                self.options.pad_to,
            ));
        }
        PreTrainingBatch::share(&mut micro_batches, self.loss_epsilon);
        let cursor = Stage {
            stage: self.stage,
            cursor: self.instances.cursor(),
        };
        Ok(Update {
            cursor: serde_json::to_value(cursor).expect("a cursor is JSON"),
            tokens: micro_batches.iter().map(PreTrainingBatch::tokens).sum(),
            padded_tokens: micro_batches
                .iter()
                .map(|batch| batch.shape[0] * batch.shape[1])
                .sum(),
            micro_batches,
        })
    }
}

impl<S: InstanceStream> Iterator for Updates<S> {
    type Item = Result<Update<PreTrainingBatch>>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.update())
    }
}

fn check_length(instances: &[Instance], maximum: Option<usize>) -> Result<()> {
    let longest = instances.iter().map(|instance| instance.ids.len()).max();
    match (longest, maximum) {
        (Some(length), Some(maximum)) if length > maximum => {
            Err(bert_core::Error::TooLong { length, maximum }.into())
        }
        _ => Ok(()),
    }
}

/// The first pass of `instances` as batches of `batch_size` rows, at most `limit` of them: the same at every evaluation.
///
/// # Errors
/// Those of the stream.
pub fn evaluation_batches(
    mut instances: impl InstanceStream,
    batch_size: usize,
    pad_id: u32,
    limit: usize,
) -> Result<Vec<PreTrainingBatch>> {
    let mut batches = Vec::new();
    let mut rows = Vec::with_capacity(batch_size);
    while batches.len() < limit {
        let instance = instances.next_instance()?;
        if instances.cursor().epoch > 0 {
            break;
        }
        rows.push(instance);
        if rows.len() == batch_size {
            batches.push(PreTrainingBatch::new(&rows, pad_id, None));
            rows.clear();
        }
    }
    if !rows.is_empty() && batches.len() < limit {
        batches.push(PreTrainingBatch::new(&rows, pad_id, None));
    }
    if batches.is_empty() {
        return Err(Error::NoInstances);
    }
    Ok(batches)
}
