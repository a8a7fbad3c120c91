//! The directory of a demonstration.

use std::path::{Path, PathBuf};

use bert_core::device::Device;
use bert_core::files::write_atomically;
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::files::Texts;
use super::plan::Plan;
use super::text::Language;

/// A demonstration in a directory.
pub struct Demo {
    pub(crate) dir: PathBuf,
    pub(crate) language: Language,
    pub(crate) seed: u64,
    pub(crate) plan: Plan,
    pub(crate) device: Device,
}

/// Settings of a demonstration, kept in its directory: with equal ones it can go on.
#[derive(Serialize, Deserialize, PartialEq)]
struct Marker {
    language: Language,
    seed: u64,
    plan: Plan,
}

const MARKER: &str = "demo.json";

impl Demo {
    /// A demonstration in `dir`: a new one, or one that was interrupted.
    ///
    /// # Errors
    /// [`Error::Output`] if the directory holds anything else, a demonstration with other settings included.
    pub fn open(
        dir: impl Into<PathBuf>,
        language: Language,
        seed: u64,
        plan: Plan,
        device: Device,
    ) -> Result<Self> {
        let dir = dir.into();
        let marker = Marker {
            language,
            seed,
            plan,
        };
        let path = dir.join(MARKER);
        let in_the_way = |reason| {
            let dir = dir.clone();
            Err(Error::Output { dir, reason })
        };
        if let Ok(text) = std::fs::read(&path) {
            if !serde_json::from_slice::<Marker>(&text).is_ok_and(|found| found == marker) {
                return in_the_way(
                    "holds a demonstration with other settings: choose another directory with --output, or delete it",
                );
            }
        } else if std::fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some()) {
            return in_the_way(
                "is not empty: choose another directory with --output, or delete what is in it",
            );
        }
        if dir.is_file() {
            return in_the_way("is a file: choose a directory with --output");
        }
        std::fs::create_dir_all(&dir)
            .map_err(|error| bert_core::Error::io("create", &dir, error))?;
        let text = serde_json::to_string_pretty(&marker).expect("settings are JSON");
        write_atomically(&path, format!("{text}\n").as_bytes())?;
        Ok(Self {
            dir,
            language,
            seed,
            plan: marker.plan,
            device,
        })
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The language of its texts.
    pub fn language(&self) -> Language {
        self.language
    }

    /// Decides texts, weights, order and dropout.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Its sizes.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Device that it computes on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The directory of the pretrained model.
    pub fn pretrained(&self) -> PathBuf {
        self.dir.join("pretrained")
    }

    /// True if the model is pretrained already.
    pub fn is_pretrained(&self) -> bool {
        is_finished(&self.pretrained())
    }

    /// Writes the texts; those of one seed are the same every time.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write_texts(&self) -> Result<Texts> {
        Texts::write(
            &self.dir.join("texts"),
            self.language,
            self.seed,
            &self.plan,
        )
    }
}

/// A run writes its weights last.
pub(crate) fn is_finished(dir: &Path) -> bool {
    dir.join("model.safetensors").is_file()
}
