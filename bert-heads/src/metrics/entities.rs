//! From the tags of a sentence to its entities, as seqeval reads them.

use super::tags::{Prefix, Scheme, Tag, parse};
use crate::error::{Error, Result};

/// Every letter that the lenient reading knows.
const LETTERS: &str = "OBIESMLUW";

/// A labelled stretch of words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entity {
    /// `_` for tags without a label.
    pub label: String,
    /// First word, counted from 0.
    pub start: usize,
    /// The word after the last.
    pub end: usize,
}

/// Treatment of tags that break their scheme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TagReading {
    /// The reading of `conlleval` and seqeval's default: any change of label or letter that may begin an
    /// entity does, so `I-X` after `O` is one. Letters of all schemes are read, `M` as `I`, `L` as
    /// `E`, `U` and `W` as `S`.
    #[default]
    Lenient,
    /// The reading of seqeval's `mode="strict"`: only what the scheme allows is an entity.
    Strict(Scheme),
}

/// The entities of a sentence in the order of their words.
///
/// # Errors
///
/// [`Error::Tag`] for a tag that is not `O`, a letter of the reading, or such a letter followed by
/// `-` and a label.
pub fn entities(tags: &[impl AsRef<str>], reading: TagReading) -> Result<Vec<Entity>> {
    read(tags, reading).map_err(|position| reading.error(tags, position, String::new()))
}

impl TagReading {
    fn letters(self) -> &'static str {
        match self {
            Self::Lenient => LETTERS,
            Self::Strict(scheme) => scheme.letters(),
        }
    }

    /// `place` goes on after the number of the word: ` of sentence 7`.
    pub(super) fn error(self, tags: &[impl AsRef<str>], position: usize, place: String) -> Error {
        let scheme = match self {
            Self::Lenient => String::new(),
            Self::Strict(scheme) => format!(" of the scheme {scheme}"),
        };
        Error::Tag {
            tag: tags[position].as_ref().to_owned(),
            place: format!("word {}{place}", position + 1),
            expected: format!("one of the letters {}{scheme}", self.letters()),
        }
    }
}

/// [`entities`], or the position of the tag that cannot be read, counted from 0.
pub(super) fn read(tags: &[impl AsRef<str>], reading: TagReading) -> Result<Vec<Entity>, usize> {
    let letters = reading.letters();
    let parsed = tags.iter().enumerate();
    let mut parsed = parsed
        .map(|(position, tag)| parse(tag.as_ref(), letters).ok_or(position))
        .collect::<Result<Vec<Tag<'_>>, usize>>()?;
    parsed.push(Tag::OUTSIDE);
    Ok(match reading {
        TagReading::Lenient => lenient(&parsed),
        TagReading::Strict(scheme) => strict(&parsed, scheme),
    })
}

