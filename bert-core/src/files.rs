//! Files written as a whole or not at all, and ways of reading that several readers share.

mod temporary;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use tempfile::NamedTempFile;

pub use temporary::TemporaryDirectory;

use crate::error::{Error, Result};

/// Directory for what can be made again: `BERT_CACHE_DIR`, else `XDG_CACHE_HOME/bert`, else `~/.cache/bert`. `None` without
/// a home directory. It need not exist.
pub fn cache_dir() -> Option<PathBuf> {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    variable("BERT_CACHE_DIR").or_else(|| {
        let caches = variable("XDG_CACHE_HOME")
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
        Some(caches?.join("bert"))
    })
}

/// A file in the making: it lies beside its place under a temporary name until
/// [`finish`](Self::finish) moves it there, and vanishes if that never happens. What a killed process
/// leaves is removed by the next one that writes there.
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
    /// [`Error::Io`] naming `path` when its directory cannot be written, or when a device or a pipe is there: the
    /// file would take its place, and `/dev/null` would be lost.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if is_stream(&path) {
            let reason = io::Error::other("a device or a pipe is there; name a file");
            return Err(Error::io("replace", path, reason));
        }
        let dir = path
            .parent()
            .filter(|dir| !dir.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        match temporary::file_in(dir, ".writing-") {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => Err(Error::io("create", path, error)),
        }
    }

    /// The place it will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Temporary path of the file: a handler of signals that ends the process can remove it.
    pub fn temporary_path(&self) -> &Path {
        self.file.path()
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

/// True if `path` is, or is a link to, a sink that keeps no file: a device, a pipe, a socket.
fn is_stream(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// Writes `bytes` to `path` as a whole or not at all. A device or a pipe that is there gets them as they are.
///
/// # Errors
///
/// [`Error::Io`] naming `path`.
pub fn write_atomically(path: impl Into<PathBuf>, bytes: &[u8]) -> Result<()> {
    let path = path.into();
    if is_stream(&path) {
        let stream = File::options().write(true).open(&path);
        return stream
            .and_then(|mut stream| stream.write_all(bytes))
            .map_err(|error| Error::io("write", path, error));
    }
    let mut file = AtomicFile::create(path)?;
    match file.write_all(bytes) {
        Ok(()) => file.finish(),
        Err(error) => Err(Error::io("write", file.path, error)),
    }
}

/// Copies the files of the directory `from` and of those within it to `to`, each file as a whole.
///
/// # Errors
///
/// [`Error::Io`] naming what cannot be read or written.
pub fn copy_directory(from: &Path, to: &Path) -> Result<()> {
    let failed = |error| Error::io("read", from, error);
    fs::create_dir_all(to).map_err(|error| Error::io("create", to, error))?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_directory(&path, &target)?;
        } else {
            let bytes = fs::read(&path).map_err(|error| Error::io("read", &path, error))?;
            write_atomically(target, &bytes)?;
        }
    }
    Ok(())
}

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Contents of `raw`, decompressed if it is gzip or zstd.
///
/// The first bytes decide and not a name: downloads are often renamed.
///
/// # Errors
///
/// When the first bytes cannot be read; damaged contents show while reading.
pub fn decompressed(mut raw: impl Read + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    let mut magic = Vec::new();
    // No byte more than it takes: the first line of a pipe may be shorter.
    while [GZIP, ZSTD]
        .iter()
        .any(|known| magic.len() < known.len() && known.starts_with(&magic))
    {
        if raw.by_ref().take(1).read_to_end(&mut magic)? == 0 {
            break;
        }
    }
    let (is_gzip, is_zstd) = (magic == GZIP, magic == ZSTD);
    let whole = BufReader::new(Cursor::new(magic).chain(raw));
    Ok(if is_gzip {
        // Several members in one file, as parallel compressors write, are one text.
        Box::new(BufReader::new(MultiGzDecoder::new(whole)))
    } else if is_zstd {
        Box::new(BufReader::new(zstd::Decoder::with_buffer(whole)?))
    } else {
        Box::new(whole)
    })
}

/// Fills `bytes` from `offset` on, leaving the file's own position alone, so that threads can share it.
///
/// # Errors
///
/// When the file cannot be read or ends before.
#[cfg(unix)]
pub fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

/// Fills `bytes` from `offset` on; threads can share the file.
///
/// # Errors
///
/// When the file cannot be read or ends before.
#[cfg(windows)]
pub fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                bytes = &mut bytes[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::error::Error as _;
    use std::os::unix::fs::FileTypeExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_pipe_is_written_to_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();

        for path in [&pipe, &link] {
            let reader = std::thread::spawn({
                let pipe = pipe.clone();
                move || std::fs::read(pipe).unwrap()
            });
            write_atomically(path, b"words").unwrap();
            assert_eq!(reader.join().unwrap(), b"words");
            let error = AtomicFile::create(path).unwrap_err();
            let reason = error.source().expect("a reason").to_string();
            assert!(reason.contains("name a file"), "{error}: {reason}");
            assert!(pipe.metadata().unwrap().file_type().is_fifo());
            assert_eq!(dir.path().read_dir().unwrap().count(), 2);
        }
    }

    #[test]
    fn a_directory_is_copied_over_another_with_all_within() {
        let dir = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
        fs::create_dir_all(from.join("inner")).unwrap();
        fs::create_dir(&to).unwrap();
        for (path, text) in [
            (from.join("a"), "new"),
            (from.join("inner/b"), "inner"),
            (to.join("a"), "old"),
            (to.join("kept"), "kept"),
        ] {
            fs::write(path, text).unwrap();
        }
        copy_directory(&from, &to).unwrap();
        for (name, text) in [("a", "new"), ("inner/b", "inner"), ("kept", "kept")] {
            assert_eq!(fs::read_to_string(to.join(name)).unwrap(), text);
        }
        let error = copy_directory(&dir.path().join("none"), &to).unwrap_err();
        assert!(error.to_string().contains("none"), "{error}");
    }
}
