//! Downloading, through the `hf-hub` crate.
//!
//! `hf-hub` downloads into a `.part` file, goes on where one was left and renames it at the end of
//! the stream. It does not compare lengths, which is done here, and it chokes on a `.part` that is
//! whole already, which is removed here. The revision is written last: a model whose download was
//! broken off is not found under its name.

use std::collections::BTreeSet;
use std::path::PathBuf;

use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use indicatif::{ProgressBar, ProgressStyle};

use super::cache::{CachedModel, folder, is_commit};
use super::files::{BYTE_LEVEL, OPTIONAL, SAFETENSORS_INDEX, modules, plan, shards};
use super::id::ModelId;
use super::options::HubOptions;
use crate::error::{Error, Result};

/// Failure of a download.
pub(super) struct Failure {
    pub(super) error: Error,
    /// The hub did not answer at all, as against answering no.
    pub(super) unreachable: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            unreachable: false,
        }
    }
}

/// Brings every file the model needs into the cache and returns the snapshot's directory.
///
/// A commit that is cached already is completed rather than replaced by a newer one.
pub(super) fn fetch(
    id: &ModelId,
    cached: Option<&CachedModel>,
    options: &HubOptions,
) -> Result<PathBuf, Failure> {
    let session = Session::new(id, options)?;
    let asked = cached.map_or(&id.revision, |cached| &cached.commit);
    let info = session
        .repo(asked)
        .info()
        .map_err(|error| session.failure(None, error))?;
    if !is_commit(&info.sha) {
        let reason = format!("{} names no commit for it: is it a hub?", options.endpoint);
        return Err(session.error(reason, None).into());
    }
    let listed: BTreeSet<String> = info
        .siblings
        .into_iter()
        .map(|file| file.rfilename)
        .collect();
    let plan = plan(&listed).map_err(|reason| session.error(reason, None))?;

    let model = CachedModel::at(&options.cache_dir, id, info.sha);
    let repo = session.repo(&model.commit);
    for name in &plan.small {
        session.file(&repo, &model, name)?;
    }
    // Which modules there are is known once `modules.json` is there.
    let modules = modules(&model.snapshot);
    for module in &modules {
        let weights = module.weights.iter().find(|name| listed.contains(*name));
        let files = [&module.config].into_iter().chain(weights);
        for name in files.filter(|name| listed.contains(*name) && !plan.small.contains(*name)) {
            session.file(&repo, &model, name)?;
        }
    }
    session.file(&repo, &model, plan.weights)?;
    if plan.weights == SAFETENSORS_INDEX {
        for shard in shards(&model.snapshot.join(SAFETENSORS_INDEX))? {
            if !listed.contains(&shard) {
                let reason =
                    format!("{SAFETENSORS_INDEX} names {shard}, which the repository lacks");
                return Err(session.error(reason, None).into());
            }
            session.file(&repo, &model, &shard)?;
        }
    }
    let of_modules = modules
        .iter()
        .flat_map(|module| [&module.config].into_iter().chain(&module.weights));
    let looked_for = OPTIONAL.into_iter().chain(BYTE_LEVEL);
    let looked_for = looked_for.chain(of_modules.map(String::as_str));
    for name in looked_for.filter(|name| !listed.contains(*name)) {
        model.record_absent(name)?;
    }
    session
        .cache
        .repo(session.named(&id.revision))
        .create_ref(&model.commit)
        .map_err(|error| Error::io("write the revision into", &options.cache_dir, error))?;
    if id.revision != model.commit {
        // `hf-hub` notes a commit under its own name, which the layout does not have.
        let refs = folder(&options.cache_dir, id).join("refs");
        let _ = std::fs::remove_file(refs.join(&model.commit));
    }
    Ok(model.snapshot)
}

/// One conversation with the hub about one model.
struct Session<'a> {
    api: Api,
    cache: Cache,
    id: &'a ModelId,
    options: &'a HubOptions,
}

impl<'a> Session<'a> {
    fn new(id: &'a ModelId, options: &'a HubOptions) -> Result<Self> {
        let cache = Cache::new(options.cache_dir.clone());
        let api = ApiBuilder::from_cache(cache.clone())
            .with_endpoint(options.endpoint.clone())
            .with_token(options.token.clone())
            .with_user_agent("bert-core", env!("CARGO_PKG_VERSION"))
            .build()
            .map_err(|error| Error::Hub {
                id: id.to_string(),
                reason: "the download cannot be set up".to_owned(),
                source: Some(Box::new(error)),
            })?;
        Ok(Self {
            api,
            cache,
            id,
            options,
        })
    }

    fn named(&self, revision: &str) -> Repo {
        Repo::with_revision(self.id.name.clone(), RepoType::Model, revision.to_owned())
    }

    fn repo(&self, revision: &str) -> ApiRepo {
        self.api.repo(self.named(revision))
    }

