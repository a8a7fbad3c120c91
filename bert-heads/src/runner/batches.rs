//! Rows through a model, in batches of similar length.

use std::borrow::Borrow;
use std::ops::Range;

use bert_core::batch::{BertBatcher, BertInput, plan_batches};
use bert_core::device::fault;
use bert_core::stop::ShouldStop;
use burn::tensor::{Device, FloatDType, Tensor};

use super::{Row, RowMaker, TextRows};
use crate::error::{Error, Result};

/// A model with outputs for rows or for each of their tokens.
pub trait RowModel {
    /// `[rows, seq or 1, outputs]` logits.
    fn row_logits(&self, input: BertInput) -> Tensor<3>;

    /// Where the model is.
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
        asked: ShouldStop<'_>,
        mut run: impl FnMut(BertInput, &[usize]) -> Result<Vec<T>>,
    ) -> Result<Vec<T>> {
        let lengths: Vec<usize> = rows.iter().map(|row| row.borrow().ids.len()).collect();
        let mut results: Vec<(usize, T)> = Vec::with_capacity(rows.len());
        for batch in plan_batches(&lengths, self.tokens) {
            if asked() {
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

/// Runs `rows` in batches of similar length and hands each one's logits to `take`, in no particular
/// order: `seq * outputs` values, or `outputs`, padding left in.
///
/// # Errors
///
/// Those of [`Batches::run`] and of `take`.
pub(crate) fn run_rows(
    model: &impl RowModel,
    maker: &RowMaker,
    rows: &[Row],
    asked: ShouldStop<'_>,
    mut take: impl FnMut(usize, &[f32]) -> Result<()>,
) -> Result<()> {
    let device = model.device();
    let batches = maker.batches(&device);
    batches.run(rows, asked, |input, batch| {
        let logits = model.row_logits(input);
        let [_, positions, outputs] = logits.dims();
        let values = host_values(logits)?;
        let values = values.chunks(positions * outputs);
        batch
            .iter()
            .zip(values)
            .map(|(&row, values)| take(row, values))
            .collect()
    })?;
    Ok(())
}

/// The logits of each text, those of its windows pooled.
pub(crate) fn text_logits(
    model: &impl RowModel,
    maker: &RowMaker,
    texts: &TextRows,
    asked: ShouldStop<'_>,
) -> Result<Vec<Vec<f32>>> {
    let mut of_row: Vec<Vec<f32>> = vec![Vec::new(); texts.rows.len()];
    run_rows(model, maker, &texts.rows, asked, |row, values| {
        of_row[row] = values.to_vec();
        Ok(())
    })?;
    let pooled = |(index, rows): (usize, &Range<usize>)| {
        let pooled = maker.long_texts().pool(&of_row[rows.clone()]);
        match pooled.iter().all(|value| value.is_finite()) {
            true => Ok(pooled),
            false => Err(Error::NotFinite { index }),
        }
    };
    texts.of_text.iter().enumerate().map(pooled).collect()
}
