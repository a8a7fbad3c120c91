//! Labelled rows, and the batches they make.

use std::sync::Arc;

use bert_core::batch::BertInput;
use burn::tensor::Device;

use crate::losses::IGNORED_LABEL;
use crate::runner::Row;

/// An example to train on: its tokens and what is to be said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledRow {
    /// Input: one row, one for each choice of a question, or texts to be compared.
    pub rows: Vec<Row>,
    /// The target.
    pub target: RowTarget,
}

/// Target of a labelled example.
#[derive(Clone, Debug, PartialEq)]
pub enum RowTarget {
    /// One class.
    Class(usize),
    /// One flag per label, true if it applies.
    Flags(Vec<bool>),
    /// A number.
    Number(f32),
    /// A class for each token, or [`IGNORED_LABEL`].
    Tokens(Vec<i64>),
    /// The first and the last token of an answer; twice 0, where `[CLS]` stands, for none.
    Span(usize, usize),
    /// Which of the rows is the right one.
    Choice(usize),
    /// The cosine that the vectors of the two rows should have.
    Cosine(f32),
    /// The second row is like the first, all others are not.
    Like {
        /// Factor on the cosines before the softmax.
        scale: f32,
    },
}

impl LabelledRow {
    /// An example of one row.
    pub fn new(row: Row, target: RowTarget) -> Self {
        Self {
            rows: vec![row],
            target,
        }
    }

    /// The tokens of its longest row.
    pub(super) fn length(&self) -> usize {
        let lengths = self.rows.iter().map(|row| row.ids.len());
        lengths.max().unwrap_or(0)
    }
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
    /// Targets of the rows.
    pub targets: BatchTargets,
    /// The weight of each class, where they are not all the same.
    pub class_weights: Option<Arc<[f32]>>,
    /// Divisor of the summed losses: the weight of the whole update.
    pub weight: f64,
}

/// Targets of the rows of a batch.
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
    /// `[rows]` first and `[rows]` last tokens of answers.
    Spans(Vec<i64>, Vec<i64>),
    /// Rows that belong together, and which of each group is the right one.
    Choices {
        /// How many neighbouring rows each example has.
        counts: Vec<usize>,
        /// `[examples]`, counted from the first row of each.
        right: Vec<i64>,
    },
    /// `[pairs]` cosines that two neighbouring rows each should have.
    Cosines(Vec<f32>),
    /// Rows that belong together: a text, one like it, and those that are not.
    Likes {
        /// How many neighbouring rows each example has, at least two.
        counts: Vec<usize>,
        /// Factor on the cosines before the softmax.
        scale: f32,
    },
}

impl LabelledBatch {
    /// Pads the rows of `examples` to the longest of them. The loss is normalised to this batch alone;
    /// [`share`](Self::share) makes several one update.
    ///
    /// # Panics
    ///
    /// Without a row, and if rows have targets of different kinds.
    pub fn new(examples: &[&LabelledRow], pad_id: u32, class_weights: Option<Arc<[f32]>>) -> Self {
        let seq = examples.iter().map(|example| example.length()).max();
        let seq = seq.unwrap_or(0);
        let rows = examples.iter().map(|example| example.rows.len()).sum();
        let size = rows * seq;
        let mut batch = Self {
            input_ids: Vec::with_capacity(size),
            token_type_ids: Vec::with_capacity(size),
            attention_mask: Vec::with_capacity(size),
            shape: [rows, seq],
            targets: BatchTargets::of_kind(&examples[0].target),
            class_weights,
            weight: 0.0,
        };
        for example in examples {
            for row in &example.rows {
                batch.push_row(row, seq, pad_id);
            }
            batch.targets.push(example, seq);
        }
        batch.weight = batch.own_weight();
        batch
    }

