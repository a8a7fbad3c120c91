//! Iterations, timed: the first apart, warming up until times settle, then the samples that count.

use std::time::Instant;

use crate::contract::{Limits, Timing};

/// Iterations that must be alike for times to count as settled.
const WINDOW: usize = 3;

/// Share by which the slowest of them may take longer than the fastest.
const SETTLED_WITHIN: f64 = 0.1;

/// Times `iteration`, which must not return before all its work is done.
///
/// # Errors
/// That of an iteration.
pub fn sample<E>(
    limits: &Limits,
    mut iteration: impl FnMut() -> Result<(), E>,
) -> Result<Timing, E> {
    let mut timed = || {
        let start = Instant::now();
        iteration().map(|()| start.elapsed().as_secs_f64())
    };
    let mut timing = Timing {
        first: timed()?,
        ..Timing::default()
    };
    let start = Instant::now();
    loop {
        timing.settled = is_settled(&timing.warmup);
        let enough =
            !timing.warmup.is_empty() && start.elapsed().as_secs_f64() >= limits.warmup_seconds;
        if timing.settled || enough {
            break;
        }
        timing.warmup.push(timed()?);
    }
    let start = Instant::now();
    loop {
        timing.samples.push(timed()?);
        let count = timing.samples.len();
        let is_over = start.elapsed().as_secs_f64() >= limits.seconds;
        if count >= limits.max_samples || (is_over && count >= limits.min_samples) {
            return Ok(timing);
        }
    }
}

/// True if the latest times differ by little.
fn is_settled(seconds: &[f64]) -> bool {
    let Some(latest) = seconds.last_chunk::<WINDOW>() else {
        return false;
    };
    let fastest = latest.iter().copied().fold(f64::INFINITY, f64::min);
    let slowest = latest.iter().copied().fold(0.0, f64::max);
    slowest <= fastest * (1.0 + SETTLED_WITHIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(warmup_seconds: f64, seconds: f64, samples: [usize; 2]) -> Limits {
        Limits {
            warmup_seconds,
            seconds,
            min_samples: samples[0],
            max_samples: samples[1],
        }
    }

    #[test]
    fn times_settle_when_the_latest_are_alike() {
        assert!(!is_settled(&[1.0, 1.0]));
        assert!(is_settled(&[5.0, 1.0, 1.05, 1.1]));
        assert!(!is_settled(&[1.0, 1.0, 1.0, 1.2]));
    }

    #[test]
    fn samples_are_bounded_from_below_and_above() {
        let count = |limits: &Limits| {
            let mut calls = 0;
            let timing = sample(limits, || {
                calls += 1;
                Ok::<_, ()>(())
            });
            let timing = timing.unwrap();
            assert_eq!(calls, 1 + timing.warmup.len() + timing.samples.len());
            timing.samples.len()
        };
        assert_eq!(count(&limits(0.0, 0.0, [4, 9])), 4);
        assert_eq!(count(&limits(0.0, 60.0, [4, 9])), 9);
        assert_eq!(count(&limits(0.0, 0.0, [0, 0])), 1, "one at least");
    }

    #[test]
    fn warming_up_ends_in_time_where_nothing_settles() {
        let mut calls = 0_u64;
        let timing = sample(&limits(0.0, 0.0, [1, 1]), || {
            calls += 1;
            std::thread::sleep(std::time::Duration::from_millis(1 << calls));
            Ok::<_, ()>(())
        });
        let timing = timing.unwrap();
        assert_eq!((timing.warmup.len(), timing.settled), (1, false));
        assert!(
            timing.first >= 0.002 && timing.samples[0] >= 0.008,
            "{timing:?}"
        );
    }

    #[test]
    fn an_error_ends_it() {
        let mut left = 2;
        let outcome = sample(&limits(1.0, 1.0, [5, 5]), || {
            left -= 1;
            if left == 0 {
                Err("out of memory")
            } else {
                Ok(())
            }
        });
        assert_eq!(outcome, Err("out of memory"));
    }
}
