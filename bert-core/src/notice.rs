//! Remarks on files that are used all the same.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Messages that stand on standard error already.
static WRITTEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Writes `note: MESSAGE` to standard error, each message once in the life of the process.
pub(crate) fn notice(message: String) {
    if is_new(&message) {
        eprintln!("note: {message}");
    }
}

fn is_new(message: &str) -> bool {
    let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    written.insert(message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::is_new;

    #[test]
    fn a_message_is_new_once() {
        assert!(is_new("a message of this test") && is_new("another message of this test"));
        assert!(!is_new("a message of this test"));
    }
}
