//! A process of its own for what may crash or hang, such as a device's driver.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The running program, to be started again.
pub struct Program {
    /// A dynamic loader with its options, where the program was started through one.
    loader: Vec<OsString>,
    /// The program's file.
    pub file: PathBuf,
}

impl Program {
    /// The running program.
    ///
    /// # Errors
    /// Where the operating system does not tell it.
    pub fn this() -> std::io::Result<Self> {
        // Through a loader (`ld-linux-x86-64.so.2 --library-path DIR bert …`) the running file is the loader's.
        #[cfg(target_os = "linux")]
        if let Ok(line) = std::fs::read("/proc/self/cmdline")
            && let Some(program) = through_loader(&line, std::env::args_os().count())
        {
            return Ok(program);
        }
        Ok(Self {
            loader: Vec::new(),
            file: std::env::current_exe()?,
        })
    }

    /// A command that starts the program in the way in which it was started.
    pub fn command(&self) -> Command {
        let mut words = self.loader.iter().map(OsString::as_os_str);
        let mut command = match words.next() {
            Some(loader) => Command::new(loader),
            None => return Command::new(&self.file),
        };
        command.args(words).arg(&self.file);
        command
    }
}

/// The program whose process has the command line `line` (words that end in a zero byte), if it was started through a loader:
/// the program itself then sees only the last `arguments` words.
#[cfg(target_os = "linux")]
fn through_loader(line: &[u8], arguments: usize) -> Option<Program> {
    use std::os::unix::ffi::OsStringExt;
    let words = line.strip_suffix(&[0])?.split(|&byte| byte == 0);
    let mut words: Vec<_> = words
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect();
    let before = words
        .len()
        .checked_sub(arguments)
        .filter(|&before| before > 0)?;
    words.truncate(before + 1);
    let file = words.pop()?.into();
    Some(Program {
        loader: words,
        file,
    })
}

/// End of a child process.
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
    /// The reason of a failure, for people; empty when all went well.
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

    #[cfg(target_os = "linux")]
    #[test]
    fn a_loader_before_the_program_is_kept() {
        let line = b"ld.so\0--library-path\0lib\0./bert\0doctor\0--json\0";
        let program = through_loader(line, 3).unwrap();
        let mut command = program.command();
        command.arg("embed");
        let words: Vec<_> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .collect();
        assert_eq!(words, ["ld.so", "--library-path", "lib", "./bert", "embed"]);
        assert!(through_loader(line, 6).is_none());
        assert!(through_loader(b"", 1).is_none());
        let this = Program::this().unwrap();
        assert_eq!(this.file, std::env::current_exe().unwrap());
    }

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
