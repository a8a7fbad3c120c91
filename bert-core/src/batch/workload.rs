//! Buffers that a model makes for a batch, against those that a graphics adapter can hold.

use crate::config::BertConfig;
use crate::device::{Device, largest_buffer};
use crate::error::{Error, Result};

/// Rows that a network computes at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Rows of a batch.
    pub rows: usize,
    /// Tokens of a row, padding included.
    pub tokens: usize,
    /// Tokens of the whole batch that are scored against the vocabulary; 0 without a masked-LM head.
    pub scored: usize,
    /// Remedy where a buffer is too large: "use a smaller --batch-size (--accumulate makes up for it)".
    pub remedy: &'static str,
}

impl Workload {
    /// Batches of at most `batch_tokens` tokens, with rows of `tokens` tokens, for a model without a masked-LM head.
    pub fn of_batches(batch_tokens: usize, tokens: usize) -> Self {
        Self {
            rows: (batch_tokens / tokens.max(1)).max(1),
            tokens,
            scored: 0,
            remedy: "use a smaller --batch-tokens, or a smaller --max-length",
        }
    }

    /// The largest buffers of a pass, in bytes of 32-bit floats, each with its name.
    fn buffers(&self, config: &BertConfig) -> [(&'static str, u64); 4] {
        let floats = |factors: [usize; 4]| {
            factors
                .into_iter()
                .fold(4_u64, |bytes, factor| bytes.saturating_mul(factor as u64))
        };
        let Self {
            rows,
            tokens,
            scored,
            ..
        } = *self;
        [
            (
                "the word embeddings",
                floats([config.vocab_size, config.hidden_size, 1, 1]),
            ),
            (
                "attention scores",
                floats([rows, config.num_attention_heads, tokens, tokens]),
            ),
            (
                "the feed-forward layer",
                floats([rows, tokens, config.widened_size(), 1]),
            ),
            (
                "the scores of the vocabulary",
                floats([scored, config.vocab_size, 1, 1]),
            ),
        ]
    }

    /// Compares the buffers of a pass with what `device` allows.
    ///
    /// # Errors
    /// [`Error::BufferTooLarge`] for the largest that is beyond it.
    pub fn check(&self, config: &BertConfig, device: &Device) -> Result<()> {
        match largest_buffer(device) {
            Some(limit) => self.within(config, limit),
            None => Ok(()),
        }
    }

    fn within(&self, config: &BertConfig, limit: u64) -> Result<()> {
        let buffers = self.buffers(config);
        let largest = buffers.into_iter().max_by_key(|(_, bytes)| *bytes);
        match largest {
            Some((what, bytes)) if bytes > limit => Err(Error::BufferTooLarge {
                what,
                bytes,
                limit,
                remedy: match what {
                    "the word embeddings" => {
                        "use another device, or a model with a smaller vocabulary"
                    }
                    _ => self.remedy,
                },
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_buffer_decides_and_is_named() {
        let base = BertConfig::preset_by_name("base").unwrap();
        let workload = |rows, tokens, scored| Workload {
            rows,
            tokens,
            scored,
            remedy: "use a smaller --batch-size",
        };
        let mib = |n: u64| n << 20;
        assert!(workload(8, 128, 160).within(&base, mib(128)).is_ok());
        let message = |workload: Workload, limit| {
            let error = workload.within(&base, limit).unwrap_err();
            assert!(matches!(error, Error::BufferTooLarge { .. }));
            error.to_string()
        };
        // 32 x 12 heads x 512 x 512 x 4 bytes
        let scores = message(workload(32, 512, 0), mib(128));
        assert!(
            scores.contains("attention scores") && scores.contains("384.0 MiB"),
            "{scores}"
        );
        assert!(scores.ends_with("use a smaller --batch-size"), "{scores}");
        let vocabulary = message(workload(256, 64, 256 * 10), mib(256));
        assert!(
            vocabulary.contains("scores of the vocabulary"),
            "{vocabulary}"
        );
        let words = message(workload(1, 8, 0), mib(64));
        assert!(words.contains("smaller vocabulary"), "{words}");
    }
}
