//! Source of models and their cache.

use std::path::PathBuf;

/// Endpoint and cache of models, and permission to use the network.
#[derive(Clone, PartialEq, Eq)]
pub struct HubOptions {
    /// The hub's address without a trailing slash.
    pub endpoint: String,
    /// The cache directory, the one that holds `models--owner--name`.
    pub cache_dir: PathBuf,
    /// The access token for private and gated models.
    pub token: Option<String>,
    /// Use the cache alone.
    pub offline: bool,
    /// Report downloads on standard error.
    pub progress: bool,
}

impl HubOptions {
    /// The hub itself.
    pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

    /// The options that the environment gives, by the variables and defaults of Python's
    /// `huggingface_hub`.
    ///
    /// - `HF_ENDPOINT`: a mirror.
    /// - `HF_HUB_CACHE`, else `HF_HOME/hub`, else `XDG_CACHE_HOME/huggingface/hub`, else
    ///   `~/.cache/huggingface/hub`.
    /// - `HF_TOKEN`, else the file `HF_TOKEN_PATH`, else the file `HF_HOME/token`, which
    ///   `hf auth login` writes.
    /// - `HF_HUB_OFFLINE`: 1, on, yes or true forbid the network.
    /// - `HF_HUB_DISABLE_PROGRESS_BARS`: the same values silence the progress.
    pub fn from_env() -> Self {
        Self::from_lookup(
            |name| std::env::var(name).ok(),
            std::env::home_dir().unwrap_or_default(),
        )
    }

    /// [`from_env`](Self::from_env) with the environment as a function and the home directory as
    /// an argument.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>, home: PathBuf) -> Self {
        let text = |name| {
            lookup(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let path = |name| {
            text(name).map(|value| match value.strip_prefix("~/") {
                Some(rest) => home.join(rest),
                None => PathBuf::from(value),
            })
        };
        let flag = |name| {
            text(name).is_some_and(|value| {
                ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str())
            })
        };

        let hf_home = path("HF_HOME").unwrap_or_else(|| {
            path("XDG_CACHE_HOME")
                .unwrap_or_else(|| home.join(".cache"))
                .join("huggingface")
        });
        let token_file = path("HF_TOKEN_PATH").unwrap_or_else(|| hf_home.join("token"));
        Self {
            endpoint: text("HF_ENDPOINT")
                .unwrap_or_else(|| Self::DEFAULT_ENDPOINT.to_owned())
                .trim_end_matches('/')
                .to_owned(),
            cache_dir: path("HF_HUB_CACHE").unwrap_or_else(|| hf_home.join("hub")),
            token: text("HF_TOKEN").or_else(|| {
                let token = std::fs::read_to_string(token_file).ok()?;
                Some(token.trim().to_owned()).filter(|token| !token.is_empty())
            }),
            offline: flag("HF_HUB_OFFLINE"),
            progress: !flag("HF_HUB_DISABLE_PROGRESS_BARS"),
        }
    }
}

impl std::fmt::Debug for HubOptions {
    /// Leaves the token out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubOptions")
            .field("endpoint", &self.endpoint)
            .field("cache_dir", &self.cache_dir)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("offline", &self.offline)
            .field("progress", &self.progress)
            .finish()
    }
}
