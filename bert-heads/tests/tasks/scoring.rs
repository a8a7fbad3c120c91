//! Files of predictions against labelled data.

use std::fs;
use std::path::PathBuf;

use bert_heads::datasets::{Answer, Dataset, QuestionExample, Target, TextExample, TokenExample};
use bert_heads::labels::Labels;
use bert_heads::metrics::{GlueTask, Scores};
use bert_heads::scoring::{AnswerFiles, score_answer_file, score_tag_file, score_text_file};
use bert_heads::task::TaskEntry;
use bert_heads::tasks::sequence_classification::{CLASSIFY, MULTI_LABEL, REGRESS};
use bert_heads::tasks::token_classification::TOKENS;
use bert_heads::{Error, Result};
use tempfile::TempDir;

struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.dir.path().join("predictions");
        fs::write(&path, text).unwrap();
        path
    }

    fn texts(&self, task: &TaskEntry, targets: &[Target], predictions: &str) -> Result<Scores> {
        let path = self.file(predictions);
        score_text_file(task, &data(targets), None, None, &path)
    }
}

/// One text for each target, from line 2 on.
fn data(targets: &[Target]) -> Dataset<TextExample> {
    let examples = targets.iter().zip(2..).map(|(target, line)| TextExample {
        text: "a text".to_owned(),
        pair: None,
        target: target.clone(),
        line,
    });
    Dataset {
        path: "data.tsv".into(),
        examples: examples.collect(),
    }
}

fn classes(names: &[&str]) -> Vec<Target> {
    names
        .iter()
        .map(|name| Target::Label((*name).to_owned()))
        .collect()
}

fn sentences() -> Dataset<TokenExample> {
    let sentence = |text: &str, line| {
        let words = text.split(' ').map(|word| word.split_once('/').unwrap());
        let (words, tags) = words.map(|(w, t)| (w.to_owned(), t.to_owned())).unzip();
        TokenExample {
            words,
            tags: Some(tags),
            line,
        }
    };
    Dataset {
        path: "data.conll".into(),
        examples: vec![
            sentence("Paris/B-LOC is/O New/B-LOC York/I-LOC", 1),
            sentence("no/O", 6),
        ],
    }
}

#[test]
fn classes_are_scored_with_lines_or_without() {
    let bench = Bench::new();
    let gold = classes(&["a", "b", "b", "c"]);
    let json = "{\"line\":2,\"label\":\"a\"}\n{\"line\":3,\"label\":\"b\"}\n\
                {\"line\":4,\"label\":\"a\"}\n{\"line\":5,\"label\":\"d\"}\n";
    for predictions in [json, "a\nb\na\nd\n"] {
        let scores = bench.texts(&CLASSIFY, &gold, predictions).unwrap();
        assert_eq!(scores.get("accuracy"), Some(0.5), "{predictions}");
        assert_eq!(scores.get("loss"), None);
        let labels: Vec<&str> = scores
            .per_label()
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(labels, ["a", "b", "c", "d"]);
    }

    let path = bench.file("1\n1\n0\n");
    let labels = Labels::new(["0", "1"]).unwrap();
    let gold = data(&classes(&["1", "0", "0"]));
    let glue = Some(GlueTask::Mrpc);
    let scores = score_text_file(&CLASSIFY, &gold, Some(&labels), glue, &path).unwrap();
    assert_eq!(
        (scores.get("accuracy"), scores.get("f1")),
        (Some(2.0 / 3.0), Some(2.0 / 3.0))
    );
}

