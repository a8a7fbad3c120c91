//! Several labels in one cell: a JSON list, a list as Python prints it, or words with a separator.

use std::collections::HashSet;

use serde_json::Value;

use super::cells::{Cells, Key, word, wrong_type};
use super::fault::{RowFault, shown};
use crate::labels::Labels;

/// The labels of a cell, each once; `known` are the labels there are, if that is known.
///
/// A row of 0 and 1 is taken for one flag per label where `known` decides it.
pub(super) fn labels(
    cells: &mut Cells,
    key: &Key,
    separator: char,
    known: Option<&Labels>,
) -> Result<Vec<String>, RowFault> {
    let value = cells.take(key)?;
    let (labels, flags) = match &value {
        Value::Array(values) => {
            let labels: Option<Vec<String>> = values.iter().map(word).collect();
            let labels = labels.ok_or_else(|| wrong_type(&key.name, "a list of labels", &value))?;
            // Names that are written as texts are names, whatever they are.
            let are_texts = values.iter().any(Value::is_string);
            let flags = (!are_texts).then(|| flags(&labels)).flatten();
            (labels, flags)
        }
        Value::String(text) => {
            let labels = match listed(text) {
                Some(labels) => labels,
                None => match flags_with_spaces(text) {
                    Some(labels) => labels,
                    None => split(text, separator),
                },
            };
            let flags = flags(&labels);
            (labels, flags)
        }
        Value::Number(_) | Value::Bool(_) => (word(&value).into_iter().collect(), None),
        _ => return Err(wrong_type(&key.name, "a list of labels", &value)),
    };
    match flags {
        None => Ok(distinct(labels)),
        Some(flags) => chosen(key, &labels, &flags, known),
    }
}

/// The values of `0 1 0`.
fn flags_with_spaces(text: &str) -> Option<Vec<String>> {
    let values: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    flags(&values).map(|_| values)
}

/// The values as flags, if they may be: several, of 0 and 1 alone.
fn flags(values: &[String]) -> Option<Vec<bool>> {
    let flags: Option<Vec<bool>> = values.iter().map(|value| flag(value)).collect();
    flags.filter(|flags| flags.len() > 1)
}

/// A truth as data sets write it.
pub(super) fn flag(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "1" | "1.0" | "true" => Some(true),
        "0" | "0.0" | "false" => Some(false),
        _ => None,
    }
}

/// The labels of a row of 0 and 1, which may be names or flags.
fn chosen(
    key: &Key,
    values: &[String],
    flags: &[bool],
    known: Option<&Labels>,
) -> Result<Vec<String>, RowFault> {
    let ambiguous = || RowFault::AmbiguousLabels {
        column: key.name.clone(),
        text: shown(&values.join(", ")),
        flags: values.len(),
    };
    let known = known.ok_or_else(ambiguous)?;
    let are_names = values.iter().all(|value| known.id(value).is_some());
    let names = distinct(values.to_vec());
    if are_names && names.len() == values.len() {
        return Ok(names);
    }
    if are_names || known.count() != flags.len() {
        return Err(ambiguous());
    }
    let set = known.names().iter().zip(flags).filter(|(_, set)| **set);
    Ok(set.map(|(name, _)| name.clone()).collect())
}

/// Labels with a separator between them; blank ones are none.
fn split(text: &str, separator: char) -> Vec<String> {
    let labels = text.split(separator).map(str::trim);
    let labels = labels.filter(|label| !label.is_empty());
    labels.map(str::to_owned).collect()
}

/// Separator of the labels of a text in place of commas; `None` of a list.
pub(super) fn other_separator(text: &str) -> Option<char> {
    let is_list = text.trim().starts_with('[');
    let mut others = ['|', ';'].into_iter().filter(|_| !is_list);
    others.find(|separator| split(text, *separator).len() > 1)
}

/// The labels of a list that is written in brackets, as JSON or as Python or NumPy prints it.
fn listed(text: &str) -> Option<Vec<String>> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    if let Ok(Value::Array(values)) = serde_json::from_str(text.trim()) {
        return values.iter().map(word).collect();
    }
    if inner.contains(['\'', '"']) {
        return quoted_items(inner);
    }
    let items: Vec<String> = inner
        .split([',', ' ', '\t', '\n'])
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect();
    // Words without quotes are a list where they can be nothing else.
    let are_flags = items.iter().all(|item| flag(item).is_some());
    match are_flags {
        true => Some(items),
        false => Some(split(inner, ',')),
    }
}

/// The items of `'a', "b"`.
fn quoted_items(text: &str) -> Option<Vec<String>> {
    let mut items = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (item, behind) = rest[1..].split_once(quote)?;
        items.push(item.trim().to_owned());
        let behind = behind.trim_start();
        // NumPy has no commas.
        rest = behind.strip_prefix(',').unwrap_or(behind).trim_start();
    }
    Some(items)
}

/// Labels in their order, each where it comes first.
pub(super) fn distinct(mut labels: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    labels.retain(|label| seen.insert(label.clone()));
    labels
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value, known: Option<&[&str]>) -> Result<Vec<String>, RowFault> {
        let key = Key {
            name: "label".to_owned(),
            index: 0,
        };
        let mut cells = Cells::Object(json!({ "label": value }).as_object().unwrap().clone());
        let known = known.map(|names| Labels::new(names.iter().copied()).unwrap());
        labels(&mut cells, &key, ',', known.as_ref())
    }

    #[test]
    fn lists_are_read_however_they_are_written() {
        for (value, expected) in [
            (json!(["a", "b", "a"]), vec!["a", "b"]),
            (json!("a, b"), vec!["a", "b"]),
            (json!("['a', 'b, c']"), vec!["a", "b, c"]),
            (json!("[\"it's\", 'b']"), vec!["it's", "b"]),
            (json!("['a' 'b']"), vec!["a", "b"]),
            (json!("[\"a\"]"), vec!["a"]),
            (json!("[a, b c]"), vec!["a", "b c"]),
            (json!("[]"), vec![]),
            (json!(""), vec![]),
            (json!([3, 7]), vec!["3", "7"]),
            (json!(3), vec!["3"]),
            (json!(["0", "1"]), vec!["0", "1"]),
            (json!([1]), vec!["1"]),
        ] {
            assert_eq!(read(value.clone(), None).unwrap(), expected, "{value}");
        }
        assert!(read(json!([["a"]]), None).is_err());
        assert!(read(json!({"a": 1}), None).is_err());
    }

    #[test]
    fn rows_of_flags_need_the_names_of_the_labels() {
        for value in [
            json!([0, 1, 0]),
            json!([0.0, 1.0, 0.0]),
            json!([false, true, false]),
            json!("[0 1 0]"),
            json!("0,1,0"),
            json!("0 1 0"),
        ] {
            let fault = read(value.clone(), None).unwrap_err();
            assert_eq!(fault.kind(), "ambiguous labels", "{value}");
            let found = read(value.clone(), Some(&["a", "b", "c"])).unwrap();
            assert_eq!(found, ["b"], "{value}");
            let fault = read(value, Some(&["a", "b"])).unwrap_err();
            assert_eq!(fault.kind(), "ambiguous labels");
        }
        assert!(read(json!([0, 1]), None).is_err());
        // Labels that are called 0 and 1, each of which stands there once.
        let numbers = Some(&["0", "1", "2"][..]);
        assert_eq!(read(json!([0, 1]), numbers).unwrap(), ["0", "1"]);
        assert!(read(json!([0, 1, 1]), numbers).is_err());
    }
}
