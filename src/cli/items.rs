//! Texts to predict for.

use bert_core::tokenizer::TextInput;

/// A text or pair of texts to predict for, and its line in a table.
pub(crate) struct Item {
    pub(crate) text: String,
    pub(crate) pair: Option<String>,
    pub(crate) line: Option<usize>,
}

impl Item {
    /// Position in the input, for messages.
    pub(crate) fn place(&self) -> String {
        let line = self.line.map(|line| format!("line {line}"));
        line.unwrap_or_else(|| format!("the text `{:.40}`", self.text))
    }

    /// Length of its texts in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + self.pair.as_ref().map_or(0, String::len)
    }

    /// Input of the tokenizer.
    pub(crate) fn input(&self) -> TextInput<'_> {
        match &self.pair {
            Some(pair) => TextInput::Pair(&self.text, pair),
            None => TextInput::Single(&self.text),
        }
    }
}
