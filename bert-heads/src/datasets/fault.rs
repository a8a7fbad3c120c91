//! Faults of a row, and their place in the file.

use std::fmt::{self, Display, Formatter};

/// Place of a row in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The line it begins on, counted from 1.
    Line(usize),
    /// A question of a SQuAD file, whose lines say nothing.
    Question {
        /// Counted from 1 through the whole file.
        number: usize,
        /// Its id, where it has one.
        id: Option<String>,
    },
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Question { number, id: None } => write!(f, "question {number}"),
            Self::Question {
                number,
                id: Some(id),
            } => write!(f, "question {number} (id `{id}`)"),
        }
    }
}

/// Fault of a row that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowFault {
    /// Bytes of another encoding.
    #[error("it is not UTF-8 (byte {byte} of the line): convert the file first")]
    NotUtf8 {
        /// The first that does not fit, counted from 1.
        byte: usize,
    },
    /// More bytes than any example has.
    #[error("it is longer than {limit} bytes: split it, or close its quotes")]
    TooLong {
        /// The most that is read.
        limit: usize,
    },
    /// Too few or too many fields.
    #[error("it has {found} field(s) instead of {expected}: look for a stray or missing separator")]
    FieldCount {
        /// Number of fields that there ought to be.
        expected: String,
        /// Number of fields in the row.
        found: usize,
    },
    /// Quotes that RFC 4180 does not allow.
    #[error("{reason}: double the quotes inside of a field, or read the file without quotes")]
    Quotes {
        /// Fault, as a part of the message.
        reason: String,
    },
    /// A line that is no JSON object.
    #[error("it is not a JSON object: {reason}")]
    Json {
        /// Message of the JSON parser.
        reason: String,
    },
    /// A value that the row lacks.
    #[error("column `{column}` is absent: add it, or name another")]
    MissingColumn {
        /// Its name or number.
        column: String,
    },
    /// A value of the wrong kind.
    #[error("column `{column}` is {found}, but must be {expected}")]
    WrongType {
        /// Its name or number.
        column: String,
        /// Expected type, with its article.
        expected: &'static str,
        /// Actual type or value.
        found: String,
    },
    /// A text or label without any character but spaces.
    #[error("column `{column}` is blank: fill it in")]
    Blank {
        /// Its name or number.
        column: String,
    },
    /// A row of 0 and 1, which may be labels of these names or a flag for each label.
    #[error(
        "column `{column}` is `{text}`, which may be labels that are called so or a flag for each of {flags} labels: name as many labels in the order of the flags (--labels), or write the names"
    )]
    AmbiguousLabels {
        /// Its name or number.
        column: String,
        /// Text of the file.
        text: String,
        /// Values in the row.
        flags: usize,
    },
    /// Several labels where there may be one.
    #[error(
        "column `{column}` is `{text}`, but must be one class: train on several labels (--multi-label), or name the column to take it as it is"
    )]
    SeveralLabels {
        /// Its name or number.
        column: String,
        /// Text of the file.
        text: String,
    },
    /// A label that is not among the known ones.
    #[error("label `{label}` is not known: use one of {known}")]
    UnknownLabel {
        /// Text of the file.
        label: String,
        /// The labels there are.
        known: String,
    },
    /// A number that cannot be read, or that is infinite or NaN.
    #[error(
        "column `{column}` is `{text}`, but must be a finite number, with a point before decimals"
    )]
    NotANumber {
        /// Its name or number.
        column: String,
        /// Text of the file.
        text: String,
    },
    /// A line of one field, where a word needs a tag.
    #[error(
        "column `tag` is absent, for it has one field between spaces or tabs: add the tag, or say what else parts fields (--separator)"
    )]
    NoTag,
    /// A line above a sentence that may be a comment or its first word.
    #[error(
        "it may be a comment or the word `#` with the tag `{tag}`, which no line before has: take it out, or name the tags (--labels)"
    )]
    Comment {
        /// Field that would be the tag.
        tag: String,
    },
    /// Words and tags that do not pair up.
    #[error("it has {words} word(s) and {tags} tag(s): give each word one tag")]
    TagCount {
        /// Number of words.
        words: usize,
        /// Number of tags.
        tags: usize,
    },
    /// A tag that its scheme does not allow where it is.
    #[error("tag `{tag}` of word {word} does not fit {scheme}: {reason}")]
    Tag {
        /// Text of the file.
        tag: String,
        /// Its word in the sentence, counted from 1.
        word: usize,
        /// The scheme.
        scheme: &'static str,
        /// Rule that the tag breaks, as a part of the message.
        reason: &'static str,
    },
    /// An answer that begins or ends beyond its context.
    #[error(
        "answer `{text}` at character {start} reaches beyond the context of {length} characters{}", elsewhere(*instead)
    )]
    AnswerRange {
        /// The answer.
        text: String,
        /// Its offset, counted from 0, as in the file.
        start: String,
        /// Characters of the context.
        length: usize,
        /// Offset at which the answer does stand, nearest to the one given.
        instead: Option<usize>,
    },
    /// An answer that is not what stands at its offset.
    #[error("answer `{text}` is not at character {start}, where `{found}` stands{}", elsewhere(*instead))]
    AnswerText {
        /// The answer.
        text: String,
        /// Its offset in characters, counted from 0.
        start: usize,
        /// Text of the context at that offset.
        found: String,
        /// Offset at which the answer does stand, nearest to the one given.
        instead: Option<usize>,
    },
    /// A question without an answer that is not called impossible, or the reverse.
    #[error("{reason}")]
    Answers {
        /// Fault and remedy, as a part of the message.
        reason: &'static str,
    },
    /// Two questions of one id.
    #[error("id `{id}` was used before: give each question its own")]
    DuplicateId {
        /// The id.
        id: String,
    },
    /// Choices that are too few, or whose right one is none of them.
    #[error("{reason}")]
    Choices {
        /// Fault and remedy, as a part of the message.
        reason: String,
    },
}

