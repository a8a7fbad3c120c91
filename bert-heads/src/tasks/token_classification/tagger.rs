//! Tags of words, and the entities they make, with their places in the text.

use std::path::Path;

use bert_core::batch::BertInput;
use bert_core::checkpoint::Checkpoint;
use bert_core::stop::ShouldStop;
use bert_core::tokenizer::{BertTokenizer, EncodeOptions, Encoding, TextInput};
use burn::tensor::{Device, Tensor};
use serde::Serialize;

use super::{BertForTokenClassification, Crf, CrfChain, HEAD};
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::metrics::{TagReading, entities};
use crate::runner::{Featurizer, PredictOptions, RowModel, WordRows, run_rows};
use crate::task::Overrule;
use crate::tasks::logits::{argmax, softmax};
use crate::tasks::stretch::Stretch;

/// A fine-tuned token classifier with all that it takes to ask it.
pub struct TokenTagger {
    model: BertForTokenClassification,
    /// Chooses the labels of a sentence together.
    chain: Option<CrfChain>,
    featurizer: Featurizer,
    labels: Labels,
    /// True if every label is a tag of a scheme, so that entities can be decoded.
    tags: bool,
}

/// The tag of a word.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WordTag {
    /// The likeliest label, or with a [`Crf`] that of the likeliest sequence; for a word without a token `O`, or the first label where there is none.
    pub label: String,
    /// Its probability, with a [`Crf`] over all sequences; 0 for a word without a token.
    pub score: f32,
}

/// A named stretch of a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FoundEntity {
    /// Its label, without the letter of the scheme.
    pub label: String,
    /// Text of the entity.
    pub text: String,
    /// Its first character, counted from 0 in Unicode scalar values.
    pub start: usize,
    /// The character after its last.
    pub end: usize,
    /// Mean of the probabilities of its words' tags.
    pub score: f32,
}

/// A word of a text and its tag.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaggedWord {
    /// Text of the word.
    pub text: String,
    /// Its first character, counted from 0.
    pub start: usize,
    /// The character after its last.
    pub end: usize,
    /// Its tag.
    #[serde(flatten)]
    pub tag: WordTag,
}

/// Entities or tagged words of a text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaggedText {
    /// Entities, where the labels are tags of a scheme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entities: Option<Vec<FoundEntity>>,
    /// Words with their labels, where they are something else, such as parts of speech.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<Vec<TaggedWord>>,
    /// Windows that the text took; 1 unless it is longer than the model reads.
    #[serde(skip)]
    pub windows: usize,
}

impl TokenTagger {
    /// Loads model and tokenizer from a model directory.
    ///
    /// # Errors
    ///
    /// Those of [`TextClassifier::from_dir`](crate::tasks::sequence_classification::TextClassifier::from_dir).
    pub fn from_dir(
        dir: impl AsRef<Path>,
        options: &PredictOptions,
        device: &Device,
    ) -> Result<Self> {
        Self::open(dir, options, &Overrule::default(), device)
    }

    /// Loads model and tokenizer from a model directory, of which `overrule` knows better.
    ///
    /// # Errors
    ///
    /// Those of [`TextClassifier::open`](crate::tasks::sequence_classification::TextClassifier::open).
    pub fn open(
        dir: impl AsRef<Path>,
        options: &PredictOptions,
        overrule: &Overrule,
        device: &Device,
    ) -> Result<Self> {
        let checkpoint = Checkpoint::open(&dir)?;
        let config = checkpoint.config();
        if overrule.task.is_none() {
            HEAD.check(&checkpoint)?;
        }
        let labels = overrule.labels(&checkpoint, HEAD.outputs(&checkpoint)?)?;
        let model = BertForTokenClassification::from_weights(&checkpoint, device)?;
        let model = options.pack_weights(model)?;
        Ok(Self {
            chain: model.crf.as_ref().map(Crf::chain).transpose()?,
            tags: are_tags(&labels),
            labels,
            featurizer: Featurizer::new(BertTokenizer::from_dir(dir)?, config, options)?
                .on(config, device)?,
            model,
        })
    }

    /// Calls the outputs by other names.
    ///
    /// # Errors
    ///
    /// [`Error::LabelNames`] when there is not one name per output.
    pub fn with_labels(mut self, labels: Labels) -> Result<Self> {
        labels.check_outputs(&self.model.classifier)?;
        self.tags = are_tags(&labels);
        self.labels = labels;
        Ok(self)
    }

    /// The names of the outputs.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Most tokens of a row; longer texts are read in windows.
    pub fn max_length(&self) -> usize {
        self.featurizer.max_length()
    }

