//! The metrics of a run on disk, one JSON object per line.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::event::{Event, Observer, RunInfo};
use crate::error::{Error, Result};
use crate::files::AtomicFile;

const FORMAT: &str = "metrics log";

/// Appends every [`Event`] to a file of JSON lines, `metrics.jsonl` by custom.
///
/// A line is on its way to disk as soon as the event is reported, so a killed run loses none.
/// JSON has no numbers that are not finite: they are written as `null` and read as such.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
    /// Time of the last event, in seconds; stands in for a time that JSON cannot hold.
    elapsed_s: f64,
}

impl MetricsLog {
    /// Opens the log at `path` for a run that starts afresh (`None`: what is there is replaced) or is taken up again
    /// after `resume_at_step` optimizer steps.
    ///
    /// On resuming, lines of later steps are dropped, since the run goes on from its checkpoint and will measure them
    /// again, and so is a last line that was cut in half. A log that is not there begins empty.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file; [`Error::Malformed`] with the line for a line that is no event, in which case the
    /// file is left as it was.
    pub fn open(path: impl Into<PathBuf>, resume_at_step: Option<u64>) -> Result<Self> {
        let path = path.into();
        match resume_at_step {
            Some(step) if path.exists() => keep_until(&path, step)?,
            _ => AtomicFile::create(&path)?.finish()?,
        }
        let file = File::options().append(true).open(&path);
        Ok(Self {
            file: file.map_err(|error| Error::io("open", &path, error))?,
            path,
            elapsed_s: 0.0,
        })
    }

    /// The events of the log at `path`, in order; a last line that is still being written, or was cut, is left out.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file; [`Error::Malformed`] with the line for a line that is no event.
    pub fn read(path: impl AsRef<Path>) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        for_each_line(path.as_ref(), |_, event| {
            events.push(event);
            Ok(())
        })?;
        Ok(events)
    }
}

impl Observer for MetricsLog {
    fn start(&mut self, _run: &RunInfo) -> Result<()> {
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        let mut event = event.clone();
        match event.elapsed_s.is_finite() {
            true => self.elapsed_s = event.elapsed_s,
            false => event.elapsed_s = self.elapsed_s,
        }
        let line = serde_json::to_string(&event).map_err(std::io::Error::from);
        // In one write, so that a reader sees whole lines.
        line.and_then(|line| self.file.write_all(format!("{line}\n").as_bytes()))
            .map_err(|error| Error::io("append to", &self.path, error))
    }

    fn finish(&mut self) -> Result<()> {
        self.file
            .sync_all()
            .map_err(|error| Error::io("write", &self.path, error))
    }
}

/// Rewrites the log without the lines after `step`.
fn keep_until(path: &Path, step: u64) -> Result<()> {
    let mut kept = BufWriter::new(AtomicFile::create(path)?);
    for_each_line(path, |line, event| {
        if event.step > step {
            return Ok(());
        }
        let written = kept.write_all(line.trim_ascii_end());
        let written = written.and_then(|()| kept.write_all(b"\n"));
        written.map_err(|error| Error::io("write", path, error))
    })?;
    let kept = kept.into_inner();
    kept.map_err(|error| Error::io("write", path, error.into_error()))?
        .finish()
}

