//! Observers of a run: a log file, lines of progress, a dashboard.

#[cfg(feature = "dashboard")]
mod dashboard;
#[cfg(not(feature = "dashboard"))]
#[path = "no_dashboard.rs"]
mod dashboard;
mod event;
mod follow;
mod log;
mod progress;

pub use dashboard::{dashboard_is_open, restore_terminal};
pub(super) use event::number;
pub use event::{Event, Observer, Observers, RunInfo, Split};
pub use follow::{DashboardMode, follow};
pub use log::MetricsLog;
pub use progress::PlainProgress;
