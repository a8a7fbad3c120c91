//! Python interpreters: the one at hand, or one in a virtual environment of our own.

use std::fs;
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

/// A virtual environment in `directory` with the packages that `requirements` pins; installs only when the pins have
/// changed. Returns its interpreter.
///
/// # Errors
/// If `python` isn't there, or a package can't be had.
pub(crate) fn with_packages(
    python: &Path,
    directory: &Path,
    requirements: &Path,
) -> Result<PathBuf> {
    let interpreter = virtual_environment(python, directory)?;
    let installed = directory.join("installed-requirements.txt");
    let wanted = fs::read(requirements)?;
    if fs::read(&installed).ok().as_ref() != Some(&wanted) {
        let mut pip = Command::new(&interpreter);
        pip.args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(requirements);
        shell::run(&mut pip)
            .context("could not install the pinned packages; Python 3.11 or newer is needed")?;
        fs::write(&installed, wanted)?;
    }
    Ok(interpreter)
}

/// Working directory of tasks: ignored by git, gone with `cargo clean`.
pub(crate) fn work() -> PathBuf {
    shell::root().join("target").join("xtask")
}