    /// A tag for each word of sentences that come as words.
    ///
    /// # Errors
    ///
    /// Those of the tokenizer, [`Error::Core`], and [`Error::NotFinite`] for outputs that are no
    /// numbers.
    pub fn tag_words<'a>(
        &self,
        sentences: impl IntoIterator<Item = &'a [String]>,
    ) -> Result<Vec<Vec<WordTag>>> {
        self.tags(&self.featurizer.words(sentences)?)
    }

    /// Tags running texts. Their words are what stands between spaces and punctuation, each
    /// punctuation mark and each ideograph, as the tokenizer parts them.
    ///
    /// # Errors
    ///
    /// Those of [`tag_words`](Self::tag_words).
    pub fn tag_texts(&self, texts: &[impl AsRef<str>]) -> Result<Vec<TaggedText>> {
        let plain = EncodeOptions {
            add_special_tokens: false,
            ..EncodeOptions::default()
        };
        let inputs = texts.iter().map(|text| TextInput::Single(text.as_ref()));
        let encodings = self.featurizer.tokenizer().encode_batch(inputs, &plain)?;
        let mut features = WordRows::default();
        let mut words_of_texts = Vec::with_capacity(texts.len());
        for encoding in &encodings {
            let words = words(encoding);
            let first_tokens = words.iter().map(|word| Some(word.token));
            self.featurizer
                .push_words(encoding.ids(), first_tokens, &mut features);
            words_of_texts.push(words);
        }
        let tags = self.tags(&features)?;
        let texts = texts.iter().map(AsRef::as_ref).zip(words_of_texts);
        texts
            .zip(tags.into_iter().zip(features.windows))
            .map(|((text, words), (tags, windows))| self.found(text, &words, tags, windows))
            .collect()
    }

    pub(super) fn featurizer(&self) -> &Featurizer {
        &self.featurizer
    }

    pub(super) fn chain(&self) -> Option<&CrfChain> {
        self.chain.as_ref()
    }

    pub(super) fn model(&self) -> &BertForTokenClassification {
        &self.model
    }

    fn tags(&self, features: &WordRows) -> Result<Vec<Vec<WordTag>>> {
        Ok(self.tags_of(word_logits(
            &self.model,
            &self.featurizer,
            features,
            &|| false,
        )?))
    }

    pub(super) fn tags_of(&self, logits: Vec<Vec<Option<Vec<f32>>>>) -> Vec<Vec<WordTag>> {
        let tag = |found: Option<(usize, f32)>| WordTag {
            label: tag_or_outside(&self.labels, found.map(|(tag, _)| tag)).to_owned(),
            score: found.map_or(0.0, |(_, probability)| probability),
        };
        logits
            .iter()
            .map(|sentence| {
                let found = decode(self.chain.as_ref(), sentence);
                found.into_iter().map(tag).collect()
            })
            .collect()
    }

    fn found(
        &self,
        text: &str,
        words: &[TextWord],
        tags: Vec<WordTag>,
        windows: usize,
    ) -> Result<TaggedText> {
        // Byte offsets of the characters, for slices of the text.
        let mut bytes: Vec<usize> = text.char_indices().map(|(byte, _)| byte).collect();
        bytes.push(text.len());
        let stretch =
            |start: usize, end: usize| Stretch::of_words(&text[bytes[start]..bytes[end]], start);
        if !self.tags {
            let tagged = words.iter().zip(tags).map(|(word, tag)| {
                let Stretch { text, start, end } = stretch(word.start, word.end);
                TaggedWord {
                    text: text.to_owned(),
                    start,
                    end,
                    tag,
                }
            });
            return Ok(TaggedText {
                entities: None,
                words: Some(tagged.collect()),
                windows,
            });
        }
        let labels: Vec<&str> = tags.iter().map(|tag| tag.label.as_str()).collect();
        let found = entities(&labels, TagReading::Lenient)?
            .into_iter()
            .filter_map(|entity| {
                let (first, last) = (&words[entity.start], &words[entity.end - 1]);
                let Stretch { text, start, end } = stretch(first.start, last.end);
                let scores = tags[entity.start..entity.end].iter().map(|tag| tag.score);
                // Tokens of white space alone name nothing.
                (!text.trim().is_empty()).then(|| FoundEntity {
                    text: text.to_owned(),
                    start,
                    end,
                    score: scores.sum::<f32>() / (entity.end - entity.start) as f32,
                    label: entity.label,
                })
            });
        Ok(TaggedText {
            entities: Some(found.collect()),
            words: None,
            windows,
        })
    }
}

impl std::fmt::Debug for TokenTagger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenTagger")
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

