//! The observer of a run for whoever started it.

use super::dashboard::dashboard;
use super::event::Observer;
use super::progress::PlainProgress;
use crate::error::Result;

/// Choice between the dashboard and plain lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DashboardMode {
    /// Dashboard where it is compiled in, can be drawn and keys reach it, else lines.
    #[default]
    Auto,
    /// Always; an error where it cannot be drawn.
    On,
    /// Never: lines.
    Off,
}

/// The observer that shows a run to whoever started it: the dashboard or [`PlainProgress`].
///
/// The dashboard is the Cargo feature `dashboard`, and takes standard input, output and error all being a terminal that can
/// move its cursor.
/// On Windows [`Auto`](DashboardMode::Auto) chooses lines, since the dashboard keeps Ctrl-C to itself there.
///
/// # Errors
/// [`Error::NoDashboard`](crate::Error::NoDashboard) with [`DashboardMode::On`] in a build without the feature, or where there
/// is no such terminal.
pub fn follow(mode: DashboardMode) -> Result<Box<dyn Observer>> {
    let lines = || Box::new(PlainProgress::stderr());
    match mode {
        DashboardMode::On => dashboard(),
        DashboardMode::Auto if cfg!(unix) => Ok(dashboard().unwrap_or_else(|_| lines())),
        _ => Ok(lines()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_followed_in_lines_where_there_is_no_dashboard() {
        assert!(follow(DashboardMode::Auto).is_ok());
        assert!(follow(DashboardMode::Off).is_ok());
        if cfg!(not(feature = "dashboard")) {
            let error = follow(DashboardMode::On).err().unwrap().to_string();
            assert!(
                error.contains("feature `dashboard`") && error.contains("plain lines"),
                "{error}"
            );
        }
    }
}
