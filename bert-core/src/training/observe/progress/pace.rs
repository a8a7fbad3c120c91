//! Time left of a run.

use std::time::Instant;

use crate::training::metric_format;
use crate::training::observe::event::{Event, RunInfo};

/// Steps of all, and the time that the rest takes at the pace seen so far.
///
/// The pace is measured from the first event of this session on, so that compiling kernels and filling buffers, which
/// happen once, are not counted on, and evaluations in between are.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    total_steps: u64,
    first_step: u64,
    started: Instant,
    base: Option<(u64, f64)>,
    last: Option<(u64, f64)>,
}

impl Pace {
    pub(super) fn new(run: &RunInfo) -> Self {
        Self {
            total_steps: run.total_steps,
            first_step: run.first_step,
            started: Instant::now(),
            base: None,
            last: None,
        }
    }

    pub(super) fn update(&mut self, event: &Event) {
        let now = (event.step, event.elapsed_s);
        self.base.get_or_insert(now);
        self.last = Some(now);
    }

    /// Seconds to the end of the run; `None` until a step is done.
    pub(super) fn seconds_left(&self) -> Option<f64> {
        let ((first, since), (step, now)) = (self.base?, self.last?);
        let (steps, seconds) = match step.checked_sub(first) {
            Some(steps) if steps > 0 => (steps, now - since),
            _ => (
                step.saturating_sub(self.first_step),
                self.started.elapsed().as_secs_f64(),
            ),
        };
        let left = self.total_steps.saturating_sub(step) as f64;
        let seconds_left = seconds / steps as f64 * left;
        seconds_left.is_finite().then_some(seconds_left)
    }

    /// `step` of all: "120/1000, 5 min 3 s left", as far as that is known.
    pub(super) fn position(&self, step: u64) -> String {
        let steps = match self.total_steps {
            0 => step.to_string(),
            total => format!("{step}/{total}"),
        };
        match self.seconds_left() {
            Some(seconds) => format!("{steps}, {} left", metric_format::duration(seconds)),
            None => steps,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::training::observe::event::Split;

    fn pace(first_step: u64) -> Pace {
        Pace::new(&RunInfo {
            title: "pretraining".to_owned(),
            total_steps: 1000,
            first_step,
            settings: Map::new(),
        })
    }

    fn event(step: u64, elapsed_s: f64) -> Event {
        Event {
            split: Split::Train,
            step,
            elapsed_s,
            values: Map::new(),
        }
    }

    #[test]
    fn the_first_event_sets_the_clock() {
        let mut pace = pace(0);
        assert_eq!(pace.seconds_left(), None);
        // The first ten steps took a minute of compilation.
        pace.update(&event(10, 60.0));
        pace.update(&event(20, 65.0));
        assert_eq!(pace.seconds_left(), Some(980.0 * 0.5));
        assert_eq!(pace.position(20), "20/1000, 8 min 10 s left");
    }

    #[test]
    fn a_resumed_run_is_not_credited_with_old_time() {
        let mut pace = pace(500);
        assert_eq!(pace.position(500), "500/1000");
        pace.update(&event(510, 3600.0));
        pace.update(&event(520, 3620.0));
        assert_eq!(pace.seconds_left(), Some(480.0 * 2.0));
    }

    #[test]
    fn one_event_is_measured_by_the_clock_on_the_wall() {
        let mut pace = pace(0);
        pace.update(&event(10, 5.0));
        let left = pace.seconds_left().unwrap();
        assert!((0.0..60.0).contains(&left), "{left}");
        let mut pace = self::pace(10);
        pace.update(&event(10, 5.0));
        assert_eq!(pace.seconds_left(), None, "no step was taken");
    }
}
