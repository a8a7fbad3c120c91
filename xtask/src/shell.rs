//! Running other programs: what runs is shown, what fails is said.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The root of the workspace, wherever the task was called from.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .parent()
        .expect("xtask lies in the workspace")
        .to_path_buf()
}

/// Target directory of cargo.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        // As cargo takes it when it is called in the root.
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}

/// The cargo that runs this task, in the root of the workspace.
///
/// Without what `cargo run` told xtask about itself: build scripts that watch those variables (ring's does) would run
/// again, and with them all that depends on them, each time that cargo is called now directly and now from here.
pub(crate) fn cargo() -> Command {
    prepared(Command::new(cargo_program()))
}

/// [`cargo`], started by `enter`, a program that runs the command in its arguments.
pub(crate) fn cargo_in(enter: &Path) -> Command {
    let mut command = Command::new(enter);
    command.arg(cargo_program());
    prepared(command)
}

fn cargo_program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn prepared(mut command: Command) -> Command {
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let own = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if own {
            command.env_remove(name);
        }
    }
    command
}

/// Runs `command` with its output shown on stderr, so that stdout stays free for a task's own answer.
///
/// # Errors
/// If it can't be started, or ends with anything but success.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", line(command));
    let status = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("could not start `{}`", command.get_program().display()))?;
    if !status.success() {
        bail!("`{}` failed ({status})", line(command));
    }
    Ok(())
}

/// Runs `command` and returns what it prints, which is shown on stderr once it has ended: commands may run side by side.
///
/// # Errors
/// If it can't be started, or ends with anything but success.
pub(crate) fn run_and_keep(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not start `{}`", command.get_program().display()))?;
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let line = line(command);
    eprintln!("$ {line}\n{stderr}{stdout}");
    if !output.status.success() {
        bail!("`{line}` failed ({})", output.status);
    }
    Ok(stdout.into_owned())
}

/// True if `command` starts and succeeds; its output is thrown away.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Standard output of `command`, or nothing if it can't be run or fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The user's cache directory, by the XDG rules. `option` names a place where there is none.
pub(crate) fn cache(option: &str) -> Result<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    match (absolute("XDG_CACHE_HOME"), absolute("HOME")) {
        (Some(cache), _) => Ok(cache),
        (None, Some(home)) => Ok(home.join(".cache")),
        (None, None) => bail!("neither XDG_CACHE_HOME nor HOME is set; say where with {option}"),
    }
}

/// `text` as one word of a POSIX shell.
pub(crate) fn quote(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The command as a line one could paste, with the variables it adds.
fn line(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        value.map(|value| format!("{}={}", name.to_string_lossy(), quote(value)))
    });
    let words = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(quote);
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_a_shell_would_split() {
        assert_eq!(quote(OsStr::new("a-b/c.d")), "a-b/c.d");
        assert_eq!(quote(OsStr::new("a b")), "'a b'");
        assert_eq!(quote(OsStr::new("it's $x")), r"'it'\''s $x'");
        assert_eq!(quote(OsStr::new("")), "''");
    }
}
