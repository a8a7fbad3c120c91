//! Questions on texts: SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018), as published and as JSON
//! lines.

mod answer;

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::datasets::bad_rows::BadRows;
use crate::datasets::cells::{Cells, Key, wrong_type};
use crate::datasets::columns::Column;
use crate::datasets::example::QuestionExample;
use crate::datasets::examples::{Examples, Row};
use crate::datasets::fault::{Place, RowFault, shown};
use crate::datasets::layout::Layout;
use crate::datasets::lines;
use crate::datasets::table::Table;
use crate::datasets::text::Targets;
use crate::error::{Error, Result};
use answer::{answer_texts, answers};

/// Layout of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuestionLayout {
    /// One JSON file of articles, paragraphs and questions, as SQuAD is published. It is read into
    /// memory as a whole.
    Json,
    /// One JSON object per question, with `id`, `question`, `context`, `answers` and, where there
    /// is one, `title`; `answers` as in SQuAD, or as lists `text` and `answer_start` as the hub's
    /// copies have it. Where answers are not read, a question without an `id` goes by its number,
    /// counted from 0.
    JsonLines,
}

/// Format of a file of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuestionFormat {
    /// Layout of the questions.
    pub layout: QuestionLayout,
    /// Handling of the answers, and of the statement that there is none.
    pub answers: Targets,
    /// True if nothing is demanded but what predictions are scored by, ids and the texts of answers:
    /// no offset is looked at, ids may come twice, and question and context may be absent.
    pub scoring_only: bool,
}

impl QuestionFormat {
    /// A layout, with answers.
    pub const fn new(layout: QuestionLayout) -> Self {
        Self {
            layout,
            answers: Targets::Required,
            scoring_only: false,
        }
    }

    /// JSON lines for `.jsonl` and `.ndjson` (before `.gz` or `.zst` if it is compressed), one JSON
    /// file for every other name.
    pub fn of(path: &Path) -> Self {
        let name = path.to_string_lossy().to_lowercase();
        let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
        Self::new(
            match name.ends_with(".jsonl") || name.ends_with(".ndjson") {
                true => QuestionLayout::JsonLines,
                false => QuestionLayout::Json,
            },
        )
    }

    /// Sets the handling of the answers.
    #[must_use]
    pub const fn with_answers(self, answers: Targets) -> Self {
        Self { answers, ..self }
    }

    /// Format for questions whose predicted answers are scored.
    #[must_use]
    pub const fn scoring_only(self) -> Self {
        Self {
            scoring_only: true,
            ..self
        }
    }
}

/// Reads questions and their answers, each of which is checked to stand where it is said to.
///
/// A question is impossible if `is_impossible` says so or, without that field, if its list of
/// answers is empty.
///
/// # Errors
///
/// [`Error::Core`] for a file that cannot be read, [`Error::Questions`] for one that is not of the
/// layout. The iterator ends with [`Error::BadRow`], unless bad rows are skipped, or
/// [`Error::NoExamples`].
pub fn read_questions(
    path: impl AsRef<Path>,
    format: &QuestionFormat,
    bad_rows: BadRows,
) -> Result<Examples<QuestionExample>> {
    let path = path.as_ref();
    let mut reader = QuestionReader {
        targets: format.answers,
        scoring_only: format.scoring_only,
        seen: HashSet::new(),
        count: 0,
    };
    if format.layout == QuestionLayout::JsonLines {
        let mut table = Table::open(path, &Layout::JsonLines)?;
        let key = |name: &str| table.key(&Column::named(name));
        let keys = [key("context")?, key("title")?];
        let rows = std::iter::from_fn(move || match table.next() {
            Err(error) => Some(Row::Failed(error)),
            Ok(row) => row.map(|row| {
                let read = row.cells.and_then(|cells| reader.line(cells, &keys));
                finish(Place::Line(row.line), read)
            }),
        });
        return Ok(Examples::new(path, bad_rows, rows));
    }
    let rows = questions(parse(path)?)
        .enumerate()
        .map(move |(index, raw)| {
            let id = raw.fields.get("id").and_then(id_of);
            let read = reader.question(raw);
            finish(
                Place::Question {
                    number: index + 1,
                    id,
                },
                read,
            )
        });
    Ok(Examples::new(path, bad_rows, rows))
}

fn finish(place: Place, read: Result<QuestionExample, RowFault>) -> Row<QuestionExample> {
    match read {
        Ok(example) => Row::Example(example),
        Err(fault) => Row::Bad(place, fault),
    }
}

