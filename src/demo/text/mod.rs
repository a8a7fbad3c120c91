//! Texts made by a grammar: documents to pretrain on, labelled examples, and words with two meanings.
//!
//! A document is about one person, who is named once and a pronoun afterwards; about one topic, whose things and events
//! turn up in every sentence; and of one mind: all that is said is praise, or all is blame. So a masked word can be told
//! from its sentence and from the other sentences, and two halves of a document from halves of two.
//!
//! What is tested on is not in what was trained on, by construction:
//!
//! | part | words of opinion, names | frames of facts and opinions | pairs of words |
//! | --- | --- | --- | --- |
//! | pretraining | all | all | four fifths |
//! | labelled | every other one | every other one | four fifths |
//! | test | the others | the others | the last fifth |
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

pub use examples::{Examples, Senses};
pub use lexicon::{Language, Mood};
pub use sentence::{Entity, Sentence, Word};
pub use writer::{Document, Part, Writer};
