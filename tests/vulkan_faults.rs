//! `bert` on a Vulkan device that is lost, and on one whose memory runs out: one error, and the checkpoint resumes.
//!
//! A Vulkan layer makes the device fail (`xtask/vulkan-layer`): `BERT_VULKAN_LAYER` is the directory of its library and
//! manifest, and `BERT_TEST_DEVICES` has a label of a Vulkan device. Without either nothing runs, and says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const LOST: &str = "BERT_LAYER_LOST_AFTER";
const OUT_OF_MEMORY: &str = "BERT_LAYER_OOM_AFTER";

struct Workshop {
    dir: TempDir,
    device: String,
    layer: PathBuf,
    layer_name: String,
}

fn main() {
    // Other harnesses answer `cargo test -- --list`; this one has nothing to list.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let Some(layer) = std::env::var_os("BERT_VULKAN_LAYER").map(PathBuf::from) else {
        println!(
            "0 tests: set BERT_VULKAN_LAYER to the directory of the layer in xtask/vulkan-layer"
        );
        return;
    };
    let devices = std::env::var("BERT_TEST_DEVICES").unwrap_or_default();
    let mut devices = devices.split(',');
    let Some(device) =
        devices.find(|label| label.starts_with("wgpu") || label.starts_with("vulkan"))
    else {
        println!("0 tests: name a Vulkan device in BERT_TEST_DEVICES");
        return;
    };
    let workshop = Workshop::new(device, layer);
    workshop.a_lost_device_ends_training_and_the_checkpoint_resumes();
    workshop.a_lost_device_ends_inference();
    workshop.memory_that_runs_out_is_one_error();
    println!("3 tests passed on {device}");
}

impl Workshop {
    fn new(device: &str, layer: PathBuf) -> Self {
        let manifest = fs::read_dir(&layer)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "json")
            })
            .expect("the layer has a manifest");
        let manifest: Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut pairs = "sentence1\tsentence2\tlabel\n".to_owned();
        for text in [
            "the old {} sat",
            "hello {} ?",
            "a quick {}",
            "the {} sat in",
        ] {
            for (animal, label) in [("cat", "feline"), ("dog", "canine")] {
                pairs += &format!("{}\tis it near ?\t{label}\n", text.replace("{}", animal));
            }
        }
        fs::write(dir.path().join("pairs.tsv"), pairs).unwrap();
        Self {
            dir,
            device: device.to_owned(),
            layer,
            layer_name: manifest["layer"]["name"].as_str().unwrap().to_owned(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn bert(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bert"));
        command
            .args(arguments)
            .env("BERT_DEVICE", &self.device)
            .env("HF_HUB_OFFLINE", "1")
            .stdin(Stdio::null());
        command
    }

    /// The device of `command` fails from the `nth` call on of those that `variable` counts.
    fn failing(&self, command: &mut Command, variable: &str, nth: u64) -> Output {
        command
            // A proof would meet the fault first.
            .arg("--unproven-device")
            .env("VK_ADD_LAYER_PATH", &self.layer)
            .env("VK_INSTANCE_LAYERS", &self.layer_name)
            .env(variable, nth.to_string());
        command.output().unwrap()
    }

    fn finetune(&self, out: &str, steps: &str) -> Command {
        let mut command = self.bert(&["finetune", "--task", "pair", "--model"]);
        command
            .arg(model())
            .arg("--train")
            .arg(self.path("pairs.tsv"))
            .arg("--out")
            .arg(self.path(out))
            .args(["--steps", steps, "--batch-size", "4", "--lr", "1e-3"])
            .args([
                "--log-every",
                "1",
                "--checkpoint-every",
                "2",
                "--no-dashboard",
            ]);
        command
    }

    fn a_lost_device_ends_training_and_the_checkpoint_resumes(&self) {
        let steps = "100000";
        let mut submissions = 250;
        let checkpoint = loop {
            let out = format!("lost-{submissions}");
            let output = self.failing(&mut self.finetune(&out, steps), LOST, submissions);
            let said = one_error(&output);
            if let Some(checkpoint) = last_checkpoint(&self.path(&out)) {
                assert!(said.contains(checkpoint.to_str().unwrap()), "{said}");
                assert!(said.contains("--resume"), "{said}");
                assert!(said.contains("step"), "{said}");
                break checkpoint;
            }
            // It was lost while kernels were tuned.
            submissions *= 2;
            assert!(
                submissions < 100_000,
                "no checkpoint before submission {submissions}: {said}"
            );
        };
        for file in ["model.safetensors", "optimizer.safetensors"] {
            let bytes = fs::read(checkpoint.join(file)).unwrap();
            let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            let mut values = bytes[8 + header..].as_chunks().0.iter();
            let finite = values.all(|bytes| f32::from_le_bytes(*bytes).is_finite());
            assert!(finite, "{file} in {}", checkpoint.display());
        }
        // The steps of a run are settled, and so many take too long: it goes on, and is stopped.
        let out = format!("lost-{submissions}");
        let mut child = self
            .finetune(&out, steps)
            .arg("--resume")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let resumed = loop {
            std::thread::sleep(std::time::Duration::from_millis(100));
            let now = last_checkpoint(&self.path(&out)).unwrap();
            if now > checkpoint {
                break true;
            }
            if child.try_wait().unwrap().is_some() {
                break false;
            }
        };
        let _ = child.kill();
        child.wait().unwrap();
        assert!(resumed, "nothing after {}", checkpoint.display());
    }

    fn a_lost_device_ends_inference(&self) {
        fs::write(self.path("texts.txt"), "the cat sat\n".repeat(500)).unwrap();
        let mut command = self.bert(&["embed", "--batch-tokens", "16", "--model"]);
        command.arg(model()).arg(self.path("texts.txt"));
        let output = self.failing(&mut command, LOST, 20);
        let said = one_error(&output);
        assert!(said.contains("during `bert embed`"), "{said}");
    }

    fn memory_that_runs_out_is_one_error(&self) {
        for allocations in [1, 6] {
            let out = format!("memory-{allocations}");
            let output = self.failing(&mut self.finetune(&out, "20"), OUT_OF_MEMORY, allocations);
            one_error(&output);
            assert_eq!(last_checkpoint(&self.path(&out)), None);
        }
    }
}

/// The message of a command that failed as it should.
fn one_error(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bert-core/fixtures/tiny-pretraining")
}

fn last_checkpoint(run: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(run.join("checkpoints")).ok()?;
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("step-")
        })
        .max()
}
