//! Results on their way to standard output or into a file.

use std::fmt::Display;
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, IsTerminal, LineWriter, Seek, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use bert_core::files::AtomicFile;

use super::interrupt::Unfinished;

/// Writer of results to standard output or into a file.
pub(crate) struct Output {
    sink: Sink,
    /// For messages.
    name: String,
}

/// Creates an output directory and its parents.
pub(crate) fn create_dir(path: &Path) -> Result<()> {
    if path.is_file() {
        bail!("{} is a file: name another directory", path.display());
    }
    fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))
}

enum Sink {
    /// Standard output, or a device or pipe named as the output file.
    Stream(Box<dyn Write>),
    /// A file that appears under its name when it is complete, with the permissions of the one it
    /// replaces.
    File(BufWriter<AtomicFile>, Option<Permissions>, Unfinished),
}

/// Output that can be written at any position.
pub(crate) trait WriteSeek: Write + Seek {}

impl<T: Write + Seek> WriteSeek for T {}

impl Output {
    /// Standard output, a line at a time if a person is reading.
    pub(crate) fn stdout() -> Self {
        let stdout = Stdout(io::stdout());
        Self {
            sink: Sink::Stream(match io::stdout().is_terminal() {
                true => Box::new(LineWriter::new(stdout)),
                false => Box::new(BufWriter::new(stdout)),
            }),
            name: "standard output".to_owned(),
        }
    }

    /// The file at `path`, or standard output without one.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::stdout());
        };
        let name = path.display().to_string();
        let cannot_write = || format!("cannot write {name}");
        let (path, metadata) = match path.canonicalize() {
            // Through a link to what it points at: the renaming would replace the link.
            Ok(target) => {
                let metadata = target.metadata().with_context(cannot_write)?;
                (target, Some(metadata))
            }
            Err(_) => (path.to_owned(), None),
        };
        let sink = match metadata {
            Some(metadata) if !metadata.is_file() => {
                let file = File::options().write(true).open(&path);
                Sink::Stream(Box::new(BufWriter::new(file.with_context(cannot_write)?)))
            }
            metadata => {
                let file = AtomicFile::create(path)?;
                let unfinished = Unfinished::new(file.temporary_path().to_owned())?;
                let permissions = metadata.map(|metadata| metadata.permissions());
                Sink::File(BufWriter::new(file), permissions, unfinished)
            }
        };
        Ok(Self { sink, name })
    }

    /// Output with random access for `write`; a stream receives it at the end, by way of a temporary file.
    pub(crate) fn seekable<T>(
        &mut self,
        write: impl FnOnce(&mut dyn WriteSeek) -> Result<T>,
    ) -> Result<T> {
        let cannot_write = self.cannot_write();
        match &mut self.sink {
            Sink::File(file, ..) => write(file),
            Sink::Stream(stream) => {
                let file = tempfile::tempfile().context("cannot make a temporary file")?;
                let mut file = BufWriter::new(file);
                let result = write(&mut file)?;
                file.rewind()
                    .and_then(|()| io::copy(file.get_mut(), stream))
                    .context(cannot_write)?;
                Ok(result)
            }
        }
    }

    /// Completes the output: nothing is certain to be there before.
    pub(crate) fn finish(self) -> Result<()> {
        let cannot_write = self.cannot_write();
        match self.sink {
            Sink::Stream(mut stream) => stream.flush().context(cannot_write),
            Sink::File(file, permissions, _unfinished) => {
                let file = file.into_inner().map_err(io::IntoInnerError::into_error);
                let file = file.with_context(|| cannot_write.clone())?;
                let path = file.path().to_owned();
                file.finish()?;
                match permissions {
                    Some(permissions) => {
                        fs::set_permissions(path, permissions).context(cannot_write)
                    }
                    None => Ok(()),
                }
            }
        }
    }

    /// Writes `value` as a line of JSON.
    pub(crate) fn json(&mut self, value: &impl serde::Serialize) -> Result<()> {
        let writer = self.writer();
        // Back to the error of the writer, which says whether the reader is gone.
        let written = serde_json::to_writer(&mut *writer, value).map_err(io::Error::from);
        let written = written.and_then(|()| writer.write_all(b"\n"));
        written.with_context(|| self.cannot_write())
    }

    /// Writes a line of text.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<()> {
        let written = writeln!(self.writer(), "{text}");
        written.with_context(|| self.cannot_write())
    }

    fn writer(&mut self) -> &mut dyn Write {
        match &mut self.sink {
            Sink::Stream(stream) => stream,
            Sink::File(file, ..) => file,
        }
    }

    fn cannot_write(&self) -> String {
        format!("cannot write {}", self.name)
    }
}

/// Standard output that tells its own broken pipe from those of sockets.
struct Stdout(io::Stdout);

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(mark)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(mark)
    }
}

fn mark(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => io::Error::new(error.kind(), ReaderIsGone),
        _ => error,
    }
}

#[derive(Debug)]
struct ReaderIsGone;

impl Display for ReaderIsGone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("its reader is gone")
    }
}

impl std::error::Error for ReaderIsGone {}

/// True if the error comes from a reader of standard output that is gone.
pub(crate) fn reader_is_gone(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>()?.get_ref())
        .any(|cause| cause.is::<ReaderIsGone>())
}