    fn push_row(&mut self, row: &Row, seq: usize, pad_id: u32) {
        let end = self.input_ids.len() + seq;
        let wide = |ids: &[u32]| -> Vec<i64> { ids.iter().map(|&id| i64::from(id)).collect() };
        self.input_ids.extend(wide(&row.ids));
        self.input_ids.resize(end, i64::from(pad_id));
        self.token_type_ids.extend(wide(&row.type_ids));
        self.token_type_ids.resize(end, 0);
        let kept = std::iter::repeat_n(1, row.ids.len());
        self.attention_mask.extend(kept);
        self.attention_mask.resize(end, 0);
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

    /// Total weight of the losses of this batch, as [`losses`](crate::losses) counts it.
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
            BatchTargets::Spans(starts, _) => starts.len() as f64,
            BatchTargets::Choices { right, .. } => right.len() as f64,
            BatchTargets::Cosines(cosines) => cosines.len() as f64,
            BatchTargets::Likes { counts, .. } => counts.len() as f64,
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

impl BatchTargets {
    /// None yet, of the kind of `target`.
    fn of_kind(target: &RowTarget) -> Self {
        match target {
            RowTarget::Class(_) => Self::Classes(Vec::new()),
            RowTarget::Flags(_) => Self::Flags(Vec::new()),
            RowTarget::Number(_) => Self::Numbers(Vec::new()),
            RowTarget::Tokens(_) => Self::Tokens(Vec::new()),
            RowTarget::Span(..) => Self::Spans(Vec::new(), Vec::new()),
            RowTarget::Choice(_) => Self::Choices {
                counts: Vec::new(),
                right: Vec::new(),
            },
            RowTarget::Cosine(_) => Self::Cosines(Vec::new()),
            RowTarget::Like { scale } => Self::Likes {
                counts: Vec::new(),
                scale: *scale,
            },
        }
    }

    /// Adds the target of an example whose rows are padded to `seq` tokens.
    fn push(&mut self, example: &LabelledRow, seq: usize) {
        match (self, &example.target) {
            (Self::Classes(all), RowTarget::Class(class)) => all.push(*class as i64),
            (Self::Flags(all), RowTarget::Flags(flags)) => {
                all.extend(flags.iter().map(|&flag| if flag { 1.0 } else { 0.0 }));
            }
            (Self::Numbers(all), RowTarget::Number(number)) => all.push(*number),
            (Self::Tokens(all), RowTarget::Tokens(classes)) => {
                let end = all.len() + seq;
                all.extend_from_slice(classes);
                all.resize(end, IGNORED_LABEL);
            }
            (Self::Spans(starts, ends), RowTarget::Span(start, end)) => {
                starts.push(*start as i64);
                ends.push(*end as i64);
            }
            (Self::Choices { counts, right }, RowTarget::Choice(choice)) => {
                counts.push(example.rows.len());
                right.push(*choice as i64);
            }
            (Self::Cosines(all), RowTarget::Cosine(cosine)) => all.push(*cosine),
            (Self::Likes { counts, .. }, RowTarget::Like { .. }) => {
                counts.push(example.rows.len());
            }
            _ => panic!("examples of one batch have targets of one kind"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(length: usize, target: RowTarget) -> LabelledRow {
        let row = Row {
            ids: (1..=length as u32).collect(),
            type_ids: vec![1; length],
        };
        LabelledRow::new(row, target)
    }

    #[test]
    fn the_rows_of_an_example_stay_together() {
        let mut choices = row(2, RowTarget::Choice(1));
        choices
            .rows
            .push(row(3, RowTarget::Class(0)).rows.remove(0));
        let batch = LabelledBatch::new(&[&choices, &row(1, RowTarget::Choice(0))], 9, None);
        assert_eq!((batch.shape, batch.weight), ([3, 3], 2.0));
        assert_eq!(batch.input_ids, [1, 2, 9, 1, 2, 3, 1, 9, 9]);
        let (counts, right) = (vec![2, 1], vec![1, 0]);
        assert_eq!(batch.targets, BatchTargets::Choices { counts, right });
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
