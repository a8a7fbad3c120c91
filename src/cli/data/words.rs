//! Sentences of words.

use std::path::Path;

use anyhow::{Result, bail};
use bert_heads::datasets::{
    Column, Dataset, Examples, Field, Format, Layout, Part, Targets, TokenExample, TokenFormat,
    TokenLayout, WordLine, read_tokens,
};
use bert_heads::labels::Labels;

use super::DataArgs;

impl DataArgs {
    /// Streams sentences of words without their tags.
    pub(crate) fn words(&self, path: &Path) -> Result<Examples<TokenExample>> {
        let format = self.token_format(path, Part::Test)?;
        let format = format.with_targets(Targets::Ignored);
        Ok(read_tokens(path, &format, self.bad_rows())?)
    }

    /// Words with their tags.
    pub(crate) fn tokens(
        &self,
        path: &Path,
        part: Part,
        labels: Option<&Labels>,
    ) -> Result<Dataset<TokenExample>> {
        let mut format = self.token_format(path, part)?;
        format = format.with_targets(Targets::Required);
        if let Some(scheme) = self.scheme {
            format = format.with_scheme(scheme);
        }
        if let Some(labels) = labels {
            format = format.with_labels(labels.clone());
        }
        self.read(path, read_tokens(path, &format, self.bad_rows())?)
    }

    /// Format of a file of words.
    fn token_format(&self, path: &Path, part: Part) -> Result<TokenFormat> {
        Ok(match self.preset()? {
            Some(preset) => match preset.format(part) {
                Format::Tokens(format) => format,
                _ => bail!("{} is not about tagged words", preset.name()),
            },
            None => {
                let named = Layout::of(path);
                match (self.format.as_deref(), named) {
                    (None, Some(Layout::JsonLines)) | (Some("jsonl"), _) => {
                        self.sentences_as_json()?
                    }
                    (None, Some(layout)) if layout == Layout::csv() && self.separator.is_none() => {
                        bail!(
                            "{}: fields of words are parted by spaces or tabs, and its name says \
                             otherwise: say what parts them (--separator comma), or --format conll",
                            path.display()
                        )
                    }
                    (None, _) | (Some("conll"), _) => self.sentences_in_lines()?,
                    (Some(other), _) => {
                        bail!("--format {other}: use conll or jsonl for tokens")
                    }
                }
            }
        })
    }

    /// Sentences with a word per line.
    fn sentences_in_lines(&self) -> Result<TokenFormat> {
        const USED: [&str; 4] = ["--text-column", "--label-column", "--separator", "--scheme"];
        self.only(&USED, "a file with a word per line")?;
        let field = |option: &str, column: &Option<Column>, otherwise: Field| match column {
            None => Ok(otherwise),
            Some(Column::Number(number)) => Ok(Field::Number(*number)),
            Some(Column::Name(name)) => bail!(
                "{option} {name}: in a file with a word per line columns have no names: give the \
                 number, counted from 1"
            ),
        };
        Ok(TokenFormat::new(TokenLayout::Lines(WordLine {
            word: field("--text-column", &self.text_column, Field::Number(1))?,
            tag: field("--label-column", &self.label_column, Field::Last)?,
            separator: self.separator,
        })))
    }

    /// Sentences as JSON lines.
    fn sentences_as_json(&self) -> Result<TokenFormat> {
        const USED: [&str; 3] = ["--text-column", "--label-column", "--scheme"];
        self.only(&USED, "a file of JSON lines")?;
        let key = |option: &str, column: &Option<Column>| match column {
            None => Ok(None),
            Some(Column::Name(name)) => Ok(Some(name.clone())),
            Some(Column::Number(number)) => {
                bail!("{option} {number}: JSON lines have keys and no numbers: give the key")
            }
        };
        Ok(TokenFormat::new(TokenLayout::JsonLines {
            words: key("--text-column", &self.text_column)?,
            tags: key("--label-column", &self.label_column)?,
        }))
    }
}
