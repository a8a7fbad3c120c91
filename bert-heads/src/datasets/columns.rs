//! Which columns of a file are text, second text and target.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use super::cells::quoted;
use crate::error::{Error, Result};

/// A column by name, or by number where a file has no header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// Name, as spelled in the header or as the key of a JSON object.
    Name(String),
    /// Counted from 1.
    Number(usize),
}

impl Column {
    /// A column by name.
    pub fn named(name: impl Into<String>) -> Self {
        Self::Name(name.into())
    }

    /// True if its name promises several labels.
    pub(super) fn is_list_of_labels(&self) -> bool {
        match self {
            Self::Name(name) => LABEL_LISTS.contains(&folded(name).as_str()),
            Self::Number(_) => false,
        }
    }
}

impl Display for Column {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl FromStr for Column {
    type Err = Error;

    /// Digits are a number, counted from 1; everything else is a name.
    fn from_str(text: &str) -> Result<Self> {
        let refuse = |reason| Error::ColumnName {
            text: text.to_owned(),
            reason,
        };
        if text.is_empty() {
            return Err(refuse("it is empty: give a name or a number"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self::named(text));
        }
        match text.parse() {
            Ok(number) if number > 0 => Ok(Self::Number(number)),
            _ => Err(refuse("numbers of columns begin with 1")),
        }
    }
}

/// Column of a text's target, and the kind of target in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetColumn {
    /// One class.
    Label(Column),
    /// Several labels in one column: a JSON list, or a text with a separator.
    Labels {
        /// The column.
        column: Column,
        /// Separator between two labels of a text.
        separator: char,
    },
    /// One column per label, with 1 or 0, or true or false; the labels are called as their columns.
    Flags(Vec<Column>),
    /// A number.
    Number(Column),
}

impl TargetColumn {
    /// Every column that is read.
    pub fn columns(&self) -> &[Column] {
        match self {
            Self::Label(column) | Self::Labels { column, .. } | Self::Number(column) => {
                std::slice::from_ref(column)
            }
            Self::Flags(columns) => columns,
        }
    }
}

/// The columns of a file of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The text, or the first of two.
    pub text: Column,
    /// The second text.
    pub pair: Option<Column>,
    /// Target of the prediction.
    pub target: Option<TargetColumn>,
}

/// Kind of the target that a task learns, which decides how its column is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// One class.
    Label,
    /// Any number of labels.
    Labels,
    /// A number.
    Number,
}

/// Names of two texts that belong together. Pairs come before single texts: QNLI has a question
/// *and* a sentence.
const PAIRS: [(&str, &str); 34] = [
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "passage"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("query", "passage"),
    ("#1 string", "#2 string"),
    ("text", "text_pair"),
    ("text", "pair"),
    ("text", "text2"),
    ("text", "text_b"),
    ("query", "document"),
    ("query", "doc"),
    ("query", "text"),
    ("query", "paragraph"),
    ("query", "answer"),
    ("query", "positive"),
    ("question", "answer"),
    ("question", "context"),
    ("question", "document"),
    ("question", "text"),
    ("sentence", "sentence_pair"),
    ("sentence", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("sentence_a", "sentence_b"),
    ("sentence0", "sentence1"),
    ("text_1", "text_2"),
    ("sent1", "sent2"),
    ("first", "second"),
    ("claim", "evidence"),
    ("context", "response"),
    ("anchor", "positive"),
];
/// Names of one text.
const TEXTS: [&str; 10] = [
    "sentence",
    "text",
    "text_a",
    "review",
    "content",
    "document",
    "question",
    "comment_text",
    "comment",
    "tweet",
];
/// Names of columns of texts, or parts of such names.
const TEXT_LIKE: [&str; 12] = [
    "text",
    "sentence",
    "title",
    "body",
    "description",
    "summary",
    "headline",
    "reply",
    "response",
    "passage",
    "paragraph",
    "context",
];
const LABELS: [&str; 8] = [
    "label",
    "gold_label",
    "class",
    "category",
    "sentiment",
    "quality",
    "is_duplicate",
    "target",
];
const LABEL_LISTS: [&str; 2] = ["labels", "categories"];
const NUMBERS: [&str; 3] = ["score", "similarity", "similarity_score"];
/// Separator of the labels of one column, by default.
pub(super) const LABEL_SEPARATOR: char = ',';

impl Columns {
    /// A text and nothing else.
    pub const fn text(text: Column) -> Self {
        Self {
            text,
            pair: None,
            target: None,
        }
    }

    /// Two texts.
    pub const fn pair(text: Column, pair: Column) -> Self {
        Self {
            text,
            pair: Some(pair),
            target: None,
        }
    }

    /// Sets the target.
    #[must_use]
    pub fn with_target(self, target: TargetColumn) -> Self {
        Self {
            target: Some(target),
            ..self
        }
    }

    /// Sets a target of one class per text.
    #[must_use]
    pub fn with_label(self, column: Column) -> Self {
        self.with_target(TargetColumn::Label(column))
    }

    /// Finds the columns by the names that published data sets give them, such as `sentence`,
    /// `sentence1` and `sentence2`, `text`, `premise` and `hypothesis`; `label`, `labels`, `score`.
    /// Case does not matter. The target stays open if none of the names is there.
    ///
    /// # Errors
    ///
    /// Reason for [`Error::Columns`]: no column looks like a text.
    pub(super) fn discover(names: &[String], kind: Option<TargetKind>) -> Result<Self, String> {
        let pair = PAIRS
            .into_iter()
            .find_map(|(text, pair)| Some((find(names, text)?, find(names, pair)?)));
        let (text, pair) = match pair {
            Some((text, pair)) => (text, Some(pair)),
            None => match TEXTS.into_iter().find_map(|text| find(names, text)) {
                Some(text) => (text, None),
                None => {
                    return Err(format!(
                        "none of {} is known as a text: say which column to read{}",
                        quoted(names),
                        separated(names)
                    ));
                }
            },
        };
        Ok(Self {
            text,
            pair,
            target: TargetColumn::discover(names, kind),
        })
    }
}

impl TargetColumn {
    /// Finds the target by the names that published data sets give it; its kind goes by the name
    /// unless it is known.
    pub(super) fn discover(names: &[String], kind: Option<TargetKind>) -> Option<Self> {
        let any = |wanted: &[&str]| wanted.iter().find_map(|name| find(names, name));
        let list = |column| Self::Labels {
            column,
            separator: LABEL_SEPARATOR,
        };
        match kind {
            None => any(&LABELS)
                .map(Self::Label)
                .or_else(|| any(&LABEL_LISTS).map(list))
                .or_else(|| any(&NUMBERS).map(Self::Number)),
            Some(TargetKind::Label) => any(&LABELS).or_else(|| any(&LABEL_LISTS)).map(Self::Label),
            Some(TargetKind::Labels) => any(&LABEL_LISTS).or_else(|| any(&LABELS)).map(list),
            Some(TargetKind::Number) => any(&NUMBERS).or_else(|| any(&LABELS)).map(Self::Number),
        }
    }
}

/// The names that a second text beside `text` goes by.
pub(super) fn partners(text: &str) -> impl Iterator<Item = &'static str> {
    let text = folded(text);
    let pairs = PAIRS.into_iter().filter(move |(first, _)| *first == text);
    pairs.map(|(_, second)| second)
}

