//! Questions about contexts.

use super::*;

/// One paragraph with the questions given.
pub(crate) fn squad(questions: &str) -> String {
    format!(
        "{{\"version\": \"1\", \"data\": [{{\"title\": \"T\", \"paragraphs\": [{{\"context\": \"字 Ünïx was 字 new in 1970.\", \"qas\": [{questions}]}}]}}]}}"
    )
}

pub(crate) const NEW: &str = r#"{"id": "q1", "question": "What?", "answers": [{"text": "字 new", "answer_start": 11}, {"text": "new", "answer_start": 13}]}"#;

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
fn scoring_reads_answers_wherever_they_stand() {
    let text = squad(
        r#"{"id": "q1", "question": "What?", "answers": [{"text": "new", "answer_start": 1}]},
           {"id": "q1", "answers": [{"text": "nowhere"}]},
           {"id": "q2", "question": " ", "answers": {"text": ["a", ""], "answer_start": [0]}},
           {"id": "q3", "question": "?", "is_impossible": true, "answers": [{"text": "x", "answer_start": 0}]},
           {"id": "q4", "question": "?", "is_impossible": true}"#,
    );
    let file = file(text);
    let format = QuestionFormat::new(QuestionLayout::Json);
    assert!(
        read_questions(file.path(), &format, BadRows::Fail)
            .unwrap()
            .read_all()
            .is_err()
    );
    let read = read_questions(file.path(), &format.scoring_only(), BadRows::Fail).unwrap();
    let (read, _) = read.read_all().unwrap();
    let answers: Vec<Vec<&str>> = read
        .iter()
        .map(|question| question.answers.iter().map(|a| a.text.as_str()).collect())
        .collect();
    assert_eq!(
        answers,
        [
            vec!["new"],
            vec!["nowhere"],
            vec!["a", ""],
            vec!["x"],
            vec![]
        ]
    );
    let impossible: Vec<bool> = read.iter().map(|question| question.is_impossible).collect();
    assert_eq!(impossible, [false, false, false, false, true]);
}
