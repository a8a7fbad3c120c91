//! `bert bench`: a device that crashes or hangs is a row, and records can be compared.

use bert_core::inference::bfloat16_instructions;

use super::*;

/// Options for the shortest possible measurement.
const QUICK: [&str; 10] = [
    "--seq-lengths",
    "7",
    "--seconds",
    "0",
    "--warmup-seconds",
    "0",
    "--min-samples",
    "2",
    "--threads",
    "1",
];

fn bench(arguments: &[&str]) -> Command {
    let mut command = command(&["bench", "--model", &model(), "--devices", &device()]);
    command.args(QUICK).args(arguments);
    command
}

fn texts(output: Output) -> (bool, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn a_crash_is_a_row_and_not_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (json, page) = (file("a.json"), file("a.html"));
    let mut command = bench(&["--batch-sizes", "2,1", "--json", &json, "--report", &page]);
    let output = command.env("BERT_BENCH_FAULT", "abort:2").output().unwrap();
    let (success, table, progress) = texts(output);
    assert!(success, "{progress}");
    assert!(table.contains("crashed: signal: 6"), "{table}");

    let record: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    let rows = record["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["outcome"]["status"], "crashed");
    let measured = &rows[1]["outcome"];
    assert_eq!(measured["status"], "ok");
    // Two in all, and one at least of each of three rounds.
    assert_eq!(measured["timing"]["samples"].as_array().unwrap().len(), 3);
    assert_eq!(measured["rounds"].as_array().unwrap().len(), 3);
    assert!(measured["seconds"]["median"].as_f64().unwrap() > 0.0);
    assert!(measured["peak_flops"].as_f64().unwrap() > 0.0);
    assert_eq!(rows[1]["work"]["padded_tokens"], 7);
    assert_eq!(rows[1]["case"]["model"], "tiny-pretraining");
    assert!(record["build"]["features"].is_array() && record["command"].is_string());
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("<svg") && page.contains("crashed: signal: 6"));

    // The record beside itself shows no change, and one that broke shows that.
    let (table, _) = succeed(&["bench", "diff", &json, &json], "");
    assert!(
        table.contains("| same |") && table.contains("| failing |"),
        "{table}"
    );
    let (lines, _) = succeed(&["bench", "diff", &json, &json, "--json"], "");
    assert_eq!(json_lines(&lines)[0][1]["verdict"], "same");
}

#[test]
fn weights_in_eight_bits_are_a_contestant_of_their_own() {
    if device() != "flex" {
        return; // no other has them
    }
    let (success, table, progress) = texts(bench(&["--int8"]).output().unwrap());
    assert!(success, "{progress}");
    assert!(table.contains("\n| flex |") && table.contains("\n| flex int8 |"));
    assert!(!table.contains("DISAGREES"), "{table}");
    let (success, _, progress) = texts(bench(&["--int8", "--mode", "train"]).output().unwrap());
    assert!(success && progress.contains("no gradients"), "{progress}");
}

#[test]
fn bf16_is_measured_as_it_infers() {
    if device() != "flex" || bfloat16_instructions().is_none() {
        return;
    }
    for mode in ["forward", "embed"] {
        let arguments = ["--dtype", "bf16", "--mode", mode];
        let (success, table, progress) = texts(bench(&arguments).output().unwrap());
        assert!(success, "{progress}");
        assert!(table.contains(&format!("{mode} in bf16")), "{table}");
    }
}

#[test]
fn a_hang_is_a_row_after_the_limit() {
    let mut command = bench(&["--batch-sizes", "3", "--time-limit", "1"]);
    let output = command.env("BERT_BENCH_FAULT", "hang:3").output().unwrap();
    let (success, table, message) = texts(output);
    assert!(!success, "nothing was measured");
    assert!(table.contains("hung: not finished after 1 s"), "{table}");
    assert!(
        message.contains("none of 1 measurements succeeded"),
        "{message}"
    );
}

#[test]
fn a_panic_and_a_peer_that_is_not_there_are_rows() {
    let nowhere = tempfile::tempdir().unwrap();
    let nowhere = nowhere.path().display().to_string();
    let peers = [
        "--peers",
        "candle,sentence-transformers",
        "--peers-dir",
        &nowhere,
    ];
    let output = bench(&peers).env("BERT_BENCH_FAULT", "panic:8").output();
    let (_, table, message) = texts(output.unwrap());
    assert!(
        table.contains("crashed: panic: a fault was asked for"),
        "{table}"
    );
    assert!(table.contains("run `cargo xtask peers`"), "{table}");
    let nothing = "sentence-transformers has nothing to measure in mode forward";
    assert!(message.contains(nothing), "{message}");
}

#[test]
fn families_are_measured_where_they_have_the_positions() {
    let of = |families: &str| {
        let mut command = command(&["bench", "--family", families, "--preset", "tiny"]);
        command.args([
            "--devices",
            &device(),
            "--rounds",
            "1",
            "--batch-sizes",
            "1",
        ]);
        command.args(["--seq-lengths", "600"]).args(&QUICK[2..]);
        texts(command.output().unwrap())
    };
    let (success, table, progress) = of("roberta,modernbert");
    assert!(success, "{progress}");
    assert!(table.contains("modernbert tiny"), "{table}");
    assert!(!table.contains("| roberta tiny"), "{table}");
    assert!(table.contains("at most 512, the positions"), "{table}");
    let (success, _, message) = of("latin");
    assert!(!success && message.contains("distilbert"), "{message}");
}

#[test]
fn what_cannot_be_measured_is_refused_with_its_option() {
    for (arguments, expected) in [
        (["--batch-sizes", "0"], "`--batch-sizes` is 0"),
        (["--seq-lengths", "100000"], "`--seq-lengths` is 100000"),
        (["--seconds", "1e9"], "`--seconds` is 1000000000"),
        (["--max-gflop", "0"], "nothing to measure"),
        (["--lengths", "no-such-file"], "no-such-file"),
        (["--devices", "gpu"], "`gpu`"),
        (
            ["--mode", "sleep"],
            "forward, backward, train, pretrain, embed",
        ),
    ] {
        let mut command = command(&["bench", "--model", &model()]);
        if arguments[0] != "--seq-lengths" {
            command.args(["--seq-lengths", "7"]);
        }
        if arguments[0] != "--devices" {
            command.args(["--devices", &device()]);
        }
        let (success, _, message) = texts(command.args(arguments).output().unwrap());
        assert!(
            !success && message.contains(expected),
            "{arguments:?}: {message}"
        );
    }
}