/// A word of a running text.
pub(crate) struct TextWord {
    /// Its first token.
    pub(crate) token: usize,
    /// In characters.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The words of a text without special tokens.
pub(crate) fn words(encoding: &Encoding) -> Vec<TextWord> {
    let mut words: Vec<TextWord> = Vec::new();
    let mut last = None;
    let tokens = encoding
        .word_ids()
        .iter()
        .zip(encoding.offsets())
        .enumerate();
    for (token, (word, &(start, end))) in tokens {
        match words.last_mut() {
            Some(known) if word.is_some() && *word == last => known.end = known.end.max(end),
            _ => words.push(TextWord { token, start, end }),
        }
        last = *word;
    }
    words
}

/// True if every label is a tag, so that entities can be decoded.
pub(crate) fn are_tags(labels: &Labels) -> bool {
    entities(labels.names(), TagReading::Lenient).is_ok()
}

/// The label and probability of each word of a sentence: the likeliest one or, with a chain, that of
/// the likeliest sequence. `None` for a word without a token, over which a chain passes.
pub(crate) fn decode(
    chain: Option<&CrfChain>,
    sentence: &[Option<Vec<f32>>],
) -> Vec<Option<(usize, f32)>> {
    let Some(chain) = chain else {
        let best = |logits: &Vec<f32>| {
            let best = argmax(logits);
            (best, softmax(logits)[best])
        };
        return sentence
            .iter()
            .map(|word| word.as_ref().map(best))
            .collect();
    };
    let words = with_token(sentence);
    let mut found = chain.best(&words).into_iter().zip(chain.marginals(&words));
    sentence
        .iter()
        .map(|word| {
            word.as_ref()?;
            let (tag, probabilities) = found.next()?;
            Some((tag, probabilities[tag] as f32))
        })
        .collect()
}

/// The logits of the words that have a token.
pub(crate) fn with_token(sentence: &[Option<Vec<f32>>]) -> Vec<&[f32]> {
    sentence.iter().flatten().map(Vec::as_slice).collect()
}

/// The name of a label; `O` for a word without a token, or the first label where there is none.
pub(crate) fn tag_or_outside(labels: &Labels, tag: Option<usize>) -> &str {
    let id = tag.unwrap_or_else(|| labels.id("O").unwrap_or(0));
    labels.name(id).unwrap_or_default()
}

impl RowModel for BertForTokenClassification {
    fn row_logits(&self, input: BertInput) -> Tensor<3> {
        self.forward(input)
    }

    fn device(&self) -> Device {
        self.classifier.weight.val().device()
    }
}

/// The logits of each word of each sentence; `None` for words without a token.
pub(crate) fn word_logits(
    model: &BertForTokenClassification,
    featurizer: &Featurizer,
    sentences: &WordRows,
    should_stop: ShouldStop<'_>,
) -> Result<Vec<Vec<Option<Vec<f32>>>>> {
    let [_, outputs] = model.classifier.weight.val().dims();
    let rows = &sentences.rows;
    // By row, what to read from it: sentence, word, position.
    let mut wanted: Vec<Vec<(usize, usize, usize)>> = vec![Vec::new(); rows.len()];
    let mut found: Vec<Vec<Option<Vec<f32>>>> = Vec::with_capacity(sentences.of_sentence.len());
    for (sentence, positions) in sentences.of_sentence.iter().enumerate() {
        found.push(vec![None; positions.len()]);
        for (word, position) in positions.iter().enumerate() {
            if let Some((row, position)) = *position {
                wanted[row].push((sentence, word, position));
            }
        }
    }
    run_rows(model, featurizer, rows, should_stop, |row, values| {
        for &(sentence, word, position) in &wanted[row] {
            let logits = &values[position * outputs..][..outputs];
            if logits.iter().any(|value| !value.is_finite()) {
                return Err(Error::NotFinite { index: sentence });
            }
            found[sentence][word] = Some(logits.to_vec());
        }
        Ok(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_a_scheme_are_told_from_others() {
        let labels = |names: &[&str]| Labels::new(names.iter().copied()).unwrap();
        assert!(are_tags(&labels(&["O", "B-PER", "I-PER", "S-LOC"])));
        assert!(!are_tags(&labels(&["NN", "VB"])));
        assert_eq!(tag_or_outside(&labels(&["B-A", "O"]), None), "O");
        assert_eq!(tag_or_outside(&labels(&["NN", "VB"]), None), "NN");
        assert_eq!(tag_or_outside(&labels(&["NN", "VB"]), Some(1)), "VB");
    }

    #[test]
    fn a_chain_passes_over_words_without_a_token() {
        // After tag 1 only tag 1 may come.
        let chain = CrfChain::new(vec![0.0, 0.0, -9.0, 9.0], vec![0.0; 2], vec![0.0; 2]);
        let sentence = [Some(vec![0.0, 1.0]), None, Some(vec![1.0, 0.0])];
        let alone: Vec<_> = decode(None, &sentence)
            .into_iter()
            .map(|w| w.map(|w| w.0))
            .collect();
        assert_eq!(alone, [Some(1), None, Some(0)]);
        let together = decode(Some(&chain), &sentence);
        let tags: Vec<_> = together.iter().map(|w| w.map(|w| w.0)).collect();
        assert_eq!(tags, [Some(1), None, Some(1)]);
        assert!(
            together
                .iter()
                .flatten()
                .all(|(_, probability)| *probability > 0.99)
        );
    }
}
