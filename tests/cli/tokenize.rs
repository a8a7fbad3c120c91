//! `bert tokenize`.

use super::*;

#[test]
fn tokenize_prints_tokens_or_json() {
    let model = model();
    let (stdout, stderr) = succeed(&["tokenize", "--model", &model, "The cat sat."], "");
    assert_eq!(stdout, "[CLS] the cat sat . [SEP]\n");
    assert_eq!(stderr, "", "no device is needed");

    let pair = [
        "tokenize", "--model", &model, "Cat", "--pair", "the mat", "--json",
    ];
    let (stdout, _) = succeed(&pair, "");
    let line = &json_lines(&stdout)[0];
    assert_eq!(
        line["tokens"],
        serde_json::json!(["[CLS]", "cat", "[SEP]", "the", "mat", "[SEP]"])
    );
    assert_eq!(line["type_ids"], serde_json::json!([0, 0, 0, 1, 1, 1]));
    assert_eq!(line["offsets"][4], serde_json::json!([4, 7]));

    let reference = reference();
    let texts = reference_texts(&reference);
    let (stdout, _) = succeed(&["tokenize", "--model", &model, "--json"], &texts);
    for (line, text) in json_lines(&stdout)
        .iter()
        .zip(reference["texts"].as_array().unwrap())
    {
        let (found, expected) = (&line["ids"], &text["ids"]);
        // The reference is cut to 48 tokens.
        if expected.as_array().unwrap().len() < 48 {
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn tokenize_names_the_line_that_is_not_utf8() {
    let message = fail(&["tokenize", "--model", &model()], b"fine\ncaf\xe9\n");
    assert_names(&message, &["line 2", "not UTF-8", "byte 4"]);
    assert_names(
        &refuse(&["tokenize", "--model", &model(), "--pair", "b"]),
        &["TEXT"],
    );
}
