//! Layout of sentences and documents in a file.

use serde::{Deserialize, Serialize};

use super::sentences;

/// Layout of sentences and documents in a file.
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
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", parse_err_ty = String, parse_err_fn = unknown_layout)]
pub enum Layout {
    /// Whichever of the two the first 64 KiB of each file look like.
    ///
    /// A file is [`Raw`](Self::Raw) if it is hard-wrapped (95 of 100 lines are no longer than some
    /// width between 20 and 100 characters, the middle one has at least two thirds of that width,
    /// and fewer than half of the lines end as sentences do), if its lines hold more than 1.5 sentences on average, or if it has
    /// fewer than 1.5 lines between blank ones. Else it is [`Lines`](Self::Lines).
    #[default]
    Auto,
    /// One sentence a line and a blank line between documents, as `create_pretraining_data.py` of
    /// google-research/bert reads it.
    Lines,
    /// Running text in paragraphs, hard-wrapped or one a line.
    Raw,
}

fn unknown_layout(name: &str) -> String {
    format!("layout `{name}` is not known: use auto, lines or raw")
}

/// Layout of a whole file, inferred from its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileLayout {
    Lines,
    Raw {
        /// The length in characters at which lines were wrapped; `None` if each is a paragraph.
        width: Option<usize>,
        /// The number of blank lines that part documents rather than paragraphs.
        gap: usize,
    },
}

/// Settles the layout of a file by its first lines.
pub(super) fn settle<'a>(
    layout: Layout,
    head: impl IntoIterator<Item = &'a String>,
    language: &str,
) -> FileLayout {
    if layout == Layout::Lines {
        return FileLayout::Lines;
    }
    let look = Look::at(head, language);
    match look.width {
        None if layout == Layout::Auto && look.is_sentences() => FileLayout::Lines,
        width => FileLayout::Raw {
            width,
            gap: look.gap,
        },
    }
}

/// Measures of the first lines of a file.
#[derive(Debug)]
struct Look {
    width: Option<usize>,
    gap: usize,
    lines: usize,
    blocks: usize,
    sentences: usize,
}

impl Look {
    fn at<'a>(head: impl IntoIterator<Item = &'a String>, language: &str) -> Self {
        let mut lengths = Vec::new();
        let (mut blocks, mut sentences, mut ended, mut blank) = (0, 0, 0, 0);
        // How often so many blank lines stand together.
        let mut gaps = Vec::new();
        for line in head {
            let line = line.trim();
            if line.is_empty() {
                blank += 1;
                continue;
            }
            if blank > 0 || lengths.is_empty() {
                blocks += 1;
            }
            if blank > 0 && !lengths.is_empty() {
                gaps.resize(gaps.len().max(blank + 1), 0);
                gaps[blank] += 1;
            }
            blank = 0;
            lengths.push(line.chars().count());
            ended += usize::from(ends_sentence(line));
            sentences += sentences::split(line, language).count();
        }
        let lines = lengths.len();
        lengths.sort_unstable();
        let at = |share: usize| lengths.get(lines * share / 100).copied().unwrap_or(0);
        let (middle, long) = (at(50), at(95));
        let wrapped = (20..=100).contains(&long) && 3 * middle >= 2 * long && 2 * ended < lines;
        // The commonest number of blank lines parts paragraphs, one more parts chapters.
        let usual = (0..gaps.len()).rev().max_by_key(|blank| gaps[*blank]);
        Self {
            width: wrapped.then_some(long),
            gap: (usual.unwrap_or(0) + 1).max(2),
            lines,
            blocks,
            sentences,
        }
    }

    fn is_sentences(&self) -> bool {
        // A single block has no document borders, but its lines may well be sentences.
        let blocks = self.blocks.max(1);
        2 * self.sentences <= 3 * self.lines && (2 * self.lines >= 3 * blocks || self.lines <= 1)
    }
}

/// True if a line ends where a sentence may, within quotes or brackets or not.
pub(super) fn ends_sentence(line: &str) -> bool {
    line.trim_end_matches(|c: char| c.is_whitespace() || "\"'”’»)]）」』】`".contains(c))
        .ends_with([
            '.', '!', '?', '…', ':', ';', '。', '！', '？', '：', '；', '।', '؟', '۔',
        ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(layout: Layout, text: &str) -> FileLayout {
        let head: Vec<String> = text.lines().map(String::from).collect();
        settle(layout, &head, "en")
    }

    const RAW: FileLayout = FileLayout::Raw {
        width: None,
        gap: 2,
    };

    #[test]
    fn sentences_on_lines_are_told_from_paragraphs() {
        let lines =
            "The cat sat.\nIt slept.\nThen it ran away, as cats do.\n\nA dog barked.\nLoud!\n";
        assert_eq!(settled(Layout::Auto, lines), FileLayout::Lines);
        let tokenised = "the cat sat .\nit slept .\n\na dog barked .\nloud ! very loud .\n";
        assert_eq!(settled(Layout::Auto, tokenised), FileLayout::Lines);
        let chinese =
            "孙亮，字子明，是孙权的小儿子。\n孙权年岁渐长。\n\n他说。\n这一年是魏国的嘉平四年。\n";
        assert_eq!(settled(Layout::Auto, chinese), FileLayout::Lines);

        let paragraphs = "One. Two. Three of them.\nFour. Five.\nSix. Seven.\n";
        assert_eq!(settled(Layout::Auto, paragraphs), RAW);
        let apart = "\"Why so?\"\n\nHe did not know.\n\nThe end was near.\n\nIt came.\n";
        assert_eq!(settled(Layout::Auto, apart), RAW);
        assert_eq!(settled(Layout::Lines, apart), FileLayout::Lines);
        assert_eq!(settled(Layout::Raw, lines), RAW);
        assert_eq!(settled(Layout::Auto, ""), FileLayout::Lines);
    }

    #[test]
    fn wrapped_lines_are_known_by_their_width() {
        let line = "a line of text that goes on to the next";
        let text = format!("{}\nend.\n\n\n", [line; 6].join("\n")).repeat(5);
        let wrapped = |gap| FileLayout::Raw {
            width: Some(line.len()),
            gap,
        };
        // Two blank lines are usual here, so three part documents.
        assert_eq!(settled(Layout::Auto, &text), wrapped(3));
        assert_eq!(
            settled(Layout::Auto, &text.replace("\n\n\n", "\n")),
            wrapped(2)
        );
    }

    #[test]
    fn layouts_have_names() {
        for layout in [Layout::Auto, Layout::Lines, Layout::Raw] {
            assert_eq!(layout.to_string().parse(), Ok(layout));
        }
        assert!(
            "rows"
                .parse::<Layout>()
                .unwrap_err()
                .contains("auto, lines or raw")
        );
    }
}
