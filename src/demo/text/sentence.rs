//! Words with what they name.

use bert_heads::datasets::{Answer, TokenExample};

/// Kind of a named entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entity {
    /// A human being.
    Person,
    /// A city.
    Location,
    /// A company.
    Organisation,
}

/// A word, a mark of punctuation, or a Chinese character.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Word {
    /// Spelling of the word.
    pub text: String,
    /// The entity that it names a part of, and whether it is its first.
    pub entity: Option<(Entity, bool)>,
}

/// The words of a sentence, its mark of punctuation included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sentence {
    /// In their order.
    pub words: Vec<Word>,
}

impl Entity {
    pub(super) const ALL: [Self; 3] = [Self::Person, Self::Location, Self::Organisation];

    const fn name(self) -> &'static str {
        match self {
            Self::Person => "PER",
            Self::Location => "LOC",
            Self::Organisation => "ORG",
        }
    }
}

impl Word {
    /// The tag of the word in the IOB2 scheme.
    pub fn tag(&self) -> String {
        match self.entity {
            None => "O".to_owned(),
            Some((entity, true)) => format!("B-{}", entity.name()),
            Some((entity, false)) => format!("I-{}", entity.name()),
        }
    }
}

impl Sentence {
    /// The sentence with `space` between words, and none before punctuation.
    pub fn text(&self, space: &str) -> String {
        self.before(self.words.len(), space)
    }

    /// The text of the words before the one at `end`.
    fn before(&self, end: usize, space: &str) -> String {
        let mut text = String::new();
        for word in &self.words[..end] {
            let mark = word.text.chars().all(|letter| !letter.is_alphanumeric());
            if !text.is_empty() && !mark {
                text.push_str(space);
            }
            text.push_str(&word.text);
        }
        text
    }

    /// The first name of this kind, and where it stands in the [`text`](Self::text).
    pub fn named(&self, kind: Entity, space: &str) -> Option<Answer> {
        let begin = (self.words.iter()).position(|word| word.entity == Some((kind, true)))?;
        let rest = self.words[begin + 1..].iter();
        let more = rest.take_while(|word| word.entity == Some((kind, false)));
        let end = begin + 1 + more.count();
        let words = self.words[begin..end].to_vec();
        let text = Self { words }.text(space);
        let length = self.before(end, space).chars().count();
        Some(Answer {
            start: length - text.chars().count(),
            text,
        })
    }

    /// The sentence as a row of tagged words, said to begin in `line`.
    pub(super) fn example(&self, line: usize) -> TokenExample {
        TokenExample {
            words: self.words.iter().map(|word| word.text.clone()).collect(),
            tags: Some(self.words.iter().map(Word::tag).collect()),
            line,
        }
    }
}