/// Calls `visit` with every line and the event in it.
fn for_each_line(path: &Path, mut visit: impl FnMut(&[u8], Event) -> Result<()>) -> Result<()> {
    let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = reader.read_until(b'\n', &mut line);
        if read.map_err(|error| Error::io("read", path, error))? == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(event) => visit(&line, event)?,
            // The writer ends a line in the same breath: this one it did not get to write.
            Err(_) if !line.ends_with(b"\n") => break,
            Err(error) => {
                // Its own line number counts within the one line.
                let reason = error.to_string();
                let reason = reason.split(" at line 1 ").next().unwrap_or_default();
                let column = error.column();
                return Err(Error::malformed(
                    path,
                    FORMAT,
                    format!(
                        "line {number}, column {column}: {reason}; remove the line to go on without it"
                    ),
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Map, json};

    use super::*;
    use crate::training::observe::event::Split;

    fn event(step: u64, loss: f64) -> Event {
        let mut values = Map::new();
        values.insert("loss".to_owned(), json!(loss));
        values.insert("learning_rate".to_owned(), json!(1e-4));
        Event {
            split: Split::Train,
            step,
            elapsed_s: step as f64 / 2.0,
            values,
        }
    }

    fn log_of(steps: &[u64]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let mut log = MetricsLog::open(&path, None).unwrap();
        for &step in steps {
            log.event(&event(step, 1.0 / step as f64)).unwrap();
        }
        log.finish().unwrap();
        (dir, path)
    }

    fn steps(path: &Path) -> Vec<u64> {
        let events = MetricsLog::read(path).unwrap();
        events.iter().map(|event| event.step).collect()
    }

    #[test]
    fn what_is_written_is_read_and_each_event_is_a_line() {
        let (_dir, path) = log_of(&[10, 20]);
        let events = MetricsLog::read(&path).unwrap();
        assert_eq!(events, [event(10, 0.1), event(20, 0.05)]);
        assert_eq!(
            fs::read_to_string(&path).unwrap().lines().next().unwrap(),
            r#"{"split":"train","step":10,"elapsed_s":5.0,"loss":0.1,"learning_rate":0.0001}"#
        );
    }

    #[test]
    fn an_event_is_on_disk_before_the_run_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let mut log = MetricsLog::open(&path, None).unwrap();
        log.event(&event(10, 2.0)).unwrap();
        assert_eq!(steps(&path), [10]);
        drop(log);
    }

    #[test]
    fn resuming_drops_what_comes_after_the_checkpoint_and_half_a_line() {
        let (_dir, path) = log_of(&[10, 20, 30, 40]);
        let before = fs::read(&path).unwrap();
        fs::write(&path, &before[..before.len() - 9]).unwrap();
        assert_eq!(steps(&path), [10, 20, 30], "a cut line is not read");

        let mut log = MetricsLog::open(&path, Some(20)).unwrap();
        assert_eq!(steps(&path), [10, 20]);
        log.event(&event(30, 0.5)).unwrap();
        assert_eq!(steps(&path), [10, 20, 30]);
        // What was kept was kept to the byte.
        let after = fs::read(&path).unwrap();
        let kept = before.iter().position(|&byte| byte == b'\n').unwrap();
        assert_eq!(before[..kept], after[..kept]);
    }

    #[test]
    fn a_whole_last_line_counts_without_its_end() {
        let (_dir, path) = log_of(&[10, 20]);
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 1]).unwrap();
        let mut log = MetricsLog::open(&path, Some(20)).unwrap();
        log.event(&event(30, 0.5)).unwrap();
        assert_eq!(steps(&path), [10, 20, 30]);
    }

    #[test]
    fn a_fresh_run_replaces_the_log_and_a_missing_one_is_begun() {
        let (_dir, path) = log_of(&[10, 20]);
        MetricsLog::open(&path, None).unwrap();
        assert!(steps(&path).is_empty());
        fs::remove_file(&path).unwrap();
        MetricsLog::open(&path, Some(5)).unwrap();
        assert!(steps(&path).is_empty());
    }

    #[test]
    fn numbers_that_are_not_finite_become_null() {
        let (_dir, path) = log_of(&[]);
        let mut log = MetricsLog::open(&path, Some(0)).unwrap();
        let mut odd = event(10, f64::NAN);
        odd.elapsed_s = f64::INFINITY;
        log.event(&event(9, 1.0)).unwrap();
        log.event(&odd).unwrap();
        let read = MetricsLog::read(&path).unwrap();
        assert_eq!(read[1].value("loss"), None);
        assert!(read[1].values["loss"].is_null());
        assert_eq!(read[1].elapsed_s, 4.5);
    }

    #[test]
    fn a_bad_line_is_named_and_nothing_is_changed() {
        let (_dir, path) = log_of(&[10, 20]);
        let text =
            fs::read_to_string(&path)
                .unwrap()
                .replacen("\"step\":10", "\"step\":\"ten\"", 1);
        fs::write(&path, &text).unwrap();
        for error in [
            MetricsLog::read(&path).unwrap_err(),
            MetricsLog::open(&path, Some(20)).unwrap_err(),
        ] {
            let error = error.to_string();
            assert!(
                error.contains("metrics.jsonl") && error.contains("line 1, column"),
                "{error}"
            );
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = MetricsLog::open(dir.path().join("none/metrics.jsonl"), None).unwrap_err();
        assert!(error.to_string().contains("none"), "{error}");
        let error = MetricsLog::read(dir.path().join("none.jsonl")).unwrap_err();
        assert!(error.to_string().contains("none.jsonl"), "{error}");
    }
}
