//! Functions of logits on the host.

/// Probabilities of exclusive classes.
pub(crate) fn softmax(logits: &[f32]) -> Vec<f32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f32> = logits.iter().map(|logit| (logit - highest).exp()).collect();
    let sum: f32 = exponentials.iter().sum();
    exponentials.into_iter().map(|value| value / sum).collect()
}

/// Probability of one label on its own.
pub(crate) fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// Index of the highest value, the first of equals; 0 of none.
pub(crate) fn argmax(values: &[f32]) -> usize {
    let best = values.iter().enumerate().rev();
    best.max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map_or(0, |(index, _)| index)
}

/// Cross-entropy of a class, in nats.
pub(crate) fn cross_entropy(class: usize, logits: &[f32]) -> f64 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits
        .iter()
        .map(|logit| f64::from(logit - highest).exp())
        .sum();
    let logit = logits.get(class).copied().unwrap_or(f32::NAN);
    sum.ln() - f64::from(logit - highest)
}

/// Arithmetic mean; 0 of nothing.
pub(crate) fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let values = values.into_iter();
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    sum / count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_is_taken_and_large_logits_do_not_overflow() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0, 2.0]), 1);
        let scores = softmax(&[1000.0, 1000.0, -1000.0]);
        assert_eq!(scores, [0.5, 0.5, 0.0]);
        assert_eq!(sigmoid(0.0), 0.5);
    }

    #[test]
    fn cross_entropies_are_those_of_training() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} against {b}");
        near(cross_entropy(1, &[0.0, 0.0, 0.0]), 3_f64.ln());
        near(cross_entropy(0, &[1000.0, 0.0]), 0.0);
    }
}
