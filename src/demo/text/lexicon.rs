//! Lexicon of a language: its words and frames.

use serde::{Deserialize, Serialize};

use crate::demo::error::Error;

/// The languages that documents are written in.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(parse_err_ty = Error, parse_err_fn = unknown_language)]
pub enum Language {
    /// Words with spaces between them.
    #[default]
    #[strum(serialize = "en")]
    English,
    /// Characters without spaces.
    #[strum(serialize = "zh")]
    Chinese,
}

/// Sentiment of a document towards its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// All is well.
    Praise,
    /// Nothing is.
    Blame,
}

/// The words and frames of a language. Entries at even places are for labelled examples, those at odd places for tests.
pub(super) struct Lexicon {
    /// Separator between two words.
    pub(super) space: &'static str,
    /// First names and pronouns of women and of men.
    pub(super) people: [People; 2],
    /// Pronouns for one thing and for several.
    pub(super) it: [&'static str; 2],
    pub(super) last_names: &'static [&'static str],
    /// The last name comes first.
    pub(super) last_name_first: bool,
    pub(super) cities: &'static [&'static str],
    pub(super) companies: &'static [&'static str],
    /// Words of praise, and of blame.
    pub(super) opinions: [&'static [&'static str]; 2],
    pub(super) topics: &'static [Topic],
    /// Sentences on a person, a city and a company.
    pub(super) facts: &'static [&'static str],
    /// Questions on what such a sentence says: on the person, the city and the company.
    pub(super) questions: [&'static [&'static str]; 3],
    /// The answers to them.
    pub(super) answers: [&'static str; 3],
    /// Sentences with a thing and opinions on it, which agree.
    pub(super) judgements: &'static [&'static str],
    /// Verbs of feeling for opinions of praise and of blame; only in texts to pretrain on.
    pub(super) feelings: [&'static str; 2],
    /// Adverbs of degree before words of praise and before those of blame; only in texts to pretrain on.
    pub(super) degrees: [&'static str; 2],
    /// Sentences with a thing, a feeling and the opinions that go with it; only said to pretrain on.
    pub(super) reasons: &'static [&'static str],
    /// Last sentences of a document of praise, and of one of blame.
    pub(super) endings: [&'static [&'static str]; 2],
    pub(super) ambiguous: &'static [Ambiguous],
}

pub(super) struct People {
    pub(super) first_names: &'static [&'static str],
    /// Subject, possessive, object.
    pub(super) pronouns: [&'static str; 3],
}

pub(super) struct Topic {
    pub(super) name: &'static str,
    /// One and several of each thing.
    pub(super) things: &'static [[&'static str; 2]],
    /// Sentences on a person and a thing.
    pub(super) events: &'static [&'static str],
}

/// A word with two meanings.
pub(super) struct Ambiguous {
    pub(super) word: &'static str,
    pub(super) senses: [Sense; 2],
}

/// A meaning, in the topic that has it; the last frames are kept for the test.
pub(super) struct Sense {
    pub(super) meaning: &'static str,
    pub(super) topic: &'static str,
    pub(super) frames: &'static [&'static str],
}

/// Frames of every sense that are kept for the test.
pub(super) const TEST_FRAMES: usize = 2;

impl Sense {
    pub(super) fn training_frames(&self) -> &'static [&'static str] {
        &self.frames[..self.frames.len() - TEST_FRAMES]
    }

    pub(super) fn test_frames(&self) -> &'static [&'static str] {
        &self.frames[self.frames.len() - TEST_FRAMES..]
    }
}

impl Language {
    /// The code of ISO 639-1.
    pub fn code(self) -> &'static str {
        self.into()
    }
}

fn unknown_language(code: &str) -> Error {
    Error::UnknownLanguage {
        code: code.to_owned(),
    }
}

impl Mood {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Praise, Self::Blame];

    /// The label of a text of this mood.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Praise => "positive",
            Self::Blame => "negative",
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}
