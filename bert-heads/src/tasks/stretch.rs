//! Stretches of texts that tokens cover.

/// Stretch of a text, with its place in characters.
pub(crate) struct Stretch<'a> {
    pub(crate) text: &'a str,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl<'a> Stretch<'a> {
    /// The stretch `text`, which begins at the character `start`, without white space at its ends: tokens of some families
    /// carry the space before a word. White space alone stays.
    pub(crate) fn of_words(text: &'a str, start: usize) -> Self {
        let words = match text.trim() {
            "" => text,
            words => words,
        };
        let before = text.split_once(words).map_or("", |(before, _)| before);
        let start = start + before.chars().count();
        Self {
            text: words,
            start,
            end: start + words.chars().count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_begins_and_ends_with_a_word() {
        for (text, expected, start, end) in [
            ("ça va", "ça va", 3, 8),
            (" ça va", "ça va", 4, 9),
            ("\u{a0}\tça ", "ça", 5, 7),
            ("ça ", "ça", 3, 5),
            ("  ", "  ", 3, 5),
            ("", "", 3, 3),
        ] {
            let found = Stretch::of_words(text, 3);
            assert_eq!((found.text, found.start, found.end), (expected, start, end));
        }
    }
}
