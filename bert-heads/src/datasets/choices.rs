//! Questions with several answers: SWAG (Zellers et al. 2018; BERT §4.4) and what is like it, as CSV
//! or JSON lines.

use std::collections::HashMap;
use std::path::Path;

use super::bad_rows::BadRows;
use super::cells::{Cells, Key, quoted};
use super::columns::Column;
use super::example::ChoiceExample;
use super::examples::{Examples, Row};
use super::fault::{Place, RowFault, shown};
use super::layout::Layout;
use super::table::{Table, TableRow};
use super::text::Targets;
use crate::error::{Error, Result};

/// Columns of the choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChoiceTexts {
    /// Each in a column of its own.
    Columns(Vec<Column>),
    /// All in one list, in JSON lines.
    List(Column),
}

/// The columns of a file of choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChoiceColumns {
    /// Context before the choices.
    pub context: Column,
    /// Stem that every choice continues: the beginning of a sentence, or a question.
    pub question: Option<Column>,
    /// The choices.
    pub choices: ChoiceTexts,
    /// The right one.
    pub label: Option<Column>,
}

/// Format of a file of choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChoiceFormat {
    /// Layout of the rows.
    pub layout: Layout,
    /// Which columns to read; by default they are found by name: `sent1`, `context` or `passage`;
    /// `sent2` or `question`; `ending0` …, `choice0` … or `option0` … (or from 1), `A` …, or a list
    /// `choices`, `endings` or `options`; `label` or `answer`.
    pub columns: Option<ChoiceColumns>,
    /// The number of the first choice, where labels are numbers: 0 or 1. Letters begin with A.
    pub first: usize,
    /// Handling of the labels: required, read if present, or ignored.
    pub targets: Targets,
    /// True if nothing is demanded but what predictions are scored by, the label and the number of
    /// choices: choices may be blank, context and question blank or absent.
    pub scoring_only: bool,
}

const CONTEXTS: [&str; 6] = [
    "sent1",
    "context",
    "passage",
    "article",
    "premise",
    "startphrase",
];
const QUESTIONS: [&str; 2] = ["sent2", "question"];
const NUMBERED: [&str; 4] = ["ending", "choice", "option", "answer"];
const LISTS: [&str; 4] = ["choices", "endings", "options", "answers"];
const LABELS: [&str; 4] = ["label", "answer", "answerkey", "correct"];

impl ChoiceFormat {
    /// Columns by their names, labels from 0.
    pub const fn new(layout: Layout) -> Self {
        Self {
            layout,
            columns: None,
            first: 0,
            targets: Targets::Required,
            scoring_only: false,
        }
    }

    /// Sets the handling of the labels.
    #[must_use]
    pub fn with_targets(self, targets: Targets) -> Self {
        Self { targets, ..self }
    }

    /// Format for choices whose predictions are scored.
    #[must_use]
    pub fn scoring_only(self) -> Self {
        Self {
            scoring_only: true,
            ..self
        }
    }
}

impl ChoiceColumns {
    /// Finds the columns by name; what is wrong if there are no choices.
    fn discover(names: &[String], scoring_only: bool) -> Result<Self, String> {
        // The first of each name: choices may be as many as a header has columns.
        let mut known: HashMap<String, &String> = HashMap::new();
        for name in names {
            known.entry(name.to_lowercase()).or_insert(name);
        }
        let find = |wanted: &str| known.get(wanted).map(|name| Column::named(*name));
        let any = |wanted: &[&str]| wanted.iter().find_map(|name| find(name));
        let run = |name: &dyn Fn(usize) -> String, from: usize| {
            let columns: Vec<Column> = (from..).map_while(|n| find(&name(n))).collect();
            (columns.len() > 1).then_some(columns)
        };
        let numbered = NUMBERED.iter().find_map(|stem| {
            let name = |n| format!("{stem}{n}");
            run(&name, 0).or_else(|| run(&name, 1))
        });
        let lettered = || {
            let name = |n| char::from(b'a'.saturating_add(n as u8)).to_string();
            let columns: Vec<Column> = (0..26).map_while(|n| find(&name(n))).collect();
            (columns.len() > 1).then_some(columns)
        };
        let columns = numbered.or_else(lettered).map(ChoiceTexts::Columns);
        let choices = columns.or_else(|| any(&LISTS).map(ChoiceTexts::List));
        let (context, question) = match (any(&CONTEXTS), any(&QUESTIONS)) {
            (Some(context), question) => (Some(context), question),
            // A question on nothing is all there is to go on.
            (None, None) if scoring_only => (Some(Column::named(CONTEXTS[1])), None),
            (None, question) => (question, None),
        };
        match (context, choices) {
            (Some(context), Some(choices)) => Ok(Self {
                context,
                question,
                choices,
                label: any(&LABELS),
            }),
            (context, _) => {
                let lacks = if context.is_none() {
                    "a context or question"
                } else {
                    "choices"
                };
                let names = quoted(names);
                Err(format!(
                    "none of {names} is known as {lacks}: say which columns to read"
                ))
            }
        }
    }
}

