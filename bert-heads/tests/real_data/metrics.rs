//! The metrics on published data: a prediction file of SQuAD scores what its authors report, and
//! CoNLL-2003 has as many entities as its paper counts.
//!
//! The data are not in this repository. A run without them says so.
//!
//! - `BERT_DATA_DIR`: holds `squad-dev/` (`dev-v1.1.json`, `dev-v2.0.json`,
//!   `pred-v1.1-bert-ensemble.json`) and `conll2003/`; without it nothing runs.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use bert_heads::datasets::{BadRows, QuestionFormat, read_questions};
use bert_heads::metrics::squad::{Prediction, V2Scorer};
use bert_heads::metrics::{EntityScorer, Scheme, Scores, TagReading};
use bert_heads::scoring::{AnswerFiles, score_answer_file};
use serde_json::Value;

/// Summary of a success, or the reason for the failure.
type Outcome = Result<String, String>;
/// A test of what lies in a directory.
type Test = fn(&Path) -> Outcome;

/// Runs the tests; false if one fails.
pub(crate) fn run() -> bool {
    let Some(data) = std::env::var_os("BERT_DATA_DIR") else {
        println!("0 tests: set BERT_DATA_DIR to a directory that holds squad-dev/ and conll2003/");
        return true;
    };
    let data = Path::new(&data);
    let tests: [(&str, Test); 4] = [
        ("squad_v1_ensemble", squad_v1_ensemble),
        ("squad_v2_gold_answers", squad_v2_gold_answers),
        ("squad_v2_no_answers", squad_v2_no_answers),
        ("conll2003_entities", conll2003_entities),
    ];
    let mut failed = 0;
    for (name, test) in &tests {
        let start = Instant::now();
        let outcome = test(data);
        let seconds = start.elapsed().as_secs_f64();
        match outcome {
            Ok(detail) => println!("test {name} ... ok ({detail}; {seconds:.1} s)"),
            Err(reason) => {
                println!("test {name} ... FAILED\n{reason}");
                failed += 1;
            }
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    let passed = tests.len() - failed;
    println!("\ntest result: {verdict}. {passed} passed; {failed} failed");
    failed == 0
}

/// The ensemble of BERT's authors: 86.2 and 92.2 in the paper's Table 2.
fn squad_v1_ensemble(data: &Path) -> Outcome {
    let path = data.join("squad-dev/dev-v1.1.json");
    let files = AnswerFiles {
        answers: data.join("squad-dev/pred-v1.1-bert-ensemble.json"),
        no_answer: None,
        no_answer_threshold: 1.0,
        language: None,
    };
    let scores = read_questions(&path, &QuestionFormat::of(&path), BadRows::Fail)
        .and_then(|questions| score_answer_file(&questions.read_all()?.0, &files))
        .map_err(|error| error.to_string())?;
    expect(
        &scores,
        &[
            ("exact_match", 86.206),
            ("f1", 92.196),
            ("total", 10_570.0),
            ("missing", 0.0),
        ],
    )
}

/// The gold answers are right, with whatever threshold.
fn squad_v2_gold_answers(data: &Path) -> Outcome {
    let scores = squad_v2(data, |question| {
        question.answers.first().map_or("", String::as_str)
    })?;
    expect(
        &scores,
        &[
            ("exact", 100.0),
            ("f1", 100.0),
            ("HasAns_total", 5_928.0),
            ("NoAns_total", 5_945.0),
            ("best_f1", 100.0),
        ],
    )
}

/// Predictions without an answer are right where there is none.
fn squad_v2_no_answers(data: &Path) -> Outcome {
    let share = 100.0 * 5_945.0 / 11_873.0;
    let expected = [
        ("exact", share),
        ("f1", share),
        ("HasAns_exact", 0.0),
        ("NoAns_exact", 100.0),
        ("best_exact", share),
    ];
    expect(&squad_v2(data, |_| "")?, &expected)
}

/// Tjong Kim Sang and De Meulder 2003, Table 2; the tags are IOB1.
fn conll2003_entities(data: &Path) -> Outcome {
    let mut details = Vec::new();
    for (file, expected) in [
        ("eng.train", [7_140, 3_438, 6_321, 6_600]),
        ("eng.testa", [1_837, 922, 1_341, 1_842]),
        ("eng.testb", [1_668, 702, 1_661, 1_617]),
    ] {
        let path = data.join("conll2003").join(file);
        let sentences = conll(&path)?;
        for reading in [TagReading::Lenient, TagReading::Strict(Scheme::Iob1)] {
            let mut scorer = EntityScorer::new(reading);
            for tags in &sentences {
                scorer.add(tags, tags).map_err(|error| error.to_string())?;
            }
            let found: Vec<u64> = scorer.labels().map(|(_, label)| label.support).collect();
            if found != expected || scorer.averages().micro_average.f1 != 1.0 {
                return Err(format!("{file}: LOC, MISC, ORG and PER are {found:?}"));
            }
        }
        details.push(format!("{file} {}", expected.iter().sum::<u64>()));
    }
    Ok(details.join(", "))
}

fn expect(scores: &Scores, expected: &[(&str, f64)]) -> Outcome {
    let mut details = Vec::new();
    for (name, value) in expected {
        let found = scores.get(name).unwrap_or(f64::NAN);
        details.push(format!("{name} {found:.4}"));
        // Also false if there is no such number.
        let agrees = (found - value).abs() < 5e-4;
        if !agrees {
            return Err(format!("{name} is {found} instead of {value}:\n{scores}"));
        }
    }
    Ok(details.join(", "))
}

/// A question with its gold answers.
struct Question {
    id: String,
    answers: Vec<String>,
}

fn squad_v2(data: &Path, answer: impl Fn(&Question) -> &str) -> Result<Scores, String> {
    let mut scorer = V2Scorer::with_threshold(1.0).map_err(|error| error.to_string())?;
    for question in questions(&data.join("squad-dev/dev-v2.0.json"))? {
        let text = answer(&question);
        let prediction = Prediction {
            text,
            no_answer: f64::from(u8::from(text.is_empty())),
        };
        scorer
            .add(&question.id, &question.answers, Some(prediction))
            .map_err(|error| error.to_string())?;
    }
    Ok(scorer.scores())
}

fn read_json(path: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

fn questions(path: &Path) -> Result<Vec<Question>, String> {
    let dataset = read_json(path)?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut found = HashMap::new();
    for article in list(&dataset["data"]) {
        for paragraph in list(&article["paragraphs"]) {
            for question in list(&paragraph["qas"]) {
                let answers = list(&question["answers"]);
                let answers = answers.iter().filter_map(|answer| answer["text"].as_str());
                let id = question["id"].as_str().unwrap_or_default().to_owned();
                let answers = answers.map(str::to_owned).collect();
                found.insert(id, answers);
            }
        }
    }
    let questions = found.into_iter();
    Ok(questions
        .map(|(id, answers)| Question { id, answers })
        .collect())
}

/// The tags of each sentence: the last column, sentences divided by blank lines.
fn conll(path: &Path) -> Result<Vec<Vec<String>>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let sentences = lines.split(|line| line.is_empty());
    let tag = |line: &&str| line.rsplit(' ').next().unwrap_or_default().to_owned();
    Ok(sentences
        .filter(|lines| !lines.is_empty())
        .map(|lines| lines.iter().map(tag).collect())
        .collect())
}
