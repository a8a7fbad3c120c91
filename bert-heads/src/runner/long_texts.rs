//! Pooling of the outputs of a long text's windows.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use crate::error::{Error, Result};

/// Pooling of the outputs of a long text's windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LongTexts {
    /// The mean of each output: every window has its say.
    #[default]
    Mean,
    /// The highest of each output: one window is enough, as where something is to be found at all.
    Max,
}

impl LongTexts {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Mean, Self::Max];

    const fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Max => "max",
        }
    }

    /// The outputs of a text from those of its windows, of which there is at least one.
    ///
    /// An output that is no number in one window is none in the text.
    pub(super) fn pool(self, windows: &[Vec<f32>]) -> Vec<f32> {
        let mut pooled = windows.first().cloned().unwrap_or_default();
        for window in windows.iter().skip(1) {
            for (pooled, value) in pooled.iter_mut().zip(window) {
                *pooled = match self {
                    Self::Mean => *pooled + value,
                    Self::Max if pooled.is_nan() || value.is_nan() => f32::NAN,
                    Self::Max => pooled.max(*value),
                };
            }
        }
        if self == Self::Mean {
            let count = windows.len() as f32;
            pooled.iter_mut().for_each(|value| *value /= count);
        }
        pooled
    }
}

impl Display for LongTexts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for LongTexts {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|how| how.name() == name)
            .ok_or_else(|| Error::UnknownChoice {
                what: "pooling of long texts",
                name: name.to_owned(),
                known: Self::ALL.map(Self::name).join(", "),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_averaged_or_the_highest_is_taken() {
        let windows = [vec![1.0, -4.0], vec![3.0, -2.0], vec![-1.0, -9.0]];
        assert_eq!(LongTexts::Mean.pool(&windows), [1.0, -5.0]);
        assert_eq!(LongTexts::Max.pool(&windows), [3.0, -2.0]);
        for how in LongTexts::ALL {
            assert_eq!(how.pool(&windows[..1]), windows[0]);
            let broken = [vec![f32::NAN, 0.0], vec![1.0, 0.0]];
            assert!(how.pool(&broken)[0].is_nan(), "{how}");
            assert_eq!(how.to_string().parse::<LongTexts>().unwrap(), how);
        }
        assert!("median".parse::<LongTexts>().is_err());
    }
}
