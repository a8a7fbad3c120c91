//! Special tokens around texts that are token ids already.

use tokenizers::{PostProcessor, PostProcessorWrapper, Token};

use super::{BertTokenizer, failed};
use crate::Result;

/// Special tokens around one text and around two, as the post-processor of a tokenizer puts them.
#[derive(Clone, Debug)]
pub struct Frames([Frame; 2]);

/// Special tokens around one text or two.
#[derive(Clone, Debug)]
struct Frame(Vec<Part>);

/// A special token or a text, and its segment.
#[derive(Clone, Copy, Debug)]
enum Part {
    Special { id: u32, segment: u32 },
    Text { index: usize, segment: u32 },
}

impl Frames {
    /// Frames of `processor`; without `segments`, all tokens are of segment 0.
    pub(super) fn new(processor: &PostProcessorWrapper, segments: bool) -> Result<Self> {
        let one = Frame::new(processor, 1, segments)?;
        Ok(Self([one, Frame::new(processor, 2, segments)?]))
    }

    /// Token ids and segments of one text or two with the special tokens around them: `[CLS] A [SEP]` and
    /// `[CLS] A [SEP] B [SEP]` for BERT.
    pub fn with_special_tokens(
        &self,
        first: &[u32],
        second: Option<&[u32]>,
    ) -> (Vec<u32>, Vec<u32>) {
        let [single, pair] = &self.0;
        match second {
            None => single.fill([first, &[]]),
            Some(second) => pair.fill([first, second]),
        }
    }

    /// The number of special tokens around one text, or around a pair.
    pub fn special_token_count(&self, is_pair: bool) -> usize {
        let special = self.0[usize::from(is_pair)].0.iter();
        special
            .filter(|part| matches!(part, Part::Special { .. }))
            .count()
    }
}

impl Frame {
    /// The frame of `texts` texts, 1 or 2, found by putting texts of one token into it.
    fn new(processor: &PostProcessorWrapper, texts: u32, segments: bool) -> Result<Self> {
        let mut text = (0..texts).map(|segment| {
            let token = Token::new(segment, "a".to_owned(), (0, 1));
            tokenizers::Encoding::from_tokens(vec![token], segment)
        });
        let first = text.next().unwrap_or_default();
        let framed = processor
            .process(first, text.next(), true)
            .map_err(|source| failed("cannot add the special tokens", source))?;
        let ids = framed.get_ids().iter().zip(framed.get_type_ids());
        let parts = ids.zip(framed.get_sequence_ids());
        let parts = parts.map(|((&id, &segment), text)| {
            let segment = if segments { segment } else { 0 };
            match text {
                Some(index) => Part::Text { index, segment },
                None => Part::Special { id, segment },
            }
        });
        Ok(Self(parts.collect()))
    }

    /// Token ids and segments of `texts` in the frame.
    fn fill(&self, texts: [&[u32]; 2]) -> (Vec<u32>, Vec<u32>) {
        let (mut ids, mut segments) = (Vec::new(), Vec::new());
        for part in &self.0 {
            let (tokens, segment) = match part {
                Part::Special { id, segment } => (std::slice::from_ref(id), segment),
                Part::Text { index, segment } => (texts[*index], segment),
            };
            ids.extend_from_slice(tokens);
            segments.resize(ids.len(), *segment);
        }
        (ids, segments)
    }
}

impl BertTokenizer {
    /// Special tokens around token ids.
    pub fn frames(&self) -> &Frames {
        &self.frames
    }

    /// Token ids and segments of one text or two with the special tokens around them
    /// ([`Frames::with_special_tokens`]).
    pub fn with_special_tokens(
        &self,
        first: &[u32],
        second: Option<&[u32]>,
    ) -> (Vec<u32>, Vec<u32>) {
        self.frames.with_special_tokens(first, second)
    }

    /// The number of special tokens around one text, or around a pair.
    pub fn special_token_count(&self, is_pair: bool) -> usize {
        self.frames.special_token_count(is_pair)
    }

    /// Index of the second text's first token where the first text of a pair has `first` tokens.
    pub fn second_text_start(&self, first: usize) -> usize {
        let Frames([_, pair]) = &self.frames;
        let is_second = |part: &Part| matches!(part, Part::Text { index: 1, .. });
        let before = pair.0.iter().take_while(|part| !is_second(part));
        let special = before.filter(|part| matches!(part, Part::Special { .. }));
        special.count() + first
    }
}

#[cfg(test)]
mod tests {
    use crate::tokenizer::EncodeOptions;
    use crate::tokenizer::TokenizerOptions;
    use crate::tokenizer::tests::tiny;

    #[test]
    fn frames_are_those_of_encoding() {
        let tokenizer = tiny(&TokenizerOptions::default());
        let plain = EncodeOptions {
            add_special_tokens: false,
            ..EncodeOptions::default()
        };
        let ids = |text: &str| tokenizer.encode(text, &plain).unwrap().ids().to_vec();
        for first in ["the cat", ""] {
            let whole = tokenizer.encode(first, &EncodeOptions::default()).unwrap();
            let framed = tokenizer.with_special_tokens(&ids(first), None);
            assert_eq!(framed, (whole.ids().to_vec(), whole.type_ids().to_vec()));
            assert_eq!(
                whole.len(),
                ids(first).len() + tokenizer.special_token_count(false)
            );
            for second in ["playing .", ""] {
                let whole = tokenizer.encode_pair(first, second, &EncodeOptions::default());
                let whole = whole.unwrap();
                assert!(whole.is_pair());
                let framed = tokenizer.with_special_tokens(&ids(first), Some(&ids(second)));
                assert_eq!(framed, (whole.ids().to_vec(), whole.type_ids().to_vec()));
                let start = tokenizer.second_text_start(ids(first).len());
                assert_eq!(whole.ids()[start..][..ids(second).len()], ids(second));
            }
        }
    }
}
