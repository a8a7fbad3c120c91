//! Instances from prepared files, in an order of their own for every pass.

use std::sync::Arc;

use rand::seq::SliceRandom;

use super::{Cursor, InstanceStream};
use crate::instances::{Instance, PreparedInstances, stream};
use crate::{Error, Result};

/// Prepared instances without end.
pub struct StaticInstances {
    instances: Arc<PreparedInstances>,
    seed: u64,
    cursor: Cursor,
    order: Vec<u32>,
}

impl StaticInstances {
    /// A stream that stands at `cursor`; the default cursor is the beginning.
    ///
    /// # Errors
    /// [`Error::NoInstances`] if the files hold none.
    pub fn new(instances: Arc<PreparedInstances>, seed: u64, cursor: Cursor) -> Result<Self> {
        if instances.is_empty() {
            return Err(Error::NoInstances);
        }
        let mut stream = Self {
            instances,
            seed,
            cursor,
            order: Vec::new(),
        };
        stream.order_epoch();
        Ok(stream)
    }

    fn order_epoch(&mut self) {
        let count = u32::try_from(self.instances.len()).expect("fewer than 2^32 instances");
        self.order = (0..count).collect();
        self.order
            .shuffle(&mut stream(self.seed, &[self.cursor.epoch]));
    }
}

impl InstanceStream for StaticInstances {
    fn next_instance(&mut self) -> Result<Instance> {
        if self.cursor.offset as usize >= self.order.len() {
            self.cursor = Cursor {
                epoch: self.cursor.epoch + 1,
                ..Cursor::default()
            };
            self.order_epoch();
        }
        let index = self.order[self.cursor.offset as usize];
        self.cursor.offset += 1;
        self.instances.get(index as usize)
    }

    fn cursor(&self) -> Cursor {
        self.cursor
    }
}
