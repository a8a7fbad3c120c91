//! Multiple choice.

use super::*;

#[test]
fn choices_from_training_to_the_right_one() {
    let workshop = Workshop::new();
    let mut rows = "sent1,sent2,ending0,ending1,ending2,label\n".to_owned();
    for animal in ["cat", "dog", "fox"] {
        rows += &format!("who wrote it ?,it is,the {animal},the river bank,a mat,0\n");
        rows += &format!("who wrote it ?,it is,a plan,the {animal},a mat,1\n");
        rows += &format!("who wrote it ?,it is,a mat,the plan,the {animal},2\n");
    }
    fs::write(workshop.path("swag.csv"), rows).unwrap();
    let trained = succeed(&mut workshop.finetune("choice", "swag.csv", "out", "50"));
    let summary = json_lines(&trained).remove(0);
    assert_eq!(summary["evaluation"]["accuracy"], 1.0, "{summary}");

    let (out, swag) = (workshop.text("out"), workshop.text("swag.csv"));
    let evaluate = ["evaluate", "--model", &out, "--data", &swag, "--json"];
    let scored = succeed(&mut bert(&evaluate));
    assert_eq!(json_lines(&scored)[0]["accuracy"], 1.0);
    let line = r#"{"context": "who wrote it ?", "choices": ["a mat", "the dog"]}"#;
    let mut predict = bert(&["predict", "--model", &out, "--format", "jsonl"]);
    let made = json_lines(&piped(&mut predict, line)).remove(0);
    assert_eq!(
        (&made["choice"], &made["text"]),
        (&1.into(), &"the dog".into())
    );
    assert_eq!(made["scores"].as_array().unwrap().len(), 2);

    let answers = ["--answers", &workshop.text("answers.json")];
    let output = bert(&evaluate).args(answers).output().unwrap();
    assert!(
        !output.status.success() && message(&output).contains("--predictions"),
        "{}",
        message(&output)
    );
}
