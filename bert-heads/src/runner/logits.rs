//! Logits of rows and of texts.

use std::ops::Range;

use bert_core::stop::ShouldStop;

use super::{Featurizer, Row, RowModel, TextRows, host_values};
use crate::error::{Error, Result};

/// Runs `rows` in batches of similar length and hands each one's logits to `take`, in no particular
/// order: `seq * outputs` values, or `outputs`, padding left in.
///
/// # Errors
///
/// Those of [`Batches::run`] and of `take`.
pub(crate) fn run_rows(
    model: &impl RowModel,
    featurizer: &Featurizer,
    rows: &[Row],
    should_stop: ShouldStop<'_>,
    mut take: impl FnMut(usize, &[f32]) -> Result<()>,
) -> Result<()> {
    let device = model.device();
    let batches = featurizer.batches(&device);
    batches.run(rows, should_stop, |input, batch| {
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
    featurizer: &Featurizer,
    texts: &TextRows,
    should_stop: ShouldStop<'_>,
) -> Result<Vec<Vec<f32>>> {
    let rows = &texts.rows;
    let mut of_row: Vec<Vec<f32>> = vec![Vec::new(); rows.len()];
    run_rows(model, featurizer, rows, should_stop, |row, values| {
        of_row[row] = values.to_vec();
        Ok(())
    })?;
    let pooled = |(index, rows): (usize, &Range<usize>)| {
        let pooled = featurizer.long_texts().pool(&of_row[rows.clone()]);
        match pooled.iter().all(|value| value.is_finite()) {
            true => Ok(pooled),
            false => Err(Error::NotFinite { index }),
        }
    };
    texts.of_text.iter().enumerate().map(pooled).collect()
}
