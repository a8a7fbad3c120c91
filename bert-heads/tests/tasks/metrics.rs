//! The metrics agree with scikit-learn, SciPy, seqeval and the SQuAD scripts: see
//! `fixtures/metrics/README.md`.

use std::path::Path;

use bert_heads::metrics::squad::{
    Prediction, V1Scorer, V2Scorer, exact_match, normalize_answer, token_f1,
};
use bert_heads::metrics::{
    Averages, ConfusionMatrix, EntityScorer, GlueTask, MultiLabelScorer, PrecisionRecallF1,
    RegressionScorer, TagReading, entities, mean_squared_error, pearson, spearman,
};
use serde_json::Value;

/// Allowed difference, relative to numbers above 1.
const BAR: f64 = 1e-12;

/// The cases of one golden file; at least `least`, so that an empty file passes nothing.
fn cases(name: &str, least: usize) -> Vec<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/metrics");
    let path = directory.join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() >= least, "{name}: {} cases", cases.len());
    cases
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    list(value).iter().map(|v| v.as_f64().unwrap()).collect()
}

fn indices(value: &Value) -> Vec<usize> {
    let index = |v: &Value| usize::try_from(v.as_u64().unwrap()).unwrap();
    list(value).iter().map(index).collect()
}

fn texts(value: &Value) -> Vec<&str> {
    list(value).iter().map(|v| v.as_str().unwrap()).collect()
}

/// `null` in the file means that there is no number.
fn assert_close(found: impl Into<Option<f64>>, expected: &Value, what: &str, case: &Value) {
    let found = found.into();
    let close = match (found, expected.as_f64()) {
        (Some(found), Some(expected)) => (found - expected).abs() <= BAR * expected.abs().max(1.0),
        (found, expected) => found.is_none() && expected.is_none(),
    };
    assert!(
        close,
        "{what} is {found:?} instead of {expected} for\n{case}"
    );
}

/// The expected list is precision, recall, F1 and, if it is longer, support.
fn assert_scores(found: PrecisionRecallF1, expected: &Value, what: &str, case: &Value) {
    let names = ["precision", "recall", "F1", "support"];
    let values = [
        found.precision,
        found.recall,
        found.f1,
        found.support as f64,
    ];
    assert!(list(expected).len() >= 3);
    for ((name, value), expected) in names.iter().zip(values).zip(list(expected)) {
        assert_close(value, expected, &format!("{what} {name}"), case);
    }
}

fn assert_averages(found: Averages, case: &Value) {
    assert_scores(found.micro_average, &case["micro"], "micro", case);
    assert_scores(found.macro_average, &case["macro"], "macro", case);
    assert_scores(found.weighted_average, &case["weighted"], "weighted", case);
}

#[test]
fn classes_agree_with_scikit_learn() {
    for case in &cases("classes.json", 60) {
        let classes = list(&case["each"]).len();
        let (gold, predicted) = (indices(&case["gold"]), indices(&case["predicted"]));
        let mut matrix = ConfusionMatrix::new(classes);
        matrix.add_all(&gold, &predicted).unwrap();
        assert_close(matrix.accuracy(), &case["accuracy"], "accuracy", case);
        assert_averages(matrix.averages(), case);
        let matthews = matrix.matthews_correlation();
        assert_close(matthews, &case["matthews"], "Matthews", case);
        for (class, expected) in list(&case["each"]).iter().enumerate() {
            assert_scores(matrix.class(class), expected, "class", case);
            for (other, count) in list(&case["confusion"][class]).iter().enumerate() {
                assert_eq!(Some(matrix.count(class, other)), count.as_u64(), "{case}");
            }
        }
        if classes == 2 {
            let mrpc = GlueTask::Mrpc.score_classes(&gold, &predicted).unwrap();
            assert_close(mrpc.get("f1"), &case["binary_f1"], "binary F1", case);
            let cola = GlueTask::Cola.score_classes(&gold, &predicted).unwrap();
            assert_close(cola.primary().1, &case["matthews"], "CoLA", case);
        }
    }
}

#[test]
fn label_sets_agree_with_scikit_learn() {
    let bits = |row: &str| -> Vec<bool> { row.bytes().map(|bit| bit == b'1').collect() };
    for case in &cases("labels.json", 30) {
        let (gold, predicted) = (texts(&case["gold"]), texts(&case["predicted"]));
        let mut scorer = MultiLabelScorer::new(gold[0].len());
        for (gold, predicted) in gold.iter().zip(predicted) {
            scorer.add(&bits(gold), &bits(predicted)).unwrap();
        }
        assert_averages(scorer.averages(), case);
        let subset = scorer.subset_accuracy();
        assert_close(subset, &case["subset_accuracy"], "subset accuracy", case);
    }
}

