//! Records of devices that passed the self-test: one for every adapter, driver, build and float type that meet.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::device::{DeviceSpec, Measurement, Precision, TorchDevice};
use crate::error::Error;
use crate::files::write_atomically;

/// The combination that a proof holds for; a change of any part calls for a new one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProofSubject {
    /// Label of the device, which says through which interface it is reached.
    pub label: String,
    /// Hardware's name; empty where the backend reports none.
    pub adapter: String,
    /// Driver's name and version; empty where none is reported.
    pub driver: String,
    /// Program that was tested: version, features, and the file's size and time.
    pub build: String,
    /// "f32", "f16" or "bf16".
    pub dtype: String,
}

/// A passed self-test, as it is remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// The combination that passed.
    pub subject: ProofSubject,
    /// Differences from the reference.
    pub measured: Vec<Measurement>,
    /// Duration of the self-test, the compilation and tuning of kernels included.
    pub seconds: f64,
    /// Seconds since 1970-01-01 (UTC) at which it passed.
    pub unix_time: u64,
}

impl DeviceSpec {
    /// True for devices whose kernels depend on a driver or on code that is generated at run time, so that tests elsewhere
    /// prove nothing about this machine. Pure-Rust processors and LibTorch's are not among them, nor devices of another
    /// machine, which proves them itself.
    pub fn wants_proof(&self) -> bool {
        !matches!(
            self,
            Self::Flex | Self::NdArray | Self::LibTorch(TorchDevice::Cpu) | Self::Remote { .. }
        )
    }
}

impl ProofSubject {
    /// The subject of `spec` with this machine's adapter, for the program `build`; asks the driver.
    pub fn of(spec: &DeviceSpec, precision: Precision, build: String) -> Self {
        let adapter = spec.adapter();
        let label = adapter
            .as_ref()
            .map_or_else(|| spec.to_string(), |found| found.spec.to_string());
        let (adapter, driver) =
            adapter.map_or_else(Default::default, |found| (found.name, found.driver));
        Self {
            label,
            adapter,
            driver,
            build,
            dtype: precision.to_string(),
        }
    }

    /// The file that a proof of this subject is kept in, below the cache directory of this program.
    fn file(&self, cache: &Path) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        let label: String = self
            .label
            .replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        cache.join("proofs").join(format!(
            "{label}-{}-{:016x}.json",
            self.dtype,
            hasher.finish()
        ))
    }

    /// The proof that is remembered, if there is one.
    pub fn recall(&self, cache: &Path) -> Option<Proof> {
        let text = std::fs::read(self.file(cache)).ok()?;
        let proof: Proof = serde_json::from_slice(&text).ok()?;
        let passed = proof.measured.iter().all(Measurement::is_within_bar);
        (proof.subject == *self && passed && !proof.measured.is_empty()).then_some(proof)
    }

    /// Removes the proof that is remembered, if there is one: a device that fails now is not believed later.
    pub fn forget(&self, cache: &Path) {
        let _ = std::fs::remove_file(self.file(cache));
    }
}

impl Proof {
    /// Keeps the proof in the cache directory of this program.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn remember(&self, cache: &Path) -> Result<()> {
        let file = self.subject.file(cache);
        let dir = file.parent().expect("proofs lie in a directory");
        std::fs::create_dir_all(dir).map_err(|error| Error::io("create", dir, error))?;
        let text = serde_json::to_vec_pretty(self).expect("a proof always serialises");
        write_atomically(file, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(difference: f64) -> Proof {
        Proof {
            subject: ProofSubject {
                label: "vulkan:discrete:0".to_owned(),
                adapter: "a card".to_owned(),
                driver: "a driver 1.2".to_owned(),
                build: "0.1.0".to_owned(),
                dtype: "f32".to_owned(),
            },
            measured: vec![Measurement {
                what: "hidden states, padded".to_owned(),
                difference,
                bar: 1e-5,
            }],
            seconds: 2.5,
            unix_time: 1_700_000_000,
        }
    }

    #[test]
    fn a_proof_is_remembered_for_its_subject_and_no_other() {
        let cache = tempfile::tempdir().unwrap();
        let proof = proof(3e-6);
        assert!(proof.subject.recall(cache.path()).is_none());
        proof.remember(cache.path()).unwrap();
        assert_eq!(proof.subject.recall(cache.path()), Some(proof.clone()));
        type Change = fn(&mut ProofSubject);
        let changes: [Change; 5] = [
            |s| s.label = "wgpu:discrete:0".to_owned(),
            |s| s.adapter.push('2'),
            |s| s.driver.push('3'),
            |s| s.build.push('1'),
            |s| s.dtype = "f16".to_owned(),
        ];
        for change in changes {
            let mut other = proof.subject.clone();
            change(&mut other);
            assert!(other.recall(cache.path()).is_none(), "{other:?}");
        }
        proof.subject.forget(cache.path());
        assert!(proof.subject.recall(cache.path()).is_none());
    }

    #[test]
    fn a_record_that_is_damaged_or_outside_its_bars_is_no_proof() {
        let cache = tempfile::tempdir().unwrap();
        let wrong = proof(3.8);
        wrong.remember(cache.path()).unwrap();
        assert!(wrong.subject.recall(cache.path()).is_none());
        let right = proof(3e-6);
        std::fs::write(right.subject.file(cache.path()), "{").unwrap();
        assert!(right.subject.recall(cache.path()).is_none());
    }

    #[test]
    fn drivers_and_generated_code_want_proof() {
        for (label, wants) in [
            ("flex", false),
            ("ndarray", false),
            ("libtorch", false),
            ("libtorch:cuda:0", true),
            ("wgpu:cpu", true),
            ("vulkan", true),
            ("cuda:0", true),
            ("rocm:0", true),
            ("cpu", true),
        ] {
            assert_eq!(
                label.parse::<DeviceSpec>().unwrap().wants_proof(),
                wants,
                "{label}"
            );
        }
    }
}
