//! From a frame with slots to a sentence that agrees with itself.

use super::lexicon::Lexicon;
use super::sentence::{Entity, Sentence, Word};

/// Words that fill the slots of a sentence.
pub(super) struct Filling<'a> {
    pub(super) lexicon: &'a Lexicon,
    /// First name, last name.
    pub(super) person: [&'a str; 2],
    /// Subject, possessive, object.
    pub(super) pronouns: [&'a str; 3],
    /// The person has been named before; the first sentence that speaks of somebody else does so by name.
    pub(super) named: bool,
    pub(super) city: &'a str,
    pub(super) company: &'a str,
    /// One and several of the thing; several are only taken where no article stands before it.
    pub(super) thing: [&'a str; 2],
    pub(super) plural: bool,
    /// A verb.
    pub(super) feeling: &'a str,
    /// An adverb.
    pub(super) degree: &'a str,
    /// Taken in their order, and again from the first.
    pub(super) opinions: Vec<&'a str>,
}

/// A part of a frame.
enum Part<'a> {
    Slot(&'a str),
    Words(&'a str),
}

/// True if the frame has a slot of this name.
pub(super) fn has(frame: &str, slot: &str) -> bool {
    parts(frame).any(|part| matches!(part, Part::Slot(name) if name == slot))
}

/// Number of opinions in the frame.
pub(super) fn opinions(frame: &str) -> usize {
    parts(frame)
        .filter(|part| matches!(part, Part::Slot("opinion")))
        .count()
}

fn parts(frame: &str) -> impl Iterator<Item = Part<'_>> {
    frame.split('{').enumerate().flat_map(|(index, piece)| {
        let (slot, words) = match piece.split_once('}') {
            Some((slot, words)) if index > 0 => (Some(Part::Slot(slot)), words),
            _ => (None, piece),
        };
        slot.into_iter().chain([Part::Words(words)])
    })
}

impl Filling<'_> {
    /// The sentence that the frame makes with these fillings: number, article and pronouns agree, and it begins with a
    /// capital.
    pub(super) fn sentence(&mut self, frame: &str) -> Sentence {
        let mut words: Vec<Word> = Vec::new();
        let plural = self.plural && !has(frame, "a");
        let opinions = self.opinions.clone();
        let mut opinions = opinions.iter().cycle();
        let mut article = false;
        for part in parts(frame) {
            let first = words.len();
            match part {
                Part::Words(text) => self.plain(&mut words, text),
                Part::Slot("person") => self.name(&mut words),
                Part::Slot("he") if !self.named => self.name(&mut words),
                Part::Slot("him") if !self.named => self.name(&mut words),
                Part::Slot("he") => self.plain(&mut words, self.pronouns[0]),
                Part::Slot("his") => self.plain(&mut words, self.pronouns[1]),
                Part::Slot("him") => self.plain(&mut words, self.pronouns[2]),
                Part::Slot("city") => {
                    self.entity(&mut words, &[self.city], Entity::Location);
                }
                Part::Slot("company") => {
                    self.entity(&mut words, &[self.company], Entity::Organisation);
                }
                Part::Slot("thing") => self.plain(&mut words, self.thing[usize::from(plural)]),
                Part::Slot("was") => self.plain(&mut words, ["was", "were"][usize::from(plural)]),
                Part::Slot("it") => self.plain(&mut words, self.lexicon.it[usize::from(plural)]),
                Part::Slot("felt") => self.plain(&mut words, self.feeling),
                Part::Slot("very") => self.plain(&mut words, self.degree),
                Part::Slot("opinion") => {
                    let opinion = opinions.next().copied().unwrap_or_default();
                    self.plain(&mut words, opinion);
                }
                Part::Slot("a") => {
                    article = true;
                    self.plain(&mut words, "a");
                    continue;
                }
                Part::Slot(other) => unreachable!("the frame `{frame}` has a slot {{{other}}}"),
            }
            if article && words.len() > first {
                article = false;
                if words[first].text.starts_with(['a', 'e', 'i', 'o', 'u']) {
                    words[first - 1].text.push('n');
                }
            }
        }
        let mut begins = true;
        for word in &mut words {
            if begins {
                capitalise(&mut word.text);
            }
            begins = word.text == "?";
        }
        Sentence { words }
    }

    /// Words that name nothing; each character is one where no spaces part words.
    fn plain(&self, words: &mut Vec<Word>, text: &str) {
        let entity = None;
        words.extend(
            self.split(text)
                .into_iter()
                .map(|text| Word { text, entity }),
        );
    }

    fn entity(&self, words: &mut Vec<Word>, names: &[&str], entity: Entity) {
        let parts = names.iter().flat_map(|name| self.split(name));
        words.extend(parts.enumerate().map(|(index, text)| Word {
            text,
            entity: Some((entity, index == 0)),
        }));
    }

    fn name(&mut self, words: &mut Vec<Word>) {
        self.named = true;
        let mut names = self.person;
        if self.lexicon.last_name_first {
            names.reverse();
        }
        self.entity(words, &names, Entity::Person);
    }

    fn split(&self, text: &str) -> Vec<String> {
        match self.lexicon.space {
            "" => text.chars().map(String::from).collect(),
            _ => text.split_whitespace().map(String::from).collect(),
        }
    }
}

fn capitalise(word: &mut String) {
    let mut letters = word.chars();
    if let Some(first) = letters.next() {
        *word = first.to_uppercase().chain(letters).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::super::lexicon::Language;
    use super::*;

    fn filling(language: Language) -> Filling<'static> {
        Filling {
            lexicon: language.lexicon(),
            person: ["Anna", "Ellis"],
            pronouns: ["she", "her", "her"],
            named: false,
            city: "Oslo",
            company: "Altrix",
            thing: ["album", "albums"],
            plural: true,
            feeling: "hated",
            degree: "utterly",
            opinions: vec!["awful", "poor"],
        }
    }

    #[test]
    fn number_article_and_pronouns_agree() {
        let mut filling = filling(Language::English);
        for (frame, expected) in [
            ("{his} dog saw {him} .", "Her dog saw Anna Ellis."),
            ("{he} and {his} dog saw {him} .", "She and her dog saw her."),
            ("the {thing} {was} {opinion} !", "The albums were awful!"),
            (
                "{a} {thing} and {a} {opinion} {thing} , {opinion} and {opinion} .",
                "An album and an awful album, poor and awful.",
            ),
        ] {
            assert_eq!(filling.sentence(frame).text(" "), expected);
        }
        filling.plural = false;
        let one = filling.sentence("the {thing} {was} {a} poor {thing} .");
        assert_eq!(one.text(" "), "The album was a poor album.");
    }

    #[test]
    fn names_are_tagged_and_nothing_else() {
        let sentence = filling(Language::English).sentence("in {city} , {person} left {company} .");
        let tags: Vec<String> = sentence.words.iter().map(Word::tag).collect();
        assert_eq!(
            tags,
            ["O", "B-LOC", "O", "B-PER", "I-PER", "O", "B-ORG", "O"]
        );
        assert_eq!(sentence.text(" "), "In Oslo, Anna Ellis left Altrix.");
    }

    #[test]
    fn chinese_is_written_without_spaces_and_tagged_by_character() {
        let mut filling = Filling {
            person: ["小红", "张"],
            city: "北京",
            ..filling(Language::Chinese)
        };
        let sentence = filling.sentence("{person}住在{city}。");
        assert_eq!(sentence.text(""), "张小红住在北京。");
        let tags: Vec<String> = sentence.words.iter().map(Word::tag).collect();
        assert_eq!(
            tags,
            ["B-PER", "I-PER", "I-PER", "O", "O", "B-LOC", "I-LOC", "O"]
        );
    }
}
