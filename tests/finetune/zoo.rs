//! Every family learns every task of which transformers has its class, and is refused the others.

use bert_core::checkpoint::Checkpoint;
use bert_core::models::{FAMILIES, Family};
use bert_heads::task::TaskEntry;
use bert_heads::tasks::TASKS;

use super::checkpoints::{POSITIONS, masked_lm_directory};
use super::*;

/// Class of transformers that a task's models have; none for vectors, which have an encoder's.
fn class(task: &TaskEntry) -> &'static str {
    match task.name {
        "next-sentence" => "ForNextSentencePrediction",
        "tokens" => "ForTokenClassification",
        "qa" => "ForQuestionAnswering",
        "choice" => "ForMultipleChoice",
        "similarity" => "Model",
        _ => "ForSequenceClassification",
    }
}

/// Name and text of a file to learn a task from; some texts are longer than the models have positions.
fn data(task: &TaskEntry) -> (&'static str, String) {
    let long = "the old cat sat near the river bank . ".repeat(POSITIONS / 8);
    match task.name {
        "classify" => (
            "texts.tsv",
            format!("sentence\tlabel\nthe cat\tcat\n{long}\tcat\nthe dog sat\tdog\n"),
        ),
        "multi-label" => (
            "texts.tsv",
            format!("sentence\tlabel\nthe cat\tcat,dog\n{long}\tcat\nthe dog sat\tdog\n"),
        ),
        "regress" => (
            "texts.tsv",
            format!("sentence\tlabel\nthe cat\t1.5\n{long}\t0.5\nthe dog sat\t-2\n"),
        ),
        "next-sentence" => (
            "pairs.tsv",
            format!("sentence1\tsentence2\tlabel\nthe cat\tsat\tnext\nthe dog\t{long}\trandom\n"),
        ),
        "tokens" => (
            "tags.conll",
            "the O\ncat O\nin O\nParis B-LOC\n\nthe O\nold O\ndog O\n".to_owned(),
        ),
        "qa" => (
            "asked.jsonl",
            format!(
                "{}\n{}\n",
                serde_json::json!({"id": "a", "question": "where ?", "context": "the cat sat",
                    "answers": [{"text": "cat", "answer_start": 4}]}),
                serde_json::json!({"id": "b", "question": "where ?", "context": format!("{long} in Paris"),
                    "answers": [{"text": "Paris", "answer_start": long.len() + 4}]}),
            ),
        ),
        "choice" => (
            "choices.jsonl",
            "{\"context\": \"the cat\", \"choices\": [\"sat\", \"wrote\"], \"label\": 0}\n"
                .repeat(3),
        ),
        "similarity" => (
            "pairs.tsv",
            format!("sentence1\tsentence2\tscore\nthe cat\tthe dog\t4\nthe dog\t{long}\t1\n"),
        ),
        other => panic!("no data for the task {other}"),
    }
}

/// Rows of a file of data, without its header.
fn rows(name: &str, text: &str) -> usize {
    match name.split('.').next_back() {
        Some("tsv") => text.lines().count() - 1,
        Some("conll") => text.split("\n\n").count(),
        _ => text.lines().count(),
    }
}

#[test]
fn every_family_learns_every_task_that_it_has() {
    std::thread::scope(|scope| {
        for family in FAMILIES {
            scope.spawn(|| TASKS.iter().for_each(|task| learns(family, task)));
        }
    });
}

/// A run of a task, from the masked LM of a family to predictions of what was saved.
fn learns(family: &'static Family, task: &TaskEntry) {
    let about = format!("{} {}", family.name, task.name);
    let model = masked_lm_directory(family);
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).display().to_string();
    let (name, text) = data(task);
    let (file, out) = (path(name), path("out"));
    fs::write(&file, &text).unwrap();
    let mut finetune = bert(&["finetune", "--model", model.path().to_str().unwrap()]);
    match task.name {
        "multi-label" => finetune.args(["--task", "classify", "--multi-label"]),
        other => finetune.args(["--task", other]),
    };
    finetune.args(["--train", &file, "--validation", &file, "--out", &out]);
    finetune.args(["--steps", "2", "--batch-size", "2", "--no-dashboard"]);
    let class = class(task);
    let has_class = match class {
        "ForNextSentencePrediction" => family.heads.next_sentence,
        class => family.has_class(class),
    };
    if !has_class {
        let refusal = refused(&mut finetune, "");
        assert!(refusal.contains(&family.class(class)), "{about}: {refusal}");
        assert!(!Path::new(&out).exists(), "{about}: {refusal}");
        return;
    }
    let trained = succeed(&mut finetune);

    let checkpoint = Checkpoint::open(&out).unwrap();
    let config = checkpoint.config();
    assert_eq!(
        config.extra["architectures"][0],
        *family.class(class),
        "{about}"
    );
    // A hidden layer that the masked LM has is not drawn afresh.
    let shared = family.file_name("pre_classifier.dense.weight", class);
    let in_masked_lm = Checkpoint::open(model.path()).unwrap();
    if in_masked_lm.tensors().any(|tensor| tensor.name == shared) {
        assert!(
            !message(&trained).contains(&shared),
            "{about}: {}",
            message(&trained)
        );
    }

    let mut predict = bert(&["predict", "--model", &out, &file]);
    predict.args((task.name == "tokens").then_some("--words"));
    let predicted = json_lines(&succeed(&mut predict));
    assert_eq!(predicted.len(), rows(name, &text), "{about}");
    let evaluated = succeed(&mut bert(&[
        "evaluate", "--model", &out, "--data", &file, "--json",
    ]));
    let scores = json_lines(&evaluated).remove(0);
    let trained = json_lines(&trained).remove(0);
    for (metric, score) in trained["evaluation"].as_object().unwrap() {
        assert_eq!(
            &scores[metric], score,
            "{about}: {metric} of what was saved"
        );
    }
}
