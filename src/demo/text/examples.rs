//! Labelled examples, and an ambiguous word in many places.

use bert_heads::datasets::{QuestionExample, Target, TextExample, TokenExample};

use super::lexicon::{Ambiguous, Mood};
use super::sentence::{Entity, Sentence};
use super::writer::Writer;

/// Examples that a model is fine-tuned or measured on.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    /// Three sentences with the mood that they are of.
    pub texts: Vec<TextExample>,
    /// Sentences with the names in them.
    pub sentences: Vec<TokenExample>,
    /// Questions with a passage that has the answer.
    pub questions: Vec<QuestionExample>,
}

/// Sentences with a word of two meanings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Senses {
    /// The word.
    pub word: &'static str,
    /// The two meanings in a few words.
    pub meanings: [&'static str; 2],
    /// Sentences with either meaning, in which the word occurs once.
    pub sentences: [Vec<String>; 2],
}

impl Writer {
    /// A fact about a person and a judgement of theirs.
    pub fn passage(&mut self) -> String {
        let mut subject = self.subject();
        let frames = [self.lexicon.facts, self.lexicon.judgements].map(|list| self.frame(list));
        let texts = frames.map(|frame| self.sentence(frame, &mut subject).text(self.lexicon.space));
        texts.join(self.lexicon.space)
    }

    /// `count` texts, no two alike, as many tagged sentences, and `questions`.
    pub fn examples(&mut self, count: usize, questions: usize) -> Examples {
        let mut texts: Vec<TextExample> = Vec::with_capacity(count);
        while texts.len() < count {
            let example = self.review(texts.len() + 1);
            if texts.iter().all(|other| other.text != example.text) {
                texts.push(example);
            }
        }
        Examples {
            texts,
            sentences: (1..=count).map(|line| self.fact().example(line)).collect(),
            questions: (1..=questions)
                .map(|number| self.question(number))
                .collect(),
        }
    }

    /// Something that happened and two judgements; the label is their mood, which alternates.
    fn review(&mut self, line: usize) -> TextExample {
        let mut subject = self.subject();
        subject.mood = Mood::ALL[line % 2];
        let frames = [
            self.choose(self.topic(&subject).events),
            self.frame(self.lexicon.judgements),
            self.frame(self.lexicon.judgements),
        ];
        let sentences = frames.map(|frame| self.sentence(frame, &mut subject));
        let texts = sentences.map(|sentence| sentence.text(self.lexicon.space));
        TextExample {
            text: texts.join(self.lexicon.space),
            pair: None,
            target: Target::Label(subject.mood.label().to_owned()),
            line,
        }
    }

    fn fact(&mut self) -> Sentence {
        let mut subject = self.subject();
        let frame = self.frame(self.lexicon.facts);
        self.sentence(frame, &mut subject)
    }

    /// A question on a fact; who, where and which company take turns.
    fn question(&mut self, number: usize) -> QuestionExample {
        let kind = Entity::ALL[number % Entity::ALL.len()];
        let mut subject = self.subject();
        let fact = self.frame(self.lexicon.facts);
        let passage = self.sentence(fact, &mut subject);
        let question = self.frame(self.lexicon.questions[kind as usize]);
        let question = self.sentence(question, &mut subject);
        let space = self.lexicon.space;
        QuestionExample {
            id: number.to_string(),
            question: question.text(space),
            answers: passage.named(kind, space).into_iter().collect(),
            context: passage.text(space).into(),
            is_impossible: false,
            title: "".into(),
        }
    }

    /// The ambiguous words, each in `count` sentences for either meaning, in frames that no document has.
    pub fn senses(&mut self, count: usize) -> Vec<Senses> {
        let words = self.lexicon.ambiguous.iter();
        words.map(|word| self.sense(word, count)).collect()
    }

    fn sense(&mut self, word: &'static Ambiguous, count: usize) -> Senses {
        let sentences = [0, 1].map(|which| {
            let frames = word.senses[which].test_frames();
            (0..count)
                .map(|index| {
                    let mut subject = self.subject_of(word.senses[which].topic);
                    self.sentence(frames[index % frames.len()], &mut subject)
                        .text(self.lexicon.space)
                })
                .collect()
        });
        Senses {
            word: word.word,
            meanings: [0, 1].map(|which| word.senses[which].meaning),
            sentences,
        }
    }
}
