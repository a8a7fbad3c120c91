//! Options of a preparation.

use serde::{Deserialize, Serialize};

use super::record::MAX_SEQ_LENGTH;
use super::{MaskingOptions, PairOptions};
use crate::{Error, Result};

/// Shards at most: every one is an open file to its reader.
const MAX_SHARDS: usize = 256;

/// Options of preparing instances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrepareOptions {
    /// Segments.
    pub pair: PairOptions,
    /// Masks.
    pub masking: MaskingOptions,
    /// Number of passes over every document, with other pairs and masks each time; Google's `dupe_factor`.
    pub duplicates: usize,
    /// Decides pairs, masks and order.
    pub seed: u64,
    /// Files to spread the instances over, from 1 to 256.
    pub shards: usize,
    /// Bytes of memory to work in, roughly; the result does not depend on it and does not record it.
    #[serde(skip, default = "default_buffer")]
    pub buffer: usize,
}

fn default_buffer() -> usize {
    256 << 20
}

impl Default for PrepareOptions {
    fn default() -> Self {
        Self {
            pair: PairOptions::default(),
            masking: MaskingOptions::default(),
            duplicates: 10,
            seed: 12345,
            shards: 1,
            buffer: default_buffer(),
        }
    }
}

impl PrepareOptions {
    /// Checks that every field is in its range.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] naming the field that is not.
    pub fn check(&self) -> Result<()> {
        self.pair.check()?;
        self.masking.check()?;
        let outside = |option, value: usize, expected| {
            Err(Error::InvalidOption {
                option,
                value: value.to_string(),
                expected,
            })
        };
        if self.pair.max_seq_length > MAX_SEQ_LENGTH {
            let length = self.pair.max_seq_length;
            return outside("max_seq_length", length, "at most 65535 in prepared files");
        }
        if self.duplicates == 0 {
            return outside("duplicates", 0, "at least 1");
        }
        if !(1..=MAX_SHARDS).contains(&self.shards) {
            return outside("shards", self.shards, "from 1 to 256");
        }
        Ok(())
    }
}
