//! Texts from a file or from standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::path::Path;

use anyhow::{Context, Result, bail};
use bert_heads::text_lines::TextLines;

use crate::output::note;

/// The lines of a file; standard input for `-` or none.
pub(crate) fn lines(path: Option<&Path>) -> Result<TextLines<Box<dyn BufRead>>> {
    let reader: Box<dyn BufRead> = match path.filter(|path| *path != Path::new("-")) {
        None => {
            let stdin = io::stdin();
            if stdin.is_terminal() {
                note("reading texts from the terminal, one a line");
            }
            Box::new(stdin.lock())
        }
        Some(path) => {
            let cannot_read = || format!("cannot read {}", path.display());
            if path.is_dir() {
                bail!("{}: it is a directory", cannot_read());
            }
            Box::new(BufReader::new(File::open(path).with_context(cannot_read)?))
        }
    };
    Ok(TextLines::new(reader))
}
