//! Messages to the user.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes a line to standard error, and ignores that it may be closed.
pub(crate) fn note(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}
