//! From the scores of tokens to answers (run_squad.py `write_predictions`).

use serde::Serialize;

use super::QuestionSettings;
use super::windows::Window;
use crate::datasets::QuestionExample;
use crate::runner::windows::with_most_context;
use crate::tasks::logits::softmax;
use crate::tasks::stretch::Stretch;

/// Predicted answer to a question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FoundAnswer {
    /// Text of the answer in the context; empty if the model predicts that there is none.
    pub answer: String,
    /// Its first character in the context, counted from 0 in Unicode scalar values.
    pub start: Option<usize>,
    /// The character after its last.
    pub end: Option<usize>,
    /// Its probability among the best answers and, for a model that may say so, "no answer".
    pub score: f32,
    /// By how much the score of "no answer" exceeds that of the best answer.
    pub no_answer: f32,
    /// The best answers by falling score, whether or not one of them is given.
    pub n_best: Vec<AnswerCandidate>,
    /// Windows that the context took.
    #[serde(skip)]
    pub windows: usize,
}

/// A stretch of a context.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnswerCandidate {
    /// Text of the answer in the context.
    pub text: String,
    /// Its first character in the context, counted from 0.
    pub start: usize,
    /// The character after its last.
    pub end: usize,
    /// Its probability.
    pub score: f32,
}

/// A stretch of tokens of a context.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    first: usize,
    last: usize,
    score: f32,
}

/// Candidate answers and the score of "no answer" over all windows of one question.
#[derive(Clone, Debug)]
pub(super) struct Gathered {
    /// The lowest score of "no answer" of all windows: any that holds an answer lowers it.
    null: f32,
    spans: Vec<Span>,
}

impl Default for Gathered {
    fn default() -> Self {
        Self {
            null: f32::MAX,
            spans: Vec::new(),
        }
    }
}

impl Gathered {
    /// Adds the logits of window `number` of `windows`: start and end of each position in turn.
    ///
    /// Only tokens of the context compete. An answer begins in the window that shows its first token
    /// with most context; in the others its beginning would be judged on less.
    pub(super) fn add(
        &mut self,
        windows: &[Window],
        number: usize,
        logits: &[f32],
        settings: &QuestionSettings,
    ) {
        let Window { position, tokens } = &windows[number];
        let logit = |token: usize, end: usize| logits[2 * (position + token - tokens.start) + end];
        self.null = self.null.min(logits[0] + logits[1]);
        let highest = |end: usize, candidates: &mut Vec<usize>| {
            candidates.sort_by(|&a, &b| logit(b, end).total_cmp(&logit(a, end)));
            candidates.truncate(settings.n_best);
        };
        let here = |&token: &usize| {
            let ranges = windows.iter().map(|window| &window.tokens);
            with_most_context(ranges, token) == Some(number)
        };
        let mut firsts: Vec<usize> = tokens.clone().filter(here).collect();
        highest(0, &mut firsts);
        let mut lasts: Vec<usize> = tokens.clone().collect();
        highest(1, &mut lasts);
        for &first in &firsts {
            let fits = |last: &&usize| (first..first + settings.max_answer_length).contains(last);
            self.spans
                .extend(lasts.iter().filter(fits).map(|&last| Span {
                    first,
                    last,
                    score: logit(first, 0) + logit(last, 1),
                }));
        }
        self.keep(settings.n_best);
    }

    fn keep(&mut self, n_best: usize) {
        // Stable: the first of equals stays first.
        self.spans.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.spans.truncate(n_best);
    }

    /// The answer to `question`, whose context has its tokens at the characters `offsets`.
    pub(super) fn answer(
        self,
        question: &QuestionExample,
        offsets: &[(usize, usize)],
        settings: &QuestionSettings,
        windows: usize,
    ) -> FoundAnswer {
        let best = self.spans.first().map(|span| span.score);
        // Finite, as scorers want it, also where there is nothing to choose.
        let no_answer = best.map_or(f32::MAX, |best| self.null - best);
        let mut scores: Vec<f32> = self.spans.iter().map(|span| span.score).collect();
        if settings.null_threshold.is_some() {
            scores.push(self.null);
        }
        let probabilities = softmax(&scores);
        let slice = slicer(&question.context);
        let candidates = self.spans.iter().zip(&probabilities);
        let n_best: Vec<AnswerCandidate> = candidates
            .map(|(span, &score)| {
                let (start, end) = (offsets[span.first].0, offsets[span.last].1);
                let found = Stretch::of_words(slice(start, end), start);
                AnswerCandidate {
                    text: found.text.to_owned(),
                    start: found.start,
                    end: found.end,
                    score,
                }
            })
            .collect();
        let best = best_answer(&n_best, no_answer, settings.null_threshold);
        FoundAnswer {
            answer: best.map_or_else(String::new, |best| best.text.clone()),
            start: best.map(|best| best.start),
            end: best.map(|best| best.end),
            score: match best {
                Some(best) => best.score,
                None => probabilities.last().copied().unwrap_or(0.0),
            },
            no_answer,
            n_best,
            windows,
        }
    }
}

impl FoundAnswer {
    /// The answer with a threshold for "no answer".
    pub(super) fn with_threshold(&self, null_threshold: Option<f64>) -> &str {
        let best = best_answer(&self.n_best, self.no_answer, null_threshold);
        best.map_or("", |best| best.text.as_str())
    }
}

