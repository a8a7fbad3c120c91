//! Every kind of data file through its reader, whole and with faults.

use std::io::Write;
use std::path::Path;

use bert_heads::Error;
use bert_heads::datasets::*;
use bert_heads::labels::Labels;
use bert_heads::metrics::Scheme;
use tempfile::NamedTempFile;

fn file(bytes: impl AsRef<[u8]>) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes.as_ref()).unwrap();
    file
}

fn texts(bytes: impl AsRef<[u8]>, format: &TextFormat) -> Result<Vec<TextExample>, Error> {
    let file = file(bytes);
    let (examples, _) = read_texts(file.path(), format, BadRows::Fail)?.read_all()?;
    Ok(examples)
}

fn report(bytes: impl AsRef<[u8]>, format: &Format) -> ReadReport {
    format.check(file(bytes).path(), BadRows::Skip).unwrap()
}

/// The message of the first error, which must name the file.
fn message<T>(path: &Path, read: Result<Examples<T>, Error>) -> String {
    let error = match read {
        Ok(examples) => examples.read_all().err().expect("nothing is wrong"),
        Err(error) => error,
    };
    let message = error.to_string();
    assert!(message.contains(&path.display().to_string()), "{message}");
    message
}

fn text_message(bytes: impl AsRef<[u8]>, format: &TextFormat) -> String {
    let file = file(bytes);
    message(file.path(), read_texts(file.path(), format, BadRows::Fail))
}

fn labels(names: &[&str]) -> Labels {
    Labels::new(names.iter().copied()).unwrap()
}

fn named(name: &str) -> Column {
    Column::named(name)
}

#[test]
fn columns_are_found_by_name_in_every_layout() {
    let expected = TextExample {
        text: "It's \"odd\", no?".into(),
        pair: Some("Sure.".into()),
        target: Target::Label("yes".into()),
        line: 2,
    };
    for (layout, text) in [
        (
            Layout::tsv(),
            "\u{feff}id\tsentence1\tsentence2\tlabel\n7\tIt's \"odd\", no?\tSure.\tyes\n",
        ),
        (
            Layout::quoted_tsv(),
            "label\tsentence1\tsentence2\r\nyes\t\"It's \"\"odd\"\", no?\"\tSure.\r\n",
        ),
        (
            Layout::csv(),
            "label,sentence1,sentence2\nyes,\"It's \"\"odd\"\", no?\",Sure.",
        ),
        (
            Layout::JsonLines,
            "\n{\"label\": \"yes\", \"sentence1\": \"It's \\\"odd\\\", no?\", \"sentence2\": \"Sure.\", \"x\": [1]}\n",
        ),
    ] {
        let read = texts(text, &TextFormat::new(layout.clone())).unwrap();
        assert_eq!(read, std::slice::from_ref(&expected), "{layout:?}");
    }
}

#[test]
fn columns_by_number_need_no_header() {
    let columns = Columns::text(Column::Number(4)).with_label(Column::Number(2));
    let format = TextFormat::new(Layout::tsv().without_header()).with_columns(columns);
    let read = texts(
        "gj04\t1\t\tSailors sail.\ngj04\t0\t*\tSail sailor.\n",
        &format,
    )
    .unwrap();
    let parts: Vec<_> = read.iter().map(|e| (e.line, e.text.as_str())).collect();
    assert_eq!(parts, [(1, "Sailors sail."), (2, "Sail sailor.")]);
    assert_eq!(read[1].target, Target::Label("0".into()));
    assert_eq!(read[0].pair, None);
}

