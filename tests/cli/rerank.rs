//! `bert rerank`: the best texts for a query.

use bert_core::checkpoint::Checkpoint;
use bert_core::nn::BertInit;
use bert_heads::labels::Labels;
use bert_heads::tasks::sequence_classification::{BertForSequenceClassification, ProblemType};

use super::heads::{cross_encoder, edit};
use super::*;

const QUERY: &str = "The cat";
const TEXTS: &str = "a fox\nthe dog ran\nin France\nhello old river\n";

fn rerank<'a>(dir: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["rerank", "--model", dir][..], more].concat()
}

/// A classifier of two classes over the tiny encoder.
fn two_classes() -> TempDir {
    let dir = copy();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let (_, device) = bert_core::device::test_devices().swap_remove(0);
    let init = BertInit::new(checkpoint.config(), 11, &device);
    let (model, _) = BertForSequenceClassification::from_encoder(&checkpoint, 2, &init).unwrap();
    let labels = Labels::new(["no", "yes"]).unwrap();
    let saved = tempfile::tempdir().unwrap();
    let config = checkpoint.config();
    let problem_type = ProblemType::SingleLabel;
    model
        .save(saved.path(), config, &labels, problem_type)
        .unwrap();
    for name in ["vocab.txt", "tokenizer_config.json"] {
        fs::copy(dir.path().join(name), saved.path().join(name)).unwrap();
    }
    saved
}

#[test]
fn the_best_come_first_with_the_scores_of_the_reference() {
    let cross = cross_encoder();
    let dir = cross.path().display().to_string();
    let (stdout, _) = succeed(&rerank(&dir, &[QUERY]), TEXTS);
    let found = json_lines(&stdout);
    assert_eq!(found.len(), 4);
    let scores: Vec<f64> = found
        .iter()
        .map(|line| line["score"].as_f64().unwrap())
        .collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    let texts: Vec<&str> = TEXTS.lines().collect();
    for line in &found {
        assert_eq!(line.as_object().unwrap().len(), 3, "{line}");
        assert_eq!(
            line["text"],
            texts[line["index"].as_u64().unwrap() as usize]
        );
    }
    let dog = found.iter().find(|line| line["index"] == 1).unwrap();
    let reference = fs::read_to_string(cross.path().join("reference.json")).unwrap();
    let reference: Value = serde_json::from_str(&reference).unwrap();
    let expected = floats(&reference["cases"][0]["scores"])[0];
    let score = dog["score"].as_f64().unwrap();
    assert!((score - expected).abs() < 1e-5, "{score} {expected}");

    // From a file, and only the best.
    let file = cross.path().join("texts.txt");
    fs::write(&file, TEXTS).unwrap();
    let file = file.display().to_string();
    for (k, count) in [("1", 1), ("3", 3), ("9", 4)] {
        let (stdout, _) = succeed(&rerank(&dir, &["--top-k", k, QUERY, &file]), "");
        assert_eq!(json_lines(&stdout), found[..count], "--top-k {k}");
    }
    let (stdout, _) = succeed(&rerank(&dir, &[QUERY, "-"]), "");
    assert!(stdout.is_empty());
}

#[test]
fn the_checkpoint_names_the_activation() {
    let cross = cross_encoder();
    let dir = cross.path().display().to_string();
    let reference = fs::read_to_string(cross.path().join("reference.json")).unwrap();
    let reference: Value = serde_json::from_str(&reference).unwrap();
    edit(
        &cross.path().join("config_sentence_transformers.json"),
        |config| config["activation_fn"] = "torch.nn.modules.linear.Identity".into(),
    );
    let (stdout, _) = succeed(&rerank(&dir, &[QUERY]), "the dog ran\n");
    let score = json_lines(&stdout)[0]["score"].as_f64().unwrap();
    let expected = floats(&reference["logits"])[0];
    assert!((score - expected).abs() < 1e-5, "{score} {expected}");
}

#[test]
fn models_and_queries_that_rank_nothing_are_refused() {
    let message = fail(&rerank(&model(), &[QUERY]), TEXTS.as_bytes());
    assert_names(&message, &["BertForSequenceClassification"]);
    let cross = cross_encoder();
    let dir = cross.path().display().to_string();
    let message = fail(&rerank(&dir, &["  "]), TEXTS.as_bytes());
    assert_names(&message, &["query", "empty"]);
    assert_names(
        &refuse(&rerank(&dir, &["--top-k", "0", QUERY])),
        &["--top-k"],
    );

    let two = two_classes();
    let dir = two.path().display().to_string();
    let message = fail(&rerank(&dir, &[QUERY]), TEXTS.as_bytes());
    assert_names(&message, &["2 outputs", "bert predict"]);
}
