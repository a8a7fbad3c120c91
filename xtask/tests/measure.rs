//! `measure.sh` of the measuring kit, with a program in place of `bert` that ends well, fails or hangs on demand.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Every step, in order.
const STEPS: [&str; 12] = [
    "doctor",
    "compare",
    "forward-f32",
    "train-f32",
    "pretrain-f32",
    "memory-f32",
    "forward-f16",
    "train-f16",
    "pretrain-f16",
    "forward-bf16",
    "train-bf16",
    "pretrain-bf16",
];

/// Does what `bert` does as far as `measure.sh` can see; bf16 fails, with what JSON and Markdown must not trip over.
const BERT: &str = r#"#!/bin/sh
case $1 in
  --version) echo 'bert 9.9.9'; exit ;;
  doctor) echo '{"devices": [{"status": "OK", "forward": 3.4e-6, "gradients": 1.5e-6, "reason": null}]}'; exit ;;
  compare) echo '{"devices": {"vulkan": [{"max_abs": 2e-6}, {"max_abs": 4e-6}]}}'; exit ;;
esac
[ "$2" = table ] && { shift 2; echo "a table of $*"; exit; }
while [ $# -gt 0 ]; do
  case $1 in --json) file=$2 ;; --dtype) dtype=$2 ;; esac
  shift
done
if [ "$dtype" = bf16 ]; then
  printf 'a note\nerror: a "quoted" \\ reason | and\ta tab\n\n' >&2
  exit 1
fi
echo '{"rows": [{"adapter": {"name": "A Card", "driver": "1.2.3"}}]}' >"$file"
"#;

/// Held by each test: a program that is written while another thread starts one is busy for the latter.
static ALONE: Mutex<()> = Mutex::new(());

fn kit(bert: &str) -> TempDir {
    let kit = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kit/measure.sh");
    program(
        &kit.path().join("measure.sh"),
        &fs::read_to_string(script).unwrap(),
    );
    fs::create_dir(kit.path().join("bin")).unwrap();
    for name in ["bert", "bin/bert"] {
        program(&kit.path().join(name), bert);
    }
    fs::write(
        kit.path().join("kit.json"),
        "{\n  \"device\": \"vulkan\",\n  \"version\": \"9\"\n}\n",
    )
    .unwrap();
    kit
}

fn program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn measure(kit: &TempDir, arguments: &[&str]) -> (Output, Value, String) {
    let out = kit.path().join("out put");
    let mut command = Command::new(kit.path().join("measure.sh"));
    command.arg("--out").arg(&out).args(arguments);
    let output = command.output().unwrap();
    let json = fs::read(out.join("result.json")).unwrap();
    let json = serde_json::from_slice(&json)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&json)));
    let page = fs::read_to_string(out.join("result.md")).unwrap();
    (output, json, page)
}