/// seqeval `get_entities`. The last tag is [`Tag::OUTSIDE`].
fn lenient(tags: &[Tag<'_>]) -> Vec<Entity> {
    let (mut found, mut previous, mut start) = (Vec::new(), Tag::OUTSIDE, 0);
    for (position, &tag) in tags.iter().enumerate() {
        use Prefix::{B, E, I, O, S};
        let other_label = previous.label != tag.label;
        let ends = match (previous.prefix, tag.prefix) {
            (O, _) => false,
            (E | S, _) | (B | I, B | S | O) => true,
            (B | I, I | E) => other_label,
        };
        let starts = match (previous.prefix, tag.prefix) {
            (_, O) => false,
            (_, B | S) | (E | S | O, E | I) => true,
            (B | I, I | E) => other_label,
        };
        if ends {
            found.push(entity(previous, start, position));
        }
        if starts {
            start = position;
        }
        previous = tag;
    }
    found
}

/// seqeval `Tokens.entities`. The last tag is [`Tag::OUTSIDE`].
fn strict(tags: &[Tag<'_>], scheme: Scheme) -> Vec<Entity> {
    let (mut found, mut previous, mut position) = (Vec::new(), Tag::OUTSIDE, 0);
    while position < tags.len() {
        let start = position;
        position += 1;
        if starts(scheme, previous, tags[start]) {
            while position < tags.len() && continues(scheme, tags[position - 1], tags[position]) {
                position += 1;
            }
            // Nothing starts or continues at the last tag, so there is always one behind.
            if tags
                .get(position)
                .is_some_and(|next| ends(scheme, tags[position - 1], *next))
            {
                found.push(entity(tags[start], start, position));
            }
        }
        previous = tags[position - 1];
    }
    found
}

fn entity(tag: Tag<'_>, start: usize, end: usize) -> Entity {
    Entity {
        label: tag.label.to_owned(),
        start,
        end,
    }
}

/// True if an entity begins at `tag`. These three are seqeval's tables, the gaps of its IOE1
/// included, so that the numbers are the same.
fn starts(scheme: Scheme, previous: Tag<'_>, tag: Tag<'_>) -> bool {
    use Prefix::{B, E, I, O, S};
    let same = previous.label == tag.label;
    match (scheme, previous.prefix, tag.prefix) {
        (Scheme::Iob1, O | B, I) => true,
        (Scheme::Iob1, I, I) => !same,
        (Scheme::Iob1, I | B, B) => same,
        (Scheme::Iob2, _, B) => true,
        (Scheme::Ioe1, O | E, I) => true,
        (Scheme::Ioe1, I, I) => !same,
        (Scheme::Ioe1, E, E) => same,
        (Scheme::Ioe2, O | E, I | E) => true,
        (Scheme::Ioe2, I, I | E) => !same,
        (Scheme::Iobes | Scheme::Bilou | Scheme::Bmes | Scheme::Bmewo, _, B | S) => true,
        _ => false,
    }
}

/// True if `tag` continues the entity of `previous`.
fn continues(scheme: Scheme, previous: Tag<'_>, tag: Tag<'_>) -> bool {
    use Prefix::{B, E, I};
    previous.label == tag.label
        && match scheme {
            Scheme::Iob1 | Scheme::Iob2 => matches!((previous.prefix, tag.prefix), (B | I, I)),
            Scheme::Ioe1 | Scheme::Ioe2 => matches!((previous.prefix, tag.prefix), (I, I | E)),
            Scheme::Iobes | Scheme::Bilou | Scheme::Bmes | Scheme::Bmewo => {
                matches!((previous.prefix, tag.prefix), (B | I, I | E))
            }
        }
}

/// True if an entity may end before `tag`; one that may not is none.
fn ends(scheme: Scheme, previous: Tag<'_>, tag: Tag<'_>) -> bool {
    use Prefix::{B, E, I, O, S};
    let same = previous.label == tag.label;
    match (scheme, previous.prefix, tag.prefix) {
        (Scheme::Iob1, I, O | B) | (Scheme::Iob1, B, O) => true,
        (Scheme::Iob1, I | B, I) => !same,
        (Scheme::Iob1, B, B) => same,
        (Scheme::Iob2, I | B, O | B) => true,
        (Scheme::Iob2, I | B, I) => !same,
        (Scheme::Ioe1, I, O) => true,
        (Scheme::Ioe1, I, I | E) => !same,
        (Scheme::Ioe1, E, I | E) => same,
        (Scheme::Ioe2, E, _) => true,
        (Scheme::Iobes | Scheme::Bilou | Scheme::Bmes | Scheme::Bmewo, S | E, _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(tags: &str, reading: TagReading) -> Vec<(String, usize, usize)> {
        let tags: Vec<&str> = tags.split_whitespace().collect();
        let found = entities(&tags, reading).unwrap();
        let parts = |entity: Entity| (entity.label, entity.start, entity.end);
        found.into_iter().map(parts).collect()
    }

    fn expected(parts: &[(&str, usize, usize)]) -> Vec<(String, usize, usize)> {
        parts
            .iter()
            .map(|(label, start, end)| ((*label).to_owned(), *start, *end))
            .collect()
    }

    #[test]
    fn malformed_tags_count_leniently_and_not_strictly() {
        // I- after O, I- of another label, E- alone.
        let tags = "O I-A O B-B I-A";
        let both = [("A", 1, 2), ("B", 3, 4), ("A", 4, 5)];
        assert_eq!(found(tags, TagReading::Lenient), expected(&both));
        assert_eq!(
            found(tags, TagReading::Strict(Scheme::Iob2)),
            expected(&[("B", 3, 4)])
        );
        assert_eq!(
            found("E-A E-A O B-A", TagReading::Lenient),
            expected(&[("A", 0, 1), ("A", 1, 2), ("A", 3, 4)])
        );
        assert_eq!(
            found("E-A O B-A B-A E-A S-B", TagReading::Strict(Scheme::Iobes)),
            expected(&[("A", 3, 5), ("B", 5, 6)])
        );
    }

    #[test]
    fn letters_of_other_schemes_mean_the_same() {
        let both = expected(&[("A", 0, 3), ("B", 3, 4)]);
        for (tags, scheme) in [
            ("B-A I-A E-A S-B O", Scheme::Iobes),
            ("B-A M-A E-A S-B O", Scheme::Bmes),
            ("B-A M-A E-A W-B O", Scheme::Bmewo),
            ("B-A I-A L-A U-B O", Scheme::Bilou),
        ] {
            assert_eq!(found(tags, TagReading::Lenient), both, "{tags}");
            assert_eq!(found(tags, TagReading::Strict(scheme)), both, "{tags}");
        }
    }

    #[test]
    fn a_tag_that_cannot_be_read_is_named() {
        let error = entities(&["O", "PER"], TagReading::Lenient).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`PER`") && text.contains("word 2"), "{text}");
        let strict = TagReading::Strict(Scheme::Iob2);
        let text = entities(&["E-A"], strict).unwrap_err().to_string();
        assert!(text.contains("OBI of the scheme iob2"), "{text}");
        assert!(entities(&[] as &[&str], strict).unwrap().is_empty());
    }
}
