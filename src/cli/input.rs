//! Texts from a file or from standard input, compressed or not.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal};
use std::path::Path;

use anyhow::{Context, Result, bail};
use bert_core::files::decompressed;
use bert_core::text_lines::TextLines;

use super::note::note;

/// Path at which standard input is read as a table.
pub(crate) const STDIN: &str = "/dev/stdin";

/// The path of a table; that of standard input for `-` or none.
pub(crate) fn or_stdin(path: Option<&Path>) -> &Path {
    let path = path.filter(|path| *path != Path::new("-"));
    path.unwrap_or(Path::new(STDIN))
}

/// The lines of a file; standard input for `-` or none.
pub(crate) fn lines(path: Option<&Path>) -> Result<TextLines<Box<dyn BufRead + Send>>> {
    let reader = match path.filter(|path| *path != Path::new("-")) {
        None => {
            let stdin = io::stdin();
            if stdin.is_terminal() {
                note("reading texts from the terminal, one a line");
            }
            decompressed(stdin).context("cannot read standard input")?
        }
        Some(path) => {
            let cannot_read = || format!("cannot read {}", path.display());
            if path.is_dir() {
                bail!("{}: it is a directory", cannot_read());
            }
            let file = File::open(path).with_context(cannot_read)?;
            decompressed(file).with_context(cannot_read)?
        }
    };
    Ok(TextLines::new(reader))
}
