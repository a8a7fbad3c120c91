//! Observers of a run: a log file, lines of progress, a dashboard.

mod dashboard;
mod event;
mod log;
mod progress;

pub use dashboard::{Dashboard, DashboardMode, dashboard_is_open, follow, restore_terminal};
pub(super) use event::number;
pub use event::{Event, Observer, Observers, RunInfo, Split};
pub use log::MetricsLog;
pub use progress::PlainProgress;
