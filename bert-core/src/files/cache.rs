//! The directory for what this program keeps between runs and can make again.

use std::path::PathBuf;

/// `BERT_CACHE_DIR`, else `bert` in the user's cache directory: `XDG_CACHE_HOME` or `~/.cache`, on macOS `~/Library/Caches`,
/// on Windows `%LOCALAPPDATA%`. `None` where the system names none of them.
pub fn cache_dir() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(dir) = variable("BERT_CACHE_DIR") {
        return Some(dir.into());
    }
    let home = || std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    let caches = if cfg!(windows) {
        variable("LOCALAPPDATA").map(PathBuf::from)
    } else if cfg!(target_os = "macos") {
        home().map(|home| home.join("Library/Caches"))
    } else {
        variable("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| home().map(|home| home.join(".cache")))
    };
    caches.map(|caches| caches.join("bert"))
}
