//! Notes on texts that are longer than a model reads.

use super::note::note;

/// Count of the texts that took more than one window: noted at the first, summed up at the end.
#[derive(Default)]
pub(crate) struct LongTextCount {
    texts: usize,
    windows: usize,
}

impl LongTextCount {
    pub(crate) fn count(&mut self, index: usize, windows: usize, max_length: usize) {
        if windows < 2 {
            return;
        }
        if self.texts == 0 {
            note(format_args!(
                "text {index} (counted from 0) is longer than {max_length} tokens: such texts are \
                 read in overlapping windows"
            ));
        }
        self.texts += 1;
        self.windows += windows;
    }

    pub(crate) fn report(&self) {
        if self.texts > 1 {
            note(format_args!(
                "{} long texts took {} windows",
                self.texts, self.windows
            ));
        }
    }
}
