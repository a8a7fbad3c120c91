//! Where results and messages go.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, LineWriter, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

/// Writes a line to standard error; nobody is left to hear of it if that fails.
pub(crate) fn note(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// Results on their way to standard output or into a file.
pub(crate) struct Output {
    sink: Sink,
    /// For messages.
    name: String,
}

enum Sink {
    /// Standard output, or a device or pipe named as the output file.
    Stream(Box<dyn Write>),
    /// A file that appears under its name when it is complete.
    File {
        temporary: BufWriter<NamedTempFile>,
        path: PathBuf,
    },
}

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
        let sink = Self::file(path).with_context(|| format!("cannot write {name}"))?;
        Ok(Self { sink, name })
    }

    fn file(path: &Path) -> io::Result<Sink> {
        // Through a link to what it points at: the rename would replace the link.
        let path = match path.canonicalize() {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(error),
        };
        let existing = path.metadata().ok();
        if let Some(metadata) = &existing {
            if metadata.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            if !metadata.is_file() {
                let file = File::options().write(true).open(&path)?;
                return Ok(Sink::Stream(Box::new(BufWriter::new(file))));
            }
        }
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let mut builder = tempfile::Builder::new();
        builder.prefix(".writing-");
        // Temporary files are private by default; this one is to stay.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let temporary = builder.tempfile_in(dir.unwrap_or(Path::new(".")))?;
        if let Some(metadata) = existing {
            temporary.as_file().set_permissions(metadata.permissions())?;
        }
        Ok(Sink::File {
            temporary: BufWriter::new(temporary),
            path,
        })
    }

    /// A file for output that is not written from front to back; hand it to
    /// [`take_scratch`](Self::take_scratch) when it is complete.
    pub(crate) fn scratch(&self) -> Result<BufWriter<File>> {
        let file = match &self.sink {
            Sink::File { temporary, .. } => temporary.get_ref().as_file().try_clone(),
            Sink::Stream(_) => tempfile::tempfile(),
        };
        Ok(BufWriter::new(file.context("cannot make a temporary file")?))
    }

    /// Makes the contents of a scratch file the output.
    pub(crate) fn take_scratch(&mut self, scratch: BufWriter<File>) -> Result<()> {
        let mut file = scratch
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
            .with_context(|| self.cannot_write())?;
        // The scratch of a file is that file.
        if let Sink::Stream(stream) = &mut self.sink {
            let copied = file.rewind().and_then(|()| io::copy(&mut file, stream));
            copied.with_context(|| self.cannot_write())?;
        }
        Ok(())
    }

    /// Completes the output: nothing is certain to be there before.
    pub(crate) fn finish(self) -> Result<()> {
        let cannot_write = self.cannot_write();
        let finished = match self.sink {
            Sink::Stream(mut stream) => stream.flush(),
            Sink::File { temporary, path } => temporary
                .into_inner()
                .map_err(io::IntoInnerError::into_error)
                .and_then(|file| file.persist(path).map_err(|error| error.error))
                .map(drop),
        };
        finished.context(cannot_write)
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
            Sink::File { temporary, .. } => temporary,
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

/// Whether all that went wrong is that nobody reads standard output any more.
pub(crate) fn reader_is_gone(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>()?.get_ref())
        .any(|cause| cause.is::<ReaderIsGone>())
}
