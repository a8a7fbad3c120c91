//! Hard-wrapped lines back to paragraphs.

use super::layout::ends_sentence;

/// A paragraph is ended at this many bytes: nobody writes as much, and a file of unending lines
/// would fill the memory.
const MOST_BYTES: usize = 64 << 10;

/// Joins the lines of a paragraph.
///
/// A line ends a paragraph if a blank one follows, if the next is indented more, or if the first
/// word of the next would have had room to spare on it (a quarter of the width), unless neither the
/// line ends nor the next begins as sentences do.
#[derive(Debug)]
pub(super) struct Unwrapper {
    /// The length in characters at which lines were wrapped; `None` if each is a paragraph.
    width: Option<usize>,
    paragraph: String,
    /// Length of the line before, in characters.
    length: usize,
    indent: usize,
}

impl Unwrapper {
    pub(super) fn new(width: Option<usize>) -> Self {
        Self {
            width,
            paragraph: String::new(),
            length: 0,
            indent: 0,
        }
    }

    /// Takes a line that is not blank, and gives the paragraph that ended before it.
    pub(super) fn push(&mut self, line: &str) -> Option<String> {
        let text = line.trim();
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        let ended = (!self.paragraph.is_empty() && self.ends_before(text, indent))
            .then(|| std::mem::take(&mut self.paragraph));
        if needs_space(&self.paragraph, text) {
            self.paragraph.push(' ');
        }
        self.paragraph.push_str(text);
        self.length = text.chars().count();
        self.indent = indent;
        ended
    }

    /// The paragraph under way, where one is.
    pub(super) fn end(&mut self) -> Option<String> {
        (!self.paragraph.is_empty()).then(|| std::mem::take(&mut self.paragraph))
    }

    fn ends_before(&self, next: &str, indent: usize) -> bool {
        let Some(width) = self.width else { return true };
        if self.paragraph.len() + next.len() > MOST_BYTES || indent > self.indent + 1 {
            return true;
        }
        // A character of a script without spaces is a word to the one who wraps.
        let word = match next.chars().next() {
            Some(first) if is_spaceless(first) => 1,
            _ => next
                .split_whitespace()
                .next()
                .map_or(0, |word| word.chars().count()),
        };
        let had_room = 4 * (self.length + 1 + word) < 3 * width;
        had_room && (ends_sentence(&self.paragraph) || !next.starts_with(char::is_lowercase))
    }
}

/// True if a space belongs between two lines of a paragraph.
fn needs_space(before: &str, next: &str) -> bool {
    // Quotes are the same in scripts with and without spaces: what stands within decides.
    let tells = |c: &char| !"“”‘’…".contains(*c);
    let (Some(last), Some(first)) = (before.chars().next_back(), next.chars().next()) else {
        return false;
    };
    // A hyphen or dash at the end of a line hangs on to what follows.
    let hangs = (last == '-' && first.is_alphabetic() && !before.ends_with(" -")) || last == '—';
    let spaceless = before.chars().rev().find(tells).is_some_and(is_spaceless)
        && next.chars().find(tells).is_some_and(is_spaceless);
    !(hangs || spaceless)
}

/// True for a character of a script that puts no spaces between words, or its punctuation.
fn is_spaceless(c: char) -> bool {
    matches!(c,
        '\u{2e80}'..='\u{30ff}' // radicals, CJK punctuation, kana
        | '\u{3400}'..='\u{9fff}' // CJK ideographs
        | '\u{f900}'..='\u{faff}'
        | '\u{ff00}'..='\u{ffef}' // full-width forms
        | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unwrap(width: Option<usize>, text: &str) -> Vec<String> {
        let mut unwrapper = Unwrapper::new(width);
        let mut paragraphs = Vec::new();
        for line in text.lines() {
            paragraphs.extend(match line.trim().is_empty() {
                true => unwrapper.end(),
                false => unwrapper.push(line),
            });
        }
        paragraphs.extend(unwrapper.end());
        paragraphs
    }

    #[test]
    fn wrapped_lines_join_and_short_ones_end() {
        let text = "BLEAK HOUSE\nby Charles Dickens\n\
                    A Chancery judge once had the kindness\n\
                    to inform me, as one of a company, of it.\n\
                    And so it ended.\n\
                    \"Why?\" I asked, having listened to the\n\
                    end.\n\nThe next.";
        let expected = [
            // The second begins in lower case and the first does not end.
            "BLEAK HOUSE by Charles Dickens",
            "A Chancery judge once had the kindness to inform me, as one of a company, of it. And so it ended.",
            "\"Why?\" I asked, having listened to the end.",
            "The next.",
        ];
        assert_eq!(unwrap(Some(40), text), expected);
    }

    #[test]
    fn an_indented_line_begins_a_paragraph() {
        let text = "   It was a dark night, and the rain\nfell in torrents, as it is used to.\n   Nobody was out of doors.";
        assert_eq!(unwrap(Some(36), text).len(), 2);
        let chinese = "\u{3000}\u{3000}孙亮，字子明，是孙权的小儿\n子。孙权年岁渐长，而孙亮\n是最小的。\n\u{3000}\u{3000}孙亮的姐姐";
        let expected = [
            "孙亮，字子明，是孙权的小儿子。孙权年岁渐长，而孙亮是最小的。",
            "孙亮的姐姐",
        ];
        assert_eq!(unwrap(Some(13), chinese), expected);
    }

    #[test]
    fn hyphens_hang_and_scripts_mix() {
        let joined = |a: &str, b: &str| unwrap(Some(4), &format!("{a}\n{b}")).concat();
        assert_eq!(joined("self-", "importance"), "self-importance");
        assert_eq!(joined("dash -", "and on"), "dash - and on");
        assert_eq!(joined("dash—", "and on"), "dash—and on");
        assert_eq!(joined("他说", "hello"), "他说 hello");
        assert_eq!(joined("said “yes”", "and"), "said “yes” and");
        assert_eq!(joined("“Yes.”", "“No.”"), "“Yes.” “No.”");
        assert_eq!(joined("“是的！”", "“走吧。”"), "“是的！”“走吧。”");
        assert_eq!(joined("한국어", "문장"), "한국어 문장");
    }

    #[test]
    fn without_a_width_each_line_is_a_paragraph() {
        assert_eq!(unwrap(None, "a\nb\n\nc"), ["a", "b", "c"]);
    }

    #[test]
    fn an_unending_paragraph_is_ended() {
        let text = "word word word\n".repeat(10_000);
        let paragraphs = unwrap(Some(14), &text);
        assert_eq!(paragraphs.len(), 3);
        assert!(paragraphs.iter().all(|p| p.len() <= MOST_BYTES));
    }
}
