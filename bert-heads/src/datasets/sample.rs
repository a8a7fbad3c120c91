//! Subsets, orders and splits that depend on a seed and on nothing else.

use std::collections::HashMap;
use std::hash::Hash;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::{SliceRandom, index};

use crate::error::{Error, Result};

/// `count` of the examples, or all if there are no more, in the order they had.
pub fn sample<T>(examples: Vec<T>, count: usize, seed: u64) -> Vec<T> {
    if count >= examples.len() {
        return examples;
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let chosen = index::sample(&mut random, examples.len(), count);
    let mut taken = vec![false; examples.len()];
    for index in chosen {
        taken[index] = true;
    }
    let pairs = examples.into_iter().zip(taken);
    pairs
        .filter_map(|(example, taken)| taken.then_some(example))
        .collect()
}

/// The examples in random order.
pub fn shuffle<T>(examples: &mut [T], seed: u64) {
    examples.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
}

/// Training and validation examples, each in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainValidation<T> {
    /// Training set; never empty.
    pub train: Vec<T>,
    /// Validation set; never empty.
    pub validation: Vec<T>,
}

/// Holds out a share of the examples: the nearest whole number, but one at least.
///
/// # Errors
///
/// [`Error::Split`] for a share that is not between 0 and 1, or too few examples for two parts.
pub fn split<T>(examples: Vec<T>, share: f64, seed: u64) -> Result<TrainValidation<T>> {
    split_by(examples, share, seed, |index, _| index)
}

/// [`split`] that keeps together what has the same key: questions on one context, sentences of one
/// document. Otherwise what is trained on would be seen again in validation.
///
/// Whole groups are held out, in random order, until the share is reached.
///
/// # Errors
///
/// Those of [`split`], for groups in place of examples.
pub fn split_groups<T, K: Eq + Hash>(
    examples: Vec<T>,
    share: f64,
    seed: u64,
    mut key: impl FnMut(&T) -> K,
) -> Result<TrainValidation<T>> {
    split_by(examples, share, seed, |_, example| key(example))
}

fn split_by<T, K: Eq + Hash>(
    examples: Vec<T>,
    share: f64,
    seed: u64,
    mut key: impl FnMut(usize, &T) -> K,
) -> Result<TrainValidation<T>> {
    if !(share > 0.0 && share < 1.0) {
        let reason = format!("a share of {share} leaves one part empty: use one between 0 and 1");
        return Err(Error::Split { reason });
    }
    // Groups are numbered as they come, so that no hash decides their order.
    let mut numbers = HashMap::new();
    let mut sizes: Vec<usize> = Vec::new();
    let groups: Vec<usize> = examples
        .iter()
        .enumerate()
        .map(|(index, example)| {
            let group = *numbers.entry(key(index, example)).or_insert(sizes.len());
            match sizes.get_mut(group) {
                Some(size) => *size += 1,
                None => sizes.push(1),
            }
            group
        })
        .collect();
    if sizes.len() < 2 {
        let reason = format!(
            "{} is too few for two parts: give it two or more",
            sizes.len()
        );
        return Err(Error::Split { reason });
    }
    let wanted = ((examples.len() as f64 * share).round() as usize).max(1);
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    shuffle(&mut order, seed);
    let mut held_out = vec![false; sizes.len()];
    let mut count = 0;
    // One group is left to train on.
    for &group in &order[1..] {
        if count >= wanted {
            break;
        }
        held_out[group] = true;
        count += sizes[group];
    }
    let (mut train, mut validation) = (Vec::new(), Vec::new());
    for (example, group) in examples.into_iter().zip(groups) {
        match held_out[group] {
            true => validation.push(example),
            false => train.push(example),
        }
    }
    Ok(TrainValidation { train, validation })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> Vec<usize> {
        (0..count).collect()
    }

    #[test]
    fn a_sample_depends_on_its_seed_and_keeps_the_order() {
        let chosen = sample(numbers(1000), 37, 5);
        assert_eq!(chosen.len(), 37);
        assert!(chosen.is_sorted_by(|a, b| a < b));
        assert_eq!(chosen, sample(numbers(1000), 37, 5));
        assert_ne!(chosen, sample(numbers(1000), 37, 6));
        assert_eq!(sample(numbers(13), 13, 5), numbers(13));
        assert_eq!(sample(numbers(13), 99, 5), numbers(13));
        assert!(sample(numbers(13), 0, 5).is_empty());
        // Every example has its chance: the mean of many samples is that of the whole.
        let drawn: Vec<usize> = (0..200)
            .flat_map(|seed| sample(numbers(100), 7, seed))
            .collect();
        let mean = drawn.iter().sum::<usize>() as f64 / drawn.len() as f64;
        assert!((mean - 49.5).abs() < 3.5, "{mean}");
    }

    #[test]
    fn an_order_depends_on_its_seed() {
        let shuffled = |seed| {
            let mut all = numbers(37);
            shuffle(&mut all, seed);
            all
        };
        assert_eq!(shuffled(1), shuffled(1));
        assert_ne!(shuffled(1), shuffled(2));
        let mut sorted = shuffled(1);
        sorted.sort_unstable();
        assert_eq!(sorted, numbers(37));
    }

    #[test]
    fn a_split_loses_nothing() {
        let parts = split(numbers(137), 0.1, 3).unwrap();
        assert_eq!((parts.train.len(), parts.validation.len()), (123, 14));
        let mut all = [parts.train.clone(), parts.validation.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, numbers(137));
        assert_eq!(parts, split(numbers(137), 0.1, 3).unwrap());
        assert_ne!(parts, split(numbers(137), 0.1, 4).unwrap());
        let parts = split(numbers(2), 0.999, 1).unwrap();
        assert_eq!((parts.train.len(), parts.validation.len()), (1, 1));
        assert_eq!(split(numbers(5), 0.01, 1).unwrap().validation.len(), 1);
    }

    #[test]
    fn groups_stay_together() {
        let parts = split_groups(numbers(140), 0.2, 7, |n| n / 7).unwrap();
        assert_eq!((parts.train.len(), parts.validation.len()), (112, 28));
        assert!(
            !parts
                .train
                .iter()
                .any(|n| parts.validation.iter().any(|m| m / 7 == n / 7))
        );
        assert!(split_groups(numbers(5), 0.5, 1, |_| "same").is_err());
    }

    #[test]
    fn shares_that_leave_nothing_are_refused() {
        for share in [0.0, 1.0, -0.5, f64::NAN, f64::INFINITY] {
            let error = split(numbers(13), share, 1).unwrap_err().to_string();
            assert!(error.contains("between 0 and 1"), "{error}");
        }
        assert!(split(numbers(1), 0.5, 1).is_err());
        assert!(split(numbers(0), 0.5, 1).is_err());
    }
}
