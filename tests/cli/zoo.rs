//! Every command on small models of every family.

use bert_core::checkpoint::Checkpoint;
use bert_core::inference::bfloat16_instructions;
use bert_core::models::{FAMILIES, Family};
use bert_heads::labels::Labels;
use bert_heads::tasks::multiple_choice::BertForMultipleChoice;
use bert_heads::tasks::question_answering::BertForQuestionAnswering;
use bert_heads::tasks::sequence_classification::{BertForSequenceClassification, ProblemType};
use bert_heads::tasks::token_classification::BertForTokenClassification;

use super::checkpoints::{POSITIONS, directory, masked_lm_directory};
use super::*;

const TEXTS: &str = "the cat sat\nhello\nthe old dog is in Paris\n";

fn long_text() -> String {
    "the old cat sat near the river bank . ".repeat(POSITIONS / 5)
}

fn name(dir: &TempDir) -> &str {
    dir.path().to_str().unwrap()
}

#[test]
fn every_command_takes_every_family() {
    std::thread::scope(|scope| {
        for family in FAMILIES {
            scope.spawn(|| {
                tokens_and_files(family);
                vectors(family);
                masks(family);
                texts(family);
                words(family);
                pairs(family);
            });
        }
    });
}

/// Options for weights that are held otherwise, where this build and processor have them.
fn held() -> Vec<&'static [&'static str]> {
    let mut held: Vec<&[&str]> = vec![&[]];
    if device() == "flex" {
        held.push(&["--int8"]);
        if bfloat16_instructions().is_some() {
            held.push(&["--dtype", "bf16"]);
        }
    }
    held
}

fn tokens_and_files(family: &'static Family) {
    let dir = masked_lm_directory(family);
    let model = name(&dir);
    let (text, _) = succeed(
        &[
            "tokenize", "--model", model, "--json", "the cat", "--pair", "sat",
        ],
        "",
    );
    let encoding = &json_lines(&text)[0];
    let segments = encoding["type_ids"].as_array().unwrap();
    let has_two = segments.iter().any(|segment| segment == 1);
    assert_eq!(
        has_two, family.tokenizer.segments,
        "{}: {encoding}",
        family.name
    );
    let (text, _) = succeed(&["inspect", "--model", model, "--json"], "");
    let inspected: Value = serde_json::from_str(&text).unwrap();
    assert!(
        text.contains(family.model_type),
        "{}: {inspected}",
        family.name
    );
    let device = device();
    let devices = bert_core::device::test_devices().into_iter();
    let devices: Vec<String> = devices.map(|(label, _)| label).collect();
    if devices.len() > 1 {
        succeed(
            &["compare", "--model", model, "--devices", &devices.join(",")],
            "",
        );
    }
    let quick = [
        "--seconds",
        "0",
        "--warmup-seconds",
        "0",
        "--min-samples",
        "1",
        "--rounds",
        "1",
        "--threads",
        "1",
    ];
    for mode in ["forward", "backward", "train", "pretrain", "embed"] {
        let bench = [
            "bench",
            "--model",
            model,
            "--devices",
            &device,
            "--mode",
            mode,
            "--seq-lengths",
            "9",
        ];
        let (table, _) = succeed(&[&bench[..], &quick].concat(), "");
        assert!(
            !table.contains("failed") && !table.contains("crashed"),
            "{}: {table}",
            family.name
        );
    }
}

fn vectors(family: &'static Family) {
    let dir = masked_lm_directory(family);
    let model = name(&dir);
    let input = format!("{TEXTS}{}\n", long_text());
    let mut floats: Option<Vec<Vec<f64>>> = None;
    for held in held() {
        let embed = [
            "embed",
            "--model",
            model,
            "--normalize",
            "--long-texts",
            "mean",
        ];
        let (text, _) = succeed(&[&embed[..], held].concat(), &input);
        let vectors = json_lines(&text);
        let vectors: Vec<Vec<f64>> = vectors
            .iter()
            .map(|row| super::floats(&row["embedding"]))
            .collect();
        assert_eq!(vectors.len(), 4, "{}", family.name);
        let expected = floats.get_or_insert_with(|| vectors.clone());
        for (found, expected) in vectors.iter().zip(expected) {
            let product: f64 = found.iter().zip(expected.iter()).map(|(a, b)| a * b).sum();
            assert!(product > 0.98, "{} {held:?}: {product}", family.name);
        }
    }
    let (text, _) = succeed(
        &[
            "similarity",
            "--model",
            model,
            "--json",
            "the cat",
            "the cat",
        ],
        "",
    );
    let similarity = json_lines(&text)[0]["similarity"].as_f64().unwrap();
    assert!(
        (similarity - 1.0).abs() < 1e-5,
        "{}: {similarity}",
        family.name
    );
    let (text, _) = succeed(&["embed", "--model", model, "--tokens"], "the cat\n");
    assert_eq!(json_lines(&text).len(), 1, "{}", family.name);
}

fn masks(family: &'static Family) {
    let dir = masked_lm_directory(family);
    let model = name(&dir);
    let mask = family.tokenizer.special_tokens[4];
    let gap = format!("the {mask} sat");
    for options in held() {
        let arguments = [&["fill-mask", "--model", model, "--json", &gap], options].concat();
        let (text, _) = succeed(&arguments, "");
        let fillings = &json_lines(&text)[0]["masks"][0];
        assert_eq!(fillings.as_array().unwrap().len(), 5, "{}", family.name);
    }
    // Notes on files may stand before the message.
    let refused = |text: &str| {
        let output = run(&["fill-mask", "--model", model, text], b"");
        assert_eq!(output.status.code(), Some(1), "{}", family.name);
        String::from_utf8(output.stderr).unwrap()
    };
    assert_names(&refused("the cat"), &["error: ", mask]);
    let long = refused(&format!("{mask} {}", long_text()));
    assert_names(&long, &["error: ", &POSITIONS.to_string()]);
    let data = dir.path().join("data.tsv");
    fs::write(
        &data,
        "sentence\tlabel\nthe cat sat near the river bank\tcat\n",
    )
    .unwrap();
    let augment = [
        "augment",
        "--model",
        model,
        "--data",
        data.to_str().unwrap(),
        "--share",
        "0.5",
    ];
    let (text, _) = succeed(&augment, "");
    assert!(text.contains("\tcat\n"), "{}: {text}", family.name);
}

