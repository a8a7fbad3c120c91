//! Progress of a long run, on standard error.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use bert_heads::sentence_embedding::Progress;
use indicatif::{ProgressBar, ProgressStyle};

use super::note::note;

/// Time between two lines in a log file.
const NEXT_LINE: Duration = Duration::from_secs(10);

/// On a terminal a line that is written over; elsewhere a line now and then.
pub(crate) struct ProgressLine {
    bar: ProgressBar,
    noted: Instant,
}

impl ProgressLine {
    pub(crate) fn new() -> Self {
        // Results on the same terminal would end up in the middle of the line.
        let bar = match io::stdout().is_terminal() {
            true => ProgressBar::hidden(),
            false => ProgressBar::new_spinner(),
        };
        let style = ProgressStyle::with_template("{msg}").expect("a valid template");
        Self {
            bar: bar.with_style(style),
            noted: Instant::now(),
        }
    }

    pub(crate) fn update(&mut self, progress: Progress) {
        if !self.bar.is_hidden() {
            self.bar.set_message(self.status(progress));
        } else if self.noted.elapsed() >= NEXT_LINE {
            self.noted = Instant::now();
            note(self.status(progress));
        }
    }

    /// Takes the line away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Counts and rate since the start.
    pub(crate) fn status(&self, Progress { texts, tokens }: Progress) -> String {
        let seconds = self.bar.elapsed().as_secs_f64();
        let tokens_per_second = tokens as f64 / seconds.max(1e-9);
        format!(
            "{texts} texts, {tokens} tokens in {seconds:.1} s ({tokens_per_second:.0} tokens/s)"
        )
    }
}
