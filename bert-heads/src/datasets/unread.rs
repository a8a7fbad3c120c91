//! Columns of texts that are not read.

use super::cells::{Cells, Key, quoted};
use super::columns::{Column, is_called, is_text_name, partners};
use super::table::Table;
use crate::error::Result;

/// Rows that are looked at: the first may have nothing in a column that others fill.
const ROWS: usize = 20;

/// A remark on the columns that look like texts and are not read: the second of a pair, perhaps,
/// where `text` is read alone, or another second one in place of `pair`. Rows that have a text in one of
/// `later_pairs` are read as pairs.
pub(super) fn unread_texts(
    table: &mut Table,
    text: &Key,
    pair: Option<&Key>,
    later_pairs: &[Key],
    targets: &[Column],
) -> Result<Option<String>> {
    let Some(header) = table.names().map(<[String]>::to_vec) else {
        return Ok(None);
    };
    let is_meant = |name: &str, value: &str| match pair {
        None => is_prose(value) || (is_text_name(name) && is_worded(value)),
        Some(pair) => {
            let mut seconds = partners(&text.name);
            *name != pair.name && seconds.any(|second| is_called(name, second)) && is_worded(value)
        }
    };
    let mut unread: Vec<String> = Vec::new();
    for row in table.peek(ROWS)? {
        let values: Vec<(&String, &str)> = match row {
            Cells::Fields(fields) => {
                let values = fields.iter().map(String::as_str);
                header.iter().zip(values).collect()
            }
            Cells::Object(object) => {
                let texts = object.iter();
                texts
                    .filter_map(|(name, value)| Some((name, value.as_str()?)))
                    .collect()
            }
        };
        for (name, value) in values {
            let is_read = *name == text.name
                || later_pairs.iter().any(|key| key.name == *name)
                || targets.contains(&Column::named(name.as_str()));
            if !is_read && !unread.contains(name) && is_meant(name, value) {
                unread.push(name.clone());
            }
        }
    }
    if unread.is_empty() {
        return Ok(None);
    }
    let (text, unread) = (&text.name, quoted(&unread));
    let read = match pair {
        None => format!("column `{text}` is read alone, and {unread} is not: for pairs of texts"),
        Some(Key { name, .. }) => format!(
            "columns `{text}` and `{name}` are read as a pair, and {unread} is not: for another pair"
        ),
    };
    Ok(Some(format!(
        "{read} name both columns (--text-column, --pair-column)"
    )))
}

fn is_worded(text: &str) -> bool {
    text.chars().any(char::is_alphabetic)
}

/// True if a value is more than a name or number: two words, or characters of a script that has no
/// spaces.
fn is_prose(text: &str) -> bool {
    const CHARACTERS: usize = 4;
    let words = text.split_whitespace();
    let words = words.filter(|word| is_worded(word));
    let unspaced = text
        .chars()
        .filter(|c| ('\u{e00}'..='\u{9fff}').contains(c));
    words.count() > 1 || unspaced.count() >= CHARACTERS
}
