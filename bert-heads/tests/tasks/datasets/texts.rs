//! Texts and pairs with labels, numbers or neither.

use super::*;

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
fn labels_are_parted_by_what_the_rows_have() {
    let format = TextFormat::new(Layout::csv()).with_kind(TargetKind::Labels);
    let read = |text: &str, format: &TextFormat| {
        let file = file(text);
        let read = read_texts(file.path(), format, BadRows::Fail).unwrap();
        let remarks = read.remarks().to_vec();
        let targets: Vec<Target> = read.map(|example| example.unwrap().target).collect();
        (targets, remarks)
    };
    let set = |names: &[&str]| Target::Labels(names.iter().map(|n| (*n).to_owned()).collect());
    for text in [
        "text,label\na,x\nb,x|y\n",
        "text,label\na,x\nb,x; y\n",
        "text,labels\na,x\nb, y |x\n",
    ] {
        let (targets, remarks) = read(text, &format);
        let both = [set(&["x", "y"]), set(&["y", "x"])];
        assert!(
            targets[0] == set(&["x"]) && both.contains(&targets[1]),
            "{targets:?}"
        );
        assert!(
            remarks.len() == 1 && remarks[0].contains("are parted by"),
            "{remarks:?}"
        );
    }
    // A file with commas has no other separator, nor has a list, nor a label that is known.
    let (targets, remarks) = read("text,label\na,x|y\nb,\"x|y,z\"\n", &format);
    assert_eq!(targets, [set(&["x|y"]), set(&["x|y", "z"])]);
    assert!(remarks.is_empty(), "{remarks:?}");
    let (targets, _) = read("text,label\na,['x|y']\n", &format);
    assert_eq!(targets, [set(&["x|y"])]);
    let known = format.with_labels(labels(&["x|y", "x"]));
    let (targets, remarks) = read("text,label\na,x|y\n", &known);
    assert_eq!(targets, [set(&["x|y"])]);
    assert!(remarks.is_empty(), "{remarks:?}");
}

#[test]
fn the_column_of_the_target_may_be_named_alone() {
    let target = TargetColumn::Label(named("intent"));
    let format = TextFormat::new(Layout::csv()).with_target(target);
    let read = texts("text,intent,label\na,x,1\n", &format).unwrap();
    assert_eq!(
        (read[0].text.as_str(), &read[0].target),
        ("a", &Target::Label("x".into()))
    );
    let read = texts("said,intent\na,x\n", &format.clone().targets_only()).unwrap();
    assert_eq!(read[0].target, Target::Label("x".into()));
    let fault = text_message("said,intent\na,x\n", &format);
    assert!(fault.contains("known as a text"), "{fault}");
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
            "column `score` is `x`, but must be a finite number, with a point",
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
            "line 2: it is not a JSON object: it ends before its value does",
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

#[test]
fn either_side_of_a_pair_may_be_blank() {
    let format = TextFormat::new(Layout::csv()).with_targets(Targets::Ignored);
    let read = texts("text,text_pair\na,\n,b\n", &format).unwrap();
    let sides: Vec<_> = read
        .iter()
        .map(|e| (e.text.as_str(), e.pair.as_deref()))
        .collect();
    assert_eq!(sides, [("a", Some("")), ("", Some("b"))]);
    let message = text_message("text,text_pair\na,b\n , \n", &format);
    assert!(
        message.contains("line 3: column `text` is blank"),
        "{message}"
    );
    let format = TextFormat::new(Layout::csv()).with_kind(TargetKind::Number);
    let read = texts("text,text_pair,score\na,,1\n", &format).unwrap();
    assert!(SimilarExample::try_from(read[0].clone()).is_err());
}

#[test]
fn targets_alone_need_no_text() {
    let format = TextFormat::new(Layout::csv())
        .with_kind(TargetKind::Label)
        .targets_only();
    for text in [
        "id,label\n1,x\n",
        "text,label\n,x\n",
        "text,text_pair,label\n,,x\n",
    ] {
        let read = texts(text, &format).unwrap();
        assert_eq!(read[0].target, Target::Label("x".into()), "{text}");
    }
    let message = text_message("id,gold\n1,x\n", &format);
    assert!(message.contains("say which column holds it"), "{message}");
}

#[test]
fn texts_that_are_not_read_are_named() {
    let format = TextFormat::new(Layout::csv()).with_targets(Targets::IfPresent);
    let remarks = |text: &str, format: &TextFormat| -> Vec<String> {
        let file = file(text);
        let read = read_texts(file.path(), format, BadRows::Fail).unwrap();
        read.remarks().to_vec()
    };
    for text in [
        "text,reply\na,Hello\n",
        "text,other\na,b c\n",
        "text,title\na,\u{5b57}\n",
        // The first row need not have what others have.
        "text,other\na,\nb,c d\n",
    ] {
        let found = remarks(text, &format);
        assert!(
            found.len() == 1 && found[0].contains("`text` is read alone"),
            "{found:?}"
        );
    }
    for text in [
        "text,id,label,date\na,7,very good,2020-01-01 10:00\n",
        "text,text_pair,title\na,b,c d\n",
        "text,title\na,\n",
        "text,label,label_text\na,1,good\n",
    ] {
        assert!(remarks(text, &format).is_empty(), "{text}");
    }
    let found = remarks("question,context,answer\na,b c,d\n", &format);
    assert!(
        found.len() == 1
            && found[0]
                .contains("`question` and `answer` are read as a pair, and `context` is not"),
        "{found:?}"
    );
    let chosen = format.with_columns(Columns::text(named("text")));
    assert!(remarks("text,reply\na,Hello you\n", &chosen).is_empty());
}

#[test]
fn a_column_is_read_as_its_task_wants_it() {
    let single = TextFormat::new(Layout::JsonLines).with_kind(TargetKind::Label);
    for text in [
        "{\"text\":\"a\",\"labels\":\"x\"}",
        "{\"text\":\"a\",\"labels\":[\"x\"]}",
    ] {
        let read = texts(text, &single).unwrap();
        assert_eq!(read[0].target, Target::Label("x".into()));
    }
    for text in [
        "{\"text\":\"a\",\"labels\":\"x,y\"}",
        "{\"text\":\"a\",\"label\":[\"x\",\"y\"]}",
    ] {
        let message = text_message(text, &single);
        assert!(message.contains("must be one class"), "{message}");
    }
    // A comma is a part of a name where the column promises one.
    let read = texts("{\"text\":\"a\",\"label\":\"x, y\"}", &single).unwrap();
    assert_eq!(read[0].target, Target::Label("x, y".into()));
    let flags = TextFormat::new(Layout::csv())
        .with_kind(TargetKind::Labels)
        .with_labels(labels(&["y", "x"]));
    let read = texts("text,x,y\na,1,0\nb,1.0,true\n", &flags).unwrap();
    let set = |names: &[&str]| Target::Labels(names.iter().map(|n| (*n).to_owned()).collect());
    assert_eq!(
        [&read[0].target, &read[1].target],
        [&set(&["x"]), &set(&["y", "x"])]
    );
}
