//! Devices are believed once they are proven.
//!
//! On graphics devices (a label with `wgpu` or `vulkan` in BERT_TEST_DEVICES); drivers that fail come from the layer of
//! `xtask/vulkan-layer`, whose directory BERT_VULKAN_LAYER names: without it those tests are skipped, as `cargo xtask
//! parity` never does.

use super::*;

/// A graphics device to test, if the tests run on one.
fn graphics_device() -> Option<String> {
    let labels = std::env::var("BERT_TEST_DEVICES").unwrap_or_default();
    let found = labels
        .split(',')
        .map(str::trim)
        .find(|label| ["wgpu", "vulkan"].contains(&label.split(':').next().unwrap_or_default()));
    found.map(str::to_owned)
}

/// A run with a cache of its own, and the variables that make the driver fail.
fn run_with(cache: &TempDir, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = command(arguments);
    command
        .env("BERT_CACHE_DIR", cache.path())
        .envs(variables.iter().copied());
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all(b"A cat sat on the mat.\n");
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn proofs(cache: &TempDir) -> usize {
    fs::read_dir(cache.path().join("proofs")).map_or(0, Iterator::count)
}

#[test]
fn processors_need_no_proof() {
    let cache = tempfile::tempdir().unwrap();
    let model = model();
    let output = run_with(
        &cache,
        &[],
        &["embed", "--model", &model, "--device", "flex"],
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    if !stderr.contains("needs the Cargo feature") {
        assert!(output.status.success(), "{stderr}");
        assert!(!stderr.contains("proving"), "{stderr}");
    }
    assert_eq!(proofs(&cache), 0);
}

#[test]
fn a_graphics_device_is_proven_once_and_remembered() {
    let Some(label) = graphics_device() else {
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    let model = model();
    let arguments = ["embed", "--model", &model, "--device", &label];
    let first = run_with(&cache, &[], &arguments);
    let stderr = String::from_utf8(first.stderr).unwrap();
    assert!(first.status.success(), "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(
        lines[0].starts_with(&format!("proving {label} in f32")),
        "{stderr}"
    );
    assert!(
        lines[1].starts_with(&format!("proved {label} in f32")),
        "{stderr}"
    );
    assert_eq!(proofs(&cache), 1);

    let second = run_with(&cache, &[], &arguments);
    let stderr = String::from_utf8(second.stderr).unwrap();
    assert!(!stderr.contains("prov"), "{stderr}");
    assert_eq!(first.stdout, second.stdout);

    let output = run_with(&cache, &[], &["doctor", "--devices", &label, "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &report["devices"][0];
    assert!(row["proven_at"].as_u64().is_some(), "{row}");
    let output = run_with(
        &cache,
        &[],
        &["doctor", "--devices", &label, "--json", "--again"],
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &report["devices"][0];
    assert_eq!(row["status"], "OK", "{row}");
    assert!(row["proven_at"].is_null(), "{row}");
}

/// The variables that put the layer between loader and driver, if it is there.
fn layer() -> Option<Vec<(&'static str, String)>> {
    let dir = std::env::var("BERT_VULKAN_LAYER").ok()?;
    Some(vec![
        ("VK_LAYER_PATH", dir),
        ("VK_INSTANCE_LAYERS", "VK_LAYER_BERT_test".to_owned()),
    ])
}

#[test]
fn a_driver_that_fails_is_refused_by_every_command() {
    let (Some(label), Some(layer)) = (graphics_device(), layer()) else {
        return;
    };
    let model = model();
    let output_dir = tempfile::tempdir().unwrap();
    let table = output_dir.path().join("train.csv");
    fs::write(&table, "text,label\na cat,good\na dog,bad\n").unwrap();
    let (table, out) = (table.display().to_string(), output_dir.path().join("out"));
    let out_name = out.display().to_string();
    let embed = ["embed", "--model", &model, "--device", &label];
    let finetune = [
        "finetune", "--task", "classify", "--model", &model, "--train", &table, "--out", &out_name,
        "--device", &label,
    ];
    let bench = [
        "bench",
        "--preset",
        "tiny",
        "--batch-sizes",
        "1",
        "--devices",
        &label,
    ];
    for (variable, value, expected) in [
        ("BERT_LAYER_CRASH_AFTER", "3", "crashed"),
        ("BERT_LAYER_HANG_AFTER", "3", "did not end in 8 s"),
        ("BERT_LAYER_LOST_AFTER", "3", "its self-test"),
        ("BERT_LAYER_WRONG", "exp", "differs from the reference in"),
    ] {
        let commands: &[&[&str]] = match variable {
            "BERT_LAYER_CRASH_AFTER" => &[&embed, &finetune, &bench],
            _ => &[&embed],
        };
        for arguments in commands {
            let cache = tempfile::tempdir().unwrap();
            let mut variables: Vec<(&str, &str)> = layer
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            variables.push((variable, value));
            if variable == "BERT_LAYER_HANG_AFTER" {
                variables.push(("BERT_PROOF_SECONDS", "8"));
            }
            let output = run_with(&cache, &variables, arguments);
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(
                output.status.code(),
                Some(1),
                "{variable} {arguments:?}: {stderr}"
            );
            assert!(output.stdout.is_empty(), "{variable} {arguments:?}");
            let last = stderr.lines().last().unwrap();
            assert!(
                last.contains(expected),
                "{variable} {arguments:?}: {stderr}"
            );
            assert!(last.contains("--unproven-device"), "{variable}: {stderr}");
            assert_eq!(proofs(&cache), 0, "{variable}");
            assert!(!out.join("model.safetensors").exists(), "{variable}");
        }
    }
}

/// Without `VK_KHR_workgroup_memory_explicit_layout` (SwiftShader, Mesa before 26) SPIR-V kernels compute wrong.
#[test]
fn spir_v_is_refused_where_the_driver_cannot_lay_out_shared_memory() {
    let Ok(driver) = std::env::var("BERT_SWIFTSHADER_ICD") else {
        return;
    };
    if !bert_core::device::compiled_backends().contains(&"vulkan") {
        return;
    }
    let model = model();
    for label in ["vulkan:cpu", "wgpu:cpu"] {
        let cache = tempfile::tempdir().unwrap();
        let arguments = ["embed", "--model", &model, "--device", label];
        let output = run_with(&cache, &[("VK_DRIVER_FILES", &driver)], &arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{label}: {stderr}");
        assert!(output.stdout.is_empty(), "{label}");
        assert!(
            stderr.contains("VK_KHR_workgroup_memory_explicit_layout"),
            "{label}: {stderr}"
        );
    }
}
