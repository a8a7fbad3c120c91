//! Which columns of a file are text, second text and target.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use super::cells::quoted;
use crate::error::{Error, Result};

/// A column by name, or by number where a file has no header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// As the header, or the key of a JSON object, spells it.
    Name(String),
    /// Counted from 1.
    Number(usize),
}

impl Column {
    /// A column by name.
    pub fn named(name: impl Into<String>) -> Self {
        Self::Name(name.into())
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

/// Where the target of a text is, and of what kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetColumn {
    /// One class.
    Label(Column),
    /// Several labels in one column: a JSON list, or a text with a separator.
    Labels {
        /// The column.
        column: Column,
        /// What stands between two labels of a text.
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
    /// What is to be predicted.
    pub target: Option<TargetColumn>,
}

/// Pairs come first: QNLI has a question *and* a sentence.
const TEXTS: [(&str, Option<&str>); 16] = [
    ("sentence1", Some("sentence2")),
    ("premise", Some("hypothesis")),
    ("question1", Some("question2")),
    ("question", Some("sentence")),
    ("question", Some("passage")),
    ("text1", Some("text2")),
    ("text_a", Some("text_b")),
    ("query", Some("passage")),
    ("#1 string", Some("#2 string")),
    ("sentence", None),
    ("text", None),
    ("text_a", None),
    ("review", None),
    ("content", None),
    ("document", None),
    ("question", None),
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
/// Between the labels of one column, unless told otherwise.
const LABEL_SEPARATOR: char = ',';

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

    /// The same with a target.
    #[must_use]
    pub fn with_target(self, target: TargetColumn) -> Self {
        Self {
            target: Some(target),
            ..self
        }
    }

    /// The same with one class per text.
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
    /// What is wrong, for [`Error::Columns`]: no column looks like a text.
    pub(super) fn discover(names: &[String]) -> Result<Self, String> {
        let find = |wanted: &str| {
            let name = names.iter().find(|name| name.to_lowercase() == wanted)?;
            Some(Column::named(name))
        };
        let texts = TEXTS.into_iter().find_map(|(text, pair)| {
            let pair = match pair {
                None => None,
                Some(pair) => Some(find(pair)?),
            };
            Some((find(text)?, pair))
        });
        let Some((text, pair)) = texts else {
            return Err(format!(
                "none of {} is known as a text: say which column to read",
                quoted(names)
            ));
        };
        let list = |column| TargetColumn::Labels {
            column,
            separator: LABEL_SEPARATOR,
        };
        let label = LABELS.into_iter().find_map(find).map(TargetColumn::Label);
        let target = label
            .or_else(|| LABEL_LISTS.into_iter().find_map(find).map(list))
            .or_else(|| NUMBERS.into_iter().find_map(find).map(TargetColumn::Number));
        Ok(Self { text, pair, target })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discover(header: &str) -> Result<Columns, String> {
        let names: Vec<String> = header.split('\t').map(str::to_owned).collect();
        Columns::discover(&names)
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
        ] {
            assert_eq!(discover(header).unwrap(), columns, "{header}");
        }
        let reason = discover("a\tlabel").unwrap_err();
        assert!(reason.contains("`a`, `label`"), "{reason}");
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