#[test]
fn several_labels_come_from_a_list_a_text_or_flags() {
    let set = |names: &[&str]| Target::Labels(names.iter().map(|n| (*n).to_owned()).collect());
    let list = TextFormat::new(Layout::JsonLines);
    let read = texts(
        "{\"text\":\"a\",\"labels\":[\"x\",\"y\",\"x\"]}\n{\"text\":\"b\",\"labels\":[]}",
        &list,
    );
    let targets: Vec<_> = read.unwrap().into_iter().map(|e| e.target).collect();
    assert_eq!(targets, [set(&["x", "y"]), set(&[])]);

    let columns = Columns::text(named("text")).with_target(TargetColumn::Labels {
        column: named("tags"),
        separator: '|',
    });
    let format = TextFormat::new(Layout::csv()).with_columns(columns);
    let read = texts("text,tags\na,x | y\nb,\n", &format).unwrap();
    assert_eq!(read[0].target, set(&["x", "y"]));
    assert_eq!(read[1].target, set(&[]));

    let columns = Columns::text(named("text"))
        .with_target(TargetColumn::Flags(vec![named("toxic"), named("threat")]));
    let format = TextFormat::new(Layout::csv()).with_columns(columns);
    let read = texts("text,toxic,threat\na,1,0\nb,true,1\nc,0,False\n", &format).unwrap();
    let targets: Vec<_> = read.into_iter().map(|e| e.target).collect();
    assert_eq!(
        targets,
        [set(&["toxic"]), set(&["toxic", "threat"]), set(&[])]
    );
    let fault = text_message("text,toxic,threat\na,2,0\n", &format);
    assert!(fault.contains("line 2: column `toxic` is `2`"), "{fault}");
}

#[test]
fn targets_are_required_optional_or_ignored() {
    let with = "text,score\na,2.5\n";
    let without = "text\na\n";
    let format = |targets| TextFormat::new(Layout::csv()).with_targets(targets);
    let target = |text: &str, targets| texts(text, &format(targets)).unwrap()[0].target.clone();
    assert_eq!(target(with, Targets::Required), Target::Number(2.5));
    assert_eq!(target(with, Targets::IfPresent), Target::Number(2.5));
    assert_eq!(target(with, Targets::Ignored), Target::None);
    assert_eq!(target(without, Targets::IfPresent), Target::None);
    let message = text_message(without, &format(Targets::Required));
    assert!(message.contains("say which column"), "{message}");
}

#[test]
fn every_fault_of_a_text_names_its_line_and_the_remedy() {
    let label = TextFormat::new(Layout::tsv()).with_labels(labels(&["no", "yes"]));
    let score = TextFormat::new(Layout::tsv());
    let csv = TextFormat::new(Layout::csv());
    let json = TextFormat::new(Layout::JsonLines);
    for (format, text, needle) in [
        (
            &label,
            &b"text\tlabel\na\tyes\nb\tmaybe\n"[..],
            "line 3: label `maybe` is not known: use one of `no`, `yes`",
        ),
        (
            &label,
            b"text\tlabel\na\n",
            "line 2: it has 1 field(s) instead of 2",
        ),
        (
            &label,
            b"text\tlabel\na\tyes\tx\n",
            "line 2: it has 3 field(s) instead of 2",
        ),
        (
            &label,
            b"text\tlabel\n \tyes\n",
            "line 2: column `text` is blank",
        ),
        (
            &label,
            b"text\tlabel\nx\t\n",
            "line 2: column `label` is blank",
        ),
        (
            &label,
            b"text\tlabel\nx\tyes\ncaf\xe9\tno\n",
            "line 3: it is not UTF-8 (byte 4",
        ),
        (&label, b"", "it is empty"),
        (&label, b"text\tlabel\n", "it is empty"),
        (&label, b"a\tb\nx\tyes\n", "`a`, `b`"),
        (
            &score,
            b"text\tscore\na\tx\n",
            "column `score` is `x`, but must be a finite number",
        ),
        (&score, b"text\tscore\na\tinf\n", "column `score` is `inf`"),
        (&score, b"text\tscore\na\tNaN\n", "column `score` is `NaN`"),
        (
            &csv,
            b"text,label\n\"a,1\nb,2\n",
            "line 2: the quote before `a,1",
        ),
        (
            &csv,
            b"text,label\n\"a\"b,2\n",
            "line 2: text follows the closing quote of `a`",
        ),
        (
            &csv,
            b"text,\"label\nb,2\n",
            "line 1: the quote before `label",
        ),
        (
            &json,
            b"{\"text\":\"a\",\"label\":1}\n{\"text\":\"a\"}\n",
            "line 2: column `label` is absent",
        ),
        (
            &json,
            b"{\"text\":\"a\",\"label\":1}\n{\"text\":3,\"label\":1}\n",
            "line 2: column `text` is a number, but must be a text",
        ),
        (
            &json,
            b"{\"text\":\"a\",\"label\":1}\n{\"text\":\n",
            "line 2: it is not a JSON object: EOF",
        ),
        (
            &json,
            b"{\"text\":\"a\",\"label\":1}\n[1]\n",
            "line 2: it is not a JSON object: it is a list",
        ),
        (&json, b"nonsense\n", "line 1: it is not a JSON object"),
    ] {
        let message = text_message(text, format);
        assert!(message.contains(needle), "{message}");
    }
}

