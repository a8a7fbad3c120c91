//! The dashboard on a terminal: every way out leaves it as it was.
//!
//! `script` of util-linux provides the terminal; without it there is nothing to test.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use bert_core::training::{DashboardMode, Event, RunInfo, Split, follow};
use serde_json::{Map, json};

/// Set for the process on the terminal to the number of its steps.
const STEPS: &str = "BERT_TEST_DASHBOARD_STEPS";

/// Time after which a run counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);

const LEAVE: &str = "\x1b[?1049l";

/// The run that is followed, in a process of its own; as a test of its own it does nothing.
#[test]
fn run_on_a_terminal() {
    static SIGNALLED: AtomicBool = AtomicBool::new(false);
    let Ok(steps) = std::env::var(STEPS) else {
        return;
    };
    let steps = steps.parse().unwrap();
    ctrlc::set_handler(|| SIGNALLED.store(true, Ordering::SeqCst)).unwrap();
    let mut observer = follow(DashboardMode::Auto).unwrap();
    let run = RunInfo {
        title: "pretraining".to_owned(),
        total_steps: steps,
        first_step: 0,
        settings: Map::new(),
    };
    observer.start(&run).unwrap();
    let mut end = "all steps done";
    for step in 1..=steps {
        if SIGNALLED.load(Ordering::SeqCst) {
            end = "signal";
            break;
        }
        if observer.wants_to_stop() {
            end = "wants to stop";
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
        // Numbers of every kind, one of which is none.
        let loss = if step == 3 {
            f64::NAN
        } else {
            9.0 / step as f64
        };
        let split = if step % 10 == 0 {
            Split::Evaluation
        } else {
            Split::Train
        };
        let values = [
            ("loss", json!(loss)),
            ("learning_rate", json!(1e-4)),
            ("note", json!("text")),
        ];
        observer
            .event(&Event {
                split,
                step,
                elapsed_s: step as f64 / 100.0,
                values: values
                    .map(|(name, value)| (name.to_owned(), value))
                    .into_iter()
                    .collect(),
            })
            .unwrap();
        if step == 1 {
            observer.message("saved the first step");
        }
    }
    observer.finish().unwrap();
    eprintln!("run over: {end}");
}

/// Runs the test above for `steps` on a terminal, typing each key when its text has been drawn; what was written to the
/// terminal, or `None` without `script`.
fn transcript(steps: u64, keys: &[(&str, &str)]) -> Option<String> {
    let test = std::env::current_exe().unwrap();
    // The shell, which Ctrl-C reaches as well, must live to tell the end.
    let on_the_terminal = format!(
        "trap : INT; stty rows 40 cols 120; echo before:$(stty -g); \
         '{}' --exact dashboard::run_on_a_terminal --nocapture; echo status:$?; echo after:$(stty -g)",
        test.display()
    );
    let spawned = Command::new("script")
        .args(["-q", "-e", "-c", &on_the_terminal, "/dev/null"])
        .env(STEPS, steps.to_string())
        .env("TERM", "xterm-256color")
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        eprintln!("skipped: there is no `script` to provide a terminal");
        return None;
    };
    let mut keyboard = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let (sender, drawn) = channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = screen.read(&mut bytes) {
            if sender.send(bytes[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    let mut written = Vec::new();
    for (text, key) in keys {
        wait_for(&drawn, &mut written, Some(text));
        keyboard.write_all(key.as_bytes()).unwrap();
    }
    wait_for(&drawn, &mut written, None);
    child.wait().unwrap();
    Some(String::from_utf8_lossy(&written).into_owned())
}

/// Reads until `text` was drawn, or to the end.
fn wait_for(drawn: &Receiver<Vec<u8>>, written: &mut Vec<u8>, text: Option<&str>) {
    let start = Instant::now();
    while text.is_none_or(|text| !String::from_utf8_lossy(written).contains(text)) {
        match drawn.recv_timeout(PATIENCE.saturating_sub(start.elapsed())) {
            Ok(bytes) => written.extend(bytes),
            Err(RecvTimeoutError::Disconnected) if text.is_none() => return,
            Err(error) => panic!("{text:?}: {error}\n{}", String::from_utf8_lossy(written)),
        }
    }
}

/// The text behind `name:` on a line of its own.
fn value_of<'a>(transcript: &'a str, name: &str) -> &'a str {
    let (_, rest) = transcript
        .split_once(name)
        .unwrap_or_else(|| panic!("{name} in {transcript}"));
    rest.lines().next().unwrap().trim()
}

fn assert_tidy(transcript: &str, end: &str) {
    assert_eq!(value_of(transcript, "run over: "), end, "{transcript}");
    assert_eq!(value_of(transcript, "status:"), "0", "{transcript}");
    assert_eq!(
        value_of(transcript, "before:"),
        value_of(transcript, "after:")
    );
    let (screen, after) = transcript.rsplit_once(LEAVE).unwrap();
    assert!(screen.contains("\x1b[?1049h"), "the dashboard was drawn");
    let cursor = |what: &str| transcript.rfind(what);
    assert!(
        cursor("\x1b[?25h") > cursor("\x1b[?25l"),
        "the cursor is back"
    );
    assert!(after.contains("saved the first step"), "{after:?}");
    assert!(!after.contains("panicked"), "{after:?}");
}

#[test]
fn a_run_to_its_end_waits_for_no_key() {
    let Some(transcript) = transcript(20, &[]) else {
        return;
    };
    assert_tidy(&transcript, "all steps done");
    let (_, after) = transcript.rsplit_once(LEAVE).unwrap();
    assert!(after.contains("evaluation at step 20"), "{after:?}");
    assert!(after.contains("step 19/20"), "{after:?}");
}

#[test]
fn control_c_is_a_signal() {
    let Some(transcript) = transcript(5000, &[("Controls", "\x03")]) else {
        return;
    };
    assert_tidy(&transcript, "signal");
}

#[test]
fn stopping_from_the_dashboard_stops_the_run() {
    let keys = [("Controls", "q"), ("[s]", "s")];
    let Some(transcript) = transcript(5000, &keys) else {
        return;
    };
    assert_tidy(&transcript, "wants to stop");
}

#[test]
fn killing_from_the_dashboard_stops_the_run_as_well() {
    let keys = [("Controls", "q"), ("[k]", "k")];
    let Some(transcript) = transcript(5000, &keys) else {
        return;
    };
    assert_tidy(&transcript, "wants to stop");
}
