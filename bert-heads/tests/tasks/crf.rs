//! The conditional random field against enumeration of every sequence of tags, and as part of a
//! token classifier.

use bert_core::checkpoint::Checkpoint;
use bert_core::config::BertConfig;
use bert_core::device::{Device, test_devices};
use bert_core::nn::BertInit;
use bert_heads::Error;
use bert_heads::labels::Labels;
use bert_heads::tasks::sequence_classification::BertForSequenceClassification;
use bert_heads::tasks::token_classification::BertForTokenClassification;
use bert_heads::tasks::token_classification::{Crf, CrfChain};
use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

const LABELS: usize = 3;
const WORDS: usize = 5;

/// Random scores of a field and of the words of some rows.
struct Case {
    transitions: Vec<f32>,
    start: Vec<f32>,
    end: Vec<f32>,
    /// `[rows, WORDS, LABELS]`
    words: Vec<f32>,
    tags: Vec<Vec<usize>>,
}

/// Results of enumeration for a row.
struct Enumerated {
    log_partition: f64,
    best: Vec<usize>,
    /// By word and tag.
    marginals: Vec<Vec<f64>>,
    /// Expected count of each transition.
    transitions: Vec<f64>,
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |count: usize| -> Vec<f32> {
            (0..count)
                .map(|_| random.random_range(-2.0..2.0_f32))
                .collect()
        };
        let tags = vec![vec![2, 0, 0, 1, 2], vec![1], vec![], vec![0, 2, 1, 1]];
        Self {
            transitions: draw(LABELS * LABELS),
            start: draw(LABELS),
            end: draw(LABELS),
            words: draw(tags.len() * WORDS * LABELS),
            tags,
        }
    }

    fn chain(&self) -> CrfChain {
        CrfChain::new(
            self.transitions.clone(),
            self.start.clone(),
            self.end.clone(),
        )
    }

    fn crf(&self, device: &Device) -> Crf {
        let config = BertConfig::new(37, 12, 1, 2, 13);
        let mut crf = Crf::new(LABELS, &BertInit::new(&config, 0, device));
        let vector = |values: &[f32]| Param::from_tensor(Tensor::from_data(values, device));
        let transitions = TensorData::new(self.transitions.clone(), [LABELS, LABELS]);
        crf.transitions = Param::from_tensor(Tensor::from_data(transitions, device));
        crf.start_transitions = vector(&self.start);
        crf.end_transitions = vector(&self.end);
        crf
    }

    /// The scores of the words of a row.
    fn row(&self, row: usize) -> Vec<&[f32]> {
        let words = self.words[row * WORDS * LABELS..].chunks(LABELS);
        words.take(self.tags[row].len()).collect()
    }

    fn score(&self, words: &[&[f32]], tags: &[usize]) -> f64 {
        let between = tags
            .windows(2)
            .map(|pair| self.transitions[pair[0] * LABELS + pair[1]]);
        let of_words = words.iter().zip(tags).map(|(word, &tag)| word[tag]);
        let ends = [self.start[tags[0]], self.end[tags[tags.len() - 1]]];
        between.chain(of_words).chain(ends).map(f64::from).sum()
    }

    fn enumerate(&self, row: usize) -> Enumerated {
        let words = self.row(row);
        let count = words.len() as u32;
        let sequences: Vec<(Vec<usize>, f64)> = (0..LABELS.pow(count))
            .map(|number| {
                let digit = |word| number / LABELS.pow(word) % LABELS;
                let tags: Vec<usize> = (0..count).map(digit).collect();
                let score = self.score(&words, &tags);
                (tags, score)
            })
            .collect();
        let whole: f64 = sequences.iter().map(|(_, score)| score.exp()).sum();
        let mut marginals = vec![vec![0.0; LABELS]; words.len()];
        let mut transitions = vec![0.0; LABELS * LABELS];
        for (tags, score) in &sequences {
            let probability = score.exp() / whole;
            for (word, &tag) in tags.iter().enumerate() {
                marginals[word][tag] += probability;
            }
            for pair in tags.windows(2) {
                transitions[pair[0] * LABELS + pair[1]] += probability;
            }
        }
        let best = sequences.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        Enumerated {
            log_partition: whole.ln(),
            best: best.unwrap().0.clone(),
            marginals,
            transitions,
        }
    }

    /// The rows with words.
    fn filled(&self) -> impl Iterator<Item = usize> {
        (0..self.tags.len()).filter(|&row| !self.tags[row].is_empty())
    }
}

