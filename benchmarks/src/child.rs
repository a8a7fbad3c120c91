//! A process of its own for what may crash or hang, such as a device's driver.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How a child process ended.
pub enum Outcome {
    /// Exit code 0, with standard output.
    Finished(String),
    /// An error message and exit code.
    Failed(String),
    /// Killed by a signal, or a panic.
    Crashed(String),
    /// Still running at the limit, then killed.
    Hung,
}

impl Outcome {
    /// What to tell of it; empty when all went well.
    pub fn reason(&self) -> String {
        match self {
            Self::Finished(_) => String::new(),
            Self::Failed(reason) | Self::Crashed(reason) => reason.clone(),
            Self::Hung => "did not finish within the limit".to_owned(),
        }
    }
}

/// Runs a command to its end or the limit; its output goes through files, so that no pipe fills up.
pub fn supervise(mut command: Command, limit: Duration) -> std::io::Result<Outcome> {
    let output = tempfile::NamedTempFile::new()?;
    let errors = tempfile::NamedTempFile::new()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output.reopen()?)
        .stderr(errors.reopen()?)
        .spawn()?;
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(Outcome::Hung);
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let errors = String::from_utf8_lossy(&std::fs::read(errors.path())?).into_owned();
    if status.success() {
        return Ok(Outcome::Finished(std::fs::read_to_string(output.path())?));
    }
    let panicked = errors.lines().position(|line| line.contains("panicked at"));
    Ok(match (status.code(), panicked) {
        (Some(_), None) => {
            let message = errors.trim().trim_start_matches("error: ").to_owned();
            Outcome::Failed(message)
        }
        (Some(_), Some(line)) => {
            let message = errors.lines().skip(line + 1).find(|l| !l.is_empty());
            Outcome::Crashed(format!("panic: {}", message.unwrap_or("no message")))
        }
        (None, _) => Outcome::Crashed(status.to_string()),
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Outcome {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        supervise(command, limit).unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn outcomes_of_a_child_are_told_apart() {
        assert!(matches!(shell("echo fine", LONG), Outcome::Finished(text) if text == "fine\n"));
        assert!(
            matches!(shell("echo 'error: no device' >&2; exit 1", LONG), Outcome::Failed(reason) if reason == "no device")
        );
        assert!(
            matches!(shell("kill -SEGV $$", LONG), Outcome::Crashed(reason) if reason.contains("signal: 11"))
        );
        let panic =
            "echo \"thread 'main' panicked at x.rs:1:1:\" >&2; echo 'lost device' >&2; exit 101";
        assert!(
            matches!(shell(panic, LONG), Outcome::Crashed(reason) if reason == "panic: lost device")
        );
    }

    #[test]
    fn a_child_that_hangs_is_killed_at_the_limit() {
        let start = Instant::now();
        let outcome = shell("sleep 60", Duration::from_millis(100));
        assert!(matches!(outcome, Outcome::Hung));
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
