//! `words`: the first words of doc comments and of their sections.
//!
//! A first sentence stands alone in rustdoc's lists and in the help of the command, so it is a noun phrase or a verb in the
//! third person. A relative clause in place of the noun, or a reference to the item above, says too little there.

use std::fs;
use std::io::ErrorKind;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell;

/// Beginnings of sentences that are clauses or refer to another item.
const OPENINGS: [&str; 9] = [
    "The same", "What", "Whether", "Of", "As", "Who", "Whoever", "Somebody", "Told",
];

/// Lists the doc comments in tracked files that begin with one of [`OPENINGS`], on stderr.
///
/// # Errors
/// If there is one, or the files can't be listed or read.
pub(crate) fn run() -> Result<()> {
    let mut count = 0;
    for file in files()? {
        let text = match fs::read_to_string(shell::root().join(&file)) {
            Ok(text) => text,
            // Deleted, and not yet so in the index.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("could not read {file}")),
        };
        for (number, line) in offenders(&text) {
            eprintln!("{file}:{number}: {line}");
            count += 1;
        }
    }
    if count > 0 {
        bail!(
            "{count} doc comments begin with one of \"{}\": begin with a noun phrase or a verb in the third person",
            OPENINGS.join("\", \"")
        );
    }
    Ok(())
}

/// Tracked Rust files, relative to the root, those of the workspaces inside this one included.
fn files() -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(shell::root())
        .args(["ls-files", "-z", "--", "*.rs"]);
    let list = shell::output(&mut git)
        .filter(|list| !list.is_empty())
        .context("git lists no files: this task needs git and a checkout")?;
    Ok(list.split_terminator('\0').map(str::to_owned).collect())
}

/// Numbers, from 1, and texts of the lines in which a doc comment begins badly.
fn offenders(source: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    // The mark of the comment, or of its section, whose first sentence has been seen.
    let mut within = None;
    for (index, line) in source.lines().map(str::trim).enumerate() {
        let Some((mark, text)) = doc_comment(line) else {
            within = None;
            continue;
        };
        // A section, such as that of errors, begins anew.
        if text.starts_with("# ") {
            within = None;
            continue;
        }
        if within == Some(mark) || text.is_empty() {
            continue;
        }
        within = Some(mark);
        if OPENINGS.iter().any(|opening| begins_with(text, opening)) {
            found.push((index + 1, line));
        }
    }
    found
}

/// The mark of a line of a doc comment and its text.
fn doc_comment(line: &str) -> Option<(&str, &str)> {
    let (mark, text) = line.split_at_checked(3)?;
    let is_doc = mark == "//!" || mark == "///" && !text.starts_with('/');
    is_doc.then(|| (mark, text.trim_start()))
}

/// True if `text` begins with the whole words of `opening`.
fn begins_with(text: &str, opening: &str) -> bool {
    text.strip_prefix(opening)
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(lines: &[&str]) -> Vec<usize> {
        let source = lines.join("\n");
        let found = offenders(&source);
        found.into_iter().map(|(number, _)| number).collect()
    }

    #[test]
    fn every_opening_is_found_as_whole_words_alone() {
        for opening in OPENINGS {
            assert_eq!(numbers(&[&format!("/// {opening} is measured.")]), [1]);
            assert_eq!(numbers(&[&format!("/// {opening}: measured.")]), [1]);
            assert_eq!(numbers(&[&format!("/// {opening}")]), [1]);
            assert!(numbers(&[&format!("/// {opening}ish.")]).is_empty());
        }
        assert!(numbers(&["/// Asserts.", "", "/// Offset.", "", "/// The sames."]).is_empty());
    }

    #[test]
    fn the_first_sentence_counts_and_no_other_line() {
        assert!(
            numbers(&[
                "/// Time of an",
                "/// As it is.",
                "///",
                "/// What is measured."
            ])
            .is_empty()
        );
        assert_eq!(numbers(&["//! Modes.", "", "/// What is measured."]), [3]);
        assert_eq!(numbers(&["//! Modes.", "/// What is measured."]), [2]);
        assert_eq!(numbers(&["///", "/// What is measured."]), [2]);
        assert_eq!(
            numbers(&["/// One.", "first: u8,", "    /// Of two.", "second: u8,"]),
            [3]
        );
    }

    #[test]
    fn a_section_has_a_first_sentence_of_its_own() {
        let section = [
            "/// Time.",
            "///",
            "/// # Errors",
            "///",
            "/// As [`time`].",
        ];
        assert_eq!(numbers(&section), [5]);
        assert!(numbers(&["/// Time.", "/// # Errors", "/// None.", "/// As it is."]).is_empty());
    }

    #[test]
    fn other_comments_and_strings_pass() {
        assert!(numbers(&["// What is measured.", "//// What is measured."]).is_empty());
        assert!(numbers(&["let text = \"/// What is measured.\";", "//", "é"]).is_empty());
    }

    #[test]
    fn inner_and_help_comments_count_and_keep_their_text() {
        let source = "//! Whether.\n#[derive(Args)]\nstruct Options {\n    /// What to time\n    mode: Mode,\n}\n";
        assert_eq!(
            offenders(source),
            [(1, "//! Whether."), (4, "/// What to time")]
        );
    }
}
