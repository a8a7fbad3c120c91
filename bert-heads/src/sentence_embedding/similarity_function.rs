//! Similarity of two vectors (sentence-transformers `util/similarity.py`).

use std::fmt::{self, Display, Formatter};

/// A function of two vectors that is the higher the more alike they are (`similarity_fn_name`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SimilarityFunction {
    /// [`cosine_similarity`].
    #[default]
    Cosine,
    /// The scalar product.
    Dot,
    /// The distance, negative.
    Euclidean,
    /// The sum of the distances of each dimension, negative.
    Manhattan,
}

impl SimilarityFunction {
    /// The function of this name in `config_sentence_transformers.json`.
    pub fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "cosine" => Self::Cosine,
            "dot" | "dot_product" => Self::Dot,
            "euclidean" => Self::Euclidean,
            "manhattan" => Self::Manhattan,
            _ => return None,
        })
    }

    /// The function of two vectors, summed in f64.
    ///
    /// # Panics
    ///
    /// If the vectors differ in length.
    pub fn between(self, a: &[f32], b: &[f32]) -> f64 {
        let differences = || {
            assert_eq!(a.len(), b.len(), "vectors of one space");
            a.iter().zip(b).map(|(x, y)| f64::from(*x) - f64::from(*y))
        };
        match self {
            Self::Cosine => cosine_similarity(a, b),
            Self::Dot => dot(a, b),
            // From 0, so that equal vectors give 0 and not -0.
            Self::Euclidean => 0.0 - differences().map(|x| x * x).sum::<f64>().sqrt(),
            Self::Manhattan => 0.0 - differences().map(f64::abs).sum::<f64>(),
        }
    }
}

impl Display for SimilarityFunction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cosine => "cosine",
            Self::Dot => "dot",
            Self::Euclidean => "euclidean",
            Self::Manhattan => "manhattan",
        })
    }
}

/// Cosine of the angle between two vectors, -1 to 1, summed in f64; 0 if either has no direction.
///
/// # Panics
///
/// If the vectors differ in length.
pub fn cosine_similarity(a: &[f32], b: &[f32]) -> f64 {
    let length = (dot(a, a) * dot(b, b)).sqrt();
    if length == 0.0 {
        0.0
    } else {
        dot(a, b) / length
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "vectors of one space");
    let products = a.iter().zip(b);
    products.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_those_of_sentence_transformers() {
        let (a, b) = ([1.0, -2.0, 2.0], [3.0, 0.0, -4.0]);
        for (name, expected) in [
            ("cosine", -5.0 / 15.0),
            ("dot", -5.0),
            ("euclidean", -44_f64.sqrt()),
            ("manhattan", -10.0),
        ] {
            let function = SimilarityFunction::of_name(name).unwrap();
            assert_eq!(function.to_string(), name);
            assert!(
                (function.between(&a, &b) - expected).abs() < 1e-12,
                "{name}"
            );
        }
        assert_eq!(SimilarityFunction::of_name("maxsim"), None);
        for distance in [SimilarityFunction::Euclidean, SimilarityFunction::Manhattan] {
            assert_eq!(distance.between(&a, &a).to_bits(), 0.0_f64.to_bits());
        }
    }

    #[test]
    fn cosine_of_known_angles() {
        assert!((cosine_similarity(&[1.0, 0.0], &[1.0, 1.0]) - 0.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(cosine_similarity(&[3.0, 0.0], &[-2.0, 0.0]), -1.0);
        assert_eq!(cosine_similarity(&[0.0, 0.0], &[1.0, 1.0]), 0.0);
    }
}
