//! Tests of the crate by its public interface, in one program: each further one would be linked with every backend.

mod byte_level;
mod checkpoint;
mod checkpoint_files;
#[cfg(feature = "dashboard")]
mod dashboard;
mod device;
mod families;
mod hub;
mod inference;
mod modernbert;
mod ops;
mod packing;
mod parity;
mod tokenizer;
mod tokenizer_cases;
mod tokenizer_files;
mod tokenizer_kinds;
mod zoo;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keeps other tests from drawing: the random numbers of a backend are one sequence for the whole process.
fn alone_at_random() -> MutexGuard<'static, ()> {
    static DRAWING: Mutex<()> = Mutex::new(());
    DRAWING.lock().unwrap_or_else(PoisonError::into_inner)
}
