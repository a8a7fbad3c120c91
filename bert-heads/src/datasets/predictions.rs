//! Files of predictions, one for each example of a data set: JSON lines as this project writes them,
//! or a line per example.

use std::path::Path;

use super::bad_rows::BadRows;
use super::cells::{Cells, Key, kind, word, wrong_type};
use super::columns::LABEL_SEPARATOR;
use super::example::Target;
use super::examples::{Examples, Row};
use super::fault::{Place, RowFault};
use super::label_lists;
use super::layout::Layout;
use super::lines::{DataLine, DataLines};
use super::table::{Table, TableRow};
use super::tokens::{TokenFormat, read_tokens};
use crate::error::Result;
use crate::labels::Labels;

/// Prediction for an example, with the lines of both in their files.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicted<T> {
    /// The line of the file of predictions, counted from 1.
    pub line: usize,
    /// The line of the example in its own file, where the prediction names it.
    pub of_line: Option<usize>,
    /// The prediction.
    pub prediction: T,
}

/// The tags predicted for a sentence, and its words where the file has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PredictedTags {
    /// Its words.
    pub words: Option<Vec<String>>,
    /// A tag for each.
    pub tags: Vec<String>,
}

/// Kind of the predictions for texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PredictedKind {
    /// A class: `label` in JSON.
    Label,
    /// Any number of labels: the list `labels` in JSON, else separated by commas.
    Labels,
    /// A number: `value` in JSON, or the `score` that is made of it, else `similarity` or `score`.
    Number,
    /// The number of a choice, counted from 0: `choice` in JSON.
    Choice,
}

impl PredictedKind {
    /// The keys of JSON lines, the first of which that is there counts.
    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Label => &["label", "labels"],
            Self::Labels => &["labels", "label"],
            Self::Number => &["score", "value", "similarity"],
            Self::Choice => &["choice"],
        }
    }
}

/// The key of the number of an example's line.
const LINE: &str = "line";

/// Reads what is predicted of texts: JSON lines as `bert predict` writes them, or one label, list of
/// labels or number a line. The first line tells which. A list of 0 and 1 is a flag for each of
/// `labels`, the labels there are, if that is known.
///
/// # Errors
///
/// [`Error::Core`](crate::Error::Core) for a file that cannot be read. The iterator ends with
/// [`Error::BadRow`](crate::Error::BadRow) or [`Error::NoExamples`](crate::Error::NoExamples).
pub fn read_text_predictions(
    path: impl AsRef<Path>,
    kind: PredictedKind,
    labels: Option<&Labels>,
) -> Result<Examples<Predicted<Target>>> {
    let path = path.as_ref();
    if is_json(path)? {
        let labels = labels.cloned();
        return json_rows(path, move |cells| json_target(cells, kind, labels.as_ref()));
    }
    let mut lines = DataLines::open(path)?;
    let rows = std::iter::from_fn(move || match lines.next() {
        Err(error) => Some(Row::Failed(error)),
        Ok(line) => line.map(|DataLine { number, text }| {
            let read = text.and_then(|text| plain_target(text.trim(), kind));
            row(number, None, read)
        }),
    });
    Ok(Examples::new(path, BadRows::Fail, rows))
}

/// Reads the tags predicted for sentences: JSON lines with a list `tags` of names or of objects with
/// a `label`, as `bert evaluate --predictions` writes them, and perhaps the words; or a word per line
/// with its tag in the last column.
///
/// # Errors
///
/// Those of [`read_text_predictions`].
pub fn read_tag_predictions(path: impl AsRef<Path>) -> Result<Examples<Predicted<PredictedTags>>> {
    let path = path.as_ref();
    if is_json(path)? {
        return json_rows(path, json_tags);
    }
    let sentences = read_tokens(path, &TokenFormat::lines(), BadRows::Fail)?;
    let rows = sentences.map(|sentence| match sentence {
        Err(error) => Row::Failed(error),
        Ok(sentence) => Row::Example(Predicted {
            line: sentence.line,
            of_line: None,
            prediction: PredictedTags {
                words: Some(sentence.words),
                tags: sentence.tags.unwrap_or_default(),
            },
        }),
    });
    Ok(Examples::new(path, BadRows::Fail, rows))
}

/// True if the first line that is not blank begins a JSON object.
fn is_json(path: &Path) -> Result<bool> {
    let mut lines = DataLines::open(path)?;
    while let Some(line) = lines.next()? {
        match line.text {
            Ok(text) if text.trim().is_empty() => continue,
            text => return Ok(text.is_ok_and(|text| text.trim_start().starts_with('{'))),
        }
    }
    Ok(false)
}

