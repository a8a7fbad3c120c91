//! The language of answers, by which their F1 counts words or characters.

use serde::{Deserialize, Serialize};
use strum::VariantNames;

use crate::error::Error;

/// A language, or the rule that answers in it are scored by.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    VariantNames,
)]
#[strum(parse_err_ty = Error, parse_err_fn = unknown_language)]
pub enum AnswerLanguage {
    /// English, and every other that has spaces between words: the rule of SQuAD's scripts.
    #[default]
    #[serde(rename = "en")]
    #[strum(serialize = "en")]
    English,
    /// Chinese: F1 of characters, as MLQA's script and DRCD have it, and beside it that of CMRC 2018.
    #[serde(rename = "zh")]
    #[strum(serialize = "zh")]
    Chinese,
    /// Japanese: F1 of characters.
    #[serde(rename = "ja")]
    #[strum(serialize = "ja")]
    Japanese,
    /// Thai: F1 of characters.
    #[serde(rename = "th")]
    #[strum(serialize = "th")]
    Thai,
}

impl AnswerLanguage {
    /// The two letters of ISO 639-1.
    pub fn code(self) -> &'static str {
        self.into()
    }

    /// True if it has no spaces between words, so that characters are counted.
    pub fn counts_characters(self) -> bool {
        self != Self::English
    }

    /// The language of texts: one without spaces if most of their letters are of its script.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        // Japanese texts are a third of kana and more, Chinese ones have them in a name at most.
        const KANA: usize = 10;
        let (mut letters, mut unspaced, mut kana, mut thai) = (0, 0, 0, 0);
        for c in texts.into_iter().flat_map(str::chars) {
            letters += usize::from(c.is_alphabetic() || is_unspaced(c));
            unspaced += usize::from(is_unspaced(c));
            kana += usize::from(is_kana(c));
            thai += usize::from(is_thai(c));
        }
        if 2 * unspaced <= letters {
            Self::English
        } else if 2 * thai > unspaced {
            Self::Thai
        } else if KANA * kana > unspaced {
            Self::Japanese
        } else {
            Self::Chinese
        }
    }
}

/// Characters of scripts without spaces between words, each of which counts: those of Chinese,
/// kana, Thai, Lao, Burmese and Khmer.
pub(crate) fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{e80}'..='\u{eff}'
        | '\u{1000}'..='\u{109f}'
        | '\u{1780}'..='\u{17ff}'
        | '\u{3005}'..='\u{3007}'
        | '\u{3100}'..='\u{312f}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
        || is_kana(c)
        || is_thai(c)
}

fn is_kana(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{ff66}'..='\u{ff9d}')
}

fn is_thai(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{e7f}')
}

fn unknown_language(name: &str) -> Error {
    Error::UnknownChoice {
        what: "language of answers",
        name: name.to_owned(),
        known: AnswerLanguage::VARIANTS.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_without_spaces_are_known_by_their_letters() {
        for (texts, language) in [
            (&["the cat", "1970"][..], AnswerLanguage::English),
            (&["北京大学", "1998年", "NBA"], AnswerLanguage::Chinese),
            (&["東京です", "カタカナ"], AnswerLanguage::Japanese),
            (&["กรุงเทพ"], AnswerLanguage::Thai),
            (&["서울 대학교"], AnswerLanguage::English),
            (&["1970"], AnswerLanguage::English),
            (&["the novel 围城 of 1947"], AnswerLanguage::English),
        ] {
            let found = AnswerLanguage::of(texts.iter().copied());
            assert_eq!(found, language, "{texts:?}");
        }
        for code in AnswerLanguage::VARIANTS {
            let language: AnswerLanguage = code.parse().unwrap();
            assert_eq!(language.to_string(), *code);
            assert_eq!(serde_json::to_value(language).unwrap(), *code);
        }
        let error = "de".parse::<AnswerLanguage>().unwrap_err().to_string();
        assert!(error.contains("en, zh, ja, th"), "{error}");
    }
}
