//! The course of a run as lines on standard error.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::event::{Event, Observer, RunInfo, Split};
use crate::error::Result;
use crate::training::metric_format;

mod pace;

use pace::Pace;

/// Between two drawings of the line on a terminal.
const REDRAW: Duration = Duration::from_millis(250);

/// Between two lines in a log file.
const NEXT_LINE: Duration = Duration::from_secs(10);

/// Style of the progress.
#[derive(Clone, Copy, Debug)]
struct Style {
    /// One line that is written over, as on a terminal.
    in_place: bool,
    /// Escape sequences for bold and dim text.
    colours: bool,
    /// Columns of the terminal now; it may change its size.
    columns: fn() -> usize,
}

/// Tells a run's progress in lines: step, loss and what the task adds, learning rate, tokens per second, share of the
/// time spent waiting for data, and the time left.
///
/// On a terminal one line is drawn over four times a second at most; elsewhere there is a line every ten seconds.
/// Evaluations and messages always have lines of their own.
pub struct PlainProgress {
    out: Box<dyn Write>,
    style: Style,
    pace: Option<Pace>,
    /// The last training event, until it is shown.
    waiting: Option<Event>,
    shown: Option<Instant>,
    /// True while a line without its end is on the terminal.
    open_line: bool,
}

impl PlainProgress {
    /// Progress on standard error, with colours if that is a terminal and `NO_COLOR` is unset or empty.
    pub fn stderr() -> Self {
        let terminal = io::stderr().is_terminal() && !is_dumb();
        let style = Style {
            in_place: terminal,
            colours: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            columns: columns_of_stderr,
        };
        Self::new(io::stderr(), style)
    }

    /// Progress on standard error without drawing in place, for use beside something else on the terminal.
    #[cfg(feature = "dashboard")]
    pub(super) fn lines_on_stderr() -> Self {
        let mut progress = Self::stderr();
        progress.style.in_place = false;
        progress
    }

    fn new(out: impl Write + 'static, style: Style) -> Self {
        Self {
            out: Box::new(out),
            style,
            pace: None,
            waiting: None,
            shown: None,
            open_line: false,
        }
    }

    /// Takes note of the run without a word.
    pub(super) fn follow(&mut self, run: &RunInfo) {
        self.pace = Some(Pace::new(run));
    }

    /// Takes note of an event without showing it.
    pub(super) fn note(&mut self, event: &Event) {
        if let Some(pace) = &mut self.pace {
            pace.update(event);
        }
        if event.split == Split::Train {
            self.waiting = Some(event.clone());
        }
    }

    /// Position of a step in the run: "120/1000, 5 min 3 s left".
    pub(super) fn position(&self, step: u64) -> String {
        match &self.pace {
            Some(pace) => pace.position(step),
            None => step.to_string(),
        }
    }

    fn event_at(&mut self, event: &Event, now: Instant) {
        self.note(event);
        if event.split == Split::Evaluation {
            return self.evaluation(event);
        }
        let pause = if self.style.in_place {
            REDRAW
        } else {
            NEXT_LINE
        };
        if self
            .shown
            .is_none_or(|shown| now.duration_since(shown) >= pause)
        {
            self.shown = Some(now);
            self.show_waiting();
        }
    }

    /// Shows the last training event if it has not been.
    fn show_waiting(&mut self) {
        let Some(event) = self.waiting.take() else {
            return;
        };
        let line = self.training_line(&event);
        if !self.style.in_place {
            return self.line(&line);
        }
        // The cursor stays right of the text, so a full line would already wrap.
        let columns = (self.style.columns)().saturating_sub(1);
        self.write(&format!("\r{}\x1b[K", cut(&line, columns)));
        self.open_line = true;
    }

    fn training_line(&self, event: &Event) -> String {
        let (mut first, mut task, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for (name, value) in event.numbers() {
            let part = part(name, value);
            match name {
                "loss" => first.push(part),
                // The metrics have it; on a line of progress it would be in the way.
                "padding" => {}
                "learning_rate" | "tokens_per_second" | "data_wait" => rest.push(part),
                // Of interest when something is wrong; the log has it.
                "gradient_norm" if value.is_finite() => (),
                _ => task.push(part),
            }
        }
        let parts: Vec<_> = [first, task, rest].into_iter().flatten().collect();
        format!("step {}  {}", self.position(event.step), parts.join("  "))
    }

    /// A line with everything that was measured on held-out data.
    pub(super) fn evaluation(&mut self, event: &Event) {
        let parts: Vec<_> = event
            .numbers()
            .map(|(name, value)| part(name, value))
            .collect();
        let (before, after) = self.bold();
        let text = format!(
            "{before}evaluation at step {}{after}: {} (after {})",
            event.step,
            parts.join(", "),
            metric_format::duration(event.elapsed_s)
        );
        self.line(&text);
    }

    fn bold(&self) -> (&'static str, &'static str) {
        match self.style.colours {
            true => ("\x1b[1m", "\x1b[0m"),
            false => ("", ""),
        }
    }

    /// Writes a line of its own, over the one that is drawn in place.
    fn line(&mut self, text: &str) {
        let before = match std::mem::take(&mut self.open_line) {
            true => "\r\x1b[K",
            false => "",
        };
        self.write(&format!("{before}{text}\n"));
    }

    /// Writes to standard error, and ignores its failure, which could not be reported.
    fn write(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes());
        let _ = self.out.flush();
    }
}

