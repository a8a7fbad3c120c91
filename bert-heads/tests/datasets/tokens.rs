//! Tagged words.

use super::*;

pub(crate) const CONLL: &str = "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nrejects VBZ I-VP O\n  \t\nGerman   JJ\tI-NP I-MISC\nBritish JJ I-NP B-MISC\n\n\n-DOCSTART- -X- O O\n\nPeter NNP I-NP I-PER";

#[test]
fn sentences_are_read_from_lines() {
    let file = file(CONLL);
    let format = TokenFormat::lines().with_scheme(Scheme::Iob1);
    let read = read_tokens(file.path(), &format, BadRows::Fail).unwrap();
    let (read, report) = read.read_all().unwrap();
    let parts: Vec<_> = read
        .iter()
        .map(|e| {
            (
                e.line,
                e.words.join(" "),
                e.tags.as_ref().unwrap().join(" "),
            )
        })
        .collect();
    let expected = [
        (3, "EU rejects", "B-ORG O"),
        (6, "German British", "B-MISC B-MISC"),
        (12, "Peter", "B-PER"),
    ];
    assert_eq!(parts.len(), report.examples);
    for ((line, words, tags), expected) in parts.iter().zip(expected) {
        assert_eq!((*line, words.as_str(), tags.as_str()), expected);
    }
    assert_eq!(
        discover_labels(&read).unwrap().names(),
        ["O", "B-MISC", "B-ORG", "B-PER"]
    );

    let parts_of_speech = TokenFormat::new(TokenLayout::Lines(WordLine {
        word: Field::Number(1),
        tag: Field::Number(2),
        separator: None,
    }));
    let read = read_tokens(file.path(), &parts_of_speech, BadRows::Fail).unwrap();
    let (read, _) = read.read_all().unwrap();
    assert_eq!(read[1].tags.as_ref().unwrap(), &["JJ", "JJ"]);

    let read = read_tokens(
        file.path(),
        &TokenFormat::lines().with_targets(Targets::Ignored),
        BadRows::Fail,
    );
    assert!(read.unwrap().all(|e| e.unwrap().tags.is_none()));
}

#[test]
fn words_may_be_spaces_where_tabs_separate() {
    let file = file("a b\tB-X\n\u{3000}\tI-X\n\nc\tO\n");
    let format = TokenFormat::new(TokenLayout::Lines(WordLine {
        word: Field::Number(1),
        tag: Field::Last,
        separator: Some('\t'),
    }));
    let read = read_tokens(file.path(), &format, BadRows::Fail).unwrap();
    let (read, _) = read.read_all().unwrap();
    assert_eq!(read[0].words, ["a b", "\u{3000}"]);
    assert_eq!(read.len(), 2);
}

#[test]
fn sentences_are_read_from_json_lines() {
    let text = "{\"tokens\": [\"EU\", \"rejects\"], \"ner_tags\": [\"B-ORG\", \"O\"]}\n{\"tokens\": [\"x\"], \"ner_tags\": [0]}\n";
    let file = file(text);
    let format = TokenFormat::json_lines();
    let read = read_tokens(file.path(), &format, BadRows::Fail).unwrap();
    let (read, _) = read.read_all().unwrap();
    assert_eq!(read[0].tags.as_ref().unwrap(), &["B-ORG", "O"]);
    assert_eq!(read[1].tags.as_ref().unwrap(), &["0"]);
}

#[test]
fn every_fault_of_a_sentence_names_its_line() {
    let lines = TokenFormat::lines().with_scheme(Scheme::Iob2);
    let known = lines.clone().with_labels(labels(&["O", "B-PER"]));
    let json = TokenFormat::json_lines();
    for (format, text, needle) in [
        (
            &lines,
            &b"a O\n\nb O\nc\n"[..],
            "line 4: it has 1 field(s) instead of 2",
        ),
        (
            &lines,
            b"a O\n\nb O\nc I-PER\n",
            "line 3: tag `I-PER` of word 2 does not fit iob2",
        ),
        (
            &lines,
            b"a O\n\nb O\n\xff O\n",
            "line 4: it is not UTF-8 (byte 1",
        ),
        (&lines, b"a PER\n", "line 1: tag `PER` of word 1"),
        (&lines, b"a\nb\n", "line 1: column `tag` is absent"),
        (&lines, b"\n\n-DOCSTART- O\n\n", "it is empty"),
        (
            &known,
            b"a B-PER\n\nb B-LOC\n",
            "line 3: label `B-LOC` is not known: use one of `O`, `B-PER`",
        ),
        (
            &json,
            b"{\"words\": [\"a\", \"b\"], \"tags\": [\"O\"]}",
            "line 1: it has 2 word(s) and 1 tag(s)",
        ),
        (
            &json,
            b"{\"words\": [], \"tags\": []}",
            "line 1: column `word` is blank",
        ),
        (
            &json,
            b"{\"words\": \"a b\", \"tags\": []}",
            "column `words` is a text, but must be a list",
        ),
        (
            &json,
            b"{\"text\": \"a b\"}",
            "none of `tokens`, `words` is among its keys `text`",
        ),
    ] {
        let file = file(text);
        let message = message(file.path(), read_tokens(file.path(), format, BadRows::Fail));
        assert!(message.contains(needle), "{message}");
    }
    // The whole sentence goes, and no other.
    let report = report("a O\nb\nc O\n\nd O\n", &Format::Tokens(lines));
    assert_eq!((report.examples, report.skipped_rows()), (1, 1));
}
