//! Python interpreters: the one at hand, or one in a virtual environment of our own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell;

/// The interpreter to start from when none is named.
pub(crate) const SYSTEM: &str = if cfg!(windows) { "python" } else { "python3" };

/// The directory of the scripts that go with the tasks.
pub(crate) fn scripts() -> PathBuf {
    shell::root().join("xtask").join("python")
}

/// An interpreter that has pip: `python` itself, or one in a virtual environment made under `scratch`.
///
/// # Errors
/// If there is no pip and no way to get one.
pub(crate) fn with_pip(python: &Path, scratch: &Path) -> Result<PathBuf> {
    if shell::succeeds(Command::new(python).args(["-m", "pip", "--version"])) {
        return Ok(python.to_path_buf());
    }
    virtual_environment(python, scratch)
}

/// Makes a virtual environment in `directory` unless one that works is there, and returns its interpreter.
///
/// # Errors
/// If `python` isn't there or can't make virtual environments.
pub(crate) fn virtual_environment(python: &Path, directory: &Path) -> Result<PathBuf> {
    let inside = if cfg!(windows) {
        "Scripts/python.exe"
    } else {
        "bin/python"
    };
    let interpreter = directory.join(inside);
    if !shell::succeeds(Command::new(&interpreter).args(["-m", "pip", "--version"])) {
        let made = shell::run(Command::new(python).args(["-m", "venv"]).arg(directory));
        made.with_context(|| {
            format!(
                "no virtual environment from `{}`; install Python 3 with its venv module \
                 (Debian: apt-get install python3 python3-venv), or name an interpreter with --python",
                python.display()
            )
        })?;
    }
    Ok(interpreter)
}
