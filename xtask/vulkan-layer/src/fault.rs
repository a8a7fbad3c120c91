//! Conditions on which the driver is made to fail.

use std::sync::atomic::{AtomicU64, Ordering};

/// A way to fail, with the variable that says from which call on.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    Lost,
    Oom,
    Hang,
    Crash,
}

static CALLS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

impl Fault {
    fn variable(self) -> &'static str {
        match self {
            Self::Lost => "BERT_LAYER_LOST_AFTER",
            Self::Oom => "BERT_LAYER_OOM_AFTER",
            Self::Hang => "BERT_LAYER_HANG_AFTER",
            Self::Crash => "BERT_LAYER_CRASH_AFTER",
        }
    }

    /// Counts a call, and says whether it is one that fails.
    pub(crate) fn strikes(self) -> bool {
        let Some(after) = std::env::var(self.variable())
            .ok()
            .and_then(|number| number.parse::<u64>().ok())
        else {
            return false;
        };
        let call = CALLS[self as usize].fetch_add(1, Ordering::Relaxed) + 1;
        call >= after
    }
}
