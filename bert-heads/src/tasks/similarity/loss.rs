//! Losses of sentence embeddings (sentence-transformers `losses/`).

use burn::tensor::{FloatDType, Int, Tensor};

use crate::losses::{Loss, cross_entropy, mean_squared_error};
use crate::sentence_embedding::normalize;

/// Squared difference between the cosines of pairs of vectors and what they should be
/// (`CosineSimilarityLoss`; Reimers & Gurevych 2019 §3).
///
/// # Shapes
///
/// - first, second: `[pairs, hidden]`
/// - cosines: `[pairs]`, -1 to 1
pub fn cosine_similarity_loss(first: Tensor<2>, second: Tensor<2>, cosines: Tensor<1>) -> Loss {
    let first = normalize(first.cast(FloatDType::F32));
    let second = normalize(second.cast(FloatDType::F32));
    let found = (first * second).sum_dim(1); // [pairs, 1]
    mean_squared_error(found, cosines.unsqueeze_dim(1))
}

/// Cosines of texts with candidates, times `scale`: the logits of [`multiple_negatives_ranking_loss`].
///
/// # Shapes
///
/// - anchors: `[texts, hidden]`
/// - candidates: `[candidates, hidden]`
/// - output: `[texts, candidates]`
pub fn ranking_logits(anchors: Tensor<2>, candidates: Tensor<2>, scale: f32) -> Tensor<2> {
    let anchors = normalize(anchors.cast(FloatDType::F32));
    let candidates = normalize(candidates.cast(FloatDType::F32));
    anchors.matmul(candidates.transpose()) * scale
}

/// Cross-entropy of finding each text's like among all candidates of the batch, so that the likes of
/// others are its negatives (`MultipleNegativesRankingLoss`; Henderson et al. 2017 §4.4).
///
/// Candidate `i` is the like of text `i`; those beyond the texts are negatives of all of them.
/// sentence-transformers' scale is 20.
///
/// # Shapes
///
/// - anchors: `[texts, hidden]`
/// - candidates: `[candidates, hidden]`, at least as many
pub fn multiple_negatives_ranking_loss(
    anchors: Tensor<2>,
    candidates: Tensor<2>,
    scale: f32,
) -> Loss {
    let [texts, _] = anchors.dims();
    let own = Tensor::<1, Int>::arange(0..texts as i64, &anchors.device());
    cross_entropy(ranking_logits(anchors, candidates, scale), own, None)
}

#[cfg(test)]
mod tests {
    use bert_core::device::test_devices;
    use burn::tensor::TensorData;

    use super::*;

    const HIDDEN: usize = 5;
    /// Reference losses of sentence-transformers 6.2 for the vectors below, in float64.
    const COSINE: f64 = 0.9750473582214664;
    const RANKING: f64 = 11.389109428280088;
    const RANKING_WITH_NEGATIVES: f64 = 17.446735790608916;

    /// Vectors that no two of are alike, of lengths that normalising must take out.
    fn vectors(count: usize, seed: usize) -> Vec<f64> {
        let value = |index: usize| ((index * 37 + seed * 13) % 41) as f64 / 7.0 - 2.4;
        (0..count * HIDDEN).map(value).collect()
    }

    fn cosine(a: &[f64], b: &[f64]) -> f64 {
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    /// The mean loss of three pairs by its definition, in f64.
    fn cosine_reference(first: &[f64], second: &[f64]) -> f64 {
        let pairs = first.chunks(HIDDEN).zip(second.chunks(HIDDEN));
        let squares = pairs.zip([0.9, -0.25, 0.5]);
        squares
            .map(|((a, b), wanted)| (cosine(a, b) - wanted).powi(2))
            .sum::<f64>()
            / 3.0
    }

    fn ranking_reference(anchors: &[f64], candidates: &[f64]) -> f64 {
        let loss = |(index, anchor): (usize, &[f64])| {
            let candidates = candidates.chunks(HIDDEN);
            let logits: Vec<f64> = candidates.map(|c| 20.0 * cosine(anchor, c)).collect();
            logits.iter().map(|logit| logit.exp()).sum::<f64>().ln() - logits[index]
        };
        anchors.chunks(HIDDEN).enumerate().map(loss).sum::<f64>() / 3.0
    }

    /// The gradient of `reference` for its first or second argument, by central differences.
    fn slopes(
        reference: fn(&[f64], &[f64]) -> f64,
        arguments: [&[f64]; 2],
        which: usize,
    ) -> Vec<f64> {
        const STEP: f64 = 1e-5;
        let at = |index: usize, change: f64| {
            let mut moved = arguments.map(<[f64]>::to_vec);
            moved[which][index] += change;
            reference(&moved[0], &moved[1])
        };
        let slope = |index| (at(index, STEP) - at(index, -STEP)) / (2.0 * STEP);
        (0..arguments[which].len()).map(slope).collect()
    }

    fn check(
        reference: fn(&[f64], &[f64]) -> f64,
        loss: fn(Tensor<2>, Tensor<2>) -> Loss,
        seconds: usize,
        known: f64,
    ) {
        let arguments = [vectors(3, 1), vectors(seconds, 2)];
        let arguments = [arguments[0].as_slice(), arguments[1].as_slice()];
        let expected = reference(arguments[0], arguments[1]);
        assert!(
            (expected - known).abs() < 1e-6,
            "{expected} against {known}"
        );
        for (label, device) in test_devices() {
            let device = device.autodiff();
            let tensors = arguments.map(|values| {
                let shape = [values.len() / HIDDEN, HIDDEN];
                let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
                Tensor::<2>::from_data(TensorData::new(values, shape), &device).require_grad()
            });
            let found = loss(tensors[0].clone(), tensors[1].clone()).mean();
            let gradients = found.backward();
            let value = found.into_scalar::<f32>();
            assert!(
                (f64::from(value) - expected).abs() < 1e-5,
                "{label}: {value}"
            );
            for (which, tensor) in tensors.iter().enumerate() {
                let found: Vec<f32> = tensor.grad(&gradients).unwrap().try_into_vec_as().unwrap();
                let expected = slopes(reference, arguments, which);
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(&expected) {
                    let difference = (f64::from(*found) - expected).abs();
                    assert!(difference < 1e-4, "{label}: {found} against {expected}");
                }
            }
        }
    }

    #[test]
    fn cosines_and_their_gradients_are_those_of_the_definition() {
        let loss = |first: Tensor<2>, second: Tensor<2>| {
            let device = first.device();
            let cosines = Tensor::from_data([0.9_f32, -0.25, 0.5], &device);
            cosine_similarity_loss(first, second, cosines)
        };
        check(cosine_reference, loss, 3, COSINE);
    }

    #[test]
    fn every_other_candidate_is_a_negative() {
        let loss = |anchors, candidates| multiple_negatives_ranking_loss(anchors, candidates, 20.0);
        check(ranking_reference, loss, 3, RANKING);
        check(ranking_reference, loss, 6, RANKING_WITH_NEGATIVES);
    }
}