fn texts(result: &Value, field: &str) -> Vec<String> {
    let steps = result["steps"].as_array().unwrap().iter();
    steps
        .map(|step| step[field].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn every_step_is_reported_with_its_record_or_its_reason() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let kit = kit(BERT);
    let python = kit.path().join("python");
    program(&python, "#!/bin/sh\necho '2.9.0 5.23.0 cpu'\n");
    let (output, result, page) = measure(&kit, &["--python", python.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(texts(&result, "name"), STEPS);
    let statuses = texts(&result, "status");
    assert!(
        statuses[..9].iter().all(|status| status == "ok"),
        "{statuses:?}"
    );
    assert!(
        statuses[9..].iter().all(|status| status == "failed"),
        "{statuses:?}"
    );
    let reason = result["steps"][9]["remark"].as_str().unwrap();
    assert_eq!(
        reason,
        "error: a \"quoted\" \\ reason | and a tab (exit code 1)"
    );
    assert!(result["steps"][9]["record"].is_null());
    assert_eq!(
        result["steps"][2]["record"]["rows"][0]["adapter"]["driver"],
        "1.2.3"
    );
    assert_eq!(
        (&result["card"], &result["driver"]),
        (&"A Card".into(), &"1.2.3".into())
    );
    assert_eq!(result["peers"], "torch 2.9.0, transformers 5.23.0");
    let commands = texts(&result, "command");
    assert!(
        commands[2].contains("--peers transformers,transformers-eager --peers-dir"),
        "{commands:?}"
    );
    assert!(
        !commands[2].contains("tf32"),
        "not on a processor: {commands:?}"
    );
    assert!(!commands[5].contains("--peers "), "{commands:?}");
    assert!(commands[5].contains("--min-samples 300"), "{commands:?}");
    assert!(
        texts(&result, "remark")[1].contains("4.0e-06"),
        "{result:#}"
    );
    assert!(
        page.contains("a table of raw/forward-f32.json raw/train-f32.json"),
        "{page}"
    );
    assert!(page.contains(r"reason \| and"), "{page}");
    assert!(page.starts_with("## A Card\n"), "{page}");
}

#[test]
fn a_step_that_hangs_ends_at_the_budget_and_the_rest_is_reported_as_not_run() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let scratch = tempfile::tempdir().unwrap();
    let sleeper = scratch.path().join("sleeper");
    let hangs = format!(
        "doctor) sleep 97 & echo $! >'{}'; wait ;;\n  never) ",
        sleeper.display()
    );
    let kit = kit(&BERT.replacen("doctor) ", &hangs, 1));
    let start = Instant::now();
    let (output, result, page) = measure(&kit, &["--budget", "20", "--no-peers"]);
    assert!(start.elapsed() < Duration::from_secs(80));
    assert!(!output.status.success(), "nothing was measured");
    assert_eq!(texts(&result, "name"), STEPS);
    let statuses = texts(&result, "status");
    assert_eq!(statuses[0], "timed out");
    assert!(
        statuses[1..].iter().all(|status| status == "not run"),
        "{statuses:?}"
    );
    assert!(
        texts(&result, "remark")[1].contains("of the budget of 20 s"),
        "{result:#}"
    );
    assert!(page.contains("| doctor | timed out |"), "{page}");
    assert_eq!(result["peers_missing"], "left out by --no-peers");
    if cfg!(target_os = "linux") {
        let child = fs::read_to_string(sleeper).unwrap();
        let status = Path::new("/proc").join(child.trim()).join("stat");
        // Dead, if not buried: the first process of a container need not ask for the ends of others.
        let ended = match fs::read_to_string(status) {
            Ok(status) => status.contains(") Z "),
            Err(_) => true,
        };
        assert!(ended, "what the step started still runs");
    }
}

#[test]
fn a_python_without_torch_is_told_and_the_device_is_measured_alone() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let kit = kit(BERT);
    let python = kit.path().join("python");
    program(
        &python,
        "#!/bin/sh\necho \"ModuleNotFoundError: No module named 'torch'\" >&2\nexit 1\n",
    );
    let (output, result, _) = measure(&kit, &["--quick", "--python", python.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let missing = result["peers_missing"].as_str().unwrap();
    assert!(missing.contains("No module named 'torch'"), "{missing}");
    let commands = texts(&result, "command");
    assert!(!commands[2].contains("--peers"), "{commands:?}");
    assert!(commands[2].contains("--preset tiny"), "{commands:?}");
}

#[test]
fn options_that_make_no_sense_are_refused_before_anything_is_written() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let kit = kit(BERT);
    for (arguments, said) in [
        (["--budget", "soon"], "give whole seconds"),
        (["--card", "0"], "unknown option --card"),
    ] {
        let mut command = Command::new(kit.path().join("measure.sh"));
        let output = command
            .args(arguments)
            .current_dir(kit.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(said),
            "{output:?}"
        );
    }
    assert!(!kit.path().join("bert-result").exists());
}
