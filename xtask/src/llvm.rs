//! CubeCL's processor, CUDA and ROCm runtimes: built, and tested as far as a machine without a card can.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::legs::{CORE, UPSTREAM};
use crate::parity::Options;
use crate::shell;
use crate::sid::{self, Level};

const FEATURES: &str = "cpu,cuda,rocm";
/// Target of the root and of its compiler.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the three in a root of Debian sid, runs the core's tests on `cpu` and has the other two refuse.
///
/// # Errors
/// If the build or a test fails, or a device without its driver is not refused as it should be.
pub(crate) fn run(options: &Options) -> Result<()> {
    let enter = sid::ensure(&options.place, Level::Llvm)?;
    if !shell::succeeds(shell::cargo_in(&enter).arg("--version")) {
        bail!(
            "cargo is not visible in `{}`, which has the machine's /home, /root, /opt and /usr/local but not its /usr/bin; \
             install Rust with rustup",
            enter.display()
        );
    }
    // The root does not know the certificates of the machine, which may stand between it and the registry.
    shell::run(shell::cargo().args(["fetch", "--locked", "--target", TARGET]))?;
    // What is built in the root is for its libraries and compiled by its compiler: a directory of its own.
    let target = shell::target().join("llvm");
    let cargo = |task: &str| {
        let mut cargo = shell::cargo_in(&enter);
        cargo.args([task, "--release", "--offline", "--workspace"]);
        cargo.args(["--features", FEATURES]);
        cargo.env("CARGO_TARGET_DIR", &target);
        cargo
    };

    for run in [CORE, UPSTREAM] {
        let mut tests = cargo("test");
        options.real.apply(&mut tests)?;
        run.apply(&mut tests);
        tests.env("BERT_TEST_DEVICES", "cpu");
        // Kernels are chosen once, and found again by later runs.
        tests.env("BERT_CACHE_DIR", shell::target().join("leg-cache/cpu"));
        shell::run(&mut tests)?;
    }

    shell::run(cargo("build").args(["--bin", "bert"]))?;
    let bert = target.join("release").join("bert");
    for label in ["cuda:0", "rocm:0"] {
        refused(&enter, &bert, label)?;
    }
    Ok(())
}

/// Asks for vectors of a device whose driver the root does not have.
fn refused(enter: &Path, bert: &Path, label: &str) -> Result<()> {
    let model = shell::root().join("bert-core/fixtures/tiny-erf");
    let mut command = Command::new(enter);
    command.arg(bert).arg("embed").arg("--model").arg(model);
    command.args([OsString::from("--device"), label.into()]);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not start `{}`", bert.display()))?;
    let message = String::from_utf8_lossy(&output.stderr);
    judge(label, output.status.code(), &output.stdout, &message)?;
    eprintln!("{label} is refused: {}", message.trim());
    Ok(())
}

/// True if a refusal is one: exit code 1, nothing on stdout, and a message with the label that is no panic's.
fn judge(label: &str, code: Option<i32>, stdout: &[u8], message: &str) -> Result<()> {
    let clear = message.contains(label) && !message.contains("panicked");
    if code != Some(1) || !stdout.is_empty() || !clear {
        bail!(
            "`bert embed --device {label}` without a driver should end with code 1, no output and one clear message; \
             code {code:?}, {} bytes of output and:\n{message}",
            stdout.len()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_a_code_a_label_and_no_panic() {
        let message = "error: cuda:0: no such device";
        judge("cuda:0", Some(1), b"", message).unwrap();
        assert!(judge("cuda:0", Some(0), b"", message).is_err());
        assert!(judge("cuda:0", None, b"", message).is_err());
        assert!(judge("cuda:0", Some(1), b"[0.1]", message).is_err());
        assert!(judge("rocm:0", Some(1), b"", message).is_err());
        let panic = "thread 'main' panicked: cuda:0";
        assert!(judge("cuda:0", Some(1), b"", panic).is_err());
    }
}
