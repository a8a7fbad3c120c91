//! Writer of documents and examples: choices by chance, within what the part allows.

use rand::rngs::ChaCha8Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};

use super::lexicon::{Language, Lexicon, Mood, Topic};
use super::sentence::{Entity, Sentence};
use super::template::{self, Filling};

/// Purpose of texts; see the table of the [module](super).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Documents without labels.
    Pretraining,
    /// Examples to fine-tune on.
    Labelled,
    /// Texts that models are measured on.
    Test,
}

/// Sentences on one person and one topic, of one mood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// In their order.
    pub sentences: Vec<Sentence>,
    /// Mood of all its opinions.
    pub mood: Mood,
    /// True if the person is a woman.
    pub woman: bool,
}

/// Writes documents and examples, the same for equal seeds.
pub struct Writer {
    pub(super) lexicon: &'static Lexicon,
    pub(super) part: Part,
    pub(super) random: ChaCha8Rng,
}

/// Person, city, company, topic and mood of a document.
pub(super) struct Subject {
    woman: bool,
    person: [&'static str; 2],
    named: bool,
    city: &'static str,
    company: &'static str,
    topic: usize,
    pub(super) mood: Mood,
}

/// Number of pairs of words of which one is for the test.
const RESERVED: usize = 3;

impl Part {
    /// True if the part may use the entry at `index` of a list that is parted between examples and tests.
    fn allows(self, index: usize) -> bool {
        match self {
            Self::Pretraining => true,
            Self::Labelled => index.is_multiple_of(2),
            Self::Test => !index.is_multiple_of(2),
        }
    }

    /// True if the part may bring these two entries of two lists together.
    fn allows_pair(self, first: usize, second: usize) -> bool {
        let reserved = (first + 2 * second).is_multiple_of(RESERVED);
        reserved == (self == Self::Test)
    }
}

impl Writer {
    /// A writer for `part`; what one for the test writes, no other does, whatever the seeds.
    pub fn new(language: Language, part: Part, seed: u64) -> Self {
        Self {
            lexicon: language.lexicon(),
            part,
            random: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// Separator between the words of the language.
    pub fn space(&self) -> &'static str {
        self.lexicon.space
    }

    /// A document to pretrain on, or of the same kind to measure pretraining with.
    pub fn document(&mut self) -> Document {
        let mut subject = self.subject();
        let sentences = match self.random.random_bool(0.5) {
            true => self.portrait(&mut subject),
            false => self.account(&mut subject),
        };
        Document {
            sentences,
            mood: subject.mood,
            woman: subject.woman,
        }
    }

    /// Portrait of a person: a fact, questions and answers on it, an event.
    fn portrait(&mut self, subject: &mut Subject) -> Vec<Sentence> {
        let fact = self.frame(self.lexicon.facts);
        let mut sentences = vec![self.sentence(fact, subject)];
        let mut kinds = Entity::ALL;
        kinds.shuffle(&mut self.random);
        for kind in &kinds[..2] {
            sentences.push(self.dialogue(*kind, subject));
        }
        let event = self.event(subject);
        sentences.push(self.sentence(event, subject));
        sentences
    }

    /// Account of an event, with opinions on it and an ending.
    fn account(&mut self, subject: &mut Subject) -> Vec<Sentence> {
        let frames = [
            self.event(subject),
            self.choose(self.lexicon.reasons),
            self.frame(self.lexicon.judgements),
            self.choose(self.lexicon.reasons),
            self.choose(self.lexicon.endings[subject.mood.index()]),
        ];
        frames.map(|frame| self.sentence(frame, subject)).into()
    }

    /// Something that happens in the topic, at times with a word of two meanings.
    pub(super) fn event(&mut self, subject: &Subject) -> &'static str {
        let topic = self.topic(subject);
        let ambiguous = self.lexicon.ambiguous.iter();
        let senses: Vec<_> = ambiguous
            .flat_map(|word| &word.senses)
            .filter(|sense| sense.topic == topic.name)
            .flat_map(|sense| sense.training_frames())
            .collect();
        match senses.choose(&mut self.random) {
            Some(sense) if self.random.random_bool(0.5) => sense,
            _ => self.choose(topic.events),
        }
    }