fn near(found: &[f64], expected: &[f64], bound: f64, place: &str) {
    assert_eq!(found.len(), expected.len(), "{place}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() < bound,
            "{place}: {found} against {expected}"
        );
    }
}

#[test]
fn the_host_agrees_with_enumeration() {
    for seed in 0..7 {
        let case = Case::new(seed);
        let chain = case.chain();
        for row in case.filled() {
            let (words, expected) = (case.row(row), case.enumerate(row));
            let place = format!("seed {seed}, row {row}");
            assert_eq!(chain.best(&words), expected.best, "{place}");
            near(
                &[chain.log_partition(&words)],
                &[expected.log_partition],
                1e-9,
                &place,
            );
            for (found, expected) in chain.marginals(&words).iter().zip(&expected.marginals) {
                near(found, expected, 1e-9, &place);
            }
            let tags = &case.tags[row];
            let loss = expected.log_partition - case.score(&words, tags);
            near(
                &[chain.negative_log_likelihood(&words, tags)],
                &[loss],
                1e-9,
                &place,
            );
        }
        assert!(chain.best(&[]).is_empty() && chain.marginals(&[]).is_empty());
        assert_eq!(chain.log_partition(&[]), 0.0);
    }
}

#[test]
fn loss_and_gradients_agree_with_enumeration() {
    let case = Case::new(11);
    let mut loss = 0.0;
    let mut of_words = vec![0.0; case.words.len()];
    let (mut transitions, mut start, mut end) = (
        vec![0.0; LABELS * LABELS],
        vec![0.0; LABELS],
        vec![0.0; LABELS],
    );
    for row in case.filled() {
        let (expected, tags) = (case.enumerate(row), &case.tags[row]);
        loss += expected.log_partition - case.score(&case.row(row), tags);
        for (word, marginals) in expected.marginals.iter().enumerate() {
            for (tag, probability) in marginals.iter().enumerate() {
                let used = f64::from(u8::from(tags[word] == tag));
                of_words[(row * WORDS + word) * LABELS + tag] = probability - used;
                if word == 0 {
                    start[tag] += probability - used;
                }
                if word + 1 == tags.len() {
                    end[tag] += probability - used;
                }
            }
        }
        for (sum, expected) in transitions.iter_mut().zip(expected.transitions) {
            *sum += expected;
        }
        for pair in tags.windows(2) {
            transitions[pair[0] * LABELS + pair[1]] -= 1.0;
        }
    }
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let crf = case.crf(&device);
        // What lies beyond the words of a row is never looked at.
        let mut values = case.words.clone();
        for (row, tags) in case.tags.iter().enumerate() {
            values[(row * WORDS + tags.len()) * LABELS..(row + 1) * WORDS * LABELS].fill(f32::NAN);
        }
        let shape = [case.tags.len(), WORDS, LABELS];
        let words = Tensor::<3>::from_data(TensorData::new(values, shape), &device).require_grad();
        let found = crf.negative_log_likelihood(words.clone(), &case.tags);
        near(
            &[f64::from(found.clone().into_scalar::<f32>())],
            &[loss],
            1e-4,
            &label,
        );

        let gradients = found.backward();
        let host = |data: TensorData| -> Vec<f64> { data.iter::<f64>().collect() };
        let of = |param: &Param<Tensor<1>>| host(param.val().grad(&gradients).unwrap().into_data());
        near(
            &host(words.grad(&gradients).unwrap().into_data()),
            &of_words,
            1e-5,
            &label,
        );
        let found = crf.transitions.val().grad(&gradients).unwrap().into_data();
        near(&host(found), &transitions, 1e-5, &label);
        near(&of(&crf.start_transitions), &start, 1e-5, &label);
        near(&of(&crf.end_transitions), &end, 1e-5, &label);
        assert_eq!(crf.chain().unwrap(), case.chain(), "{label}");
    }
}