#[test]
fn sets_of_labels_and_numbers_are_scored() {
    let bench = Bench::new();
    let set = |names: &[&str]| Target::Labels(names.iter().map(|&name| name.to_owned()).collect());
    let gold = [set(&["x", "y"]), set(&[])];
    for predictions in [
        "x,y\nx\n",
        "{\"labels\":[\"y\",\"x\"]}\n{\"labels\":[\"x\"]}\n",
    ] {
        let scores = bench.texts(&MULTI_LABEL, &gold, predictions).unwrap();
        assert_eq!(scores.get("subset_accuracy"), Some(0.5), "{predictions}");
    }
    let gold = [1.0, 2.0, 4.0].map(Target::Number);
    for predictions in [
        "2\n4\n8\n",
        "{\"value\":2}\n{\"value\":4.0}\n{\"value\":8}\n",
    ] {
        let scores = bench.texts(&REGRESS, &gold, predictions).unwrap();
        assert_eq!(scores.get("mse"), Some(7.0), "{predictions}");
        assert!((scores.get("pearson").unwrap() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn predictions_of_other_examples_are_refused() {
    let bench = Bench::new();
    let gold = classes(&["a", "b"]);
    let message = |predictions| {
        let scores = bench.texts(&CLASSIFY, &gold, predictions);
        scores.unwrap_err().to_string()
    };
    let error = message("{\"line\":2,\"label\":\"a\"}\n{\"line\":7,\"label\":\"b\"}\n");
    assert!(
        error.contains("line 2: it is about line 7") && error.contains("line 3 is due"),
        "{error}"
    );
    let error = message("a\n");
    assert!(error.contains("2 are gold and 1 predicted"), "{error}");

    let labels = Labels::new(["a", "b"]).unwrap();
    let path = bench.file("a\nz\n");
    let error = score_text_file(&CLASSIFY, &data(&gold), Some(&labels), None, &path);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("predictions, line 2") && error.contains("`z`"),
        "{error}"
    );
    let error = score_text_file(&TOKENS, &data(&gold), None, None, &path);
    assert!(matches!(error, Err(Error::InvalidOption { .. })));
}

#[test]
fn tags_are_scored_as_entities_or_as_words() {
    let bench = Bench::new();
    let columns = "Paris x B-LOC\nis x O\nNew x B-LOC\nYork x O\n\nno x O\n";
    let json = "{\"line\":1,\"tags\":[{\"label\":\"B-LOC\"},{\"label\":\"O\"},{\"label\":\"B-LOC\"},{\"label\":\"O\"}]}\n\
                {\"line\":6,\"tags\":[\"O\"]}\n";
    for predictions in [columns, json] {
        let path = bench.file(predictions);
        let scores = score_tag_file(&sentences(), None, &path).unwrap();
        assert_eq!(
            (scores.get("precision"), scores.get("recall")),
            (Some(0.5), Some(0.5))
        );
        assert_eq!(scores.get("f1"), Some(0.5), "{predictions}");
    }
    let mut words = sentences();
    for sentence in &mut words.examples {
        sentence.tags = Some(vec!["NN".to_owned(); sentence.words.len()]);
    }
    let path = bench.file("{\"tags\":[\"NN\",\"NN\",\"VB\",\"NN\"]}\n{\"tags\":[\"NN\"]}\n");
    let scores = score_tag_file(&words, None, &path).unwrap();
    assert_eq!(scores.get("accuracy"), Some(0.8));
}

#[test]
fn tags_of_other_sentences_are_refused() {
    let bench = Bench::new();
    for (predictions, needle) in [
        (
            "Rome B-LOC\nis O\nNew O\nYork O\n\nno O\n",
            "its word `Rome` is `Paris`",
        ),
        ("{\"tags\":[\"O\"]}\n{\"tags\":[\"O\"]}\n", "line 1"),
        ("no O\n", "2 are gold and 1 predicted"),
    ] {
        let path = bench.file(predictions);
        let error = score_tag_file(&sentences(), None, &path)
            .unwrap_err()
            .to_string();
        assert!(error.contains(needle), "{error}");
    }
    let labels = Labels::new(["O", "B-LOC", "I-LOC"]).unwrap();
    let path = bench.file("Paris B-PER\nis O\nNew O\nYork O\n\nno O\n");
    let error = score_tag_file(&sentences(), Some(&labels), &path)
        .unwrap_err()
        .to_string();
    assert!(error.contains("`B-PER`"), "{error}");
}

fn question(id: &str, answer: Option<&str>) -> QuestionExample {
    QuestionExample {
        id: id.to_owned(),
        question: "Who?".to_owned(),
        context: "Ada Lovelace".into(),
        answers: answer
            .map(|text| Answer {
                text: text.to_owned(),
                start: 0,
            })
            .into_iter()
            .collect(),
        is_impossible: answer.is_none(),
        title: "".into(),
    }
}

#[test]
fn answers_are_scored_as_the_scripts_do() {
    let bench = Bench::new();
    let files = |answers: &str, no_answer: Option<&str>| AnswerFiles {
        answers: bench.file(answers),
        no_answer: no_answer.map(|text| {
            let path = bench.dir.path().join("na");
            fs::write(&path, text).unwrap();
            path
        }),
        no_answer_threshold: 0.5,
        language: None,
    };
    let answered = [
        question("1", Some("Ada Lovelace")),
        question("2", Some("Ada")),
    ];
    let given = "{\"1\":\"the Ada\",\"2\":\"Ada!\"}";
    let scores = score_answer_file(&answered, &files(given, None)).unwrap();
    assert_eq!(scores.get("exact_match"), Some(50.0));
    assert!((scores.get("f1").unwrap() - 250.0 / 3.0).abs() < 1e-9);

    let mixed = [question("1", Some("Ada")), question("2", None)];
    let scores = score_answer_file(&mixed, &files("{\"1\":\"Ada\",\"2\":\"\"}", None)).unwrap();
    assert_eq!(scores.get("exact"), Some(100.0));
    let na = Some("{\"1\":0.9,\"2\":0.1}");
    let scores = score_answer_file(&mixed, &files("{\"1\":\"Ada\",\"2\":\"\"}", na)).unwrap();
    assert_eq!(
        (scores.get("exact"), scores.get("HasAns_exact")),
        (Some(50.0), Some(0.0))
    );

    for (answers, no_answer, needle) in [
        ("[1]", None, "an object of texts by id"),
        (
            "{\"1\":\"Ada\",\"2\":\"\"}",
            Some("{\"1\":\"x\"}"),
            "an object of numbers by id",
        ),
        (
            "{\"1\":\"Ada\",\"2\":\"\"}",
            Some("{\"1\":0.5}"),
            "question `2`",
        ),
    ] {
        let error = score_answer_file(&mixed, &files(answers, no_answer))
            .unwrap_err()
            .to_string();
        assert!(error.contains(needle), "{error}");
    }
}
