//! Rows through a model, in batches of similar length.

use std::borrow::Borrow;

use bert_core::batch::{BertBatcher, BertInput, plan_batches};
use bert_core::device::fault;
use bert_core::stop::ShouldStop;
use burn::tensor::{Device, FloatDType, Tensor};

use super::Row;
use crate::error::{Error, Result};

/// A model with outputs for rows or for each of their tokens.
pub trait RowModel {
    /// `[rows, seq or 1, outputs]` logits.
    fn row_logits(&self, input: BertInput) -> Tensor<3>;

    /// Device of the model.
    fn device(&self) -> Device;
}

/// Batches of rows on a device.
#[derive(Clone, Copy)]
pub(crate) struct Batches<'a> {
    pub(crate) batcher: &'a BertBatcher,
    /// Most tokens of a batch, padding included.
    pub(crate) tokens: usize,
    pub(crate) device: &'a Device,
}

impl Batches<'_> {
    /// Runs `rows` in batches of similar length and returns the results in the order of the rows.
    ///
    /// `run` turns a batch of the rows with the given indices into one result per row.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] if asked to stop between two batches, and those of the batcher and of
    /// `run`.
    pub(crate) fn run<T>(
        &self,
        rows: &[impl Borrow<Row>],
        should_stop: ShouldStop<'_>,
        mut run: impl FnMut(BertInput, &[usize]) -> Result<Vec<T>>,
    ) -> Result<Vec<T>> {
        let lengths: Vec<usize> = rows.iter().map(|row| row.borrow().ids.len()).collect();
        let mut results: Vec<(usize, T)> = Vec::with_capacity(rows.len());
        for batch in plan_batches(&lengths, self.tokens) {
            if should_stop() {
                return Err(Error::Interrupted);
            }
            let chosen: Vec<_> = batch
                .iter()
                .map(|&row| rows[row].borrow())
                .map(|row| (row.ids.as_slice(), row.type_ids.as_slice()))
                .collect();
            let input = self.batcher.batch_rows(&chosen, self.device)?;
            let found = run(input, &batch)?;
            results.extend(batch.into_iter().zip(found));
        }
        results.sort_unstable_by_key(|(row, _)| *row);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }
}

/// Values of a tensor on the host, in f32.
///
/// # Errors
///
/// [`Error::Core`](crate::Error::Core) for a device that failed.
pub(crate) fn host_values<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let values = tensor.cast(FloatDType::F32).try_into_vec_as()?;
    fault::check()?;
    Ok(values)
}
