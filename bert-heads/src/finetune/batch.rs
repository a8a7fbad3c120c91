//! Labelled rows, and the batches they make.

use std::sync::Arc;

use bert_core::batch::BertInput;
use burn::tensor::Device;

use crate::losses::IGNORED_LABEL;

/// A row to train on: its tokens and what is to be said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledRow {
    /// Token ids, special tokens included.
    pub ids: Vec<u32>,
    /// Segments, 0 or 1, as many.
    pub type_ids: Vec<u32>,
    /// What is to be said.
    pub target: RowTarget,
}

/// What is to be said of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum RowTarget {
    /// One class.
    Class(usize),
    /// Whether each label applies.
    Flags(Vec<bool>),
    /// A number.
    Number(f32),
    /// A class for each token, or [`IGNORED_LABEL`].
    Tokens(Vec<i64>),
}

/// Labelled rows of one part of an update, padded to a rectangle, on the host.
#[derive(Clone, Debug)]
pub struct LabelledBatch {
    /// Token ids, `[rows, seq]` row by row; padding is `[PAD]`.
    pub input_ids: Vec<i64>,
    /// Segments, likewise.
    pub token_type_ids: Vec<i64>,
    /// 1 where a token counts, 0 at padding, likewise.
    pub attention_mask: Vec<i64>,
    /// `[rows, seq]`.
    pub shape: [usize; 2],
    /// What is to be said of the rows.
    pub targets: BatchTargets,
    /// The weight of each class, where they are not all the same.
    pub class_weights: Option<Arc<[f32]>>,
    /// What the sum of the losses is divided by: the weight of the whole update.
    pub weight: f64,
}

/// What is to be said of the rows of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchTargets {
    /// `[rows]` classes.
    Classes(Vec<i64>),
    /// `[rows, labels]`, 1 where the label applies and 0 where not.
    Flags(Vec<f32>),
    /// `[rows]` numbers.
    Numbers(Vec<f32>),
    /// `[rows, seq]` classes, or [`IGNORED_LABEL`].
    Tokens(Vec<i64>),
}

impl LabelledBatch {
    /// Pads `rows` to the longest of them. The loss is normalised to this batch alone;
    /// [`share`](Self::share) makes several one update.
    ///
    /// # Panics
    ///
    /// Without a row, and if rows have targets of different kinds.
    pub fn new(rows: &[&LabelledRow], pad_id: u32, class_weights: Option<Arc<[f32]>>) -> Self {
        let seq = rows.iter().map(|row| row.ids.len()).max().unwrap_or(0);
        let size = rows.len() * seq;
        let mut batch = Self {
            input_ids: Vec::with_capacity(size),
            token_type_ids: Vec::with_capacity(size),
            attention_mask: Vec::with_capacity(size),
            shape: [rows.len(), seq],
            targets: match rows[0].target {
                RowTarget::Class(_) => BatchTargets::Classes(Vec::new()),
                RowTarget::Flags(_) => BatchTargets::Flags(Vec::new()),
                RowTarget::Number(_) => BatchTargets::Numbers(Vec::new()),
                RowTarget::Tokens(_) => BatchTargets::Tokens(Vec::new()),
            },
            class_weights,
            weight: 0.0,
        };
        for row in rows {
            let end = batch.input_ids.len() + seq;
            batch
                .input_ids
                .extend(row.ids.iter().map(|&id| i64::from(id)));
            batch.input_ids.resize(end, i64::from(pad_id));
            batch
                .token_type_ids
                .extend(row.type_ids.iter().map(|&id| i64::from(id)));
            batch.token_type_ids.resize(end, 0);
            batch
                .attention_mask
                .extend(std::iter::repeat_n(1, row.ids.len()));
            batch.attention_mask.resize(end, 0);
            match (&mut batch.targets, &row.target) {
                (BatchTargets::Classes(all), RowTarget::Class(class)) => all.push(*class as i64),
                (BatchTargets::Flags(all), RowTarget::Flags(flags)) => {
                    all.extend(flags.iter().map(|&flag| if flag { 1.0 } else { 0.0 }));
                }
                (BatchTargets::Numbers(all), RowTarget::Number(number)) => all.push(*number),
                (BatchTargets::Tokens(all), RowTarget::Tokens(classes)) => {
                    all.extend_from_slice(classes);
                    all.resize(end, IGNORED_LABEL);
                }
                _ => panic!("rows of one batch have targets of one kind"),
            }
        }
        batch.weight = batch.own_weight();
        batch
    }

