//! Questions with choices.

use super::*;

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
fn scoring_needs_the_right_choice_and_their_number_only() {
    for (text, layout) in [
        (
            "context\tquestion\tchoice0\tchoice1\tlabel\n\t\tx\t\t1\n",
            Layout::tsv(),
        ),
        ("choice0,choice1,label\n,,1\n", Layout::csv()),
        (
            "{\"question\":\"\",\"choices\":[\"x\",\"\"],\"label\":1}\n",
            Layout::JsonLines,
        ),
    ] {
        let file = file(text);
        let format = ChoiceFormat::new(layout);
        let read =
            |format: &ChoiceFormat| read_choices(file.path(), format, BadRows::Fail)?.read_all();
        assert!(read(&format).is_err(), "{text}");
        let (examples, _) = read(&format.scoring_only()).unwrap();
        assert_eq!(
            (examples[0].choices.len(), examples[0].label),
            (2, Some(1)),
            "{text}"
        );
    }
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
