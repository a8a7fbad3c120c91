//! Sentence boundaries of a paragraph.
//!
//! The work is done by the `sentencex` crate of the Wikimedia Foundation, chosen over
//! `unicode-segmentation` and `icu_segmenter` (UAX #29 knows no abbreviations: "Mr. | Smith",
//! "“Why so?” | asked he.") and `srx` (LanguageTool's rules: better, but "Mr. | Smith" again, no
//! Chinese, six times slower and unmaintained). It keeps "Mr. Smith", "M.R.C.S.", "$3.50", "U.S.
//! Army" and "J. R. R. Tolkien" whole, joins a quotation to "said he", parts at 。！？ without
//! spaces, and reads some 30 MB/s a core. What stands within one pair of quotes stays one sentence.

/// The sentences of a paragraph without white space around them; none is empty.
///
/// `language` is a code such as `en` or `de`, which decides on abbreviations; one that is not known
/// counts as English, whose rules part Chinese and Japanese too.
pub(crate) fn split<'a>(
    paragraph: &'a str,
    language: &str,
) -> impl Iterator<Item = &'a str> + use<'a> {
    sentencex::segment(language, paragraph)
        .into_iter()
        .map(str::trim)
        .filter(|sentence| !sentence.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sentences of `text` when split where `|` stands.
    fn check(text: &str) {
        let expected: Vec<&str> = text.split('|').map(str::trim).collect();
        let whole = text.replace('|', "");
        assert_eq!(split(&whole, "en").collect::<Vec<_>>(), expected);
    }

    #[test]
    fn abbreviations_decimals_and_quotes_hold_together() {
        check("Mr. Smith went to Washington D.C. on Jan. 5th. | He paid $3.50 for it.");
        check("Dr. Mortimer, M.R.C.S., arrived. | \"How are you?\" he asked. | \"Fine!\" said I.");
        check("The U.S. Army came, e.g. in No. 5, i.e. late. | See p. 5 or Fig. 3.");
        check("“Why so?” asked Mrs. Hall. | “Because,” I said. | Prof. J. R. R. Tolkien wrote it.");
        check("Then he ran... and fell. | It was 3.14 percent! | Was it?");
    }

    #[test]
    fn chinese_parts_without_spaces() {
        check("孙亮，字子明。|真的吗？|是的！|“走吧。”|他说。|价格是3.5元。");
    }

    #[test]
    fn nothing_but_white_space_is_no_sentence() {
        assert_eq!(split(" \u{3000}\t ", "en").count(), 0);
        assert_eq!(split("", "en").count(), 0);
        let sentences: Vec<&str> = split(" No end ", "no such language").collect();
        assert_eq!(sentences, ["No end"]);
    }
}
