//! Devices, and commands about the installation and a checkpoint.

use super::*;

#[test]
fn an_unknown_or_absent_device_is_named() {
    let model = model();
    let mut unknown = command(&["embed", "--model", &model]);
    let output = unknown.env("BERT_DEVICE", "toaster").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_names(&stderr, &["error: ", "`toaster`", "BERT_DEVICE", "flex"]);

    // Not compiled in, or no such card: either way an error, and never another device.
    let message = fail(
        &[
            "similarity",
            "--model",
            &model,
            "--device",
            "cuda:99",
            "a",
            "b",
        ],
        b"",
    );
    assert_names(&message, &["cuda:99"]);
    let (_, stderr) = succeed(
        &[
            "similarity",
            "--model",
            &model,
            "--device",
            &device(),
            "a",
            "b",
        ],
        "",
    );
    assert_eq!(stderr, format!("device: {}\n", device()));
}

#[test]
fn no_arguments_and_unknown_commands_are_usage_errors() {
    for arguments in [
        &[][..],
        &["fly"],
        &["embed"],
        &["embed", "--model"],
        &["similarity", "--model", "m", "a"],
    ] {
        let output = run(arguments, b"");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
    assert!(run(&["--help"], b"").status.success());
    assert!(run(&["embed", "--help"], b"").status.success());
}

#[test]
fn doctor_tests_each_device_in_a_process_of_its_own() {
    let device = device();
    let (output, _) = succeed(&["doctor", "--devices", &device, "--json"], "");
    let report: Value = serde_json::from_str(&output).unwrap();
    let row = &report["devices"][0];
    assert_eq!(row["device"], device.as_str());
    assert_eq!(row["status"], "OK");
    assert!(row["forward"].as_f64().unwrap() <= 1e-5);
    assert!(row["forward"].as_f64().unwrap() > 0.0);

    let failed = run(&["doctor", "--devices", &device, "--timeout", "0"], b"");
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8(failed.stdout).unwrap().contains("HUNG"));
    let message = fail(&["doctor", "--devices", "abacus"], b"");
    assert_names(&message, &["abacus", "flex"]);
}

#[test]
fn inspect_shows_sizes_tensors_and_the_load_report() {
    let model = model();
    let (output, _) = succeed(&["inspect", "--model", &model, "--json"], "");
    let found: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(found["config"]["hidden_size"], 18);
    assert_eq!(found["pooler"], true);
    assert_eq!(found["report"]["missing"], serde_json::json!([]));
    assert!(!found["report"]["ignored"].as_array().unwrap().is_empty());
    let (text, _) = succeed(&["inspect", "--model", &model], "");
    assert!(text.contains("bert.encoder.layer.1.output.dense.weight F32 [18, 25]"));
}

#[test]
fn compare_wants_two_devices_and_finds_them_close() {
    let model = model();
    let labels: Vec<String> = bert_core::device::test_devices()
        .into_iter()
        .map(|(label, _)| label)
        .collect();
    let all = labels.join(",");
    if labels.len() == 1 {
        let message = fail(&["compare", "--model", &model, "--devices", &all], b"");
        assert_names(&message, &["two different devices"]);
        return;
    }
    let (output, _) = succeed(
        &["compare", "--model", &model, "--devices", &all, "--json"],
        "",
    );
    let table: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(table["reference"], labels[0].as_str());
    for label in &labels[1..] {
        let rows = table["devices"][label].as_array().unwrap();
        assert!(rows.iter().any(|row| row["name"] == "logits"));
        for row in rows {
            let scale = row["scale"].as_f64().unwrap().max(1.0);
            let difference = row["max_abs"].as_f64().unwrap();
            assert!(difference <= 1e-4 * scale, "{label}: {row}");
        }
    }
}
