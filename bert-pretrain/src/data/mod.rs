//! Instances in training order: endless, repeatable, and able to go on from where they were left.

mod dynamic;
mod prepared;
mod updates;

pub use dynamic::{DynamicInstances, DynamicOptions};
pub use prepared::StaticInstances;
pub use updates::{Stage, Updates, UpdatesOptions, evaluation_batches};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::instances::Instance;

/// Position of a stream of instances: enough to resume it without running through what came before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Passes over the data that are complete.
    pub epoch: u64,
    /// Start of the current block of the pass: documents (dynamic) or 0 (prepared).
    pub block: u64,
    /// Instances of the block that have been handed out.
    pub offset: u64,
}

/// Instances without end, in an order that follows from a seed.
pub trait InstanceStream: Send {
    /// The next instance.
    ///
    /// # Errors
    /// If the data cannot be read, or hold no instance at all.
    fn next_instance(&mut self) -> Result<Instance>;

    /// Position of the stream now.
    fn cursor(&self) -> Cursor;
}

impl<S: InstanceStream + ?Sized> InstanceStream for Box<S> {
    fn next_instance(&mut self) -> Result<Instance> {
        (**self).next_instance()
    }

    fn cursor(&self) -> Cursor {
        (**self).cursor()
    }
}