#[test]
fn columns_that_a_file_lacks_are_named() {
    let header = "text,label,label\na,1,2\n";
    let format = |layout, column: Column| {
        TextFormat::new(layout).with_columns(Columns::text(named("text")).with_label(column))
    };
    for (layout, column, needle) in [
        (
            Layout::csv(),
            named("class"),
            "no column `class`: the file has `text`, `label`",
        ),
        (Layout::csv(), named("label"), "the header has it twice"),
        (Layout::csv(), Column::Number(4), "the numbers 1 to 3"),
        (Layout::csv(), Column::Number(0), "the numbers 1 to 3"),
        (
            Layout::csv().without_header(),
            named("label"),
            "without a header",
        ),
    ] {
        let message = text_message(header, &format(layout, column));
        assert!(message.contains(needle), "{message}");
    }
    let json = format(Layout::JsonLines, Column::Number(2));
    let message = text_message("{\"text\": \"a\"}", &json);
    assert!(message.contains("have no numbers"), "{message}");
    let read = texts(header, &format(Layout::csv(), Column::Number(3))).unwrap();
    assert_eq!(read[0].target, Target::Label("2".into()));
}

#[test]
fn bad_rows_are_skipped_and_accounted_for() {
    let format = TextFormat {
        unlabelled: Some("-".into()),
        ..TextFormat::new(Layout::tsv()).with_labels(labels(&["0", "1"]))
    };
    let mut text = b"text\tlabel\n\na\t1\nb\nc\t7\n\xff\t1\nd\t-\ne\t0\t\nf\t0\n".to_vec();
    for _ in 0..4 {
        text.extend(b"g\tx\n");
    }
    let file = file(&text);
    let mut examples = read_texts(file.path(), &format, BadRows::Skip).unwrap();
    let kept: Vec<_> = examples.by_ref().map(|e| e.unwrap().line).collect();
    assert_eq!(kept, [3, 9]);
    let report = examples.report();
    assert_eq!(
        (report.examples, report.unlabelled, report.rows()),
        (2, 1, 11)
    );
    let counts: Vec<_> = report.skipped.iter().map(|(kind, n)| (*kind, *n)).collect();
    assert_eq!(
        counts,
        [
            ("not UTF-8", 1),
            ("unknown label", 5),
            ("wrong number of fields", 2)
        ]
    );
    let places: Vec<_> = report
        .first
        .iter()
        .map(|bad| bad.place.to_string())
        .collect();
    assert_eq!(places, ["line 4", "line 5", "line 6", "line 8", "line 10"]);
    assert_eq!(format!("{report}").lines().last(), Some("  and 3 more"));
}

const CONLL: &str = "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nrejects VBZ I-VP O\n  \t\nGerman   JJ\tI-NP I-MISC\nBritish JJ I-NP B-MISC\n\n\n-DOCSTART- -X- O O\n\nPeter NNP I-NP I-PER";

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

