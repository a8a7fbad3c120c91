//! Labelled examples, and an ambiguous word in many places.

use bert_heads::datasets::{Target, TextExample, TokenExample};

use super::lexicon::{Ambiguous, Mood};
use super::sentence::Sentence;
use super::writer::Writer;

/// What a model is fine-tuned or measured on.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    /// Three sentences with the mood that they are of.
    pub texts: Vec<TextExample>,
    /// Sentences with the names in them.
    pub sentences: Vec<TokenExample>,
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

    /// As many labelled texts and tagged sentences as asked for, no two texts alike.
    pub fn examples(&mut self, texts: usize, sentences: usize) -> Examples {
        let mut examples = Examples {
            texts: Vec::with_capacity(texts),
            sentences: Vec::with_capacity(sentences),
        };
        while examples.texts.len() < texts {
            let example = self.review(examples.texts.len() + 1);
            if examples
                .texts
                .iter()
                .all(|other| other.text != example.text)
            {
                examples.texts.push(example);
            }
        }
        while examples.sentences.len() < sentences {
            let line = examples.sentences.len() + 1;
            let sentence = self.fact();
            examples.sentences.push(sentence.example(line));
        }
        examples
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