fn texts(family: &'static Family) {
    let classifier = |labels: &'static [&'static str], problem_type| {
        directory(family, |dir, config, init| {
            let labels = Labels::new(labels.iter().copied()).unwrap();
            let model = BertForSequenceClassification::new(config, labels.count(), init);
            model.save(dir, config, &labels, problem_type).unwrap();
        })
    };
    let dir = classifier(&["cat", "dog"], ProblemType::SingleLabel);
    let model = name(&dir);
    let input = format!("{TEXTS}{}\n", long_text());
    let mut floats: Option<Vec<f64>> = None;
    for held in held() {
        let (text, stderr) = succeed(&[&["predict", "--model", model], held].concat(), &input);
        let scores = json_lines(&text);
        let scores: Vec<f64> = scores
            .iter()
            .map(|row| row["scores"]["cat"].as_f64().unwrap())
            .collect();
        assert!(
            scores.len() == 4 && stderr.contains("window"),
            "{}: {stderr}",
            family.name
        );
        let expected = floats.get_or_insert_with(|| scores.clone());
        for (found, expected) in scores.iter().zip(expected) {
            assert!(
                (found - *expected).abs() < 0.02,
                "{} {held:?}: {scores:?}",
                family.name
            );
        }
    }
    is_explained(model, family);
    let data = dir.path().join("data.tsv");
    fs::write(&data, "sentence\tlabel\nthe cat sat\tcat\nthe dog\tdog\n").unwrap();
    let (text, _) = succeed(
        &[
            "evaluate",
            "--model",
            model,
            "--json",
            "--data",
            data.to_str().unwrap(),
        ],
        "",
    );
    assert_eq!(json_lines(&text)[0]["examples"], 2, "{}", family.name);

    let dir = classifier(&["score"], ProblemType::Regression);
    let (text, _) = succeed(&["rerank", "--model", name(&dir), "where ?"], &input);
    assert_eq!(json_lines(&text).len(), 4, "{}", family.name);
}

fn words(family: &'static Family) {
    let dir = directory(family, |dir, config, init| {
        let labels = Labels::new(["O", "B-LOC", "I-LOC"]).unwrap();
        let model = BertForTokenClassification::new(config, 3, init);
        model.save(dir, config, &labels).unwrap();
    });
    let model = name(&dir);
    let input = format!("{TEXTS}{}\n", long_text());
    let (text, _) = succeed(&["predict", "--model", model], &input);
    let tagged = json_lines(&text);
    assert_eq!(tagged.len(), 4, "{}", family.name);
    for (row, line) in tagged.iter().zip(input.lines()) {
        for entity in row["entities"].as_array().unwrap() {
            is_stretch_of(line, entity, "text", family);
        }
    }
    is_explained(model, family);
}

/// Checks that a prediction of the model in a directory can be explained.
fn is_explained(model: &str, family: &Family) {
    let arguments = [
        "explain",
        "--model",
        model,
        "--json",
        "the cat sat",
        "--steps",
        "4",
    ];
    let (text, _) = succeed(&arguments, "");
    assert_eq!(json_lines(&text).len(), 1, "{}", family.name);
}

/// Checks that what was found begins and ends with a word, and stands in the text where it is said to.
fn is_stretch_of(text: &str, found: &Value, key: &str, family: &Family) {
    let place = |key: &str| found[key].as_u64().unwrap() as usize;
    let (start, end) = (place("start"), place("end"));
    let expected: String = text.chars().skip(start).take(end - start).collect();
    let name = family.name;
    assert_eq!(
        found[key].as_str(),
        Some(expected.as_str()),
        "{name}: {found}"
    );
    assert_eq!(expected.trim(), expected, "{name}: {found}");
}

/// Questions and choices, in families of which transformers has these classes.
fn pairs(family: &'static Family) {
    if family.has_class("ForQuestionAnswering") {
        let dir = directory(family, |dir, config, init| {
            BertForQuestionAnswering::new(config, init)
                .save(dir, config)
                .unwrap();
        });
        let asked = serde_json::json!({"question": "where ?", "context": format!("{} in Paris", long_text())});
        let (text, _) = succeed(&["predict", "--model", name(&dir)], &asked.to_string());
        let answers = json_lines(&text);
        assert_eq!(answers.len(), 1, "{}", family.name);
        is_stretch_of(
            asked["context"].as_str().unwrap(),
            &answers[0],
            "answer",
            family,
        );
    }
    if family.has_class("ForMultipleChoice") {
        let dir = directory(family, |dir, config, init| {
            BertForMultipleChoice::new(config, init)
                .save(dir, config)
                .unwrap();
        });
        let line = r#"{"context": "who wrote it ?", "choices": ["a mat", "the dog"]}"#;
        let (text, _) = succeed(
            &["predict", "--model", name(&dir), "--format", "jsonl"],
            line,
        );
        assert_eq!(
            json_lines(&text)[0]["scores"].as_array().unwrap().len(),
            2,
            "{}",
            family.name
        );
        let checkpoint = Checkpoint::open(dir.path()).unwrap();
        assert_eq!(checkpoint.config().family, family);
    }
}
