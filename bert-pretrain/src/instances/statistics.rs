//! Statistics of a set of instances.

use serde::{Deserialize, Serialize};

use super::Instance;

/// Counts over instances; all of them add up across shards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceStatistics {
    /// Instances.
    pub instances: u64,
    /// Their tokens, special tokens included.
    pub tokens: u64,
    /// Tokens to predict.
    pub predictions: u64,
    /// Tokens to predict that `[MASK]` stands for.
    pub replaced_by_mask: u64,
    /// Tokens to predict that another token stands for.
    pub replaced_by_random: u64,
    /// Tokens to predict that were left as they are.
    pub unchanged: u64,
    /// Instances with a second segment.
    pub pairs: u64,
    /// Pairs whose second segment is a random one.
    pub random_next: u64,
    /// Instances with as many predictions as are allowed.
    pub at_max_predictions: u64,
    /// Instances by number of tokens.
    pub lengths: Vec<u64>,
    /// Instances by number of predictions.
    pub predictions_per_instance: Vec<u64>,
}

impl InstanceStatistics {
    /// Counts an instance made with this `[MASK]` and this limit of predictions.
    pub fn add(&mut self, instance: &Instance, mask_id: u32, max_predictions: usize) {
        let predictions = instance.positions.len();
        self.instances += 1;
        self.tokens += instance.ids.len() as u64;
        self.predictions += predictions as u64;
        for (&position, &label) in instance.positions.iter().zip(&instance.labels) {
            let count = match instance.ids.get(position as usize) {
                Some(&id) if id == label => &mut self.unchanged,
                Some(&id) if id == mask_id => &mut self.replaced_by_mask,
                _ => &mut self.replaced_by_random,
            };
            *count += 1;
        }
        if let Some(is_random_next) = instance.is_random_next {
            self.pairs += 1;
            self.random_next += u64::from(is_random_next);
        }
        self.at_max_predictions += u64::from(predictions >= max_predictions);
        count(&mut self.lengths, instance.ids.len(), 1);
        count(&mut self.predictions_per_instance, predictions, 1);
    }

    /// Adds the counts of other instances.
    pub fn merge(&mut self, other: &Self) {
        self.instances += other.instances;
        self.tokens += other.tokens;
        self.predictions += other.predictions;
        self.replaced_by_mask += other.replaced_by_mask;
        self.replaced_by_random += other.replaced_by_random;
        self.unchanged += other.unchanged;
        self.pairs += other.pairs;
        self.random_next += other.random_next;
        self.at_max_predictions += other.at_max_predictions;
        for (place, &number) in other.lengths.iter().enumerate() {
            count(&mut self.lengths, place, number);
        }
        for (place, &number) in other.predictions_per_instance.iter().enumerate() {
            count(&mut self.predictions_per_instance, place, number);
        }
    }

    /// Share of all tokens, special ones included, that are to be predicted; 0 without tokens.
    pub fn predicted_share(&self) -> f64 {
        share(self.predictions, self.tokens)
    }

    /// Shares of the predicted tokens that are `[MASK]`, another token, and unchanged: 0.8, 0.1 and
    /// 0.1 in the long run.
    pub fn replacement_shares(&self) -> [f64; 3] {
        [
            self.replaced_by_mask,
            self.replaced_by_random,
            self.unchanged,
        ]
        .map(|number| share(number, self.predictions))
    }

    /// Share of pairs with a random second segment; 0 without pairs.
    pub fn random_next_share(&self) -> f64 {
        share(self.random_next, self.pairs)
    }

    /// Tokens of an instance on average; 0 without instances.
    pub fn mean_length(&self) -> f64 {
        share(self.tokens, self.instances)
    }

    /// Predictions of an instance on average; 0 without instances.
    pub fn mean_predictions(&self) -> f64 {
        share(self.predictions, self.instances)
    }
}

/// Adds to a histogram, making it longer if need be; it never ends with zeros of its own.
fn count(histogram: &mut Vec<u64>, place: usize, number: u64) {
    if number > 0 {
        if histogram.len() <= place {
            histogram.resize(place + 1, 0);
        }
        histogram[place] += number;
    }
}

fn share(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        _ => part as f64 / whole as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: u32 = 4;

    fn instances() -> [Instance; 2] {
        [
            Instance {
                ids: vec![2, MASK, 8, 3, 9, MASK, 3],
                segment_a_length: 4,
                positions: vec![1, 2, 4, 5],
                labels: vec![6, 7, 9, 5],
                is_random_next: Some(true),
            },
            Instance {
                ids: vec![2, 8, 3],
                segment_a_length: 3,
                positions: vec![1],
                labels: vec![8],
                is_random_next: None,
            },
        ]
    }

    #[test]
    fn counts_are_those_of_a_worked_example() {
        let mut statistics = InstanceStatistics::default();
        for instance in &instances() {
            statistics.add(instance, MASK, 4);
        }
        assert_eq!(
            statistics,
            InstanceStatistics {
                instances: 2,
                tokens: 10,
                predictions: 5,
                replaced_by_mask: 2,
                replaced_by_random: 1,
                unchanged: 2,
                pairs: 1,
                random_next: 1,
                at_max_predictions: 1,
                lengths: vec![0, 0, 0, 1, 0, 0, 0, 1],
                predictions_per_instance: vec![0, 1, 0, 0, 1],
            }
        );
        assert_eq!(statistics.predicted_share(), 0.5);
        assert_eq!(statistics.replacement_shares(), [0.4, 0.2, 0.4]);
        assert_eq!(statistics.random_next_share(), 1.0);
        assert_eq!(statistics.mean_length(), 5.0);
        assert_eq!(statistics.mean_predictions(), 2.5);
    }

    #[test]
    fn merging_is_counting_together() {
        let [first, second] = instances();
        let mut together = InstanceStatistics::default();
        together.add(&first, MASK, 4);
        together.add(&second, MASK, 4);
        let mut merged = InstanceStatistics::default();
        merged.add(&second, MASK, 4);
        let mut other = InstanceStatistics::default();
        other.add(&first, MASK, 4);
        merged.merge(&other);
        assert_eq!(merged, together);
        merged.merge(&InstanceStatistics::default());
        assert_eq!(merged, together);
    }

    #[test]
    fn nothing_has_shares_of_zero() {
        let nothing = InstanceStatistics::default();
        assert_eq!(nothing.predicted_share(), 0.0);
        assert_eq!(nothing.replacement_shares(), [0.0; 3]);
        assert_eq!(nothing.random_next_share(), 0.0);
    }
}