#[test]
fn numbers_agree_with_scipy() {
    for case in &cases("numbers.json", 45) {
        let (gold, predicted) = (floats(&case["gold"]), floats(&case["predicted"]));
        let mut scorer = RegressionScorer::default();
        for (gold, predicted) in gold.iter().zip(&predicted) {
            scorer.add(*gold, *predicted);
        }
        let alone = [
            ("pearson", pearson(&gold, &predicted), scorer.pearson()),
            ("spearman", spearman(&gold, &predicted), scorer.spearman()),
            (
                "mse",
                mean_squared_error(&gold, &predicted),
                scorer.mean_squared_error(),
            ),
        ];
        for (name, alone, streamed) in alone {
            assert_close(alone.unwrap(), &case[name], name, case);
            assert_close(streamed, &case[name], name, case);
        }
    }
}

#[test]
fn tags_agree_with_seqeval() {
    for case in &cases("tags.json", 240) {
        let reading = match case["reading"].as_str().unwrap() {
            "lenient" => TagReading::Lenient,
            scheme => TagReading::Strict(scheme.parse().unwrap()),
        };
        let [gold, predicted] = ["gold", "predicted"].map(|name| {
            let rows = texts(&case[name]).into_iter();
            rows.map(|row| row.split(' ').collect::<Vec<_>>())
                .collect::<Vec<_>>()
        });
        for (rows, expected) in [&gold, &predicted].iter().zip(list(&case["entities"])) {
            for (row, expected) in rows.iter().zip(texts(expected)) {
                let found = entities(row, reading).unwrap();
                let found = found
                    .iter()
                    .map(|e| format!("{}:{}:{}", e.label, e.start, e.end));
                assert_eq!(found.collect::<Vec<_>>().join(" "), expected, "{case}");
            }
        }
        let mut scorer = EntityScorer::new(reading);
        for (gold, predicted) in gold.iter().zip(&predicted) {
            scorer.add(gold, predicted).unwrap();
        }
        assert_averages(scorer.averages(), case);
        assert_close(scorer.token_accuracy(), &case["accuracy"], "accuracy", case);
        let labels = case["labels"].as_object().unwrap();
        assert!(
            scorer.labels().map(|(label, _)| label).eq(labels.keys()),
            "{case}"
        );
        for ((label, found), expected) in scorer.labels().zip(labels.values()) {
            assert_scores(found, expected, label, case);
        }
    }
}

#[test]
fn answers_compare_as_in_the_squad_scripts() {
    for case in &cases("answers.json", 50) {
        let [gold, predicted] = ["gold", "predicted"].map(|name| case[name].as_str().unwrap());
        let normalized = [gold, predicted].map(normalize_answer);
        assert_eq!(normalized.as_slice(), texts(&case["normalized"]), "{case}");
        let exact = exact_match(gold, predicted);
        assert_eq!(Some(exact), case["exact"].as_bool(), "{case}");
        assert_close(token_f1(gold, predicted), &case["f1"], "F1", case);
    }
}

#[test]
fn squad_scores_agree_with_its_scripts() {
    let mut missing = 0;
    for case in &cases("squad.json", 50) {
        let questions = list(&case["gold"]).iter().zip(list(&case["predicted"]));
        let scores = if case["version"] == 1 {
            let mut scorer = V1Scorer::default();
            for (gold, predicted) in questions {
                scorer.add("q", &texts(gold), predicted.as_str()).unwrap();
            }
            missing += scorer.missing();
            scorer.scores()
        } else {
            let mut scorer = match case["threshold"].as_f64() {
                Some(threshold) => V2Scorer::with_threshold(threshold).unwrap(),
                None => V2Scorer::new(),
            };
            for (index, (gold, predicted)) in questions.enumerate() {
                let no_answer = case["no_answer"][index].as_f64().unwrap_or(f64::NAN);
                let prediction = predicted.as_str();
                let prediction = prediction.map(|text| Prediction { text, no_answer });
                scorer.add("q", &texts(gold), prediction).unwrap();
            }
            missing += scorer.missing();
            scorer.scores()
        };
        let expected = case["scores"].as_object().unwrap();
        let names: Vec<&str> = scores.values().map(|(name, _)| name).collect();
        assert!(names.iter().eq(expected.keys()), "{names:?} for\n{case}");
        for (name, value) in expected {
            assert_close(scores.get(name), value, name, case);
        }
    }
    assert!(missing > 0, "no case has a question without a prediction");
}
