//! Batches of rows of similar length.

/// Divisor of a full batch's tokens that gives the overhead of another batch in inference.
const BATCH_OVERHEAD: usize = 32;

/// Groups rows of similar length for inference, so that little work is spent on padding.
///
/// This is [`BatchLimits::plan`] for batches of at most `max_tokens`, each of which costs as much as a 32nd of them.
pub fn plan_batches(lengths: &[usize], max_tokens: usize) -> Vec<Vec<usize>> {
    let limits = BatchLimits {
        rows: usize::MAX,
        tokens: max_tokens,
        overhead: max_tokens / BATCH_OVERHEAD,
    };
    limits.plan(lengths)
}

/// Limits and overhead of a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Rows of a batch, at most.
    pub rows: usize,
    /// Rows times the longest of them, at most; a longer row gets a batch of its own.
    pub tokens: usize,
    /// Fixed cost of a batch, in tokens of padding.
    pub overhead: usize,
}

impl BatchLimits {
    /// Groups rows of similar length so that padding and batches cost the least together.
    ///
    /// Returns the indices of `lengths` by rising length, equal ones in their order, cut into batches within the limits.
    /// Every index occurs exactly once.
    pub fn plan(&self, lengths: &[usize]) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|index| lengths[*index]);
        // best[n]: minimal cost of the first n rows, and how many of them are in the last batch.
        let mut best: Vec<(usize, usize)> = vec![(0, 0)];
        for end in 1..=order.len() {
            // Lengths rise, so the last row is the longest of its batch.
            let longest = lengths[order[end - 1]];
            let fitting = self.tokens.checked_div(longest).unwrap_or(usize::MAX);
            let most = self.rows.min(fitting).clamp(1, end);
            let cost = |rows: usize| {
                let batch = (rows * longest).saturating_add(self.overhead);
                best[end - rows].0.saturating_add(batch)
            };
            let cheapest = (1..=most).rev().map(|rows| (cost(rows), rows));
            best.extend(cheapest.min_by_key(|(cost, _)| *cost));
        }
        let mut batches = Vec::new();
        let mut end = order.len();
        while end > 0 {
            let start = end - best[end].1;
            batches.push(order[start..end].to_vec());
            end = start;
        }
        batches.reverse();
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_planned_by_length_within_the_budget() {
        let lengths = [5, 13, 7, 5, 32, 4, 7];
        assert_eq!(
            plan_batches(&lengths, 15),
            [vec![5], vec![0, 3], vec![2, 6], vec![1], vec![4]]
        );
        // 31 tokens of padding are worth a batch, and 37 are not.
        assert_eq!(
            plan_batches(&lengths, 1000),
            [vec![5, 0, 3, 2, 6], vec![1, 4]]
        );
        assert_eq!(plan_batches(&[], 15), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn no_plan_costs_less() {
        let lengths = [5, 13, 7, 5, 32, 4, 7, 0, 9, 12];
        let mut sorted = lengths;
        sorted.sort();
        for (rows, tokens, overhead) in [
            (usize::MAX, 0, 3),
            (usize::MAX, 37, 0),
            (4, 1000, 9),
            (usize::MAX, usize::MAX, 20),
            (3, 40, usize::MAX),
        ] {
            let limits = BatchLimits {
                rows,
                tokens,
                overhead,
            };
            let fits = |rows: &[usize]| {
                rows.len() == 1
                    || rows.len() <= limits.rows
                        && rows.len() * rows[rows.len() - 1] <= limits.tokens
            };
            let costs =
                |rows: &[usize]| (rows.len() * rows[rows.len() - 1]).saturating_add(overhead);
            // Every way to cut the sorted lengths: a bit for each place between two of them.
            let mut least = usize::MAX;
            for cuts in 0..1_u32 << (sorted.len() - 1) {
                let mut start = 0;
                let mut total = 0_usize;
                for end in 1..=sorted.len() {
                    if end == sorted.len() || cuts >> (end - 1) & 1 == 1 {
                        let batch = &sorted[start..end];
                        total = match fits(batch) {
                            true => total.saturating_add(costs(batch)),
                            false => usize::MAX,
                        };
                        start = end;
                    }
                }
                least = least.min(total);
            }
            let batches = limits.plan(&lengths);
            let mut found = 0_usize;
            for batch in &batches {
                let batch: Vec<usize> = batch.iter().map(|&index| lengths[index]).collect();
                assert!(fits(&batch), "{limits:?} {batch:?}");
                found = found.saturating_add(costs(&batch));
            }
            assert_eq!(found, least, "{limits:?}");
            let mut seen = batches.concat();
            seen.sort();
            assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
        }
    }
}