    /// Makes sure that the snapshot holds the whole of one file.
    fn file(&self, repo: &ApiRepo, model: &CachedModel, name: &str) -> Result<(), Failure> {
        let failure = |error| self.failure(Some(name), error);
        let metadata = self.api.metadata(&repo.url(name)).map_err(failure)?;
        let size = metadata.size() as u64;
        let path = model.snapshot.join(name);
        let length = |path: &PathBuf| std::fs::metadata(path).ok().map(|found| found.len());
        if metadata.commit_hash() != model.commit {
            let reason = format!(
                "{name} belongs to commit {}, not {}",
                metadata.commit_hash(),
                model.commit
            );
            return Err(self.error(reason, None).into());
        }
        if length(&path) == Some(size) {
            return Ok(());
        }
        model.remove(name)?;

        let blob = self
            .cache
            .repo(self.named(&model.commit))
            .blob_path(metadata.etag());
        let part = blob.with_extension("part");
        if length(&part).is_some_and(|length| length >= size) {
            std::fs::remove_file(&part).map_err(|error| Error::io("remove", part, error))?;
        }
        repo.download_with_progress(name, Meter::new(name, size, self.options.progress))
            .map_err(failure)?;
        match length(&path) {
            Some(length) if length == size => Ok(()),
            length => {
                model.remove(name)?;
                let reason = format!(
                    "{name} arrived with {} bytes of {size}, and was discarded: run again",
                    length.unwrap_or(0)
                );
                Err(self.error(reason, None).into())
            }
        }
    }

    fn error(&self, reason: String, source: Option<ApiError>) -> Error {
        Error::Hub {
            id: self.id.to_string(),
            reason,
            source: source.map(|source| match source {
                // The wrapper only repeats what it wraps.
                ApiError::RequestError(cause) => cause as _,
                other => Box::new(other) as _,
            }),
        }
    }

    /// Converts an error of the hub's client into a failure that names the remedy.
    fn failure(&self, file: Option<&str>, error: ApiError) -> Failure {
        let endpoint = &self.options.endpoint;
        let name = &self.id.name;
        let mut unreachable = false;
        let reason = match &error {
            ApiError::RequestError(cause) => match (&**cause, &self.options.token) {
                (ureq::Error::StatusCode(401), None) => format!(
                    "{endpoint} has no such public model (401): check the id, or set HF_TOKEN if the model is private or gated"
                ),
                (ureq::Error::StatusCode(401), Some(_)) => format!(
                    "{endpoint} refuses the token (401): set HF_TOKEN to a valid one, or check the id"
                ),
                (ureq::Error::StatusCode(403), _) => format!(
                    "{endpoint} denies access (403): accept the model's conditions at {endpoint}/{name}, and set HF_TOKEN to a token that may read it"
                ),
                (ureq::Error::StatusCode(404), _) => match file {
                    Some(file) => format!("{endpoint} lists {file} but does not have it (404)"),
                    None => format!(
                        "{endpoint} has no such model or revision (404), and there is no such directory: check the spelling"
                    ),
                },
                (ureq::Error::StatusCode(429), _) => format!(
                    "{endpoint} asks to slow down (429): wait, or set HF_TOKEN for a higher limit"
                ),
                (ureq::Error::StatusCode(status), _) => {
                    format!("{endpoint} answers {status}: try again later")
                }
                (ureq::Error::Json(_), _) => {
                    format!(
                        "{endpoint} answers with something else than a model's description: is it a hub?"
                    )
                }
                (cause, _) => {
                    unreachable = true;
                    // rustls reports through I/O errors, so that only the text tells.
                    let remedy = if cause.to_string().contains("certificate") {
                        "its certificate is not one of the public web, as behind a proxy that opens TLS: use `hf download` and give the directory that it prints"
                    } else {
                        "check the network and HF_ENDPOINT, or give a directory"
                    };
                    format!("{endpoint} cannot be reached: {remedy}")
                }
            },
            ApiError::LockAcquisition(_) => {
                "another process is downloading it: wait for that one".to_owned()
            }
            ApiError::IoError(_) => format!(
                "the transfer of {} broke off: run again to go on where it stopped",
                file.unwrap_or(name)
            ),
            _ => format!("{endpoint} answers in a way that is not understood"),
        };
        Failure {
            error: self.error(reason, Some(error)),
            unreachable,
        }
    }
}

/// Progress on standard error: a bar on a terminal, and a line for each file at its end.
struct Meter {
    name: String,
    bar: ProgressBar,
    enabled: bool,
}

impl Meter {
    fn new(name: &str, size: u64, enabled: bool) -> Self {
        let template = "downloading {msg} {percent:>3}% {bytes_per_sec}, {eta} left";
        let style = ProgressStyle::with_template(template).expect("a valid template");
        let bar = match enabled {
            true => ProgressBar::new(size),
            false => ProgressBar::hidden(),
        };
        Self {
            name: name.to_owned(),
            bar: bar.with_style(style).with_message(name.to_owned()),
            enabled,
        }
    }
}

impl Progress for Meter {
    fn init(&mut self, _size: usize, _filename: &str) {
        self.bar.set_position(0);
    }

    fn update(&mut self, size: usize) {
        self.bar.inc(size as u64);
    }

    fn finish(&mut self) {
        self.bar.finish_and_clear();
        if self.enabled {
            let megabytes = self.bar.length().unwrap_or(0) as f64 / 1e6;
            let seconds = self.bar.elapsed().as_secs_f64();
            let name = &self.name;
            eprintln!("downloaded {name} ({megabytes:.1} MB in {seconds:.1} s)");
        }
    }
}