/// Reads choices, in constant memory.
///
/// # Errors
///
/// [`Error::Core`] for a file that cannot be opened, [`Error::BadRow`] for a header that cannot be
/// read, [`Error::Column`] for a column that the file lacks and [`Error::Columns`] if none is given
/// and none found. The iterator ends with [`Error::BadRow`], unless bad rows are skipped, or
/// [`Error::NoExamples`].
pub fn read_choices(
    path: impl AsRef<Path>,
    format: &ChoiceFormat,
    bad_rows: BadRows,
) -> Result<Examples<ChoiceExample>> {
    let path = path.as_ref();
    let mut table = Table::open(path, &format.layout)?;
    let keys = Keys::find(path, &table, format)?;
    let rows = std::iter::from_fn(move || {
        let TableRow { line, cells } = match table.next() {
            Ok(row) => row?,
            Err(error) => return Some(Row::Failed(error)),
        };
        Some(match cells.and_then(|cells| keys.example(line, cells)) {
            Ok(example) => Row::Example(example),
            Err(fault) => Row::Bad(Place::Line(line), fault),
        })
    });
    Ok(Examples::new(path, bad_rows, rows))
}

struct Keys {
    /// Without it predictions alone are scored.
    context: Option<Key>,
    question: Option<Key>,
    choices: ChoiceKeys,
    label: Option<Key>,
    first: usize,
}

enum ChoiceKeys {
    Columns(Vec<Key>),
    List(Key),
}

impl Keys {
    fn find(path: &Path, table: &Table, format: &ChoiceFormat) -> Result<Self> {
        let refuse = |reason| Error::Columns {
            path: path.to_owned(),
            reason,
        };
        let columns = match (&format.columns, table.names()) {
            (Some(columns), _) => columns.clone(),
            (None, Some(names)) => {
                ChoiceColumns::discover(names, format.scoring_only).map_err(refuse)?
            }
            (None, None) if table.is_blank() => ChoiceColumns {
                context: Column::named("context"),
                question: None,
                choices: ChoiceTexts::List(Column::named("choices")),
                label: Some(Column::named("label")),
            },
            (None, None) => {
                let reason = "the file is read without a header: say which columns to read";
                return Err(refuse(reason.to_owned()));
            }
        };
        let label = match (&columns.label, format.targets) {
            (_, Targets::Ignored) | (None, Targets::IfPresent) => None,
            (Some(label), Targets::IfPresent) if !table.has(label) => None,
            (Some(label), _) => Some(table.key(label)?),
            (None, Targets::Required) => {
                let reason = "none is known as the label: say which column holds it";
                return Err(refuse(reason.to_owned()));
            }
        };
        Ok(Self {
            context: match format.scoring_only {
                true => None,
                false => Some(table.key(&columns.context)?),
            },
            question: columns
                .question
                .filter(|_| !format.scoring_only)
                .map(|column| table.key(&column))
                .transpose()?,
            choices: match &columns.choices {
                ChoiceTexts::List(column) => ChoiceKeys::List(table.key(column)?),
                ChoiceTexts::Columns(columns) => {
                    let keys = columns.iter().map(|column| table.key(column));
                    ChoiceKeys::Columns(keys.collect::<Result<_>>()?)
                }
            },
            label,
            first: format.first,
        })
    }

    fn example(&self, line: usize, mut cells: Cells) -> Result<ChoiceExample, RowFault> {
        let choices: Vec<String> = match &self.choices {
            ChoiceKeys::Columns(keys) => keys
                .iter()
                .map(|key| match self.context {
                    Some(_) => cells.text(key),
                    None => cells.any_text(key),
                })
                .collect::<Result<_, _>>()?,
            ChoiceKeys::List(key) => {
                let choices = cells.words(key, None)?;
                if self.context.is_some() && choices.iter().any(String::is_empty) {
                    let column = key.name.clone();
                    return Err(RowFault::Blank { column });
                }
                choices
            }
        };
        if choices.len() < 2 {
            let reason = format!("it has {} choice(s): give it two or more", choices.len());
            return Err(RowFault::Choices { reason });
        }
        let label = match &self.label {
            None => None,
            Some(key) => Some(self.label(&cells.word(key)?, choices.len())?),
        };
        Ok(ChoiceExample {
            context: match &self.context {
                Some(context) => cells.text(context)?,
                None => String::new(),
            },
            question: self
                .question
                .as_ref()
                .map(|key| cells.text(key))
                .transpose()?,
            choices,
            label,
            line,
        })
    }

    /// A number, or a letter from A.
    fn label(&self, text: &str, choices: usize) -> Result<usize, RowFault> {
        let mut letters = text.chars();
        let index = match (letters.next(), letters.next()) {
            (Some(letter @ 'A'..='Z'), None) => Some(letter as usize - 'A' as usize),
            (Some(letter @ 'a'..='z'), None) => Some(letter as usize - 'a' as usize),
            _ => text
                .parse::<usize>()
                .ok()
                .and_then(|n| n.checked_sub(self.first)),
        };
        index.filter(|index| *index < choices).ok_or_else(|| {
            let last = self.first + choices - 1;
            RowFault::Choices {
                reason: format!(
                    "label `{}` is none of the {choices} choices: use {} to {last}, or letters from A",
                    shown(text),
                    self.first
                ),
            }
        })
    }
}
