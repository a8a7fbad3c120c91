//! Lengths of real texts, so that padding is what it is in practice.

use std::path::{Path, PathBuf};

use bert_core::tokenizer::{BertTokenizer, EncodeOptions};

use crate::error::{Error, Result};

/// Source of the lengths of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lengths {
    /// Given lengths.
    Known(Vec<usize>),
    /// Those of the lines of a text, in tokens of the model.
    OfLines(PathBuf),
}

impl Lengths {
    /// The lengths for a model with `tokenizer`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NoLengths`] for a text without a line, and those of the tokenizer.
    pub(crate) fn resolve(&self, tokenizer: &BertTokenizer) -> Result<Vec<usize>> {
        let path = match self {
            Self::Known(lengths) => return Ok(lengths.clone()),
            Self::OfLines(path) => path,
        };
        let text = read_text(path)?;
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let encodings = tokenizer.encode_batch(lines, &EncodeOptions::default())?;
        if encodings.is_empty() {
            return Err(Error::NoLengths {
                path: path.to_owned(),
            });
        }
        Ok(encodings.iter().map(|encoding| encoding.len()).collect())
    }
}

/// Reads a file with one number of tokens per line, special tokens included; blank lines are passed over.
///
/// # Errors
/// [`Error::Length`] naming the line, [`Error::NoLengths`] for an empty file, [`Error::Io`].
pub fn read(path: &Path) -> Result<Vec<usize>> {
    let text = read_text(path)?;
    let mut lengths = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        match line.parse() {
            Ok(length) if length > 0 => lengths.push(length),
            _ => {
                return Err(Error::Length {
                    path: path.to_owned(),
                    line: index + 1,
                    found: line.to_owned(),
                });
            }
        }
    }
    if lengths.is_empty() {
        return Err(Error::NoLengths {
            path: path.to_owned(),
        });
    }
    Ok(lengths)
}

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|source| Error::io(format!("read {}", path.display()), source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bert_core::config::BertConfig;

    fn lengths_in(text: &str) -> Result<Vec<usize>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn one_length_a_line() {
        assert_eq!(lengths_in("13\n\n 7 \n37").unwrap(), [13, 7, 37]);
    }

    #[test]
    fn a_bad_line_is_named() {
        for bad in ["13\n0\n", "13\n-4\n", "13\nfive\n"] {
            assert!(lengths_in(bad).unwrap_err().contains("line 2"), "{bad}");
        }
        assert!(lengths_in("\n").unwrap_err().contains("no lengths"));
    }

    #[test]
    fn lines_of_a_text_are_as_long_as_their_tokens() {
        let dir = tempfile::tempdir().unwrap();
        crate::vocabulary::save_tokenizer(&BertConfig::new(37, 8, 1, 2, 20), dir.path()).unwrap();
        let tokenizer = BertTokenizer::from_dir(dir.path()).unwrap();
        let path = dir.path().join("text");
        std::fs::write(&path, "w5 w6 w7\n\nw8\n").unwrap();
        let lengths = Lengths::OfLines(path.clone()).resolve(&tokenizer);
        assert_eq!(lengths.unwrap(), [5, 3], "[CLS] and [SEP] count");
        std::fs::write(&path, " \n").unwrap();
        assert!(Lengths::OfLines(path).resolve(&tokenizer).is_err());
    }
}
