//! From token lists of different lengths to the rectangular tensors of a model: the only place
//! where inputs go from host to device.

mod batcher;
mod input;
mod limits;
mod packing;
mod plan;
mod workload;

pub use batcher::{BertBatcher, Padding};
pub use input::BertInput;
pub use packing::{Packing, TokenLayout, pack_sequences};
pub use plan::{BatchLimits, plan_batches};
pub use workload::Workload;
