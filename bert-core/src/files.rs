//! Files written as a whole or not at all.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// A file in the making: it lies beside its place under a temporary name until
/// [`finish`](Self::finish) moves it there, and vanishes if that never happens.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    file: NamedTempFile,
}

impl AtomicFile {
    /// Starts a file that will be at `path`, readable as any other new file of the user's.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] naming `path` when its directory cannot be written.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let dir = path
            .parent()
            .filter(|dir| !dir.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".writing-");
        // Temporary files are private by default; this one is to stay.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        match builder.tempfile_in(dir) {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => Err(Error::io("create", path, error)),
        }
    }

    /// The place it will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Flushes to disk and moves the file to its place, over what may be there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] naming the place.
    pub fn finish(self) -> Result<()> {
        let Self { path, file } = self;
        let done = file
            .as_file()
            .sync_all()
            .and_then(|()| file.persist(&path).map_err(|error| error.error));
        match done {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::io("write", path, error)),
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl io::Seek for AtomicFile {
    fn seek(&mut self, position: io::SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

/// Writes `bytes` to `path` as a whole or not at all.
///
/// # Errors
///
/// [`Error::Io`] naming `path`.
pub fn write_atomically(path: impl Into<PathBuf>, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    match file.write_all(bytes) {
        Ok(()) => file.finish(),
        Err(error) => Err(Error::io("write", file.path, error)),
    }
}
