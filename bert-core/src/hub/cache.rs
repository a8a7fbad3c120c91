//! Models already in the cache, by whichever program put them there.

use std::path::{Path, PathBuf};

use hf_hub::Repo;

use super::files::{
    BYTE_LEVEL, CONFIG, OPTIONAL, PYTORCH, SAFETENSORS, SAFETENSORS_INDEX, TOKENIZER, VOCAB,
    modules, shards,
};
use super::id::ModelId;
use crate::error::{Error, Result};

/// One commit of one model in the cache, whole or not.
#[derive(Debug, Clone)]
pub(super) struct CachedModel {
    /// The commit's hash.
    pub(super) commit: String,
    /// The directory of its files.
    pub(super) snapshot: PathBuf,
    /// Empty files here stand for files that the commit is known not to have; a convention of
    /// `huggingface_hub`.
    no_exist: PathBuf,
}

impl CachedModel {
    /// The commit that the revision stands for in the cache, if it was ever looked up.
    pub(super) fn find(cache_dir: &Path, id: &ModelId) -> Option<Self> {
        let refs = folder(cache_dir, id).join("refs").join(&id.revision);
        let commit = match std::fs::read_to_string(refs) {
            Ok(commit) => commit.trim().to_owned(),
            // A commit stands for itself.
            Err(_) => id.revision.clone(),
        };
        is_commit(&commit)
            .then(|| Self::at(cache_dir, id, commit))
            .filter(|cached| cached.snapshot.is_dir())
    }

    /// The place of a commit, whether it is there or not.
    pub(super) fn at(cache_dir: &Path, id: &ModelId, commit: String) -> Self {
        let folder = folder(cache_dir, id);
        Self {
            snapshot: folder.join("snapshots").join(&commit),
            no_exist: folder.join(".no_exist").join(&commit),
            commit,
        }
    }

    /// True if the model can be used: configuration, whole weights and a vocabulary are there.
    pub(super) fn is_complete(&self) -> bool {
        self.missing().is_empty()
    }

    /// True if no further file can be expected: each optional file is there or known to be absent.
    pub(super) fn is_settled(&self) -> bool {
        let known = |name: &str| self.has(name) || self.knows_absent(name);
        let of_modules = || modules(&self.snapshot).into_iter();
        OPTIONAL.iter().all(|name| known(name))
            && (self.has(TOKENIZER) || BYTE_LEVEL.iter().all(|name| known(name)))
            && of_modules().all(|module| known(&module.config))
            && of_modules().all(|module| {
                let weights = || module.weights.iter();
                weights().any(|name| self.has(name)) || weights().all(|name| known(name))
            })
    }

    /// Files that the model needs and the cache lacks, in words.
    pub(super) fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if !self.has(CONFIG) {
            missing.push(CONFIG.to_owned());
        }
        if !self.has(SAFETENSORS) && !self.has(PYTORCH) {
            match shards(&self.snapshot.join(SAFETENSORS_INDEX)) {
                Ok(shards) => missing.extend(shards.into_iter().filter(|name| !self.has(name))),
                Err(_) => missing.push("weights".to_owned()),
            }
        }
        for module in modules(&self.snapshot) {
            if module.needs_weights && !module.weights.iter().any(|name| self.has(name)) {
                missing.push(module.weights.join(" or "));
            }
        }
        let vocabularies = [TOKENIZER, VOCAB];
        if !vocabularies.iter().any(|name| self.has(name))
            && !BYTE_LEVEL.iter().all(|name| self.has(name))
            && !vocabularies.iter().all(|name| self.knows_absent(name))
        {
            missing.push(vocabularies.join(" or "));
        }
        missing
    }

    /// True if a file is there; false for a dangling link.
    pub(super) fn has(&self, name: &str) -> bool {
        self.snapshot.join(name).is_file()
    }

    fn knows_absent(&self, name: &str) -> bool {
        self.no_exist.join(name).exists()
    }

    /// Records that the commit doesn't have a file.
    pub(super) fn record_absent(&self, name: &str) -> Result<()> {
        let path = self.no_exist.join(name);
        let parent = path.parent().unwrap_or(&self.no_exist);
        std::fs::create_dir_all(parent).map_err(|error| Error::io("create", parent, error))?;
        std::fs::write(&path, "").map_err(|error| Error::io("write", path, error))
    }

    /// Takes a file out of the snapshot, together with the blob of the cache it links to.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        let path = self.snapshot.join(name);
        let blob = std::fs::canonicalize(&path).ok().filter(|blob| {
            blob.parent()
                .is_some_and(|parent| parent.ends_with("blobs"))
        });
        for file in blob.into_iter().chain([path]) {
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", file, error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The model's directory in the cache.
pub(super) fn folder(cache_dir: &Path, id: &ModelId) -> PathBuf {
    cache_dir.join(Repo::model(id.name.clone()).folder_name())
}

/// True if `text` has the form of a commit hash: it becomes the name of a directory.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