/// One paragraph with the questions given.
fn squad(questions: &str) -> String {
    format!(
        "{{\"version\": \"1\", \"data\": [{{\"title\": \"T\", \"paragraphs\": [{{\"context\": \"字 Ünïx was 字 new in 1970.\", \"qas\": [{questions}]}}]}}]}}"
    )
}

const NEW: &str = r#"{"id": "q1", "question": "What?", "answers": [{"text": "字 new", "answer_start": 11}, {"text": "new", "answer_start": 13}]}"#;

#[test]
fn squad_is_read_with_offsets_in_characters() {
    let impossible = r#"{"id": "q2", "question": "Who?", "is_impossible": true, "answers": []}"#;
    let file = file(squad(&format!("{NEW}, {impossible}")));
    let format = QuestionFormat::of(Path::new("dev-v2.0.json"));
    let read = read_questions(file.path(), &format, BadRows::Fail).unwrap();
    let (read, _) = read.read_all().unwrap();
    assert_eq!((read[0].id.as_str(), &*read[0].title), ("q1", "T"));
    assert_eq!(
        (read[0].answers[0].start, read[0].answers[0].text.as_str()),
        (11, "字 new")
    );
    assert!(!read[0].is_impossible && read[1].is_impossible);
    assert!(std::sync::Arc::ptr_eq(&read[0].context, &read[1].context));
}

#[test]
fn questions_are_read_from_json_lines_of_either_form() {
    let text = r#"{"id": 7, "title": "T", "context": "A b.", "question": "Q?", "answers": {"text": ["b"], "answer_start": [2]}}
{"id": "x", "context": "A b.", "question": "Q?", "answers": {"text": [], "answer_start": []}}
{"id": "y", "context": "A b.", "question": "Q?", "answers": [{"text": "A", "answer_start": 0}]}
"#;
    let file = file(text);
    let format = QuestionFormat::of(Path::new("train.jsonl.gz"));
    let read = read_questions(file.path(), &format, BadRows::Fail).unwrap();
    let (read, _) = read.read_all().unwrap();
    assert_eq!((read[0].id.as_str(), read[0].answers[0].start), ("7", 2));
    assert!(read[1].is_impossible && read[1].title.is_empty());
    assert_eq!(read[2].answers[0].text, "A");
}

