//! The words of a corpus, as the tokenizer will see them, with how often they occur.

use std::collections::HashMap;

use bert_core::tokenizer::{BertTokenizer, TextSplitter, independent_runs};

use crate::Result;
use crate::corpus::{CorpusCounts, RawDocument};

/// Longer runs are seldom met twice.
const LONGEST_REMEMBERED: usize = 32;

/// Count of each word.
pub(super) type WordCounts = HashMap<String, u64>;

/// Counts the words of a text as a tokenizer parts it.
pub(super) struct WordCounter(TextSplitter);

impl WordCounter {
    /// Counts words as `tokenizer` parts text.
    pub(super) fn new(tokenizer: &BertTokenizer) -> Self {
        Self(tokenizer.text_splitter())
    }

    /// Counts the words of a text.
    pub(super) fn count<'a>(&self, sentences: impl Iterator<Item = &'a str>) -> Result<WordCounts> {
        let mut words = WordCounts::new();
        let Some(ideographs) = self.0.independent_runs() else {
            for sentence in sentences {
                self.split(sentence, 1, &mut words)?;
            }
            return Ok(words);
        };
        // Normalising is the slow part, so each run is normalised once.
        let mut runs: HashMap<&str, u64> = HashMap::new();
        for sentence in sentences {
            for run in independent_runs(sentence, ideographs) {
                match run.len() <= LONGEST_REMEMBERED {
                    true => *runs.entry(run).or_default() += 1,
                    false => self.split(run, 1, &mut words)?,
                }
            }
        }
        for (run, count) in runs {
            self.split(run, count, &mut words)?;
        }
        Ok(words)
    }

    fn split(&self, text: &str, count: u64, words: &mut WordCounts) -> Result<()> {
        Ok(self.0.for_each_word(text, |word| add(words, word, count))?)
    }
}

/// The words of some documents, with the number of documents, sentences and bytes.
pub(super) fn count_documents(
    counter: &WordCounter,
    documents: &[RawDocument],
) -> Result<(WordCounts, CorpusCounts)> {
    let mut counts = CorpusCounts::default();
    let sentences: Vec<&str> = documents
        .iter()
        .flat_map(|document| {
            let sentences: Vec<&str> = document.sentences().collect();
            let bytes = sentences.iter().map(|sentence| sentence.len() as u64).sum();
            counts.add_document(sentences.len() as u64, bytes, 0);
            sentences
        })
        .collect();
    Ok((counter.count(sentences.into_iter())?, counts))
}

/// Adds to the count of a word, which is copied only if it is new.
pub(super) fn add(words: &mut WordCounts, word: &str, count: u64) {
    match words.get_mut(word) {
        Some(known) => *known += count,
        None => {
            words.insert(word.to_owned(), count);
        }
    }
}

#[cfg(test)]
mod tests {
    use bert_core::models::{BERT, Family, MODERNBERT, XLM_ROBERTA};
    use bert_core::tokenizer::{TokenizerOptions, Vocabulary};

    use super::*;

    fn count(text: &str, options: &TokenizerOptions) -> Vec<(String, u64)> {
        count_in(&BERT, text, options)
    }

    fn count_in(
        family: &'static Family,
        text: &str,
        options: &TokenizerOptions,
    ) -> Vec<(String, u64)> {
        let tokenizer = BertTokenizer::of_family(family, Vocabulary::empty(family), options);
        let words = WordCounter::new(&tokenizer.unwrap())
            .count(text.split('|'))
            .unwrap();
        let mut words: Vec<_> = words.into_iter().collect();
        words.sort();
        words
    }

    #[test]
    fn words_are_those_of_the_tokenizer() {
        let text = "The cat, the CAT|The\u{a0}café.|孙亮 a\u{0}b \u{300}";
        let uncased = [
            (",", 1),
            (".", 1),
            ("ab", 1),
            ("cafe", 1),
            ("cat", 2),
            ("the", 3),
            ("亮", 1),
            ("孙", 1),
        ];
        let expected = uncased.map(|(word, count)| (word.to_owned(), count));
        assert_eq!(count(text, &TokenizerOptions::default()), expected);

        let cased = TokenizerOptions {
            do_lower_case: false,
            tokenize_chinese_chars: false,
            ..Default::default()
        };
        let words = count(text, &cased);
        for word in ["The", "CAT", "café", "孙亮"] {
            assert!(words.iter().any(|(known, _)| known == word), "{word}");
        }
    }

    #[test]
    fn words_of_other_kinds_carry_the_space_before_them() {
        let expected = |words: &[(&str, u64)]| -> Vec<(String, u64)> {
            words
                .iter()
                .map(|(word, count)| ((*word).to_owned(), *count))
                .collect()
        };
        let options = TokenizerOptions::default();
        // Composed first, so that the accent is one character, of two bytes.
        let bytes = count_in(&MODERNBERT, "The cat, e\u{301}t|a cat", &options);
        let words = [(",", 1), ("The", 1), ("a", 1), ("Ġcat", 2), ("ĠÃ©t", 1)];
        assert_eq!(bytes, expected(&words));
        let pieces = count_in(&XLM_ROBERTA, "The  cat, ét|a cat", &options);
        let words = [
            ("▁The", 1),
            ("▁a", 1),
            ("▁cat", 1),
            ("▁cat,", 1),
            ("▁ét", 1),
        ];
        assert_eq!(pieces, expected(&words));
    }
}
