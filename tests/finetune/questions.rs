//! Questions on contexts.

use super::*;

/// SQuAD's JSON of questions after a place; a context without one has no answer.
fn squad(workshop: &Workshop) {
    let mut paragraphs = Vec::new();
    for (number, place) in ["canal", "river bank", ""].into_iter().enumerate() {
        for (form, before) in ["the cat is in ", "", "the old dog sat at "]
            .iter()
            .enumerate()
        {
            let context = format!("{before}{place} , hello .");
            let answers = match place {
                "" => serde_json::json!([]),
                place => serde_json::json!([{"text": place, "answer_start": before.len()}]),
            };
            paragraphs.push(serde_json::json!({"context": context, "qas": [{
                "id": format!("{number}-{form}"), "question": "where is it ?",
                "answers": answers, "is_impossible": place.is_empty(),
            }]}));
        }
    }
    let data = serde_json::json!({"version": "v2.0", "data": [{"paragraphs": paragraphs}]});
    fs::write(workshop.path("squad.json"), data.to_string()).unwrap();
}

#[test]
fn questions_from_training_to_answers() {
    let workshop = Workshop::new();
    squad(&workshop);
    let trained = succeed(
        workshop
            .finetune_with("qa", "squad.json", "out", "200", "5e-3")
            .args(["--max-length", "24", "--doc-stride", "5"]),
    );
    let summary = json_lines(&trained).remove(0);
    assert_eq!(summary["evaluation"]["f1"], 100.0, "{summary}");

    let (out, squad) = (workshop.text("out"), workshop.text("squad.json"));
    let answers = workshop.text("answers.json");
    let evaluate = ["evaluate", "--model", &out, "--data", &squad, "--json"];
    let scored = succeed(bert(&evaluate).args(["--answers", &answers]));
    let scores = json_lines(&scored).remove(0);
    assert_eq!(
        (&scores["exact"], &scores["total"]),
        (&100.0.into(), &9.into())
    );
    assert!(scores["best_f1_thresh"].is_number());
    let answers = fs::read_to_string(workshop.path("answers.json")).unwrap();
    let answers: Value = serde_json::from_str(&answers).unwrap();
    assert_eq!(
        (&answers["0-1"], &answers["2-0"]),
        (&"canal".into(), &"".into())
    );

    // The published JSON, and lines without ids from a pipe.
    let found = json_lines(&succeed(&mut bert(&["predict", "--model", &out, &squad])));
    assert_eq!(
        (&found[3]["id"], &found[3]["answer"]),
        (&"1-0".into(), &"river bank".into())
    );
    let line = r#"{"question": "where is it ?", "context": "hello canal"}"#;
    let text = format!("{line}\n{line}\n");
    let found = json_lines(&piped(
        &mut bert(&["predict", "--model", &out, "--n-best", "3"]),
        &text,
    ));
    assert_eq!(
        (&found[1]["id"], &found[1]["answer"]),
        (&"1".into(), &"canal".into())
    );
    assert_eq!(
        (&found[1]["start"], &found[1]["end"]),
        (&6.into(), &11.into())
    );
    assert_eq!(found[1]["n_best"].as_array().unwrap().len(), 3);
    let silenced = ["predict", "--model", &out, "--null-threshold", "-1e9"];
    let found = json_lines(&piped(&mut bert(&silenced), &text));
    assert_eq!(
        (&found[0]["answer"], &found[0]["start"]),
        (&"".into(), &Value::Null)
    );

    let refuse = |arguments: &[&str], needle: &str| {
        let mut command = bert(&["predict", "--model", &out, &squad]);
        let output = command.args(arguments).output().unwrap();
        let text = message(&output);
        assert!(
            !output.status.success() && text.contains(needle),
            "{needle}: {text}"
        );
    };
    refuse(&["--overlap", "3"], "--doc-stride");
    refuse(&["--labels", "a,b"], "have no names");
    refuse(&["--max-query-length", "30"], "30 of 24 tokens");
    refuse(&["--preset", "mrpc"], "not about questions");
}