    /// A question and its answer.
    fn dialogue(&mut self, kind: Entity, subject: &mut Subject) -> Sentence {
        let question = self.frame(self.lexicon.questions[kind as usize]);
        let answer = self.lexicon.answers[kind as usize];
        let mut dialogue = self.sentence(question, subject);
        dialogue.words.extend(self.sentence(answer, subject).words);
        dialogue
    }

    /// Random person in a random place, with a topic and a mood.
    pub(super) fn subject(&mut self) -> Subject {
        let woman = self.random.random_bool(0.5);
        let people = &self.lexicon.people[usize::from(!woman)];
        let person = self.pair(people.first_names, self.lexicon.last_names);
        let place = self.pair(self.lexicon.cities, self.lexicon.companies);
        Subject {
            woman,
            person: person.into(),
            named: false,
            city: place.0,
            company: place.1,
            topic: self.random.random_range(0..self.lexicon.topics.len()),
            mood: self.choose(&Mood::ALL),
        }
    }

    /// Random subject on the topic `topic`, whose person has been named.
    pub(super) fn subject_of(&mut self, topic: &str) -> Subject {
        let topics = self.lexicon.topics;
        let found = topics.iter().position(|known| known.name == topic);
        Subject {
            topic: found.expect("every sense is of a topic"),
            named: true,
            ..self.subject()
        }
    }

    pub(super) fn topic(&self, subject: &Subject) -> &'static Topic {
        &self.lexicon.topics[subject.topic]
    }

    /// `frame` with words in its slots.
    pub(super) fn sentence(&mut self, frame: &str, subject: &mut Subject) -> Sentence {
        let topic = self.topic(subject);
        let words = self.lexicon.opinions[subject.mood.index()];
        let wanted = template::opinions(frame);
        let (thing, opinions) = loop {
            let thing = self.random.random_range(0..topic.things.len());
            // Things of different topics are different places in one list.
            let place = subject.topic * topic.things.len() + thing;
            let allowed: Vec<&str> = (0..words.len())
                .filter(|&index| self.part.allows(index) && self.part.allows_pair(index, place))
                .map(|index| words[index])
                .collect();
            if allowed.len() >= wanted {
                let chosen = allowed.sample(&mut self.random, wanted);
                break (thing, chosen.copied().collect());
            }
        };
        let mut filling = Filling {
            lexicon: self.lexicon,
            person: subject.person,
            pronouns: self.lexicon.people[usize::from(!subject.woman)].pronouns,
            named: subject.named,
            city: subject.city,
            company: subject.company,
            thing: topic.things[thing],
            plural: self.random.random_bool(0.3),
            feeling: self.lexicon.feelings[subject.mood.index()],
            degree: self.lexicon.degrees[subject.mood.index()],
            opinions,
        };
        let sentence = filling.sentence(frame);
        subject.named = filling.named;
        sentence
    }

    /// One of a list without parts.
    pub(super) fn choose<T: Copy>(&mut self, list: &[T]) -> T {
        *list
            .choose(&mut self.random)
            .expect("no list of a lexicon is empty")
    }

    /// One of the frames that the part may use.
    pub(super) fn frame(&mut self, frames: &'static [&'static str]) -> &'static str {
        loop {
            let index = self.random.random_range(0..frames.len());
            if self.part.allows(index) {
                return frames[index];
            }
        }
    }

    /// Two names that the part may use, and use together.
    fn pair(
        &mut self,
        first: &'static [&'static str],
        second: &'static [&'static str],
    ) -> (&'static str, &'static str) {
        loop {
            let a = self.random.random_range(0..first.len());
            let b = self.random.random_range(0..second.len());
            let both = self.part.allows(a) && self.part.allows(b);
            if both && self.part.allows_pair(a, b) {
                return (first[a], second[b]);
            }
        }
    }
}