fn json_rows<T: 'static>(
    path: &Path,
    read: impl Fn(&mut Cells) -> Result<T, RowFault> + Send + 'static,
) -> Result<Examples<Predicted<T>>> {
    let mut table = Table::open(path, &Layout::JsonLines)?;
    let rows = std::iter::from_fn(move || match table.next() {
        Err(error) => Some(Row::Failed(error)),
        Ok(next) => next.map(|TableRow { line, cells }| match cells {
            Err(fault) => Row::Bad(Place::Line(line), fault),
            Ok(mut cells) => match of_line(&mut cells) {
                Err(fault) => Row::Bad(Place::Line(line), fault),
                Ok(of_line) => row(line, of_line, read(&mut cells)),
            },
        }),
    });
    Ok(Examples::new(path, BadRows::Fail, rows))
}

fn row<T>(line: usize, of_line: Option<usize>, read: Result<T, RowFault>) -> Row<Predicted<T>> {
    match read {
        Ok(prediction) => Row::Example(Predicted {
            line,
            of_line,
            prediction,
        }),
        Err(fault) => Row::Bad(Place::Line(line), fault),
    }
}

fn key(name: &str) -> Key {
    Key {
        name: name.to_owned(),
        index: 0,
    }
}

/// The line of the example, if the prediction names it.
fn of_line(cells: &mut Cells) -> Result<Option<usize>, RowFault> {
    match cells.take(&key(LINE)) {
        Err(_) => Ok(None),
        Ok(value) => match value.as_u64().and_then(|line| usize::try_from(line).ok()) {
            Some(line) => Ok(Some(line)),
            None => Err(wrong_type(LINE, "a line number", &value)),
        },
    }
}

fn json_target(
    cells: &mut Cells,
    kind: PredictedKind,
    labels: Option<&Labels>,
) -> Result<Target, RowFault> {
    let names = kind.keys();
    // A score beside a value is what its owner makes of it.
    let is_scored = kind == PredictedKind::Number
        && ["value", "score"].iter().all(|name| cells.has(&key(name)));
    let name = match is_scored {
        true => Some(&"score"),
        false => names.iter().find(|name| cells.has(&key(name))),
    };
    let key = key(name.unwrap_or(&names[0]));
    Ok(match kind {
        PredictedKind::Label => Target::Label(cells.word(&key)?),
        PredictedKind::Labels => {
            Target::Labels(label_lists::labels(cells, &key, LABEL_SEPARATOR, labels)?)
        }
        PredictedKind::Number | PredictedKind::Choice => Target::Number(cells.number(&key)?),
    })
}

fn plain_target(text: &str, kind: PredictedKind) -> Result<Target, RowFault> {
    let column = || kind.keys()[0].to_owned();
    match kind {
        // No label at all is a prediction too.
        PredictedKind::Labels => {
            let labels = text.split(',').map(str::trim);
            let labels = labels.filter(|label| !label.is_empty()).map(str::to_owned);
            Ok(Target::Labels(label_lists::distinct(labels.collect())))
        }
        _ if text.is_empty() => Err(RowFault::Blank { column: column() }),
        PredictedKind::Label => Ok(Target::Label(text.to_owned())),
        PredictedKind::Number | PredictedKind::Choice => match text.parse() {
            Ok(number) if f64::is_finite(number) => Ok(Target::Number(number)),
            _ => Err(RowFault::NotANumber {
                column: column(),
                text: super::fault::shown(text),
            }),
        },
    }
}

