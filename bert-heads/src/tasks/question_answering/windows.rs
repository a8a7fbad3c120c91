//! Questions with windows of their contexts (run_squad.py `convert_examples_to_features`).

use std::ops::Range;
use std::sync::Arc;

use bert_core::tokenizer::EncodeOptions;

use super::QuestionSettings;
use crate::datasets::QuestionExample;
use crate::error::{Error, Result};
use crate::runner::{Featurizer, Row, windows};

/// Cuts contexts into rows that begin with their question.
#[derive(Clone, Debug)]
pub struct QuestionFeaturizer {
    rows: Featurizer,
    settings: QuestionSettings,
}

/// The rows of some questions.
#[derive(Clone, Debug, Default)]
pub struct QuestionRows {
    /// The rows of all questions, one question after the other.
    pub rows: Vec<Row>,
    /// Which of them belong to each question; more than one where the context is long.
    pub of_question: Vec<Range<usize>>,
    /// Window of the context in each row.
    pub(super) windows: Vec<Window>,
    /// Character ranges of the tokens of each question's context.
    pub(super) offsets: Vec<Arc<[(usize, usize)]>>,
}

/// Part of a context that a row covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Position of its first token in the row.
    pub(super) position: usize,
    /// Its tokens, counted in the context.
    pub(super) tokens: Range<usize>,
}

impl QuestionFeaturizer {
    /// Windows by `settings`; the rows are those of `rows`, whose maximal length counts.
    ///
    /// # Errors
    ///
    /// Those of [`QuestionSettings::check`].
    pub fn new(rows: Featurizer, settings: QuestionSettings) -> Result<Self> {
        let settings = QuestionSettings {
            max_length: rows.max_length(),
            ..settings
        };
        settings.check()?;
        let special = rows.tokenizer().special_token_count(true);
        if settings.max_query_length + special >= settings.max_length {
            return Err(Error::InvalidOption {
                option: "maximal question length",
                value: format!(
                    "{} of {} tokens",
                    settings.max_query_length, settings.max_length
                ),
                expected: "room for the special tokens and a token of the context beside it",
            });
        }
        Ok(Self { rows, settings })
    }

    /// Settings of windows and answers.
    pub fn settings(&self) -> &QuestionSettings {
        &self.settings
    }

    pub(super) fn rows(&self) -> &Featurizer {
        &self.rows
    }

    /// The rows of questions. Neighbours with one context share its tokens.
    ///
    /// # Errors
    ///
    /// Those of the tokenizer.
    pub fn questions(&self, questions: &[QuestionExample]) -> Result<QuestionRows> {
        let plain = EncodeOptions {
            add_special_tokens: false,
            ..EncodeOptions::default()
        };
        let short = EncodeOptions {
            max_length: Some(self.settings.max_query_length),
            ..plain.clone()
        };
        let tokenizer = self.rows.tokenizer();
        let texts = questions.iter().map(|question| question.question.as_str());
        let encodings = tokenizer.encode_batch(texts, &short)?;
        let same = |a: &QuestionExample, b: &QuestionExample| a.context == b.context;
        let contexts = questions.chunk_by(same).map(|chunk| &*chunk[0].context);
        let contexts = tokenizer.encode_batch(contexts, &plain)?;

        let special = tokenizer.special_token_count(true);
        let mut features = QuestionRows::default();
        let mut encodings = encodings.iter();
        for (chunk, context) in questions.chunk_by(same).zip(&contexts) {
            let offsets: Arc<[(usize, usize)]> = context.offsets().into();
            for question in encodings.by_ref().take(chunk.len()) {
                let start = features.rows.len();
                let position = tokenizer.second_text_start(question.len());
                let room = self.settings.max_length - question.len() - special;
                let step = self.settings.doc_stride.min(room);
                for tokens in windows::strided(context.len(), room, step) {
                    let second = &context.ids()[tokens.clone()];
                    features
                        .rows
                        .push(self.rows.frame(question.ids(), Some(second)));
                    features.windows.push(Window { position, tokens });
                }
                features.of_question.push(start..features.rows.len());
                features.offsets.push(Arc::clone(&offsets));
            }
        }
        self.rows.check(&features.rows)?;
        Ok(features)
    }
}

