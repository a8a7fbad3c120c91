//! Labelled rows, and the batches they make.

use std::fmt::Debug;
use std::sync::Arc;

use bert_core::batch::BertInput;
use burn::tensor::Device;

use crate::runner::Row;

/// Targets of the examples of a batch.
pub trait Targets: Clone + Debug + Send + Sync + 'static {
    /// Target of one example.
    type Target: Clone + Debug + Send + Sync + 'static;

    /// Targets of `examples`, at least one, whose rows are padded to `seq` tokens.
    fn new(examples: &[&LabelledRow<Self::Target>], seq: usize) -> Self;

    /// Sum of the weights of the losses, as [`losses`](crate::losses) counts it.
    fn weight(&self, class_weights: Option<&[f32]>) -> f64;
}

/// An example to train on: its tokens and its target.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledRow<T> {
    /// Input: one row, one for each choice of a question, or texts to be compared.
    pub rows: Vec<Row>,
    /// The target.
    pub target: T,
}

impl<T> LabelledRow<T> {
    /// An example of one row.
    pub fn new(row: Row, target: T) -> Self {
        Self {
            rows: vec![row],
            target,
        }
    }

    /// The tokens of its longest row.
    pub(crate) fn length(&self) -> usize {
        let lengths = self.rows.iter().map(|row| row.ids.len());
        lengths.max().unwrap_or(0)
    }
}

/// Labelled rows of one part of an update, padded to a rectangle, on the host.
#[derive(Clone, Debug)]
pub struct LabelledBatch<T> {
    /// Token ids, `[rows, seq]` row by row; padding is `[PAD]`.
    pub input_ids: Vec<i64>,
    /// Segments, likewise.
    pub token_type_ids: Vec<i64>,
    /// 1 where a token counts, 0 at padding, likewise.
    pub attention_mask: Vec<i64>,
    /// `[rows, seq]`.
    pub shape: [usize; 2],
    /// Targets of the rows.
    pub targets: T,
    /// The weight of each class, where they are not all the same.
    pub class_weights: Option<Arc<[f32]>>,
    /// Divisor of the summed losses: the weight of the whole update.
    pub weight: f64,
}

impl<T: Targets> LabelledBatch<T> {
    /// Pads the rows of `examples` to the longest of them. The loss is normalised to this batch alone;
    /// [`share`](Self::share) makes several one update.
    ///
    /// # Panics
    ///
    /// Without a row, and if rows have targets of different kinds.
    pub fn new(
        examples: &[&LabelledRow<T::Target>],
        pad_id: u32,
        class_weights: Option<Arc<[f32]>>,
    ) -> Self {
        let seq = examples.iter().map(|example| example.length()).max();
        let seq = seq.unwrap_or(0);
        let rows = examples.iter().map(|example| example.rows.len()).sum();
        let size = rows * seq;
        let targets = T::new(examples, seq);
        let mut batch = Self {
            input_ids: Vec::with_capacity(size),
            token_type_ids: Vec::with_capacity(size),
            attention_mask: Vec::with_capacity(size),
            shape: [rows, seq],
            weight: targets.weight(class_weights.as_deref()),
            targets,
            class_weights,
        };
        for row in examples.iter().flat_map(|example| &example.rows) {
            batch.push_row(row, seq, pad_id);
        }
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
        let own = |batch: &Self| batch.targets.weight(batch.class_weights.as_deref());
        let weight: f64 = batches.iter().map(own).sum();
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

    /// The tensors on `device`.
    pub(crate) fn input(&self, device: &Device) -> BertInput {
        BertInput::from_attention_mask(
            self.input_ids.clone(),
            self.token_type_ids.clone(),
            self.attention_mask.clone(),
            self.shape,
            device,
        )
    }
}

/// Sum of the weights of `classes`, of which those below 0 are ignored.
pub(crate) fn weight_of_classes(classes: &[i64], class_weights: Option<&[f32]>) -> f64 {
    let of_class = |class: &i64| match (class_weights, usize::try_from(*class)) {
        (_, Err(_)) => 0.0, // ignored
        (None, _) => 1.0,
        (Some(weights), Ok(class)) => weights.get(class).map_or(0.0, |&w| f64::from(w)),
    };
    classes.iter().map(of_class).sum()
}