    /// Normalises the losses of `batches` as those of one large batch. An update in which nothing
    /// has a label has weight 1, so that its loss is 0.
    pub fn share(batches: &mut [Self]) {
        let weight: f64 = batches.iter().map(Self::own_weight).sum();
        for batch in batches {
            batch.weight = if weight > 0.0 { weight } else { 1.0 };
        }
    }

    /// Tokens that are not padding.
    pub fn tokens(&self) -> usize {
        self.attention_mask
            .iter()
            .filter(|&&mask| mask == 1)
            .count()
    }

    /// What the losses of this batch weigh together, as [`losses`](crate::losses) counts them.
    fn own_weight(&self) -> f64 {
        let of_class = |class: &i64| match (&self.class_weights, usize::try_from(*class)) {
            (_, Err(_)) => 0.0, // ignored
            (None, _) => 1.0,
            (Some(weights), Ok(class)) => weights.get(class).map_or(0.0, |&w| f64::from(w)),
        };
        match &self.targets {
            BatchTargets::Classes(classes) | BatchTargets::Tokens(classes) => {
                classes.iter().map(of_class).sum()
            }
            BatchTargets::Flags(values) | BatchTargets::Numbers(values) => values.len() as f64,
        }
    }

    /// The tensors on `device`.
    pub(super) fn input(&self, device: &Device) -> BertInput {
        BertInput::from_attention_mask(
            self.input_ids.clone(),
            self.token_type_ids.clone(),
            self.attention_mask.clone(),
            self.shape,
            device,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(length: usize, target: RowTarget) -> LabelledRow {
        LabelledRow {
            ids: (1..=length as u32).collect(),
            type_ids: vec![1; length],
            target,
        }
    }

    #[test]
    fn rows_are_padded_with_their_labels() {
        let rows = [
            row(2, RowTarget::Tokens(vec![3, 0])),
            row(3, RowTarget::Tokens(vec![IGNORED_LABEL, 1, 2])),
        ];
        let batch = LabelledBatch::new(&rows.each_ref(), 9, None);
        assert_eq!(
            (batch.shape, batch.tokens(), batch.weight),
            ([2, 3], 5, 4.0)
        );
        assert_eq!(batch.input_ids, [1, 2, 9, 1, 2, 3]);
        assert_eq!(batch.token_type_ids, [1, 1, 0, 1, 1, 1]);
        assert_eq!(batch.attention_mask, [1, 1, 0, 1, 1, 1]);
        let classes = vec![3, 0, IGNORED_LABEL, IGNORED_LABEL, 1, 2];
        assert_eq!(batch.targets, BatchTargets::Tokens(classes));
    }

    #[test]
    fn an_update_weighs_what_its_labels_weigh() {
        let rows = [0, 1, 1].map(|class| row(2, RowTarget::Class(class)));
        let weights: Arc<[f32]> = [0.5, 2.0].into();
        let batch = |rows: &[&LabelledRow]| LabelledBatch::new(rows, 0, Some(weights.clone()));
        let mut parts = [batch(&[&rows[0], &rows[1]]), batch(&[&rows[2]])];
        assert_eq!((parts[0].weight, parts[1].weight), (2.5, 2.0));
        LabelledBatch::share(&mut parts);
        assert_eq!((parts[0].weight, parts[1].weight), (4.5, 4.5));
        let flags = row(2, RowTarget::Flags(vec![true, false, true]));
        assert_eq!(LabelledBatch::new(&[&flags, &flags], 0, None).weight, 6.0);
    }
}
