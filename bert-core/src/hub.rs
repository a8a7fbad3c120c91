//! Models by directory or by hub id, through the cache that `huggingface_hub` uses too.
//!
//! [`resolve_model`] turns what a person types into a directory on disk:
//! an existing directory is itself, and `owner/name`, `owner/name@revision` or a bare name such as
//! `bert-base-uncased` is a model of the hub, downloaded once and then taken from the cache.
//! The cache has the layout of Python's `huggingface_hub`
//! (`models--owner--name/snapshots/<commit>/`), so that what either downloads serves both.
//!
//! A cached model is used as it is, without asking the hub for news:
//! name a revision, or remove the model from the cache, to get another version.

mod cache;
mod fetch;
mod files;
mod id;
mod options;

use std::path::{Path, PathBuf};

pub use options::HubOptions;

use crate::error::{Error, Result};
use cache::CachedModel;
use id::{Named, parse};

/// The directory of a model given by path or by hub id, as the environment says
/// ([`HubOptions::from_env`]).
///
/// # Errors
/// [`Error::Io`] for a path that isn't there, and [`Error::Hub`] for an id that cannot be had:
/// unknown, private, unreachable, or not cached while offline.
pub fn resolve_model(id_or_dir: &str) -> Result<PathBuf> {
    resolve_model_with(id_or_dir, &HubOptions::from_env())
}

/// The directory of a model given by path or by hub id.
///
/// # Errors
/// Those of [`resolve_model`].
pub fn resolve_model_with(id_or_dir: &str, options: &HubOptions) -> Result<PathBuf> {
    let path = Path::new(id_or_dir);
    if path.is_dir() {
        return Ok(path.to_owned());
    }
    if path.is_file() {
        return Err(Error::FileMissing {
            dir: path.to_owned(),
            looked_for: vec!["config.json".to_owned()],
            remedy: "it is a file: give the directory that holds config.json".to_owned(),
        });
    }
    let id = match parse(id_or_dir)? {
        Named::Id(id) => id,
        Named::Path => {
            return Err(Error::io(
                "find the model directory",
                path,
                std::io::ErrorKind::NotFound.into(),
            ));
        }
    };

    let cached = CachedModel::find(&options.cache_dir, &id);
    if let Some(cached) = &cached
        && cached.is_complete()
        && (options.offline || cached.is_settled())
    {
        return Ok(cached.snapshot.clone());
    }
    if options.offline {
        return Err(offline(&id.to_string(), cached.as_ref(), options));
    }
    match (fetch::fetch(&id, cached.as_ref(), options), cached) {
        // The weights are there, only the question whether the repository has more went unanswered.
        (Err(failure), Some(cached)) if failure.unreachable && cached.is_complete() => {
            eprintln!(
                "warning: {} cannot be reached: using {id} as cached",
                options.endpoint
            );
            Ok(cached.snapshot)
        }
        (Err(failure), _) => Err(failure.error),
        (Ok(snapshot), _) => Ok(snapshot),
    }
}

/// Offline, and what is needed isn't in the cache.
fn offline(id: &str, cached: Option<&CachedModel>, options: &HubOptions) -> Error {
    let state = match cached {
        None => "no such directory, and not in the cache".to_owned(),
        Some(cached) => format!(
            "only partly in the cache (no {})",
            cached.missing().join(", no ")
        ),
    };
    Error::Hub {
        id: id.to_owned(),
        reason: format!(
            "{state} {}, and HF_HUB_OFFLINE forbids downloading: unset it, or run `hf download {}` on a machine with network access and give the directory that it prints",
            options.cache_dir.display(),
            id.replace('@', " --revision "),
        ),
        source: None,
    }
}
