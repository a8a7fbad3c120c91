//! Contribution of each token to an output, by gradients with respect to the word vectors.

use bert_core::batch::BertInput;
use bert_core::nn::OutputOptions;
use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};

use super::quadrature::gauss_legendre;
use crate::error::{Error, Result};
use crate::tasks::sequence_classification::BertForSequenceClassification;

/// Tokens of a pass with gradients, which keeps every intermediate result.
const PASS_TOKENS: usize = 1024;

/// Integrated gradients of one output, and what is needed to judge them.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegratedGradients {
    /// One number per token.
    pub attributions: Vec<f32>,
    /// The output for the text.
    pub score: f64,
    /// The output for the baseline.
    pub baseline_score: f64,
}

impl IntegratedGradients {
    /// The sum of the attributions, which is the difference of the scores but for the error of the
    /// integral ("completeness", Sundararajan et al. 2017 §3).
    pub fn sum(&self) -> f64 {
        self.attributions
            .iter()
            .map(|&value| f64::from(value))
            .sum()
    }

    /// Difference of the sum from that of the scores, as a share of it; `None` where the scores are
    /// equal.
    pub fn relative_error(&self) -> Option<f64> {
        let difference = self.score - self.baseline_score;
        (difference != 0.0).then(|| ((self.sum() - difference) / difference).abs())
    }
}

/// For each token the gradient of the logit numbered `output` with respect to its word vector, times
/// that vector, summed over the hidden size (Shrikumar et al. 2016).
///
/// The model must be on an autodiff device, and without dropout.
///
/// # Shapes
///
/// - input: `[1, seq]`
/// - output: `seq` numbers
///
/// # Errors
///
/// [`Error::Core`] if the result cannot be brought back.
pub fn gradient_times_input(
    model: &BertForSequenceClassification,
    input: &BertInput,
    output: usize,
) -> Result<Vec<f32>> {
    let words = model
        .bert
        .embeddings
        .word_embeddings
        .forward(input.input_ids.clone())
        .inner();
    let gradient = gradients(model, input, words.clone(), output);
    to_host((gradient * words).sum_dim(2))
}

/// For each token the gradients of the logit numbered `output`, integrated over the straight path of
/// the word vectors from those of `baseline` to those of the input, times the difference of the two
/// (Sundararajan et al. 2017).
///
/// The integral is taken by Gauss and Legendre's rule with `steps` points. The model must be on an
/// autodiff device, and without dropout.
///
/// # Shapes
///
/// - input: `[1, seq]`
/// - baseline: `[1, seq]` token ids
///
/// # Errors
///
/// [`Error::InvalidOption`] without steps, [`Error::Core`] if the result cannot be brought back.
pub fn integrated_gradients(
    model: &BertForSequenceClassification,
    input: &BertInput,
    baseline: Tensor<2, Int>,
    output: usize,
    steps: usize,
) -> Result<IntegratedGradients> {
    if steps == 0 {
        return Err(Error::InvalidOption {
            option: "steps",
            value: "0".to_owned(),
            expected: "at least 1",
        });
    }
    let table = &model.bert.embeddings.word_embeddings;
    let words = table.forward(input.input_ids.clone()).inner(); // [1, seq, hidden]
    let start = table.forward(baseline).inner();
    let difference = words.clone() - start.clone();
    let [_, seq, hidden] = words.dims();
    let device = words.device();

    let mut mean = words.zeros_like();
    let points = gauss_legendre(steps);
    for points in points.chunks((PASS_TOKENS / seq).max(1)) {
        let (nodes, weights): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
        let shape = [points.len(), seq, hidden];
        let path = start.clone().expand(shape)
            + difference.clone().expand(shape) * column(&nodes, &device);
        let gradients = gradients(model, input, path, output); // [points, seq, hidden]
        mean = mean + (gradients * column(&weights, &device)).sum_dim(0);
    }
    let ends = Tensor::cat(vec![words, start], 0); // [2, seq, hidden]
    let scores: Vec<f32> = scores(model, input, Tensor::from_inner(ends), output)
        .cast(FloatDType::F32)
        .try_into_vec_as()?;
    Ok(IntegratedGradients {
        attributions: to_host((mean * difference).sum_dim(2))?,
        score: f64::from(scores[0]),
        baseline_score: f64::from(scores[1]),
    })
}

/// The gradients of the output with respect to the word vectors of each row, off the graph.
///
/// # Shapes
///
/// - words, output: `[rows, seq, hidden]`, off the graph
fn gradients(
    model: &BertForSequenceClassification,
    input: &BertInput,
    words: Tensor<3>,
    output: usize,
) -> Tensor<3> {
    let words = Tensor::from_inner(words).require_grad();
    // Rows do not touch each other, so that one backward pass gives the gradients of all.
    let gradients = scores(model, input, words.clone(), output).sum().backward();
    match words.grad(&gradients) {
        Some(gradient) => gradient,
        // An output that does not depend on the words.
        None => words.inner().zeros_like(),
    }
}

/// The output for word vectors in place of those of the input, `[rows]`.
fn scores(
    model: &BertForSequenceClassification,
    input: &BertInput,
    words: Tensor<3>,
    output: usize,
) -> Tensor<1> {
    let [rows, seq, _] = words.dims();
    let types = input.token_type_ids.clone().expand([rows, seq]);
    let mask = input.mask_pad.clone().expand([rows, seq]);
    let encoded = model
        .bert
        .forward_words(words, types, mask.clone(), OutputOptions::default());
    model
        .classify(encoded, mask)
        .narrow(1, output, 1)
        .squeeze_dim(1)
}

/// `[values, 1, 1]`
fn column(values: &[f64], device: &Device) -> Tensor<3> {
    let shape = [values.len(), 1, 1];
    let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn to_host(values: Tensor<3>) -> Result<Vec<f32>> {
    Ok(values.cast(FloatDType::F32).try_into_vec_as()?)
}
