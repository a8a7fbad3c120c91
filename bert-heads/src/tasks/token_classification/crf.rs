//! A conditional random field over the words of a sentence (Lafferty et al. 2001; Lample et al. 2016
//! §2.2): which tag follows which is learnt, and a whole sequence of tags is chosen at once.

mod chain;
mod settings;

use bert_core::nn::BertInit;
use burn::module::{Module, Param};
use burn::tensor::{Bool, DType, FloatDType, Int, Tensor, TensorData};

pub use chain::CrfChain;
pub use settings::CrfSettings;

use crate::error::Result;

/// Scores of tags beside one another, at the beginning and at the end of a sentence; `crf.*` in
/// checkpoints, under the names of the package pytorch-crf.
#[derive(Module, Debug)]
pub struct Crf {
    /// Score of a tag (column) after another (row), `[labels, labels]`.
    pub transitions: Param<Tensor<2>>,
    /// Score of a tag at the first word, `[labels]`.
    pub start_transitions: Param<Tensor<1>>,
    /// Score of a tag at the last word, `[labels]`.
    pub end_transitions: Param<Tensor<1>>,
}

impl Crf {
    /// A field that prefers nothing: all scores 0, so that it begins as independent tags.
    pub fn new(labels: usize, init: &BertInit) -> Self {
        let transitions = Tensor::zeros([labels, labels], init.device());
        Self {
            transitions: Param::from_tensor(transitions),
            start_transitions: init.zeros(labels),
            end_transitions: init.zeros(labels),
        }
    }

    /// `-ln p(tags | scores)` in nats, summed over the rows, `[1]`; computed in f32.
    ///
    /// Rows may have different numbers of words. One without words adds nothing, and what stands in
    /// `scores` beyond the words of a row has no part in value and gradient.
    ///
    /// # Shapes
    ///
    /// - scores: `[rows, words, labels]`, the classifier's output at the first token of each word
    /// - tags: for each row one tag for each of its words, below `labels`
    ///
    /// # Panics
    ///
    /// When there are not as many lists of tags as rows, one is longer than `words`, or a tag is
    /// none of the labels.
    pub fn negative_log_likelihood(&self, scores: Tensor<3>, tags: &[Vec<usize>]) -> Tensor<1> {
        let [rows, words, labels] = scores.dims();
        assert_eq!(rows, tags.len(), "one list of tags for each row");
        let device = scores.device();
        let lengths: Vec<usize> = tags.iter().map(Vec::len).collect();
        let is_word = |word: usize| -> Tensor<2, Bool> {
            let flags: Vec<bool> = lengths.iter().map(|&length| word < length).collect();
            Tensor::from_data(TensorData::new(flags, [rows, 1]), &device)
        };
        let beyond: Vec<bool> = lengths
            .iter()
            .flat_map(|&length| (0..words).map(move |word| word >= length))
            .collect();
        let beyond =
            Tensor::<3, Bool>::from_data(TensorData::new(beyond, [rows, words, 1]), &device);
        // Zero times what is not finite would be no number.
        let scores = scores
            .cast(FloatDType::F32)
            .mask_fill(beyond.expand([rows, words, labels]), 0.0);
        let [transitions, start, end] = self.in_f32();

        // Forward algorithm: ln of the sum over all sequences that end in each tag.
        let word = |word: usize| scores.clone().narrow(1, word, 1).squeeze_dim::<2>(1); // [rows, labels]
        let after = transitions.clone().unsqueeze_dim::<3>(0); // [1, labels, labels]
        let mut sums = start.clone() + word(0); // [rows, labels]
        for number in 1..words {
            let ways = sums.clone().unsqueeze_dim::<3>(2) + after.clone(); // [rows, from, to]
            let next = log_sum_exp(ways, 1).squeeze_dim::<2>(1) + word(number);
            sums = sums.mask_where(is_word(number).expand([rows, labels]), next);
        }
        let all = log_sum_exp(sums + end.clone(), 1); // [rows, 1]
        let empty = is_word(0).bool_not();
        let all = all.mask_fill(empty, 0.0).sum();

        // The sequences as they are, by how often each score is used in them.
        let counts = Counts::of(tags, words, labels);
        let used =
            |values: Vec<f32>| Tensor::<1>::from_data(values.as_slice(), (&device, DType::F32));
        let gold = (scores * used(counts.words).reshape([rows, words, labels])).sum()
            + (transitions * used(counts.transitions).reshape([labels, labels])).sum()
            + (start * used(counts.starts).unsqueeze::<2>()).sum()
            + (end * used(counts.ends).unsqueeze::<2>()).sum();
        all - gold
    }