impl RowFault {
    /// The fault in a few words, the same for all rows that have it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotUtf8 { .. } => "not UTF-8",
            Self::TooLong { .. } => "too long",
            Self::FieldCount { .. } => "wrong number of fields",
            Self::Quotes { .. } => "broken quotes",
            Self::Json { .. } => "not JSON",
            Self::MissingColumn { .. } => "missing column",
            Self::WrongType { .. } => "wrong type",
            Self::Blank { .. } => "blank",
            Self::AmbiguousLabels { .. } => "ambiguous labels",
            Self::SeveralLabels { .. } => "several labels",
            Self::UnknownLabel { .. } => "unknown label",
            Self::NotANumber { .. } => "not a number",
            Self::NoTag => "no tag",
            Self::Comment { .. } => "comment or word",
            Self::TagCount { .. } => "words and tags of different count",
            Self::Tag { .. } => "broken tags",
            Self::AnswerRange { .. } => "answer out of range",
            Self::AnswerText { .. } => "answer not at its offset",
            Self::Answers { .. } => "answers missing or contradictory",
            Self::DuplicateId { .. } => "id used twice",
            Self::Choices { .. } => "choices that do not fit",
        }
    }
}

fn elsewhere(instead: Option<usize>) -> String {
    match instead {
        Some(at) => format!("; it stands at character {at}: correct the offset"),
        None => "; it stands nowhere in the context: correct the answer".to_owned(),
    }
}

/// The beginning of a text, short enough for a message of one line.
pub(super) fn shown(text: &str) -> String {
    const SHOWN: usize = 40;
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let mut characters = text.chars();
    let mut short: String = characters.by_ref().take(SHOWN).map(visible).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_well() {
        let question = |id: Option<&str>| Place::Question {
            number: 7,
            id: id.map(str::to_owned),
        };
        assert_eq!(Place::Line(3).to_string(), "line 3");
        assert_eq!(question(None).to_string(), "question 7");
        assert_eq!(question(Some("a1")).to_string(), "question 7 (id `a1`)");
    }

    #[test]
    fn long_texts_are_cut_at_characters() {
        assert_eq!(shown(&"字".repeat(40)), "字".repeat(40));
        assert_eq!(shown("two\nlines"), "two lines");
        assert_eq!(shown(&"字".repeat(41)), "字".repeat(40) + "…");
    }
}