#[derive(Deserialize)]
struct Dataset {
    data: Vec<Article>,
}

#[derive(Deserialize)]
struct Article {
    #[serde(default)]
    title: Option<String>,
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    #[serde(default)]
    context: Option<String>,
    qas: Vec<Map<String, Value>>,
}

/// A question before it is checked.
struct RawQuestion {
    title: Arc<str>,
    context: Option<Arc<str>>,
    fields: Map<String, Value>,
}

fn parse(path: &Path) -> Result<Dataset> {
    let mut bytes = Vec::new();
    let read = lines::open(path)?.read_to_end(&mut bytes);
    read.map_err(|source| bert_core::Error::io("read", path, source))?;
    if bytes.trim_ascii().is_empty() {
        return Ok(Dataset { data: Vec::new() });
    }
    serde_json::from_slice(&bytes).map_err(|error| Error::Questions {
        path: path.to_owned(),
        line: error.line(),
        reason: error.to_string(),
    })
}

fn questions(dataset: Dataset) -> impl Iterator<Item = RawQuestion> + Send {
    dataset.data.into_iter().flat_map(|article| {
        let title: Arc<str> = article.title.unwrap_or_default().into();
        article.paragraphs.into_iter().flat_map(move |paragraph| {
            let title = Arc::clone(&title);
            let context: Option<Arc<str>> = paragraph.context.map(Arc::from);
            paragraph.qas.into_iter().map(move |fields| RawQuestion {
                title: Arc::clone(&title),
                context: context.clone(),
                fields,
            })
        })
    })
}

struct QuestionReader {
    targets: Targets,
    scoring_only: bool,
    /// The ids so far, unless answers are not read: a stream of questions may have no end.
    seen: HashSet<String>,
    count: usize,
}

impl QuestionReader {
    fn line(
        &mut self,
        cells: Cells,
        [context, title]: &[Key; 2],
    ) -> Result<QuestionExample, RowFault> {
        let Cells::Object(mut fields) = cells else {
            // A line of JSON holds nothing else.
            return Err(RowFault::Json {
                reason: "it has fields".to_owned(),
            });
        };
        let text = |fields: &mut Map<String, Value>, key: &Key| match fields.remove(&key.name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(Arc::from(text))),
            Some(_) if self.scoring_only => Ok(None),
            Some(other) => Err(wrong_type(&key.name, "a text", &other)),
        };
        self.question(RawQuestion {
            title: text(&mut fields, title)?.unwrap_or_default(),
            context: text(&mut fields, context)?,
            fields,
        })
    }

    fn question(&mut self, raw: RawQuestion) -> Result<QuestionExample, RowFault> {
        let RawQuestion {
            title,
            context,
            mut fields,
        } = raw;
        let number = self.count;
        self.count += 1;
        let is_asked = self.targets == Targets::Ignored;
        let id = match fields.get("id") {
            None | Some(Value::Null) if is_asked => number.to_string(),
            id => id.and_then(id_of).ok_or_else(|| missing("id"))?,
        };
        if self.scoring_only {
            let answers = answer_texts(&fields)?;
            return Ok(QuestionExample {
                id,
                question: match fields.remove("question") {
                    Some(Value::String(text)) => text,
                    _ => String::new(),
                },
                context: context.unwrap_or_default(),
                is_impossible: answers.is_empty(),
                answers,
                title,
            });
        }
        let question = match fields.remove("question") {
            Some(Value::String(text)) => text,
            None | Some(Value::Null) => return Err(missing("question")),
            Some(other) => return Err(wrong_type("question", "a text", &other)),
        };
        let context = context.ok_or_else(|| missing("context"))?;
        for (column, text) in [("question", &*question), ("context", &*context)] {
            if text.trim().is_empty() {
                let column = column.to_owned();
                return Err(RowFault::Blank { column });
            }
        }
        let (answers, is_impossible) = answers(self.targets, &mut fields, &context)?;
        if !is_asked && !self.seen.insert(id.clone()) {
            return Err(RowFault::DuplicateId { id: shown(&id) });
        }
        Ok(QuestionExample {
            id,
            question,
            context,
            answers,
            is_impossible,
            title,
        })
    }
}

/// Some data sets number their questions.
fn id_of(value: &Value) -> Option<String> {
    match value {
        Value::String(id) if !id.is_empty() => Some(id.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn missing(column: &str) -> RowFault {
    RowFault::MissingColumn {
        column: column.to_owned(),
    }
}
