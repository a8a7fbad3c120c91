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
        (&lines, b"a,O\nb,O\n", "(--separator)"),
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

/// The words and tags of every sentence.
fn sentences(text: &str, format: &TokenFormat) -> Vec<(String, String)> {
    let file = file(text);
    let read = read_tokens(file.path(), format, BadRows::Fail).unwrap();
    let (read, _) = read.read_all().unwrap();
    let joined = |words: &[String]| words.join("/");
    read.iter()
        .map(|e| {
            (
                joined(&e.words),
                joined(e.tags.as_deref().unwrap_or_default()),
            )
        })
        .collect()
}

fn pair(words: &str, tags: &str) -> (String, String) {
    (words.to_owned(), tags.to_owned())
}

#[test]
fn comments_stand_above_sentences() {
    let lines = TokenFormat::lines();
    let text = "# id 1\tdomain=en\nthe _ _ O\n# _ _ O\n\n# sent_id = 2\n# text = a\na _ _ B-X\n";
    let expected = [pair("the/#", "O/O"), pair("a", "B-X")];
    assert_eq!(sentences(text, &lines), expected);
    // A word that begins with `#`, or is nothing else.
    let text = "#wow O\nthe O\n\n# O\ncat O\n\n# B-NEW\n\n#\tO\n";
    let words: Vec<String> = sentences(text, &lines).into_iter().map(|s| s.0).collect();
    assert_eq!(words, ["#wow/the", "#/cat", "#", "#"]);
    // Without tags every line is a word, unless it is several.
    let plain = TokenFormat::lines().with_targets(Targets::Ignored);
    let words: Vec<String> = sentences("# a b\nthe\n#\n\n#\n", &plain)
        .into_iter()
        .map(|s| s.0)
        .collect();
    assert_eq!(words, ["the/#", "#"]);

    // What may be either is refused, unless the tags are known.
    let text = "the DT\ncat NN\n\n# newpar\na DT\n";
    let either = file(text);
    let message = message(
        either.path(),
        read_tokens(either.path(), &lines, BadRows::Fail),
    );
    assert!(message.contains("line 4: it may be a comment"), "{message}");
    let known = lines.clone().with_labels(labels(&["DT", "NN"]));
    assert_eq!(sentences(text, &known)[1], pair("a", "DT"));
    let known = lines.with_labels(labels(&["DT", "NN", "newpar"]));
    assert_eq!(sentences(text, &known)[1], pair("#/a", "newpar/DT"));
}

#[test]
fn words_of_conll_u_are_read_one_by_one() {
    let line =
        |id: &str, form: &str, tag: &str| format!("{id}\t{form}\t_\t{tag}\t_\t_\t_\t_\t_\t_\n");
    let text = [
        "# sent_id = 1\n# text = d'un bon\n".to_owned(),
        line("1-2", "d'un", "_"),
        line("1", "de", "ADP"),
        line("2", "un", "DET"),
        line("2.1", "bon", "ADJ"),
        line("3", "ad hoc", "ADJ"),
    ];
    let format = TokenFormat::new(TokenLayout::Lines(WordLine {
        word: Field::Number(2),
        tag: Field::Number(4),
        separator: None,
    }));
    let expected = [pair("de/un/ad hoc", "ADP/DET/ADJ")];
    assert_eq!(sentences(&text.concat(), &format), expected);
}

#[test]
fn numbers_of_words_are_not_read_as_words() {
    let lines = TokenFormat::lines();
    for text in [
        "# sent_id = 1\n1\tde\tO\n2\tun\tO\n\n1\ta\tO\n",
        "0 de _ O\n1 un _ O\n",
    ] {
        let file = file(text);
        let message = message(file.path(), read_tokens(file.path(), &lines, BadRows::Fail));
        assert!(message.contains("--text-column"), "{message}");
    }
    // Numbers may be words as well.
    for text in ["1 O\n2 O\n", "1 _ O\n\n1 _ O\n", "1 _ O\n2 _ O\n4 _ O\n"] {
        assert!(sentences(text, &lines)[0].0.starts_with('1'), "{text}");
    }
}

#[test]
fn words_with_spaces_stand_between_tabs() {
    let lines = TokenFormat::lines();
    for (text, words) in [
        ("New York\tB-LOC\nis\tO\n \tO\n", "New York/is/ "),
        ("is\tO\nNew York\tB-LOC\n", "is/New York"),
        ("is\tx\tO\n \tx\tO\n", "is/ "),
        // Spaces and tabs mixed are what they were.
        ("EU NNP\tO\nrejects   VBZ O\n", "EU/rejects"),
    ] {
        assert_eq!(sentences(text, &lines)[0].0, words, "{text:?}");
    }
    // The first lines do not show it.
    let text = format!("{}New York\tB-LOC\n", "is\tO\n".repeat(600));
    assert!(sentences(&text, &lines)[0].0.ends_with("is/New York"));
    let spaces = "{\"tokens\": [\"the\", \" \", \"\u{a0}\"], \"tags\": [\" O\", \"O\", \"O\"]}\n";
    let found = sentences(spaces, &TokenFormat::json_lines());
    assert_eq!(found, [pair("the/ /\u{a0}", "O/O/O")]);
    let message = {
        let file = file("\tO\nis\tO\na b\tO\n");
        message(file.path(), read_tokens(file.path(), &lines, BadRows::Fail))
    };
    assert!(
        message.contains("line 1: column `word` is blank"),
        "{message}"
    );
}
