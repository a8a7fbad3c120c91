//! `bert similarity` and `bert fill-mask`.

use super::*;

#[test]
fn similarity_is_the_cosine_of_the_means() {
    let model = model();
    let (stdout, stderr) = succeed(&["similarity", "--model", &model, "The cat", "the CAT"], "");
    assert_eq!(stdout, "1.000000\n");
    assert_eq!(stderr, format!("device: {}\n", device()));

    let reference = reference();
    let texts = reference["texts"].as_array().unwrap();
    let text = |index: usize| texts[index]["text"].as_str().unwrap();
    let arguments = ["similarity", "--model", &model, "--json", text(0), text(1)];
    let (stdout, _) = succeed(&arguments, "");
    let (a, b) = (
        floats(&texts[0]["mean_normalized"]),
        floats(&texts[1]["mean_normalized"]),
    );
    let cosine: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
    assert_close(
        &[json_lines(&stdout)[0]["similarity"].as_f64().unwrap()],
        &[cosine],
    );

    let (_, stderr) = succeed(&["similarity", "--model", &model, "a", text(3)], "");
    assert_names(&stderr, &["warning: the second text was cut to 48 tokens"]);
}

#[test]
fn fill_mask_ranks_tokens_for_every_gap() {
    let model = model();
    let reference = reference();
    let expected = &reference["fill_mask"].as_array().unwrap()[1..];
    let fill = [
        "fill-mask",
        "--model",
        &model,
        "the [MASK] of the [MASK]",
        "--top-k",
        "3",
    ];
    let (stdout, _) = succeed(&fill, "");
    let rows: Vec<Vec<&str>> = stdout
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(rows.len(), 6);
    for (index, row) in rows.iter().enumerate() {
        let (gap, rank) = (index / 3, index % 3);
        assert_eq!(row[0], (gap + 1).to_string());
        assert_close(
            &[row[1].parse().unwrap()],
            &[expected[gap]["probabilities"][rank].as_f64().unwrap()],
        );
        assert_eq!(row[2], expected[gap]["tokens"][rank].as_str().unwrap());
    }
    let (stdout, _) = succeed(&[&fill[..], &["--json"]].concat(), "");
    let masks = &json_lines(&stdout)[0]["masks"];
    assert_eq!(masks.as_array().unwrap().len(), 2);
    assert_eq!(masks[1][0]["token"], expected[1]["tokens"][0]);
    assert!(masks[1][0]["token_id"].is_u64());
}

#[test]
fn fill_mask_refuses_what_it_cannot_fill() {
    let message = fail(&["fill-mask", "--model", &model(), "no gap"], b"");
    assert_names(&message, &["[MASK]"]);
    let long = "river ".repeat(50) + "[MASK]";
    let message = fail(&["fill-mask", "--model", &model(), &long], b"");
    assert_names(&message, &["48 positions"]);

    let encoder = tempfile::tempdir().unwrap();
    for name in MODEL_FILES {
        let from = if name.starts_with("vocab") {
            "tokenizer"
        } else {
            "tiny-erf"
        };
        if fixture(from).join(name).is_file() {
            fs::copy(fixture(from).join(name), encoder.path().join(name)).unwrap();
        }
    }
    let vocab = encoder.path().join("vocab.txt");
    let first: Vec<String> = fs::read_to_string(&vocab)
        .unwrap()
        .lines()
        .take(99)
        .map(String::from)
        .collect();
    fs::write(&vocab, first.join("\n")).unwrap();
    let dir = encoder.path().display().to_string();
    let message = fail(&["fill-mask", "--model", &dir, "a [MASK]"], b"");
    assert_names(
        &message,
        &[&dir, "no masked-LM head", "cls.predictions.bias"],
    );
}
