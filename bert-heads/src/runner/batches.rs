//! Rows through a model, in batches of similar length.

use std::ops::Range;

use bert_core::batch::{BertInput, plan_batches};
use bert_core::device::fault;
use bert_core::stop::ShouldStop;
use burn::tensor::{Device, FloatDType, Tensor};

use super::{Row, RowMaker, TextRows};
use crate::error::{Error, Result};
use crate::tasks::token_classification::Crf;

/// A model with outputs for rows or for each of their tokens.
pub(crate) trait RowModel {
    /// `[rows, seq or 1, outputs]` logits.
    fn row_logits(&self, input: BertInput) -> Tensor<3>;

    /// Where the model is.
    fn device(&self) -> Device;

    /// CRF layer that decodes the labels of a sequence jointly, if the model has one.
    fn crf(&self) -> Option<&Crf> {
        None
    }
}

/// Runs `rows` in batches of similar length and hands each one's logits to `take`, in no particular
/// order: `seq * outputs` values, or `outputs`, padding left in.
///
/// # Errors
///
/// [`Error::Core`], and those of the batcher and of `take`.
pub(crate) fn run_rows(
    model: &impl RowModel,
    maker: &RowMaker,
    rows: &[Row],
    asked: ShouldStop<'_>,
    mut take: impl FnMut(usize, &[f32]) -> Result<()>,
) -> Result<()> {
    let device = model.device();
    let lengths: Vec<usize> = rows.iter().map(|row| row.ids.len()).collect();
    for batch in plan_batches(&lengths, maker.batch_tokens) {
        if asked() {
            return Err(Error::Interrupted);
        }
        let chosen: Vec<_> = batch
            .iter()
            .map(|&row| (rows[row].ids.as_slice(), rows[row].type_ids.as_slice()))
            .collect();
        let logits = model.row_logits(maker.batcher.batch_rows(&chosen, &device)?);
        let [_, positions, outputs] = logits.dims();
        let values: Vec<f32> = logits.cast(FloatDType::F32).try_into_vec_as()?;
        fault::check()?;
        for (row, values) in batch.into_iter().zip(values.chunks(positions * outputs)) {
            take(row, values)?;
        }
    }
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