#[test]
fn every_fault_of_a_question_names_it() {
    let with = |answers: &str| {
        squad(&format!(
            r#"{NEW}, {{"id": "q2", "question": "Q?", "answers": {answers}}}"#
        ))
    };
    let required = QuestionFormat::new(QuestionLayout::Json);
    for (text, needle) in [
        (
            with(r#"[{"text": "new", "answer_start": 11}]"#),
            "question 2 (id `q2`): answer `new` is not at character 11, where `字 n` stands; it stands at character 13",
        ),
        (
            with(r#"[{"text": "字", "answer_start": 8}]"#),
            "it stands at character 11",
        ),
        (
            with(r#"[{"text": "old", "answer_start": 1}]"#),
            "it stands nowhere",
        ),
        (
            with(r#"[{"text": "new", "answer_start": 99}]"#),
            "answer `new` at character 99 reaches beyond the context of 25 characters; it stands at character 13",
        ),
        (
            with(r#"[{"text": "1970.", "answer_start": 22}]"#),
            "reaches beyond",
        ),
        (
            with(r#"[{"text": "new", "answer_start": -1}]"#),
            "reaches beyond",
        ),
        (
            with(r#"[{"text": "", "answer_start": 0}]"#),
            "column `answers.text` is blank",
        ),
        (
            with(r#"[{"text": "new"}]"#),
            "column `answers.answer_start` is null, but must be a whole number",
        ),
        (with("3"), "column `answers` is a number"),
        (with("null"), "it has no `answers`"),
        (
            squad(r#"{"id": "q1", "question": "Q?", "answers": [], "is_impossible": false}"#),
            "question 1 (id `q1`): it is not called impossible, but has no answer",
        ),
        (
            squad(&NEW.replace("\"question\"", "\"is_impossible\": true, \"question\"")),
            "it is called impossible, but has answers",
        ),
        (
            squad(&format!("{NEW}, {NEW}")),
            "question 2 (id `q1`): id `q1` was used before",
        ),
        (
            squad(r#"{"question": "Q?"}"#),
            "question 1: column `id` is absent",
        ),
        (
            squad(r#"{"id": "q", "question": " "}"#),
            "column `question` is blank",
        ),
        (squad(""), "it is empty"),
        ("".to_owned(), "it is empty"),
        (
            "{\"data\": [\n{\"title\": 3}]}".to_owned(),
            "line 2: not the JSON of SQuAD",
        ),
        (
            "{\"id\": 1}\n{}".to_owned(),
            "JSON lines are another layout",
        ),
    ] {
        let file = file(text);
        let message = message(
            file.path(),
            read_questions(file.path(), &required, BadRows::Fail),
        );
        assert!(message.contains(needle), "{message}");
    }
    let bad = with(r#"[{"text": "old", "answer_start": 1}]"#);
    let report = report(&bad, &Format::Questions(required));
    assert_eq!(
        (report.examples, report.skipped["answer not at its offset"]),
        (1, 1)
    );

    let file = file(squad(r#"{"id": "q", "question": "Q?"}"#));
    for answers in [Targets::IfPresent, Targets::Ignored] {
        let format = required.with_answers(answers);
        let read = read_questions(file.path(), &format, BadRows::Fail).unwrap();
        let (read, _) = read.read_all().unwrap();
        assert!(read[0].answers.is_empty() && !read[0].is_impossible);
    }
}

#[test]
fn choices_are_read_from_swag_and_from_lists() {
    let swag = ",video-id,sent1,sent2,ending0,ending1,ending2,ending3,label\n0,v,\"A man sits, tired.\",He,sleeps.,runs.,flies.,sings.,2\n";
    let read = |text: &str, layout| {
        let file = file(text);
        let format = ChoiceFormat::new(layout);
        let (read, _) = read_choices(file.path(), &format, BadRows::Fail)
            .unwrap()
            .read_all()
            .unwrap();
        read
    };
    let examples = read(swag, Layout::csv());
    assert_eq!(
        examples[0].choices,
        ["sleeps.", "runs.", "flies.", "sings."]
    );
    assert_eq!(examples[0].label, Some(2));
    assert_eq!(
        examples[0].pairs().nth(3),
        Some(("A man sits, tired.", "He sings.".to_owned()))
    );

    let list = "{\"question\": \"Q?\", \"choices\": [\"x\", \"y\", 3], \"answer\": \"B\"}\n";
    let examples = read(list, Layout::JsonLines);
    assert_eq!(
        (examples[0].context.as_str(), examples[0].label),
        ("Q?", Some(1))
    );
    assert_eq!(examples[0].question, None);
    assert_eq!(examples[0].choices, ["x", "y", "3"]);

    let lettered = "passage\tquestion\tA\tB\tC\tlabel\np\tq\tx\ty\tz\tC\n";
    let examples = read(lettered, Layout::tsv());
    assert_eq!((examples[0].choices.len(), examples[0].label), (3, Some(2)));
    assert_eq!(examples[0].question.as_deref(), Some("q"));
}

#[test]
fn every_fault_of_choices_names_its_line() {
    let header = "context\tchoice1\tchoice2\tlabel\n";
    let format = |first| ChoiceFormat {
        first,
        ..ChoiceFormat::new(Layout::tsv())
    };
    for (first, text, needle) in [
        (
            0,
            format!("{header}c\tx\ty\t2\n"),
            "line 2: label `2` is none of the 2 choices: use 0 to 1",
        ),
        (1, format!("{header}c\tx\ty\t0\n"), "use 1 to 2"),
        (0, format!("{header}c\tx\ty\tZ\n"), "label `Z`"),
        (
            0,
            format!("{header}c\tx\t \t0\n"),
            "line 2: column `choice2` is blank",
        ),
        (0, "context\tlabel\nc\t0\n".to_owned(), "known as choices"),
        (
            0,
            "a\tchoice0\tchoice1\n".to_owned(),
            "known as a context or question",
        ),
        (
            0,
            "context\tchoice0\tchoice1\nc\tx\ty\n".to_owned(),
            "none is known as the label",
        ),
        (0, String::new(), "it is empty"),
    ] {
        let file = file(text);
        let message = message(
            file.path(),
            read_choices(file.path(), &format(first), BadRows::Fail),
        );
        assert!(message.contains(needle), "{message}");
    }
    let text = format!("{header}c\tx\ty\t2\nc\tx\ty\t1\n");
    let report = report(text, &Format::Choices(format(1)));
    assert_eq!((report.examples, report.skipped_rows()), (2, 0));
    let lists = "{\"context\": \"c\", \"choices\": [\"x\"], \"label\": 0}\n";
    let file = file(lists);
    let json = ChoiceFormat::new(Layout::JsonLines);
    let message = message(file.path(), read_choices(file.path(), &json, BadRows::Fail));
    assert!(message.contains("it has 1 choice(s)"), "{message}");
}

#[test]
fn presets_read_files_as_they_are_published() {
    for (name, part, text, examples) in [
        (
            "cola",
            Part::Train,
            "gj04\t1\t\tA \"b.\ngj04\t0\t*\tC.\n",
            2,
        ),
        ("cola", Part::Test, "index\tsentence\n0\tA.\n", 1),
        (
            "mrpc",
            Part::Train,
            "\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t5\t7\t\" A\tB\n",
            1,
        ),
        (
            "mrpc",
            Part::Test,
            "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t5\t7\tA\tB\n",
            1,
        ),
        (
            "stsb",
            Part::Train,
            "index\tsentence1\tsentence2\tscore\n0\tA\tB\t3.800\n",
            1,
        ),
        (
            "mnli",
            Part::Validation,
            "index\tsentence1\tsentence2\tlabel1\tgold_label\n0\tA\tB\tneutral\tneutral\n1\tA\tB\tneutral\t-\n",
            1,
        ),
        (
            "qqp",
            Part::Validation,
            "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tA\tB\t0\n",
            1,
        ),
        (
            "qnli",
            Part::Train,
            "index\tquestion\tsentence\tlabel\n0\tA\tB\tentailment\n",
            1,
        ),
        (
            "stsbenchmark",
            Part::Test,
            "g\tf\ty\ti\t2.5\tA\tB\ng\tf\ty\ti\t5\tA\tB\tl\tl\n",
            2,
        ),
        ("stsbenchmark-zh", Part::Train, "A\tB\t5\n", 1),
        (
            "ocnli",
            Part::Validation,
            "{\"sentence1\":\"a\",\"sentence2\":\"b\",\"label\":\"-\"}\n{\"sentence1\":\"a\",\"sentence2\":\"b\",\"label\":\"neutral\"}\n",
            1,
        ),
        ("conll2003", Part::Train, CONLL, 3),
        (
            "resume-ner",
            Part::Train,
            "\u{9ad8} B-NAME\n\u{52c7} E-NAME\n\u{ff1a} O\n",
            1,
        ),
        ("squad", Part::Train, &squad(NEW), 1),
        (
            "swag",
            Part::Test,
            ",sent1,sent2,ending0,ending1\n0,A,B,c,d\n",
            1,
        ),
    ] {
        let format = Preset::from_name(name).unwrap().format(part);
        let report = format.check(file(text).path(), BadRows::Fail).unwrap();
        assert_eq!(report.examples, examples, "{name}");
    }
    let mrpc = Preset::from_name("mrpc").unwrap();
    let unlabelled = "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t5\t7\tA\tB\n";
    let file = file(unlabelled);
    let error = mrpc
        .format(Part::Train)
        .check(file.path(), BadRows::Skip)
        .unwrap_err();
    assert!(error.to_string().contains("no column `Quality`"), "{error}");
    assert_eq!(mrpc.metrics().last(), Some(&"combined_score"));
}