fn json_tags(cells: &mut Cells) -> Result<PredictedTags, RowFault> {
    let value = cells.take(&key("tags"))?;
    let tag = |value: &serde_json::Value| match value.get("label") {
        Some(label) => word(label),
        None => word(value),
    };
    let tags: Option<Vec<String>> = value
        .as_array()
        .and_then(|tags| tags.iter().map(tag).collect());
    let tags = tags.ok_or_else(|| RowFault::WrongType {
        column: "tags".to_owned(),
        expected: "a list of tags, or of objects with a `label`",
        found: kind(&value).to_owned(),
    })?;
    let words = ["tokens", "words"].into_iter().find_map(|name| {
        // A prediction without words is one that is read by its place.
        let words = cells.tokens(&key(name));
        words.ok()
    });
    Ok(PredictedTags { words, tags })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn texts(text: &str, kind: PredictedKind) -> Result<Vec<Predicted<Target>>> {
        let file = file(text);
        Ok(read_text_predictions(file.path(), kind, None)?
            .read_all()?
            .0)
    }

    fn label(text: &str) -> Target {
        Target::Label(text.to_owned())
    }

    #[test]
    fn json_lines_and_plain_lines_say_the_same() {
        let json = texts(
            "{\"index\":0,\"line\":2,\"label\":\"good\",\"score\":0.9}\n\n{\"label\":1}\n",
            PredictedKind::Label,
        );
        let json = json.unwrap();
        assert_eq!((json[0].line, json[0].of_line), (1, Some(2)));
        assert_eq!(json[0].prediction, label("good"));
        assert_eq!((json[1].line, json[1].of_line), (3, None));
        assert_eq!(json[1].prediction, label("1"));
        let plain = texts("good\n 1 \n", PredictedKind::Label).unwrap();
        let plain: Vec<_> = plain.into_iter().map(|row| row.prediction).collect();
        assert_eq!(plain, [label("good"), label("1")]);

        let numbers = texts("{\"value\":-1.5}\n", PredictedKind::Number).unwrap();
        assert_eq!(numbers[0].prediction, Target::Number(-1.5));
        let scores = "{\"value\":-1.5,\"score\":0.25}\n{\"index\":1,\"similarity\":0.5}\n";
        let scores = texts(scores, PredictedKind::Number).unwrap();
        let scores: Vec<_> = scores.into_iter().map(|row| row.prediction).collect();
        assert_eq!(scores, [0.25, 0.5].map(Target::Number));
        let numbers = texts("-1.5\n", PredictedKind::Number).unwrap();
        assert_eq!(numbers[0].prediction, Target::Number(-1.5));

        let set = |labels: &[&str]| Target::Labels(labels.iter().map(|&l| l.to_owned()).collect());
        let json = "{\"labels\":[\"a\",\"b\",\"a\"]}\n{\"labels\":[]}\n";
        for text in [json, "a, b,a\n\n"] {
            let found = texts(text, PredictedKind::Labels).unwrap();
            let found: Vec<_> = found.into_iter().map(|row| row.prediction).collect();
            assert_eq!(found, [set(&["a", "b"]), set(&[])], "{text}");
        }
    }

    #[test]
    fn a_list_of_flags_is_read_by_the_labels_there_are_or_not_at_all() {
        let known = Labels::new(["a", "b"]).unwrap();
        let read = |text: &str, kind, known: Option<&Labels>| {
            let read = read_text_predictions(file(text).path(), kind, known)?;
            let (rows, _) = read.read_all()?;
            Ok::<_, crate::Error>(rows.into_iter().next().map(|row| row.prediction))
        };
        let flags = "{\"labels\":[0,1]}\n";
        let set = |names: &[&str]| Target::Labels(names.iter().map(|&n| n.to_owned()).collect());
        let found = read(flags, PredictedKind::Labels, Some(&known)).unwrap();
        assert_eq!(found, Some(set(&["b"])));
        let refused = read(flags, PredictedKind::Labels, None).unwrap_err();
        let refused = refused.to_string();
        assert!(
            refused.contains("line 1") && refused.contains("--labels"),
            "{refused}"
        );
        let names = "{\"labels\":[\"0\",\"1\"]}\n";
        let found = read(names, PredictedKind::Labels, None).unwrap();
        assert_eq!(found, Some(set(&["0", "1"])));

        // The key of one label holds several, and the other way round.
        let found = read("{\"label\":[\"a\"]}\n", PredictedKind::Labels, None).unwrap();
        assert_eq!(found, Some(set(&["a"])));
        let found = read("{\"labels\":\"good\"}\n", PredictedKind::Label, None).unwrap();
        assert_eq!(found, Some(label("good")));
    }

    #[test]
    fn what_is_no_prediction_is_named_by_its_line() {
        for (text, kind, needle) in [
            ("good\n\nbad\n", PredictedKind::Label, "line 2"),
            ("1\nhigh\n", PredictedKind::Number, "`high`"),
            (
                "{\"label\":\"a\"}\n{\"lable\":\"a\"}\n",
                PredictedKind::Label,
                "line 2",
            ),
            (
                "{\"label\":\"a\"}\nb\n",
                PredictedKind::Label,
                "not a JSON object",
            ),
            (
                "{\"line\":\"two\",\"label\":\"a\"}\n",
                PredictedKind::Label,
                "`line`",
            ),
            ("", PredictedKind::Label, "no example"),
        ] {
            let message = texts(text, kind).unwrap_err().to_string();
            assert!(message.contains(needle), "{text}: {message}");
        }
    }

    #[test]
    fn tags_are_read_from_objects_names_and_columns() {
        let tags = |text: &str| -> Result<Vec<PredictedTags>> {
            let file = file(text);
            let (rows, _) = read_tag_predictions(file.path())?.read_all()?;
            Ok(rows.into_iter().map(|row| row.prediction).collect())
        };
        let expected = |words: Option<&[&str]>| PredictedTags {
            words: words.map(|words| words.iter().map(|&word| word.to_owned()).collect()),
            tags: vec!["B-LOC".to_owned(), "O".to_owned()],
        };
        let words = ["Paris", "sleeps"];
        let found = tags(
            "{\"line\":1,\"tags\":[{\"label\":\"B-LOC\",\"score\":0.5},{\"label\":\"O\"}]}\n\
             {\"tokens\":[\"Paris\",\"sleeps\"],\"tags\":[\"B-LOC\",\"O\"]}\n",
        );
        assert_eq!(found.unwrap(), [expected(None), expected(Some(&words))]);
        let found = tags("Paris NNP I-LOC B-LOC\nsleeps VBZ O O\n\n").unwrap();
        assert_eq!(found, [expected(Some(&words))]);
        let message = tags("{\"tags\":\"O\"}\n").unwrap_err().to_string();
        assert!(message.contains("a list of tags"), "{message}");
    }
}
