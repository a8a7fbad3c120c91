//! Texts made by a grammar: documents to pretrain on, labelled examples, and words with two meanings.
//!
//! A document is about one person, who is named first and a pronoun afterwards. A portrait is a fact on that person,
//! questions on it with their answers, and something that happened. An account is of one topic, whose things and events
//! turn up in every sentence, and of one mind: all that is said is praise, or all is blame. So a masked word can be told
//! from its sentence and from the other sentences, and two halves of a document from halves of two.
//!
//! Praise and blame stand in the same places, so that only the company they keep tells them apart: each other, what is
//! felt, and a word of degree next to them. The last two are not in labelled examples or tests.
//!
//! What is tested on is not in what was trained on, by construction:
//!
//! | part | words of opinion, names | frames of facts, questions and opinions | pairs of words |
//! | --- | --- | --- | --- |
//! | pretraining | all | all | two thirds |
//! | labelled | every other one | every other one | two thirds |
//! | test | the others | the others | the last third |
//!
//! A pair is a thing with what is said of it, a first name with a last name, a city with a company.
//! Every sentence that names one of them in the test has a pair that no other part has.

mod chinese;
mod english;
mod examples;
mod lexicon;
mod sentence;
mod template;
mod writer;

use lexicon::Lexicon;

pub use examples::{Examples, Senses};
pub use lexicon::{Language, Mood};
pub use sentence::{Entity, Sentence, Word};
pub use writer::{Document, Part, Writer};

impl Language {
    /// Words and frames of the language.
    fn lexicon(self) -> &'static Lexicon {
        match self {
            Self::English => &english::LEXICON,
            Self::Chinese => &chinese::LEXICON,
        }
    }
}
