//! Sessions that end before their time.

use std::sync::{Mutex, PoisonError};

// Labels of the remote devices that this process has opened.
static OPENED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Burn's messages on the end of a session: of a read, of a synchronisation, and in its log.
const MESSAGES: [&str; 3] = [
    "Failed to read tensor: RecvError",
    "Remote response channel closed",
    "Remote response stream",
];

#[cfg(feature = "remote")]
pub(super) fn opened(label: String) {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if !opened.contains(&label) {
        opened.push(label);
    }
}

/// The cause of a failure with `message`, if that is Burn's for a remote session which has ended; for the error that the
/// command ends with.
pub fn lost_session(message: &str) -> Option<String> {
    let opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let ended = MESSAGES.iter().any(|known| message.contains(known));
    cause(&opened).filter(|_| ended)
}

fn cause(opened: &[String]) -> Option<String> {
    match opened {
        [] => None,
        [label] => Some(format!("the worker of device `{label}` is gone")),
        labels => Some(format!(
            "the worker of one of the devices `{}` is gone",
            labels.join("`, `")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_devices_in_question_are_named() {
        assert_eq!(cause(&[]), None);
        let labels = ["remote:a:0".to_owned(), "remote:b:0".to_owned()];
        assert!(cause(&labels[..1]).unwrap().contains("`remote:a:0`"));
        let both = cause(&labels).unwrap();
        assert!(both.contains("`remote:a:0`, `remote:b:0`"), "{both}");
    }
}
