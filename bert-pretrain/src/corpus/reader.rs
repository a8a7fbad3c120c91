//! Text files as a stream of documents.

use std::path::PathBuf;

use super::inputs::{self, Input};
use super::layout::{self, FileLayout, Layout};
use super::lines::FileLines;
use super::paragraphs::Unwrapper;
use super::sentences;
use crate::Result;

/// A document of running text is ended before it gets longer than this, in bytes: some 150 English
/// sentences, enough for a dozen sequences of 512 tokens.
const MOST_RAW_BYTES: usize = 16 << 10;
/// And not ended by a gap or heading before it is this long, so that title pages do not become
/// documents of their own.
const LEAST_RAW_BYTES: usize = 1 << 10;
/// A document of lines is ended at this many bytes, so that a file without blank lines is no single
/// document.
const MOST_LINES_BYTES: usize = 1 << 20;
/// Longer paragraphs are no headings.
const LONGEST_HEADING: usize = 60;

/// Options of reading texts and of keeping them once tokenised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorpusOptions {
    /// Layout of sentences and documents in the files.
    pub layout: Layout,
    /// The language whose abbreviations do not end sentences, as a code such as `en`; used for
    /// running text only. The default, English, parts Chinese as well.
    pub language: String,
    /// The length in bytes at which a file of a [`TokenizedCorpus`](super::TokenizedCorpus) is
    /// ended.
    pub shard_bytes: u64,
}

impl Default for CorpusOptions {
    fn default() -> Self {
        Self {
            layout: Layout::Auto,
            language: "en".to_owned(),
            shard_bytes: 256 << 20,
        }
    }
}

/// A document as read: sentences, or paragraphs that are still to be split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawDocument {
    parts: Vec<String>,
    /// The language to split paragraphs in; `None` if the parts are sentences.
    language: Option<String>,
    bytes: usize,
}

impl RawDocument {
    /// Its sentences in order, without white space around them; none is empty.
    pub fn sentences(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().flat_map(|part| {
            let (whole, split) = match &self.language {
                None => (Some(part.as_str()), None),
                Some(language) => (None, Some(sentences::split(part, language))),
            };
            whole.into_iter().chain(split.into_iter().flatten())
        })
    }

    /// The bytes of its text, in UTF-8.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The documents of text files, one after another, in memory that does not grow with them.
///
/// A file is plain, gzip or zstd by its first bytes, and UTF-8 with or without byte-order mark.
/// Each file ends a document. How else documents part depends on the layout:
///
/// - [`Layout::Lines`]: at blank lines, and at 1 MiB.
/// - [`Layout::Raw`]: at gaps of two blank lines and more, one more than commonly stand between the
///   paragraphs of this file, and at headings ("Chapter 1", "BOOK II", "第三章", "= Title =" of
///   WikiText), once the document has 1 KiB; and in any case between paragraphs before it exceeds
///   16 KiB. A novel thus becomes many documents of consecutive text, and paragraphs with a blank
///   line between them do not become documents of one sentence.
pub struct CorpusReader {
    inputs: std::vec::IntoIter<Input>,
    options: CorpusOptions,
    file: Option<File>,
    files: u64,
}

impl CorpusReader {
    /// Reads files, all files below directories (sorted, hidden ones left out), and standard input
    /// for `-`.
    ///
    /// # Errors
    /// If an input does not exist or cannot be opened, or a directory holds no file.
    pub fn new(inputs: &[PathBuf], options: CorpusOptions) -> Result<Self> {
        Ok(Self::over(inputs::find(inputs)?, options))
    }

    pub(super) fn over(inputs: Vec<Input>, options: CorpusOptions) -> Self {
        Self {
            inputs: inputs.into_iter(),
            options,
            file: None,
            files: 0,
        }
    }

    /// Number of files opened so far.
    pub fn files(&self) -> u64 {
        self.files
    }

    fn read(&mut self) -> Result<Option<RawDocument>> {
        loop {
            if let Some(file) = &mut self.file {
                if let Some(parts) = file.document()? {
                    let language = &self.options.language;
                    return Ok(Some(RawDocument {
                        bytes: parts.iter().map(String::len).sum(),
                        language: file.is_raw().then(|| language.clone()),
                        parts,
                    }));
                }
                self.file = None;
            }
            let Some(input) = self.inputs.next() else {
                return Ok(None);
            };
            self.file = Some(File::open(&input, &self.options)?);
            self.files += 1;
        }
    }
}

impl Iterator for CorpusReader {
    type Item = Result<RawDocument>;

    fn next(&mut self) -> Option<Self::Item> {
        let document = self.read().transpose();
        if let Some(Err(_)) = document {
            // What lies behind a broken place is not a continuation of what lies before it.
            self.inputs = Vec::new().into_iter();
            self.file = None;
        }
        document
    }
}

/// A file under way.
struct File {
    lines: FileLines,
    layout: FileLayout,
    unwrapper: Unwrapper,
    /// Sentences or paragraphs of the document under way, and their bytes.
    parts: Vec<String>,
    bytes: usize,
    /// A line that comes after a gap at which the document before it ended.
    held: Option<String>,
    /// Blank lines just before.
    blank: usize,
}

impl File {
    fn open(input: &Input, options: &CorpusOptions) -> Result<Self> {
        let mut lines = FileLines::open(input)?;
        let layout = layout::settle(options.layout, lines.head()?, &options.language);
        let width = match layout {
            FileLayout::Lines => None,
            FileLayout::Raw { width, .. } => width,
        };
        Ok(Self {
            lines,
            layout,
            unwrapper: Unwrapper::new(width),
            parts: Vec::new(),
            bytes: 0,
            held: None,
            blank: 0,
        })
    }

