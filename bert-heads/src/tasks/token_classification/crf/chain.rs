//! A conditional random field on the host: the best sequence of tags, and how likely each is.

/// The scores of a [`Crf`](super::Crf), to decode sentence by sentence; computes in f64.
#[derive(Clone, Debug, PartialEq)]
pub struct CrfChain {
    /// From each tag (row) to each, `labels * labels`.
    transitions: Vec<f64>,
    start: Vec<f64>,
    end: Vec<f64>,
}

impl CrfChain {
    /// Scores of transitions, row by row, and of tags at the start and the end.
    ///
    /// # Panics
    ///
    /// When there are not as many transitions as pairs of tags, or start and end differ in number.
    pub fn new(transitions: Vec<f32>, start: Vec<f32>, end: Vec<f32>) -> Self {
        assert_eq!(start.len(), end.len(), "a score at the end for each tag");
        assert_eq!(
            transitions.len(),
            start.len() * start.len(),
            "a score for each pair of tags"
        );
        let wide = |scores: Vec<f32>| scores.into_iter().map(f64::from).collect();
        Self {
            transitions: wide(transitions),
            start: wide(start),
            end: wide(end),
        }
    }

    fn labels(&self) -> usize {
        self.start.len()
    }

    fn transition(&self, from: usize, to: usize) -> f64 {
        self.transitions[from * self.labels() + to]
    }

    /// The best sequence of tags (Viterbi 1967) for the words' scores, each one number per tag; of
    /// equals the one with the lower tags at the end.
    pub fn best(&self, words: &[&[f32]]) -> Vec<usize> {
        let Some((first, rest)) = words.split_first() else {
            return Vec::new();
        };
        let labels = self.labels();
        let mut scores: Vec<f64> = (0..labels)
            .map(|tag| self.start[tag] + f64::from(first[tag]))
            .collect();
        let mut before: Vec<Vec<usize>> = Vec::with_capacity(rest.len());
        for word in rest {
            let reached: Vec<(usize, f64)> = (0..labels)
                .map(|to| highest((0..labels).map(|from| scores[from] + self.transition(from, to))))
                .collect();
            let with_word = reached.iter().zip(*word);
            scores = with_word
                .map(|((_, score), word)| score + f64::from(*word))
                .collect();
            before.push(reached.into_iter().map(|(from, _)| from).collect());
        }
        let (mut tag, _) = highest(scores.iter().zip(&self.end).map(|(score, end)| score + end));
        let mut tags = vec![tag];
        for before in before.iter().rev() {
            tag = before[tag];
            tags.push(tag);
        }
        tags.reverse();
        tags
    }

    /// `ln Σ exp score` over all sequences of tags; 0 for no words.
    pub fn log_partition(&self, words: &[&[f32]]) -> f64 {
        match self.forward(words).last() {
            None => 0.0,
            Some(last) => log_sum_exp(last.iter().zip(&self.end).map(|(sum, end)| sum + end)),
        }
    }

    /// `-ln p(tags)` in nats.
    pub fn negative_log_likelihood(&self, words: &[&[f32]], tags: &[usize]) -> f64 {
        let (Some(&first), Some(&last)) = (tags.first(), tags.last()) else {
            return 0.0;
        };
        let of_words: f64 = words
            .iter()
            .zip(tags)
            .map(|(word, &tag)| f64::from(word[tag]))
            .sum();
        let between: f64 = tags
            .windows(2)
            .map(|pair| self.transition(pair[0], pair[1]))
            .sum();
        let score = of_words + between + self.start[first] + self.end[last];
        self.log_partition(words) - score
    }

    /// Marginal probabilities of each word's tags, all sequences considered (forward-backward): one
    /// list per word that sums to 1.
    pub fn marginals(&self, words: &[&[f32]]) -> Vec<Vec<f64>> {
        let labels = self.labels();
        let forward = self.forward(words);
        let whole = self.log_partition(words);
        let mut backward = self.end.clone();
        let mut marginals = vec![Vec::new(); words.len()];
        for number in (0..words.len()).rev() {
            let sums = forward[number].iter().zip(&backward);
            marginals[number] = sums.map(|(a, b)| (a + b - whole).exp()).collect();
            let word = words[number];
            backward =
                (0..labels)
                    .map(|from| {
                        log_sum_exp((0..labels).map(|to| {
                            self.transition(from, to) + f64::from(word[to]) + backward[to]
                        }))
                    })
                    .collect();
        }
        marginals
    }

    /// For each word and tag `ln Σ exp score` over all sequences up to there.
    fn forward(&self, words: &[&[f32]]) -> Vec<Vec<f64>> {
        let labels = self.labels();
        let mut all: Vec<Vec<f64>> = Vec::with_capacity(words.len());
        for word in words {
            let sum = |to: usize| match all.last() {
                None => self.start[to],
                Some(sums) => {
                    log_sum_exp((0..labels).map(|from| sums[from] + self.transition(from, to)))
                }
            };
            let sums = (0..labels)
                .map(|to| sum(to) + f64::from(word[to]))
                .collect();
            all.push(sums);
        }
        all
    }
}

/// The first of the highest, and its score.
fn highest(scores: impl Iterator<Item = f64>) -> (usize, f64) {
    let mut best = (0, f64::NEG_INFINITY);
    for (index, score) in scores.enumerate() {
        if score > best.1 {
            best = (index, score);
        }
    }
    best
}

fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let highest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    highest
        + values
            .map(|value| (value - highest).exp())
            .sum::<f64>()
            .ln()
}