/// True if the name of a column promises texts.
pub(super) fn is_text_name(name: &str) -> bool {
    let name = folded(name);
    let mut pairs = PAIRS.iter().flat_map(|(text, pair)| [*text, *pair]);
    let is_known = pairs.any(|known| known == name) || TEXTS.contains(&name.as_str());
    // `label_text` is another spelling of the label.
    is_known || (!name.starts_with("label") && TEXT_LIKE.iter().any(|part| name.contains(part)))
}

fn find(names: &[String], wanted: &str) -> Option<Column> {
    let name = names.iter().find(|name| folded(name) == wanted)?;
    Some(Column::named(name))
}

/// True if a column has a known name, whatever its case.
pub(super) fn is_called(name: &str, known: &str) -> bool {
    folded(name) == known
}

fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

/// A hint where one name looks like several.
fn separated(names: &[String]) -> String {
    let [name] = names else { return String::new() };
    match name.chars().find(|c| matches!(c, ',' | ';' | '\t' | '|')) {
        Some('\t') => " (it has tabs: is that what stands between its fields?)".to_owned(),
        Some(c) => format!(" (it has `{c}`: is that what stands between its fields?)"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discover(header: &str) -> Result<Columns, String> {
        let names: Vec<String> = header.split('\t').map(str::to_owned).collect();
        Columns::discover(&names, None)
    }

    fn named(name: &str) -> Column {
        Column::named(name)
    }

    #[test]
    fn headers_of_published_files_are_known() {
        let text = |name| Columns::text(named(name));
        let pair = |a, b| Columns::pair(named(a), named(b));
        let label = named("label");
        for (header, columns) in [
            (
                "sentence\tlabel",
                text("sentence").with_label(label.clone()),
            ),
            (
                "index\tquestion\tsentence\tlabel",
                pair("question", "sentence").with_label(label.clone()),
            ),
            (
                "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
                pair("#1 String", "#2 String").with_label(named("Quality")),
            ),
            (
                "genre\tsentence1\tsentence2\tscore",
                pair("sentence1", "sentence2").with_target(TargetColumn::Number(named("score"))),
            ),
            ("label\ttext_a", text("text_a").with_label(label)),
            (
                "Text\tlabels",
                text("Text").with_target(TargetColumn::Labels {
                    column: named("labels"),
                    separator: ',',
                }),
            ),
            ("index\tsentence", text("sentence")),
            ("text\ttext_pair", pair("text", "text_pair")),
            ("query\tDocument", pair("query", "Document")),
            ("question\tanswer", pair("question", "answer")),
            ("text\ttext2", pair("text", "text2")),
            ("pair\ttext", pair("text", "pair")),
        ] {
            assert_eq!(discover(header).unwrap(), columns, "{header}");
        }
        let reason = discover("a\tlabel").unwrap_err();
        assert!(reason.contains("`a`, `label`"), "{reason}");
    }

    #[test]
    fn the_task_decides_how_a_label_is_read() {
        let names = |header: &str| -> Vec<String> { header.split(' ').map(Into::into).collect() };
        let discover = |header: &str, kind| TargetColumn::discover(&names(header), Some(kind));
        let list = |column| TargetColumn::Labels {
            column: named(column),
            separator: ',',
        };
        let label = TargetColumn::Label(named("label"));
        assert_eq!(discover("text label", TargetKind::Label), Some(label));
        assert_eq!(
            discover("text label", TargetKind::Labels),
            Some(list("label"))
        );
        let label = TargetColumn::Label(named("labels"));
        assert_eq!(discover("text labels", TargetKind::Label), Some(label));
        let number = TargetColumn::Number(named("score"));
        assert_eq!(
            discover("text label score", TargetKind::Number),
            Some(number)
        );
        assert_eq!(discover("text score", TargetKind::Label), None);
    }

    #[test]
    fn digits_are_numbers_from_1() {
        assert_eq!("4".parse::<Column>().unwrap(), Column::Number(4));
        assert_eq!("x1".parse::<Column>().unwrap(), Column::named("x1"));
        for text in ["", "0", "99999999999999999999"] {
            assert!(text.parse::<Column>().is_err(), "{text}");
        }
    }
}
