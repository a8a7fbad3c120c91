//! Other implementations of BERT, which measure the same jobs in programs of their own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use bert_core::models::{BERT, Family};
use strum::{VariantArray, VariantNames};

use crate::contract::Mode;
use crate::error::{Error, Result};

/// Another implementation.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, VariantArray, VariantNames,
)]
#[strum(serialize_all = "kebab-case", parse_err_ty = String, parse_err_fn = unknown_peer)]
pub enum Peer {
    /// PyTorch with transformers' model and PyTorch's fused attention (SDPA).
    Transformers,
    /// PyTorch with transformers' model, attention written out operation by operation.
    TransformersEager,
    /// PyTorch with transformers' model and matrix products of 32-bit floats in TF32, on a CUDA device.
    #[strum(serialize = "transformers-tf32")]
    TransformersTf32,
    /// PyTorch with transformers' model as users run it: its own pretraining loss, which projects all tokens to the vocabulary.
    TransformersStock,
    /// ONNX Runtime with a graph exported from transformers.
    #[strum(serialize = "onnxruntime")]
    OnnxRuntime,
    /// ONNX Runtime with weights in 8 bits, by its own dynamic quantisation.
    #[strum(serialize = "onnxruntime-int8")]
    OnnxRuntimeInt8,
    /// The library for sentence vectors, on PyTorch.
    SentenceTransformers,
    /// Hugging Face's framework in Rust.
    Candle,
}

/// The scripts of the Python peers travel inside the command, so that it also works away from its source.
///
/// None has the name of a package, which Python would then import from here.
const SCRIPTS: [(&str, &str); 8] = [
    ("common.py", include_str!("../peers/common.py")),
    (
        "transformers_peer.py",
        include_str!("../peers/transformers_peer.py"),
    ),
    (
        "transformers_eager_peer.py",
        include_str!("../peers/transformers_eager_peer.py"),
    ),
    (
        "transformers_tf32_peer.py",
        include_str!("../peers/transformers_tf32_peer.py"),
    ),
    (
        "transformers_stock_peer.py",
        include_str!("../peers/transformers_stock_peer.py"),
    ),
    (
        "onnxruntime_peer.py",
        include_str!("../peers/onnxruntime_peer.py"),
    ),
    (
        "onnxruntime_int8_peer.py",
        include_str!("../peers/onnxruntime_int8_peer.py"),
    ),
    (
        "sentence_transformers_peer.py",
        include_str!("../peers/sentence_transformers_peer.py"),
    ),
];

impl Peer {
    /// Every peer.
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;

    /// True if the peer has the models of `family`.
    pub fn knows(self, family: &Family) -> bool {
        // Its other encoders are in programs of their own.
        self != Self::Candle || *family == BERT
    }

    /// True if the peer has something to measure in `mode`.
    pub fn measures(self, mode: Mode) -> bool {
        match self {
            Self::Transformers | Self::TransformersEager | Self::TransformersTf32 => true,
            Self::TransformersStock => mode == Mode::Pretrain,
            Self::SentenceTransformers => mode == Mode::Embed,
            Self::OnnxRuntime | Self::OnnxRuntimeInt8 => {
                matches!(mode, Mode::Forward | Mode::Embed)
            }
            Self::Candle => mode == Mode::Forward,
        }
    }

    /// The program that measures `job`, or why there is none.
    fn command(self, environment: &Path, scripts: &Path, job: &Path) -> Result<Command, String> {
        let (program, script) = match self {
            Self::Candle => {
                let name = format!("bert-candle{}", std::env::consts::EXE_SUFFIX);
                (environment.join("candle/release").join(name), None)
            }
            _ => {
                let python = match cfg!(windows) {
                    true => "venv/Scripts/python.exe",
                    false => "venv/bin/python",
                };
                (environment.join(python), Some(scripts.join(self.script())))
            }
        };
        if !program.is_file() {
            return Err(format!(
                "{} is not there: run `cargo xtask peers`, or name its directory with --peers-dir",
                program.display()
            ));
        }
        let mut command = Command::new(program);
        command.args(script).arg(job).env("HF_HUB_OFFLINE", "1");
        if let Some(paths) = without_libtorch() {
            command.env("LD_LIBRARY_PATH", paths);
        }
        Ok(command)
    }

    fn script(self) -> String {
        format!("{}_peer.py", self.to_string().replace('-', "_"))
    }
}

/// The library path without the LibTorch that we are linked with: PyTorch brings its own, and half of each is none.
fn without_libtorch() -> Option<OsString> {
    let ours = PathBuf::from(std::env::var_os("LIBTORCH")?);
    let paths = std::env::var_os("LD_LIBRARY_PATH")?;
    std::env::join_paths(std::env::split_paths(&paths).filter(|path| !path.starts_with(&ours))).ok()
}

fn unknown_peer(name: &str) -> String {
    let names = <Peer as VariantNames>::VARIANTS.join(", ");
    format!("`{name}` is none of {names}")
}

/// Programs of the peers.
#[derive(Debug)]
pub(crate) struct Peers {
    environment: PathBuf,
    scripts: tempfile::TempDir,
}

impl Peers {
    /// With the scripts unpacked.
    pub(crate) fn new(environment: &Path) -> Result<Self> {
        let cannot = |source| Error::io("unpack the scripts of the peers", source);
        let scripts = tempfile::tempdir().map_err(cannot)?;
        for (name, text) in SCRIPTS {
            std::fs::write(scripts.path().join(name), text).map_err(cannot)?;
        }
        Ok(Self {
            // A relative path to a program means another after a change of directory.
            environment: std::path::absolute(environment).map_err(cannot)?,
            scripts,
        })
    }

    pub(crate) fn command(&self, peer: Peer, job: &Path) -> Result<Command, String> {
        peer.command(&self.environment, self.scripts.path(), job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bert_core::models::FAMILIES;

    #[test]
    fn names_parse_and_every_mode_has_a_peer() {
        for &peer in Peer::ALL {
            assert_eq!(peer.to_string().parse(), Ok(peer));
        }
        assert!(
            "tensorflow"
                .parse::<Peer>()
                .unwrap_err()
                .contains("onnxruntime")
        );
        for mode in Mode::ALL {
            assert!(Peer::ALL.iter().any(|peer| peer.measures(mode)), "{mode}");
        }
    }

    #[test]
    fn candle_has_bert_alone() {
        for family in FAMILIES {
            assert_eq!(Peer::Candle.knows(family), *family == BERT);
            assert!(Peer::Transformers.knows(family));
        }
    }

    #[test]
    fn every_python_peer_finds_its_script() {
        let environment = tempfile::tempdir().unwrap();
        let peers = Peers::new(environment.path()).unwrap();
        for &peer in Peer::ALL {
            let missing = peers.command(peer, Path::new("job.json")).unwrap_err();
            assert!(missing.contains("cargo xtask peers"), "{missing}");
            let script = peers.scripts.path().join(peer.script());
            assert!(peer == Peer::Candle || script.is_file(), "{peer}");
        }
    }
}
