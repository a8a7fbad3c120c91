//! Columns of texts that are not read.

use serde_json::Value;

use super::cells::{Cells, Key, quoted};
use super::columns::{Column, is_text_name};
use super::table::Table;
use crate::error::Result;

/// A remark on the columns that look like texts and are not read where `text` is read alone: the
/// second of a pair, perhaps. The first row speaks for the others.
pub(super) fn unread_texts(
    table: &mut Table,
    text: &Key,
    targets: &[Column],
) -> Result<Option<String>> {
    let Some(names) = table.names().map(<[String]>::to_vec) else {
        return Ok(None);
    };
    let row = table.peek()?;
    let value = |index: usize, name: &str| match row? {
        Cells::Fields(fields) => fields.get(index).cloned(),
        Cells::Object(object) => match object.get(name)? {
            Value::String(text) => Some(text.clone()),
            _ => None,
        },
    };
    let is_read = |name: &String| {
        let column = Column::named(name.as_str());
        *name == text.name || targets.contains(&column)
    };
    let names = names.iter().enumerate().filter(|(_, name)| !is_read(name));
    let unread: Vec<String> = names
        .filter(|(index, name)| {
            let value = value(*index, name);
            value.is_some_and(|text| is_prose(&text) || (is_text_name(name) && is_worded(&text)))
        })
        .map(|(_, name)| name.clone())
        .collect();
    if unread.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!(
        "column `{}` is read alone, and {} is not: for pairs of texts name both columns (--text-column, --pair-column)",
        text.name,
        quoted(&unread)
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
