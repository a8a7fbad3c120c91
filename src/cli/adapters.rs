//! Adapters of this machine, listed by a child process, which a driver may crash.

use std::time::Duration;

use anyhow::Context;
use benchmarks::child::Outcome;
use bert_core::device::{self, AdapterKind};
use serde::{Deserialize, Serialize};

use super::proof::child;

/// An adapter as the listing child reports it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Adapter {
    pub(crate) label: String,
    pub(crate) name: String,
    pub(crate) driver: String,
    pub(crate) api: String,
    pub(crate) kind: String,
}

impl Adapter {
    /// True if a processor does its work.
    pub(crate) fn is_software_rasteriser(&self) -> bool {
        self.kind == AdapterKind::SoftwareRasteriser.to_string()
    }
}

/// Adapters that a child process finds, and the reason if it did not finish.
pub(crate) fn find_adapters(limit: Duration) -> anyhow::Result<(Vec<Adapter>, Option<String>)> {
    match child(&["--list-adapters"], limit) {
        Outcome::Finished(output) => {
            let found = serde_json::from_str(&output).context("adapter listing")?;
            Ok((found, None))
        }
        other => Ok((Vec::new(), Some(other.reason()))),
    }
}

/// The adapters that this process finds: the child's part.
pub(crate) fn adapters() -> Vec<Adapter> {
    device::adapters()
        .into_iter()
        .map(|info| Adapter {
            label: info.spec.to_string(),
            name: info.name,
            driver: info.driver,
            api: info.api,
            kind: info.kind.to_string(),
        })
        .collect()
}
