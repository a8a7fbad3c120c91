//! How far a long run has come, on standard error.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use bert_heads::sentence_embedding::Progress;

/// On a terminal a line that is written over; elsewhere a line now and then.
pub(crate) struct ProgressLine {
    start: Instant,
    shown: Instant,
    in_place: bool,
    dirty: bool,
}

impl ProgressLine {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            start: now,
            shown: now,
            // Results on the same terminal would end up in the middle of the line.
            in_place: io::stderr().is_terminal() && !io::stdout().is_terminal(),
            dirty: false,
        }
    }

    pub(crate) fn update(&mut self, progress: Progress) {
        let pause = Duration::from_millis(if self.in_place { 200 } else { 10_000 });
        if self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let (before, after) = if self.in_place {
            ("\r", "\x1b[K")
        } else {
            ("", "\n")
        };
        self.dirty = self.in_place;
        let _ = write!(io::stderr(), "{before}{}{after}", self.status(progress));
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.dirty) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    /// Counts and rate since the start.
    pub(crate) fn status(&self, Progress { texts, tokens }: Progress) -> String {
        let seconds = self.start.elapsed().as_secs_f64();
        let tokens_per_second = tokens as f64 / seconds.max(1e-9);
        format!(
            "{texts} texts, {tokens} tokens in {seconds:.1} s ({tokens_per_second:.0} tokens/s)"
        )
    }
}