    fn is_raw(&self) -> bool {
        self.layout != FileLayout::Lines
    }

    /// The parts of the next document; `None` at the end of the file.
    fn document(&mut self) -> Result<Option<Vec<String>>> {
        match self.layout {
            FileLayout::Lines => self.lines_document(),
            FileLayout::Raw { gap, .. } => self.raw_document(gap),
        }
    }

    fn lines_document(&mut self) -> Result<Option<Vec<String>>> {
        while let Some(line) = self.lines.next()? {
            let sentence = line.trim();
            if sentence.is_empty() {
                if !self.parts.is_empty() {
                    break;
                }
                continue;
            }
            self.add(sentence.to_owned());
            if self.bytes >= MOST_LINES_BYTES {
                break;
            }
        }
        Ok(self.take())
    }

    fn raw_document(&mut self, gap: usize) -> Result<Option<Vec<String>>> {
        loop {
            let line = match self.held.take() {
                Some(line) => Some(line),
                None => self.lines.next()?,
            };
            let Some(line) = line else { break };
            let is_blank = line.trim().is_empty();
            let paragraph = if is_blank {
                self.blank += 1;
                self.unwrapper.end()
            } else if self.blank >= gap && self.bytes >= LEAST_RAW_BYTES {
                self.held = Some(line);
                self.blank = 0;
                return Ok(self.take());
            } else {
                self.blank = 0;
                self.unwrapper.push(&line)
            };
            if let Some(paragraph) = paragraph
                && let Some(document) = self.add_paragraph(paragraph)
            {
                return Ok(Some(document));
            }
        }
        if let Some(paragraph) = self.unwrapper.end()
            && let Some(document) = self.add_paragraph(paragraph)
        {
            return Ok(Some(document));
        }
        Ok(self.take())
    }

    /// Adds a paragraph to the document, or gives the document and begins another with it.
    fn add_paragraph(&mut self, paragraph: String) -> Option<Vec<String>> {
        let is_full = self.bytes + paragraph.len() > MOST_RAW_BYTES;
        let is_chapter = self.bytes >= LEAST_RAW_BYTES && is_heading(&paragraph);
        let ended = if is_full || is_chapter {
            self.take()
        } else {
            None
        };
        self.add(paragraph);
        ended
    }

    fn add(&mut self, part: String) {
        self.bytes += part.len();
        self.parts.push(part);
    }

    fn take(&mut self) -> Option<Vec<String>> {
        self.bytes = 0;
        (!self.parts.is_empty()).then(|| std::mem::take(&mut self.parts))
    }
}

/// True if a paragraph is the heading of a chapter in English or Chinese, or of a WikiText article.
fn is_heading(paragraph: &str) -> bool {
    let title = paragraph
        .strip_prefix("= ")
        .and_then(|rest| rest.strip_suffix(" ="));
    if let Some(title) = title {
        // "= = Section = =" is within an article.
        return !title.starts_with('=');
    }
    if paragraph.len() > LONGEST_HEADING {
        return false;
    }
    if let Some(rest) = paragraph.strip_prefix('第') {
        let number = |c: char| c.is_ascii_digit() || "零〇一二三四五六七八九十百千两".contains(c);
        let unit = rest.trim_start_matches(number);
        return unit.len() < rest.len()
            && unit.starts_with(['章', '回', '卷', '节', '篇', '部', '集']);
    }
    let mut words = paragraph.split_whitespace().map(|word| {
        let word = word.trim_end_matches(['.', ':', ',', '-', '—']);
        word.to_ascii_lowercase()
    });
    let part = ["chapter", "book", "part", "volume", "letter", "section"];
    let (Some(first), Some(second)) = (words.next(), words.next()) else {
        return false;
    };
    let is_number = |word: &str| {
        let words = [
            "the", "one", "two", "three", "four", "five", "first", "second", "third", "fourth",
            "fifth", "last",
        ];
        word.chars().all(|c| c.is_ascii_digit())
            || word.chars().all(|c| "ivxlcdm".contains(c))
            || words.contains(&word)
    };
    part.contains(&first.as_str()) && !second.is_empty() && is_number(&second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_short_and_numbered() {
        for heading in [
            "Chapter 1",
            "CHAPTER XIV.",
            "Book the Second",
            "PART IV: The End",
            "第三章",
            "第12回 宴",
            "= Homarus gammarus =",
        ] {
            assert!(is_heading(heading), "{heading}");
        }
        for text in [
            "Part of it was lost.",
            "Chapter",
            "The first chapter",
            "第一次见面",
            "= = Description = =",
            "第章",
            "Book II. is the one in which the hero comes to know what he had not known.",
            "",
        ] {
            assert!(!is_heading(text), "{text}");
        }
    }

    #[test]
    fn a_gap_just_behind_a_full_document_still_parts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text.txt");
        let paragraph = format!("{}.", "word ".repeat(2_000));
        // The second paragraph ends the document before it, while blank lines are being counted.
        let text = format!("{paragraph}\n\n{paragraph}\n\n\nNext. And last.\n");
        std::fs::write(&path, text).unwrap();
        let options = CorpusOptions {
            layout: Layout::Raw,
            ..Default::default()
        };
        let documents: Vec<_> = CorpusReader::new(&[path], options).unwrap().collect();
        assert_eq!(documents.len(), 3);
    }
}