impl QuestionRows {
    /// The first and the last position of the first gold answer in every row: twice 0, where `[CLS]`
    /// stands, if the window does not hold the whole of it or there is none.
    pub fn targets(&self, questions: &[QuestionExample]) -> Vec<(usize, usize)> {
        let mut targets = Vec::with_capacity(self.rows.len());
        let all = questions.iter().zip(&self.of_question).zip(&self.offsets);
        for ((question, rows), offsets) in all {
            let answer = answer_tokens(question, offsets);
            targets.extend(
                self.windows[rows.clone()]
                    .iter()
                    .map(|window| match &answer {
                        Some((first, last))
                            if window.tokens.contains(first) && window.tokens.contains(last) =>
                        {
                            let place = |token| token - window.tokens.start + window.position;
                            (place(*first), place(*last))
                        }
                        _ => (0, 0),
                    }),
            );
        }
        targets
    }
}

/// The first and last token of the context that the first gold answer touches.
fn answer_tokens(question: &QuestionExample, offsets: &[(usize, usize)]) -> Option<(usize, usize)> {
    let answer = question.answers.first()?;
    let end = answer.start + answer.text.chars().count();
    let first = offsets.iter().position(|token| token.1 > answer.start)?;
    let last = offsets.iter().rposition(|token| token.0 < end)?;
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use bert_core::config::BertConfig;
    use bert_core::tokenizer::{BertTokenizer, TokenizerOptions};

    use super::*;
    use crate::datasets::Answer;
    use crate::runner::PredictOptions;

    /// Letters have the ids 5 to 30.
    fn featurizer(max_length: usize, doc_stride: usize) -> QuestionFeaturizer {
        let vocab = "[PAD] [UNK] [CLS] [SEP] [MASK]"
            .split(' ')
            .map(String::from);
        let vocab = vocab.chain(('a'..='z').map(String::from));
        let tokenizer = BertTokenizer::from_vocab(vocab, &TokenizerOptions::default()).unwrap();
        let options = PredictOptions {
            max_length: Some(max_length),
            ..PredictOptions::default()
        };
        let config = BertConfig::new(31, 12, 1, 2, 13);
        let rows = Featurizer::new(tokenizer, &config, &options).unwrap();
        let settings = QuestionSettings {
            doc_stride,
            max_query_length: 3,
            ..QuestionSettings::usual(max_length)
        };
        QuestionFeaturizer::new(rows, settings).unwrap()
    }

    fn question(question: &str, context: &str, answer: Option<(&str, usize)>) -> QuestionExample {
        QuestionExample {
            id: "q".to_owned(),
            question: question.to_owned(),
            context: context.into(),
            answers: answer
                .map(|(text, start)| Answer {
                    text: text.to_owned(),
                    start,
                })
                .into_iter()
                .collect(),
            is_impossible: answer.is_none(),
            title: "".into(),
        }
    }

    #[test]
    fn windows_begin_a_stride_apart_and_cover_the_context() {
        let questions = [
            question("x y z w", "a b c d e f g h i j k", None),
            question("x", "a b c d e f g h i j k", None),
            question("x", "a b", None),
            question("x", "\u{ad}", None),
        ];
        let features = featurizer(11, 2).questions(&questions).unwrap();
        assert_eq!(features.of_question, [0..4, 4..7, 7..8, 8..9]);
        // The question is cut to three tokens.
        assert_eq!(features.rows[0].ids, [2, 28, 29, 30, 3, 5, 6, 7, 8, 9, 3]);
        assert_eq!(features.rows[0].type_ids, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
        let tokens: Vec<_> = features.windows[..4]
            .iter()
            .map(|w| w.tokens.clone())
            .collect();
        assert_eq!(tokens, [0..5, 2..7, 4..9, 6..11]);
        assert_eq!(features.rows[7].ids, [2, 28, 3, 5, 6, 3]);
        assert_eq!(features.rows[8].ids, [2, 28, 3, 3]);
        assert!(Arc::ptr_eq(&features.offsets[0], &features.offsets[1]));
        // A stride beyond the window leaves nothing out.
        let features = featurizer(11, 99).questions(&questions[..1]).unwrap();
        let tokens: Vec<_> = features.windows.iter().map(|w| w.tokens.clone()).collect();
        assert_eq!(tokens, [0..5, 5..10, 10..11]);
    }

    #[test]
    fn answers_are_found_in_the_windows_that_hold_the_whole_of_them() {
        let context = "a b c Déf g h i j k";
        let questions = [
            question("x y z", context, Some(("Déf g", 6))),
            question("x y z", context, None),
        ];
        // `Déf` is one unknown word, so that characters and tokens part ways.
        let features = featurizer(11, 2).questions(&questions).unwrap();
        assert_eq!(features.of_question, [0..3, 3..6]);
        let targets = features.targets(&questions);
        assert_eq!(targets[..3], [(8, 9), (6, 7), (0, 0)]);
        assert_eq!(targets[3..], [(0, 0); 3]);
        assert_eq!(features.rows[0].ids[8..10], [1, 11]);
    }
}
