//! A run followed on Burn's terminal dashboard.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::Ordering;

use burn::train::Interrupter;

use super::event::{Event, Observer, RunInfo, Split};
use super::progress::{PlainProgress, is_dumb};
use crate::error::{Error, Result};

mod keys;
mod screen;

use screen::{End, Screen};

/// Messages that are kept for when the dashboard is closed.
const KEPT_MESSAGES: usize = 20;

/// The dashboard, which opens when the run starts.
///
/// It takes standard input, output and error all being a terminal that can move its cursor.
///
/// # Errors
/// [`Error::NoDashboard`] where there is no such terminal.
pub(super) fn dashboard() -> Result<Box<dyn Observer>> {
    match obstacle() {
        None => Ok(Box::new(Dashboard::new())),
        Some(reason) => Err(Error::NoDashboard {
            reason,
            remedy: "run in a terminal",
        }),
    }
}

/// Reason for which the dashboard cannot be drawn.
fn obstacle() -> Option<String> {
    let streams = [
        ("input", io::stdin().is_terminal()),
        ("output", io::stdout().is_terminal()),
        ("error", io::stderr().is_terminal()),
    ];
    match streams.iter().find(|(_, is_terminal)| !is_terminal) {
        Some((name, _)) => Some(format!("standard {name} is not a terminal")),
        None => is_dumb().then(|| "the terminal is dumb (TERM=dumb)".to_owned()),
    }
}

/// True while a dashboard has the terminal, where nothing else is to be written.
pub fn dashboard_is_open() -> bool {
    screen::OPEN.load(Ordering::Acquire)
}

/// Gives the terminal back in a process that is about to end without its destructors, as after a second Ctrl-C;
/// does nothing while no dashboard is open.
pub fn restore_terminal() {
    // Out of every way of reporting the mouse, out of the alternate screen, and the cursor on.
    const LEAVE: &[u8] =
        b"\x1b[?1006l\x1b[?1015l\x1b[?1003l\x1b[?1002l\x1b[?1000l\x1b[?1049l\x1b[?25h";
    if keys::restore() {
        // Nobody is left to hear of it if that fails.
        let _ = io::stdout().write_all(LEAVE);
        let _ = io::stdout().flush();
    }
}

/// Draws curves and progress on the whole terminal during a run, with Burn's own renderer.
///
/// `q` and then `s` or `k` end the run through [`wants_to_stop`](Observer::wants_to_stop): both let it come to its
/// orderly end. Ctrl-C raises the usual signal (on Unix). Curves count events along their axis, not steps.
///
/// When the run ends, or the observer is dropped, the terminal is as it was before, and the last numbers and messages
/// are written to standard error. Should the renderer fail, lines on standard error take its place.
pub(super) struct Dashboard {
    interrupter: Interrupter,
    screen: RefCell<Option<Screen>>,
    killed: Cell<bool>,
    /// Knows the course of the run, and takes over when the screen is gone.
    lines: PlainProgress,
    evaluation: Option<Event>,
    messages: VecDeque<String>,
}

impl Dashboard {
    /// A dashboard that opens when the run starts.
    fn new() -> Self {
        Self {
            interrupter: Interrupter::new(),
            screen: RefCell::new(None),
            killed: Cell::new(false),
            lines: PlainProgress::lines_on_stderr(),
            evaluation: None,
            messages: VecDeque::new(),
        }
    }

    /// Does something on the screen, unless the screen is gone.
    fn draw(&self, action: impl FnOnce(&mut Screen)) {
        let mut slot = self.screen.borrow_mut();
        let alive = slot.as_mut().is_some_and(|screen| screen.attempt(action));
        if !alive && let Some(screen) = slot.take() {
            let killed = screen.close() == End::Killed;
            self.killed.set(self.killed.get() || killed);
        }
    }

    fn is_open(&self) -> bool {
        self.screen.borrow().is_some()
    }

    /// Leaves the screen and says on the ordinary one what is worth keeping.
    fn close(&mut self) {
        if let Some(screen) = self.screen.get_mut().take()
            && screen.close() == End::Killed
        {
            self.killed.set(true);
        }
        self.summary();
    }

    fn summary(&mut self) {
        for message in self.messages.drain(..) {
            self.lines.message(&message);
        }
        if let Some(evaluation) = self.evaluation.take() {
            self.lines.evaluation(&evaluation);
        }
        // The last training event waits there; failing is not in its nature.
        let _ = self.lines.finish();
    }
}

impl Observer for Dashboard {
    fn start(&mut self, run: &RunInfo) -> Result<()> {
        self.lines.follow(run);
        let screen = Screen::open(run, self.interrupter.clone());
        *self.screen.get_mut() = Some(screen);
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        if !self.is_open() {
            return self.lines.event(event);
        }
        self.lines.note(event);
        if event.split == Split::Evaluation {
            self.evaluation = Some(event.clone());
        }
        let position = self.lines.position(event.step);
        self.draw(|screen| screen.show(event, &position));
        Ok(())
    }

    fn message(&mut self, text: &str) {
        self.draw(|screen| screen.title(text));
        if !self.is_open() {
            return self.lines.message(text);
        }
        if self.messages.len() == KEPT_MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(text.to_owned());
    }

    fn wants_to_stop(&self) -> bool {
        // Killing ends the renderer at once; the next event may be far away.
        self.draw(|_| ());
        self.interrupter.should_stop() || self.killed.get()
    }

    fn finish(&mut self) -> Result<()> {
        self.close();
        Ok(())
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.close();
        } else if let Some(screen) = self.screen.get_mut().take() {
            screen.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dashboard_needs_a_terminal() {
        // Under a test harness one of the three streams may be a terminal, but hardly all.
        let Some(obstacle) = obstacle() else { return };
        assert!(!obstacle.is_empty());
        let error = dashboard().err().unwrap().to_string();
        assert!(
            error.contains(&obstacle) && error.contains("plain lines"),
            "{error}"
        );
    }

    #[test]
    fn without_a_screen_it_speaks_in_lines() {
        let mut dashboard = Dashboard::new();
        dashboard.message("nothing was opened yet");
        assert!(!dashboard.wants_to_stop());
        dashboard.interrupter.stop(None);
        assert!(dashboard.wants_to_stop());
        dashboard.finish().unwrap();
        restore_terminal();
    }
}
