//! Rayon's threads kept from falling asleep.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::Yield;

/// Failed steal attempts before a worker yields to the operating system.
const SPIN_LIMIT: usize = 1000;

/// Runs `work` on one of Rayon's threads, while the others look for its parallel parts without a pause.
///
/// Left to themselves they fall asleep between two kernels, and waking one takes longer than its share of a layer of a short
/// sentence does; the caller, too, would be put to sleep and woken by each kernel if it were not one of them.
pub(super) fn with_threads_awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let done = AtomicBool::new(false);
    rayon::scope(|scope| {
        // Set whether `work` returns or panics: the scope waits for those who watch it.
        let _done = SetOnDrop(&done);
        for _ in 1..rayon::current_num_threads() {
            scope.spawn(|_| {
                let mut failed = 0;
                while !done.load(Ordering::Acquire) {
                    match rayon::yield_now() {
                        Some(Yield::Executed) => failed = 0,
                        _ if failed < SPIN_LIMIT => failed += 1,
                        _ => std::thread::yield_now(),
                    }
                    std::hint::spin_loop();
                }
            });
        }
        work()
    })
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    #[test]
    fn parallel_parts_nested_calls_and_other_threads_come_to_an_end() {
        let sum =
            || with_threads_awake(|| (0..1000_u64).into_par_iter().map(|at| at * at).sum::<u64>());
        let expected: u64 = (0..1000).map(|at| at * at).sum();
        assert_eq!(with_threads_awake(sum), expected);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(sum)).collect();
            for thread in threads {
                assert_eq!(thread.join().unwrap(), expected);
            }
        });
    }

    #[test]
    fn a_panic_ends_the_watch() {
        let panic = std::panic::catch_unwind(|| with_threads_awake(|| panic!("on purpose")));
        assert!(panic.is_err());
    }
}
