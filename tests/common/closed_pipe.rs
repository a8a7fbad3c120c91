//! A reader of standard output that goes after the first line, as `head -1` does.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

/// Asks `line` again and again until the first answer is there, and checks that the command then ends without a word of
/// an error.
pub(crate) fn assert_ends_quietly(command: &mut Command, line: &str) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // More than the pipe holds; writing fails once the command has ended.
    let lines = format!("{line}\n").repeat(1000);
    let writer = std::thread::spawn(move || while stdin.write_all(lines.as_bytes()).is_ok() {});
    let mut first = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(first.starts_with("{\"index\":0,"), "{first}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert!(!stderr.contains("error"), "{stderr}");
}
