//! CubeCL's choice of kernels by timing them: bounds for it on devices where it costs more than it saves, and a sign of life
//! while it lasts.
//!
//! What was chosen is kept in CubeCL's cache, so that it happens once for each device, operation and order of sizes.

use std::fmt::Arguments;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cubecl::config::autotune::{AutotuneLevel, BenchConfig};
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

use crate::device::AdapterKind;

/// Prepares CubeCL's tuner for a device of this `kind`; to be called before the device starts.
///
/// The first call of a process counts. What a `cubecl.toml` or CubeCL's environment variables say about effort stays.
pub(super) fn prepare(kind: AdapterKind) {
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    let tuning = &mut config.autotune;
    // Ends of tunings go to `log`, as beginnings do by themselves.
    tuning.logger.log.get_or_insert_default();
    let untouched = matches!(tuning.level, AutotuneLevel::Balanced);
    if kind == AdapterKind::SoftwareRasteriser && untouched {
        tuning.bench = BenchConfig {
            min_samples: 1,
            max_samples: 1,
            ..BenchConfig::default()
        };
    }
    CubeClRuntimeConfig::try_set(config);
}

/// Time of silence before the first line.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest time between two lines.
const PAUSE: Duration = Duration::from_secs(30);
const BEAT: Duration = Duration::from_millis(500);

/// Tunings of this process.
struct Course {
    /// Tunings begun and not ended: fused operations tune what they fall back to within their own.
    open: usize,
    begun: usize,
    /// Time of those that ended, and the beginning of the outermost open one.
    spent: Duration,
    since: Option<Instant>,
    next_line: Duration,
    watched: bool,
}

static COURSE: Mutex<Course> = Mutex::new(Course::new());

impl Course {
    const fn new() -> Self {
        Self {
            open: 0,
            begun: 0,
            spent: Duration::ZERO,
            since: None,
            next_line: PATIENCE,
            watched: false,
        }
    }

    fn begin(&mut self, now: Instant) {
        self.begun += 1;
        self.open += 1;
        self.since.get_or_insert(now);
    }

    fn end(&mut self, now: Instant) {
        self.open = self.open.saturating_sub(1);
        if self.open == 0
            && let Some(since) = self.since.take()
        {
            self.spent += now.duration_since(since);
        }
    }

    /// The line that is due at `now`, while something is being tuned.
    fn line(&mut self, now: Instant) -> Option<String> {
        let spent = self.spent + now.duration_since(self.since?);
        if spent < self.next_line {
            return None;
        }
        self.next_line = spent + spent.clamp(PATIENCE, PAUSE);
        let (seconds, begun) = (spent.as_secs(), self.begun);
        Some(format!(
            "tuning kernels for this device: {seconds} s, {begun} so far"
        ))
    }
}

/// Takes note of a message that CubeCL logs, at the level of information: those of its tuner keep the [`Course`].
///
/// From the fifth second of tuning on, a thread tells of it on standard error.
pub(super) fn heard(target: &str, message: Arguments<'_>) {
    let Some(begins) = event(target, message) else {
        return;
    };
    let now = Instant::now();
    let mut course = COURSE.lock().unwrap_or_else(PoisonError::into_inner);
    match begins {
        true => course.begin(now),
        false => course.end(now),
    }
    if begins && !std::mem::replace(&mut course.watched, true) {
        // Without the thread there are no lines, and nothing else is lost.
        let spawned = std::thread::Builder::new()
            .name("tuning".to_owned())
            .spawn(watch);
        course.watched = spawned.is_ok();
    }
}

/// True for the beginning of a tuning, false for its end.
fn event(target: &str, message: Arguments<'_>) -> Option<bool> {
    let starts = |start: &str| message.to_string().starts_with(start);
    match target {
        "cubecl_runtime::tune::tuner" if starts("Tuning ") => Some(true),
        "cubecl::autotune" if starts("Fastest result ") => Some(false),
        // A choice without a measurement.
        "cubecl_runtime::tune::schedule" if starts("Autotune measured no candidate") => Some(false),
        _ => None,
    }
}

fn watch() {
    loop {
        std::thread::sleep(BEAT);
        let mut course = COURSE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = course.line(Instant::now()) {
            // Nobody is left to hear of it if that fails.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn lines_come_after_five_seconds_of_tuning_and_then_more_rarely() {
        let start = Instant::now();
        let mut course = Course::new();
        // Four seconds of tuning in ten, then one that does not end.
        course.begin(start);
        course.end(start + seconds(4));
        assert_eq!(course.line(start + seconds(9)), None);
        course.begin(start + seconds(10));
        let second = |at: u64| start + seconds(at);
        let seen: Vec<_> = (10..200)
            .filter(|&at| course.line(second(at)).is_some())
            .collect();
        // 5, 10, 20, 40 and from then on every 30 seconds of tuning.
        assert_eq!(seen, [11, 16, 26, 46, 76, 106, 136, 166, 196]);
    }

    #[test]
    fn a_tuning_within_another_does_not_end_it() {
        let start = Instant::now();
        let mut course = Course::new();
        course.begin(start);
        course.begin(start + seconds(1));
        course.end(start + seconds(2));
        let line = course.line(start + seconds(37)).unwrap();
        assert!(line.contains("37 s, 2 so far"), "{line}");
        course.end(start + seconds(38));
        assert_eq!(course.line(start + seconds(100)), None, "nothing is tuned");
        // An end too many.
        course.end(start + seconds(101));
        course.begin(start + seconds(102));
        assert!(course.line(start + seconds(152)).is_some());
    }

    #[test]
    fn messages_of_the_tuner_are_told_from_others() {
        let tuner = "cubecl_runtime::tune::tuner";
        assert_eq!(
            event(tuner, format_args!("Tuning Matmul - {}", 3)),
            Some(true)
        );
        assert_eq!(
            event("cubecl::autotune", format_args!("Fastest result a-b")),
            Some(false)
        );
        assert_eq!(
            event("cubecl::profiling", format_args!("Fastest result")),
            None
        );
        assert_eq!(event("wgpu_core", format_args!("Tuning in")), None);
    }
}