impl Observer for PlainProgress {
    fn start(&mut self, run: &RunInfo) -> Result<()> {
        self.follow(run);
        let (before, after) = self.bold();
        let course = match run.first_step {
            0 => format!("{} steps", run.total_steps),
            first => format!("going on after step {first} of {}", run.total_steps),
        };
        self.line(&format!("{before}{}{after}: {course}", run.title));
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        self.event_at(event, Instant::now());
        Ok(())
    }

    fn message(&mut self, text: &str) {
        self.line(text);
    }

    fn finish(&mut self) -> Result<()> {
        self.show_waiting();
        if std::mem::take(&mut self.open_line) {
            self.write("\n");
        }
        Ok(())
    }
}

/// A number with its name or unit.
fn part(name: &str, value: f64) -> String {
    let text = metric_format::text(name, value);
    match name {
        "tokens_per_second" => format!("{text} tokens/s"),
        name => format!("{} {text}", metric_format::short(name)),
    }
}

/// True if the terminal cannot move its cursor.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

fn columns_of_stderr() -> usize {
    match terminal_size::terminal_size_of(io::stderr()) {
        Some((terminal_size::Width(columns), _)) if columns > 0 => columns.into(),
        _ => 80,
    }
}

/// The first `columns` characters.
fn cut(text: &str, columns: usize) -> &str {
    match text.char_indices().nth(columns) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use serde_json::{Value, json};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Rc<RefCell<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    fn progress(in_place: bool, colours: bool) -> (PlainProgress, Written) {
        let written = Written::default();
        let style = Style {
            in_place,
            colours,
            columns: || 60,
        };
        let mut progress = PlainProgress::new(written.clone(), style);
        let run = RunInfo {
            title: "pretraining".to_owned(),
            total_steps: 1000,
            first_step: 0,
            settings: Default::default(),
        };
        progress.start(&run).unwrap();
        (progress, written)
    }

    fn event(split: Split, step: u64, values: Value) -> Event {
        let Value::Object(values) = values else {
            panic!("an object");
        };
        Event {
            split,
            step,
            elapsed_s: step as f64,
            values,
        }
    }

    fn training(step: u64) -> Event {
        event(
            Split::Train,
            step,
            json!({
                "loss": 7.25, "mlm_accuracy": 0.125, "gradient_norm": 1.5, "learning_rate": 1e-4,
                "tokens_per_second": 12_345.0, "data_wait": 0.03
            }),
        )
    }

    #[test]
    fn a_log_file_gets_a_line_every_ten_seconds() {
        let (mut progress, written) = progress(false, false);
        let start = Instant::now();
        for step in 1..=25 {
            progress.event_at(&training(step), start + Duration::from_secs(step));
        }
        progress.finish().unwrap();
        let text = written.text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "pretraining: 1000 steps");
        // Steps 1, 11 and 21, and the last one at the end.
        assert_eq!(lines.len(), 5, "{text}");
        assert_eq!(
            lines[2],
            "step 11/1000, 16 min 29 s left  loss 7.2500  MLM acc 0.1250  lr 1.00e-4  12.3k tokens/s  wait 3 %"
        );
        assert!(lines[4].starts_with("step 25/1000, "), "{text}");
        assert!(!text.contains('\x1b'), "no escape sequences in a file");
    }

    #[test]
    fn a_terminal_has_one_line_that_never_wraps() {
        let (mut progress, written) = progress(true, false);
        let start = Instant::now();
        for step in 1..=10 {
            progress.event_at(&training(step), start + Duration::from_millis(100 * step));
        }
        let text = written.text();
        let drawn: Vec<_> = text.split('\r').skip(1).collect();
        assert_eq!(drawn.len(), 4, "at 0.1, 0.4, 0.7 and 1.0 s: {text:?}");
        for line in drawn {
            let line = line.strip_suffix("\x1b[K").unwrap();
            assert_eq!(line.chars().count(), 59, "{line}");
        }
        progress.finish().unwrap();
        assert!(written.text().ends_with('\n'));
    }

    #[test]
    fn evaluations_and_messages_take_the_place_of_the_drawn_line() {
        let (mut progress, written) = progress(true, true);
        let now = Instant::now();
        progress.event_at(&training(10), now);
        progress.event_at(
            &event(
                Split::Evaluation,
                10,
                json!({"loss": 6.5, "perplexity": 665.0}),
            ),
            now,
        );
        progress.message("checkpoint written to run/step-10");
        let text = written.text();
        let after = text.split("\x1b[K").skip(1).collect::<String>();
        assert_eq!(
            after,
            "\r\x1b[1mevaluation at step 10\x1b[0m: loss 6.5000, ppl 665 (after 10 s)\n\
             checkpoint written to run/step-10\n"
        );
    }

    #[test]
    fn numbers_that_are_not_finite_are_shown_as_such() {
        let (mut progress, written) = progress(false, false);
        let odd = event(
            Split::Train,
            10,
            json!({"loss": null, "gradient_norm": null, "note": "text"}),
        );
        progress.event_at(&odd, Instant::now());
        let text = written.text();
        assert!(
            text.contains("loss not finite  grad not finite\n"),
            "{text}"
        );
    }

    #[test]
    fn a_resumed_run_says_so() {
        let (mut progress, written) = progress(false, false);
        progress
            .start(&RunInfo {
                title: "fine-tuning: classify".to_owned(),
                total_steps: 300,
                first_step: 200,
                settings: Default::default(),
            })
            .unwrap();
        let text = written.text();
        assert!(
            text.ends_with("fine-tuning: classify: going on after step 200 of 300\n"),
            "{text}"
        );
    }
}
