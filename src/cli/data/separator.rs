//! Separator of two fields, as `--separator` has it.

const SEPARATORS: [(&str, char); 5] = [
    ("tab", '\t'),
    ("comma", ','),
    ("semicolon", ';'),
    ("pipe", '|'),
    ("space", ' '),
];

/// Value of `--separator`.
pub(super) fn separator(text: &str) -> Result<char, String> {
    if let Some((_, separator)) = SEPARATORS.iter().find(|(name, _)| *name == text) {
        return Ok(*separator);
    }
    let mut characters = text.chars();
    match (text, characters.next(), characters.next()) {
        ("\\t", ..) => Ok('\t'),
        (_, Some(c), None) if !c.is_alphanumeric() && !matches!(c, '"' | '\n' | '\r') => Ok(c),
        _ => Err("give a character that is no letter, number or quote, or one of tab, comma, semicolon, pipe and space".to_owned()),
    }
}

/// A separator for a message.
pub(super) fn name_of(separator: char) -> String {
    let named = SEPARATORS.iter().find(|(_, known)| *known == separator);
    match named {
        Some((name, '\t' | ' ')) => format!("a {name}"),
        _ => format!("`{separator}`"),
    }
}
