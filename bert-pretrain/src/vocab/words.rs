//! The words of a corpus, as the tokenizer will see them, with how often they occur.

use std::collections::HashMap;

use bert_core::tokenizer::{TokenizerOptions, independent_runs};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use crate::Result;
use crate::corpus::{CorpusCounts, RawDocument};

/// Longer runs are seldom met twice.
const LONGEST_REMEMBERED: usize = 32;

/// How often each word occurs.
pub(super) type WordCounts = HashMap<String, u64>;

/// Normalises text and parts it into words and punctuation marks as BERT's tokenizer does.
pub(super) struct WordSplitter {
    normalizer: BertNormalizer,
    ideographs: bool,
}

impl WordSplitter {
    pub(super) fn new(options: &TokenizerOptions) -> Self {
        Self {
            normalizer: BertNormalizer::new(
                true,
                options.tokenize_chinese_chars,
                options.strip_accents,
                options.do_lower_case,
            ),
            ideographs: options.tokenize_chinese_chars,
        }
    }

    /// Counts the words of a text.
    pub(super) fn count<'a>(&self, sentences: impl Iterator<Item = &'a str>) -> Result<WordCounts> {
        let mut words = WordCounts::new();
        // Normalising is the slow part, so each run is normalised once.
        let mut runs: HashMap<&str, u64> = HashMap::new();
        for sentence in sentences {
            for run in independent_runs(sentence, self.ideographs) {
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
        let mut split = PreTokenizedString::from(text);
        split
            .normalize(|text| self.normalizer.normalize(text))
            .and_then(|()| BertPreTokenizer.pre_tokenize(&mut split))
            .map_err(|source| bert_core::Error::Tokenizer {
                reason: "cannot part a text into words".into(),
                source: Some(source),
            })?;
        for (word, _, _) in split.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            add(words, word, count);
        }
        Ok(())
    }
}

/// The words of some documents, with the number of documents, sentences and bytes.
pub(super) fn count_documents(
    splitter: &WordSplitter,
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
    Ok((splitter.count(sentences.into_iter())?, counts))
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
    use super::*;

    fn count(text: &str, options: &TokenizerOptions) -> Vec<(String, u64)> {
        let words = WordSplitter::new(options).count(text.split('|')).unwrap();
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
}
