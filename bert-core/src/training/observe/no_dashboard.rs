//! A build without the dashboard.

use super::event::Observer;
use crate::error::{Error, Result};

/// An error, whatever the terminal.
pub(super) fn dashboard() -> Result<Box<dyn Observer>> {
    Err(Error::NoDashboard {
        reason: "this build does not have it".to_owned(),
        remedy: "build with the Cargo feature `dashboard`",
    })
}

/// True while a dashboard has the terminal, where nothing else is to be written.
pub fn dashboard_is_open() -> bool {
    false
}

/// Gives the terminal back in a process that is about to end without its destructors, as after a second Ctrl-C;
/// does nothing while no dashboard is open.
pub fn restore_terminal() {}