    /// The loss of rows of tokens, of which those with a label are the words: its sum over the rows,
    /// `[1]`.
    ///
    /// # Shapes
    ///
    /// - logits: `[rows, seq, labels]`
    /// - classes: `rows * seq`, a label or [`IGNORED_LABEL`](crate::losses::IGNORED_LABEL)
    pub(crate) fn loss(&self, logits: Tensor<3>, classes: &[i64]) -> Tensor<1> {
        let [rows, seq, labels] = logits.dims();
        let mut positions: Vec<Vec<i64>> = Vec::with_capacity(rows);
        let mut tags: Vec<Vec<usize>> = Vec::with_capacity(rows);
        for (row, classes) in classes.chunks(seq).enumerate() {
            let words = classes.iter().enumerate();
            let words = words.filter_map(|(at, &class)| Some((at, usize::try_from(class).ok()?)));
            let (at, of_row) = words
                .map(|(at, class)| ((row * seq + at) as i64, class))
                .unzip();
            positions.push(at);
            tags.push(of_row);
        }
        let words = tags.iter().map(Vec::len).max().unwrap_or(0).max(1);
        for positions in &mut positions {
            positions.resize(words, 0); // has no part in the loss
        }
        let positions = TensorData::new(positions.concat(), [rows * words]);
        let positions = Tensor::<1, Int>::from_data(positions, &logits.device());
        let scores = logits
            .reshape([rows * seq, labels])
            .select(0, positions)
            .reshape([rows, words, labels]);
        self.negative_log_likelihood(scores, &tags)
    }

    /// The scores on the host, to decode with.
    ///
    /// # Errors
    ///
    /// [`Error::Core`](crate::Error::Core) if they cannot be brought back.
    pub fn chain(&self) -> Result<CrfChain> {
        let [transitions, start, end] = self.in_f32();
        Ok(CrfChain::new(
            transitions.try_into_vec_as()?,
            start.try_into_vec_as()?,
            end.try_into_vec_as()?,
        ))
    }

    /// Transitions `[labels, labels]`, start and end `[1, labels]`.
    fn in_f32(&self) -> [Tensor<2>; 3] {
        let row = |scores: &Param<Tensor<1>>| scores.val().unsqueeze::<2>();
        [
            self.transitions.val(),
            row(&self.start_transitions),
            row(&self.end_transitions),
        ]
        .map(|scores| scores.cast(FloatDType::F32))
    }
}

/// Number of times that some sequences of tags use each score.
struct Counts {
    /// `[rows, words, labels]`
    words: Vec<f32>,
    /// `[labels, labels]`
    transitions: Vec<f32>,
    starts: Vec<f32>,
    ends: Vec<f32>,
}

impl Counts {
    fn of(tags: &[Vec<usize>], words: usize, labels: usize) -> Self {
        let mut counts = Self {
            words: vec![0.0; tags.len() * words * labels],
            transitions: vec![0.0; labels * labels],
            starts: vec![0.0; labels],
            ends: vec![0.0; labels],
        };
        for (row, tags) in tags.iter().enumerate() {
            for (word, &tag) in tags.iter().enumerate() {
                counts.words[(row * words + word) * labels + tag] = 1.0;
            }
            for pair in tags.windows(2) {
                counts.transitions[pair[0] * labels + pair[1]] += 1.0;
            }
            if let (Some(&first), Some(&last)) = (tags.first(), tags.last()) {
                counts.starts[first] += 1.0;
                counts.ends[last] += 1.0;
            }
        }
        counts
    }
}

/// `ln Σ exp` along a dimension, which stays with size 1.
fn log_sum_exp<const D: usize>(values: Tensor<D>, dim: usize) -> Tensor<D> {
    // The maximum only shifts the exponent; its gradient is zero.
    let highest = values.clone().max_dim(dim).detach();
    (values - highest.clone()).exp().sum_dim(dim).log() + highest
}