/// The best candidate, unless "no answer" exceeds it by more than the threshold.
fn best_answer(
    n_best: &[AnswerCandidate],
    no_answer: f32,
    null_threshold: Option<f64>,
) -> Option<&AnswerCandidate> {
    let silent = null_threshold.is_some_and(|threshold| f64::from(no_answer) > threshold);
    n_best.first().filter(|_| !silent)
}

/// Stretches of a text by characters.
fn slicer<'a>(text: &'a str) -> impl Fn(usize, usize) -> &'a str {
    let bytes: Vec<usize> = text.char_indices().map(|(byte, _)| byte).collect();
    let byte = move |character: usize| bytes.get(character).copied().unwrap_or(text.len());
    move |start, end| &text[byte(start)..byte(end).max(byte(start))]
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFSETS: [(usize, usize); 4] = [(0, 1), (2, 5), (6, 7), (7, 9)];

    fn question() -> QuestionExample {
        QuestionExample {
            id: "q".to_owned(),
            question: "?".to_owned(),
            context: "字 née x二三".into(),
            answers: Vec::new(),
            is_impossible: false,
            title: "".into(),
        }
    }

    fn settings(null_threshold: Option<f64>) -> QuestionSettings {
        QuestionSettings {
            max_answer_length: 2,
            n_best: 3,
            null_threshold,
            ..QuestionSettings::usual(12)
        }
    }

    /// Starts and ends of `[CLS] ? [SEP]`, the tokens of the window, and `[SEP]`.
    fn logits(null: f32, starts: &[f32], ends: &[f32]) -> Vec<f32> {
        let mut logits = vec![null, null, 99.0, 99.0, 99.0, 99.0];
        logits.extend(
            starts
                .iter()
                .zip(ends)
                .flat_map(|(start, end)| [*start, *end]),
        );
        logits.extend([99.0, 99.0]);
        logits
    }

    fn answer(windows: &[(Window, Vec<f32>)], settings: &QuestionSettings) -> FoundAnswer {
        let (spans, logits): (Vec<_>, Vec<_>) = windows.iter().cloned().unzip();
        let mut gathered = Gathered::default();
        for (number, logits) in logits.iter().enumerate() {
            gathered.add(&spans, number, logits, settings);
        }
        gathered.answer(&question(), &OFFSETS, settings, spans.len())
    }

    fn window(tokens: std::ops::Range<usize>) -> Window {
        Window {
            position: 3,
            tokens,
        }
    }

    #[test]
    fn the_best_span_that_is_not_too_long_is_cut_from_the_context() {
        let logits = logits(0.5, &[3.0, 1.0, 2.5, 0.0], &[0.0, 1.0, 1.5, 4.0]);
        let found = answer(&[(window(0..4), logits.clone())], &settings(None));
        // Tokens 0 to 3 would be the best, and have four tokens.
        assert_eq!(
            (found.answer.as_str(), found.start, found.end),
            ("x二三", Some(6), Some(9))
        );
        let texts: Vec<&str> = found.n_best.iter().map(|best| best.text.as_str()).collect();
        // 二三 alone is as good as x, but the last token is not among the three best beginnings.
        assert_eq!(texts, ["x二三", "字 née", "x"]);
        assert_eq!(found.no_answer, 1.0 - 6.5);
        let sum: f32 = found.n_best.iter().map(|best| best.score).sum();
        assert!((sum - 1.0).abs() < 1e-6 && found.score == found.n_best[0].score);
    }

    #[test]
    fn no_answer_is_given_above_the_threshold() {
        let logits = logits(3.0, &[0.0; 4], &[1.0, 0.0, 0.0, 0.0]);
        let windows = [(window(0..4), logits)];
        let silent = answer(&windows, &settings(Some(4.9)));
        assert_eq!((silent.answer.as_str(), silent.start), ("", None));
        assert_eq!(
            (silent.no_answer, silent.n_best[0].text.as_str()),
            (5.0, "字")
        );
        assert!(silent.score > 0.9);
        let said = answer(&windows, &settings(Some(5.0)));
        assert_eq!(said.answer, "字");
        // A model that always answers counts no "no answer" among the probabilities.
        assert!(answer(&windows, &settings(None)).score > 10.0 * said.score);
    }

    #[test]
    fn of_two_windows_the_one_with_more_context_speaks_for_a_beginning() {
        let windows = [
            (
                window(0..3),
                logits(7.0, &[0.0, 0.0, 9.0], &[0.0, 0.0, 9.0]),
            ),
            (
                window(1..4),
                logits(-2.0, &[8.0, 1.0, 0.0], &[0.0, 1.0, 0.0]),
            ),
        ];
        let found = answer(&windows, &settings(None));
        // Token 2 belongs to the second window, token 1 to the first.
        assert_eq!(found.n_best[0].text, "née x");
        assert_eq!((found.windows, found.no_answer), (2, -4.0 - 9.0));
    }

    #[test]
    fn a_context_without_tokens_has_no_answer() {
        let found = answer(&[(window(0..0), logits(1.0, &[], &[]))], &settings(None));
        assert_eq!((found.answer.as_str(), found.score), ("", 0.0));
        assert!(found.no_answer.is_finite() && found.n_best.is_empty());
    }
}