#[test]
fn rows_without_words_cost_nothing() {
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let crf = Case::new(3).crf(&device);
        let words = Tensor::<3>::ones([2, 1, LABELS], &device).require_grad();
        let loss = crf.negative_log_likelihood(words.clone(), &[vec![], vec![]]);
        assert_eq!(loss.clone().into_scalar::<f32>(), 0.0, "{label}");
        let gradient = words.grad(&loss.backward()).unwrap().into_data();
        assert!(gradient.iter::<f32>().all(|value| value == 0.0), "{label}");
    }
}

#[test]
fn it_is_saved_beside_the_head_and_found_again() {
    let (_, device) = test_devices().swap_remove(0);
    let config = BertConfig::new(37, 12, 1, 2, 13);
    let init = BertInit::new(&config, 5, &device);
    let labels = Labels::new(["O", "B-A", "I-A"]).unwrap();
    let mut model = BertForTokenClassification::new(&config, LABELS, &init).with_crf(&init);
    let case = Case::new(2);
    model.crf = Some(case.crf(&device));
    let dir = tempfile::tempdir().unwrap();
    model.save(dir.path(), &config, &labels).unwrap();

    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    assert_eq!(checkpoint.config().extra["crf"], true);
    let loaded = BertForTokenClassification::from_checkpoint(&checkpoint, &device).unwrap();
    assert_eq!(loaded.crf.unwrap().chain().unwrap(), case.chain());
    // Others take the encoder and leave it out.
    let (_, report) = BertForSequenceClassification::from_encoder(&checkpoint, 2, &init).unwrap();
    let ignored: Vec<_> = report
        .ignored
        .iter()
        .map(|tensor| tensor.name.as_str())
        .collect();
    assert!(ignored.contains(&"crf.transitions"), "{ignored:?}");

    // Without a word the tensors speak for themselves; a plain no is taken at its word.
    let path = dir.path().join("config.json");
    let saved = std::fs::read_to_string(&path).unwrap();
    for (field, found) in [("\"other\": true", true), ("\"crf\": false", false)] {
        std::fs::write(&path, saved.replace("\"crf\": true", field)).unwrap();
        let checkpoint = Checkpoint::open(dir.path()).unwrap();
        let loaded = BertForTokenClassification::from_checkpoint(&checkpoint, &device).unwrap();
        assert_eq!(loaded.crf.is_some(), found, "{field}");
    }

    // A model without one does not inherit the statement, and the statement alone is no model.
    model.crf = None;
    model
        .save(dir.path(), checkpoint.config(), &labels)
        .unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    assert!(!checkpoint.config().extra.contains_key("crf"));
    let stated = std::fs::read_to_string(&path)
        .unwrap()
        .replacen('{', "{\"crf\": true,", 1);
    for (text, needle) in [
        (stated.clone(), "crf.transitions"),
        (stated.replace("true", "\"yes\""), "true or false"),
    ] {
        std::fs::write(&path, text).unwrap();
        let checkpoint = Checkpoint::open(dir.path()).unwrap();
        let error = BertForTokenClassification::from_checkpoint(&checkpoint, &device).unwrap_err();
        assert!(error.to_string().contains(needle), "{error}");
        assert!(matches!(error, Error::Core(_)));
    }
}
