//! Agreement of devices: everything a model computes for one input, by name, and the differences between two such traces.
//!
//! The same code serves the golden fixtures (against float64 of transformers), the self-test of
//! `bert doctor` and the table of `bert compare`.

mod golden;
mod probe;
mod self_test;
mod trace;

pub use golden::Golden;
pub use probe::{Probe, push_gradients, without_dropout};
pub use self_test::self_test;
pub use trace::{Difference, Trace};

/// Largest difference allowed in a LayerNorm output, pooled output or probability of a fixture.
pub const FORWARD_BAR: f64 = 1e-5;
/// Largest difference allowed in a gradient of a fixture, relative as in [`Difference::relative`].
pub const GRADIENT_BAR: f64 = 1e-4;
