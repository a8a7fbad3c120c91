//! Every kind of data file through its reader, whole and with faults.

mod choices;
mod presets;
mod questions;
mod similar;
mod texts;
mod tokens;

use std::io::Write;
use std::path::Path;

use bert_heads::Error;
use bert_heads::datasets::*;
use bert_heads::labels::Labels;
use bert_heads::metrics::Scheme;
use tempfile::NamedTempFile;

fn file(bytes: impl AsRef<[u8]>) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes.as_ref()).unwrap();
    file
}

fn texts(bytes: impl AsRef<[u8]>, format: &TextFormat) -> Result<Vec<TextExample>, Error> {
    let file = file(bytes);
    let (examples, _) = read_texts(file.path(), format, BadRows::Fail)?.read_all()?;
    Ok(examples)
}

fn report(bytes: impl AsRef<[u8]>, format: &Format) -> ReadReport {
    format.check(file(bytes).path(), BadRows::Skip).unwrap()
}

/// The message of the first error, which must name the file.
fn message<T>(path: &Path, read: Result<Examples<T>, Error>) -> String {
    let error = match read {
        Ok(examples) => examples.read_all().err().expect("nothing is wrong"),
        Err(error) => error,
    };
    let message = error.to_string();
    assert!(message.contains(&path.display().to_string()), "{message}");
    message
}

fn text_message(bytes: impl AsRef<[u8]>, format: &TextFormat) -> String {
    let file = file(bytes);
    message(file.path(), read_texts(file.path(), format, BadRows::Fail))
}

fn labels(names: &[&str]) -> Labels {
    Labels::new(names.iter().copied()).unwrap()
}

fn named(name: &str) -> Column {
    Column::named(name)
}
