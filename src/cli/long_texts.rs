//! Texts that are longer than a model reads: options for their windows, and notes on them.

use bert_core::inference::Weights;
use bert_heads::runner::{LongTexts, PredictOptions};

use super::note::note;

/// Lengths of rows and batches, and windows over long texts.
#[derive(clap::Args)]
pub(crate) struct WindowArgs {
    /// Most tokens that the model reads at once; longer texts are read in overlapping windows
    /// [default: as many as it has positions]
    #[arg(long, value_name = "N")]
    pub(crate) max_length: Option<usize>,
    /// Tokens that two windows of a long text share at least [default: a quarter of --max-length]
    #[arg(long, value_name = "N")]
    pub(crate) overlap: Option<usize>,
    /// Pooling of the outputs of a long text's windows, for classifiers of texts: mean or max
    #[arg(long, value_name = "HOW", default_value_t)]
    long_texts: LongTexts,
    /// Most tokens of a batch, padding included
    #[arg(long, value_name = "N", default_value_t = PredictOptions::default().batch_tokens)]
    batch_tokens: usize,
}

impl WindowArgs {
    /// Options of predictions with weights in that precision.
    pub(crate) fn options(&self, weights: Weights) -> PredictOptions {
        PredictOptions {
            max_length: self.max_length,
            overlap: self.overlap,
            long_texts: self.long_texts,
            batch_tokens: self.batch_tokens,
            weights,
        }
    }
}

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
