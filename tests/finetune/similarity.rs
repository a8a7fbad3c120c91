//! Vectors of texts.

use super::*;

#[test]
fn pairs_from_training_to_cosines() {
    let workshop = Workshop::new();
    let mut pairs = "sentence1\tsentence2\tscore\n".to_owned();
    let mut triplets = "anchor,positive,negative\n".to_owned();
    for text in [
        "the old {} sat",
        "hello {} ?",
        "a quick {}",
        "the {} in paris",
    ] {
        let (cat, dog) = (text.replace("{}", "cat"), text.replace("{}", "dog"));
        for (other, score) in [("a lazy cat", 5.0), ("a lazy dog", 0.5)] {
            pairs += &format!("{cat}\t{other}\t{score}\n");
        }
        triplets += &format!("{cat},a lazy cat,a lazy dog\n{dog},a lazy dog,\n");
    }
    fs::write(workshop.path("pairs.tsv"), pairs).unwrap();
    fs::write(workshop.path("triplets.csv"), triplets).unwrap();

    let trained = succeed(
        workshop
            .finetune("similarity", "pairs.tsv", "out", "40")
            .args(["--pooling", "max"]),
    );
    assert!(
        message(&trained).contains("scores from 0.5 to 5"),
        "{}",
        message(&trained)
    );
    let summary = json_lines(&trained).remove(0);
    assert!(
        summary["evaluation"]["pearson"].as_f64().unwrap() > 0.9,
        "{summary}"
    );
    let (out, pairs) = (workshop.text("out"), workshop.text("pairs.tsv"));
    let evaluate = ["evaluate", "--model", &out, "--data", &pairs, "--json"];
    let scores = json_lines(&succeed(&mut bert(&evaluate))).remove(0);
    assert!(scores["pearson"].as_f64().unwrap() > 0.9, "{scores}");
    let found = json_lines(&succeed(&mut bert(&["predict", "--model", &out, &pairs])));
    let similarity = |index: usize| found[index]["similarity"].as_f64().unwrap();
    assert!(found.len() == 8 && similarity(0) > similarity(1));
    let embed = ["embed", "--model", &out, "--format", "jsonl"];
    assert_eq!(
        json_lines(&piped(&mut bert(&embed), "the cat\nthe dog\n")).len(),
        2
    );

    let mut ranked = workshop.finetune("similarity", "triplets.csv", "ranked", "40");
    // Triplets have no scores to measure by.
    let output = ranked.args(["--loss", "ranking"]).output().unwrap();
    assert!(
        !output.status.success() && message(&output).contains("triplets.csv"),
        "{}",
        message(&output)
    );
    let model = workshop.text("out");
    let (train, ranked) = (workshop.text("triplets.csv"), workshop.text("ranked"));
    let trained = succeed(&mut bert(&[
        "finetune",
        "--task",
        "similarity",
        "--loss",
        "ranking",
        "--model",
        &model,
        "--out",
        &ranked,
        "--train",
        &train,
        "--validation",
        &pairs,
        "--steps",
        "5",
        "--no-dashboard",
    ]));
    assert!(json_lines(&trained)[0]["evaluation"]["spearmanr"].is_number());

    let text = refused(&mut bert(&["predict", "--model", &out]), "hello\n");
    assert!(text.contains("bert embed"), "{text}");
}
