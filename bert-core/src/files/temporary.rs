//! Temporary files and directories beside their place, and an end to those that killed processes left.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::{NamedTempFile, TempDir};

use crate::error::{Error, Result};

/// Time that something must have lain untouched before it counts as left behind: what has just been made may not be locked
/// yet.
const SETTLED: Duration = Duration::from_secs(60);

/// Random letters that follow the prefix of a temporary name.
const RANDOM_LETTERS: usize = 6;

const LOCK: &str = ".lock";

/// A directory for the duration of some work; it vanishes when dropped.
///
/// A killed process cannot remove its own, so the next one in the same place removes those whose
/// owners are gone: each holds the lock of a file in it while it lives.
#[derive(Debug)]
pub struct TemporaryDirectory {
    // Dropped before the lock's file is closed; the order of fields is the order of drops.
    dir: TempDir,
    _lock: File,
}

impl TemporaryDirectory {
    /// Makes one in `dir` with a name that begins with `prefix`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] naming `dir`.
    pub fn create_in(dir: &Path, prefix: &str) -> Result<Self> {
        let fail = |error| Error::io("create a directory in", dir, error);
        remove_abandoned(dir, prefix);
        let made = tempfile::Builder::new()
            .prefix(prefix)
            .rand_bytes(RANDOM_LETTERS)
            .tempdir_in(dir)
            .map_err(fail)?;
        let lock = File::create(made.path().join(LOCK)).map_err(fail)?;
        // A file system without locks only loses the clearing up.
        let _ = lock.try_lock();
        Ok(Self {
            dir: made,
            _lock: lock,
        })
    }

    /// Path of the directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// A temporary file in `dir` whose name begins with `prefix`, readable as any other new file of the
/// user's, and locked while it lives.
pub(super) fn file_in(dir: &Path, prefix: &str) -> std::io::Result<NamedTempFile> {
    remove_abandoned(dir, prefix);
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).rand_bytes(RANDOM_LETTERS);
    // Temporary files are private by default; this one is to stay.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    // That there is no such directory is said without a name that nobody asked for.
    fs::metadata(dir)?;
    let file = builder.tempfile_in(dir)?;
    let _ = file.as_file().try_lock();
    Ok(file)
}

/// Removes what processes that are gone left in `dir` under names with `prefix`; what cannot be
/// removed stays, for nothing depends on it.
fn remove_abandoned(dir: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if is_abandoned(&path, prefix) {
            let _ = match path.is_dir() {
                true => fs::remove_dir_all(&path),
                false => fs::remove_file(&path),
            };
        }
    }
}

fn is_abandoned(path: &Path, prefix: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(letters) = name.and_then(|name| name.strip_prefix(prefix)) else {
        return false;
    };
    if letters.len() != RANDOM_LETTERS || !letters.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return false;
    }
    let locked: PathBuf = match path.is_dir() {
        true => path.join(LOCK),
        false => path.to_owned(),
    };
    let Ok(file) = File::options().write(true).open(locked) else {
        return false;
    };
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    let settled = modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age >= SETTLED));
    settled && file.try_lock().is_ok()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn age(file: &Path) {
        let file = File::options().write(true).open(file).unwrap();
        file.set_modified(SystemTime::now() - 2 * SETTLED).unwrap();
    }

    #[test]
    fn what_a_killed_process_left_goes_and_everything_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in [".work-abc123", ".work-tooyoung", ".work-a", "work-abc123"] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join(LOCK), "").unwrap();
            fs::write(at(name).join("data"), "data").unwrap();
            age(&at(name).join(LOCK));
        }
        fs::create_dir(at(".work-yang12")).unwrap();
        fs::write(at(".work-yang12").join(LOCK), "").unwrap();
        fs::create_dir(at(".work-noLock")).unwrap();
        let held = TemporaryDirectory::create_in(dir.path(), ".work-").unwrap();
        age(&held.path().join(LOCK));

        let next = TemporaryDirectory::create_in(dir.path(), ".work-").unwrap();
        assert!(!at(".work-abc123").exists(), "its owner is gone");
        assert!(held.path().exists(), "its owner lives");
        for kept in [
            ".work-tooyoung",
            ".work-a",
            "work-abc123",
            ".work-yang12",
            ".work-noLock",
        ] {
            assert!(at(kept).exists(), "{kept}");
        }
        let path = next.path().to_owned();
        drop(next);
        assert!(!path.exists());
    }

    #[test]
    fn files_likewise() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join(".writing-abc123");
        fs::write(&left, "half").unwrap();
        age(&left);
        let held = file_in(dir.path(), ".writing-").unwrap();
        age(held.path());
        let _next = file_in(dir.path(), ".writing-").unwrap();
        assert!(!left.exists() && held.path().exists());
    }
}
