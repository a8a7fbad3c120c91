//! Ctrl-C: what trains stops after the step at hand, everything else ends at once and leaves nothing
//! half-written.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context, Result};
use bert_core::stop::StopFlag;
use bert_core::training::{dashboard_is_open, restore_terminal};

use super::note::note;

/// Exit code that shells report for a command ended by Ctrl-C.
pub(crate) const EXIT_CODE: u8 = 130;

// A process has one handler, which knows its runs and files from here.
static STOP: OnceLock<(StopFlag, &str)> = OnceLock::new();
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Description of how training reacts to the first signal.
pub(crate) const AFTER_THE_STEP: &str = "stopping after the step under way";

/// A flag that Ctrl-C or SIGTERM sets: the run then stops after the step it is at, with a checkpoint, and a second
/// signal ends the process at once. A step may take minutes while kernels are compiled and tuned, so the first signal says
/// what is waited for in the words of `waiting`, unless a dashboard is on the screen.
pub(crate) fn stop_on_ctrl_c(waiting: &'static str) -> Result<StopFlag> {
    listen()?;
    Ok(STOP.get_or_init(|| (StopFlag::new(), waiting)).0.clone())
}

/// A file under a temporary name, which goes if Ctrl-C ends the process while this lives.
pub(crate) struct Unfinished(PathBuf);

impl Unfinished {
    pub(crate) fn new(path: PathBuf) -> Result<Self> {
        listen()?;
        unfinished().push(path.clone());
        Ok(Self(path))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        unfinished().retain(|path| *path != self.0);
    }
}

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    // A list of paths is whole whatever panicked meanwhile.
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen() -> Result<()> {
    static LISTENS: Mutex<bool> = Mutex::new(false);
    let mut listens = LISTENS.lock().unwrap_or_else(PoisonError::into_inner);
    if !*listens {
        ctrlc::set_handler(interrupted).context("cannot listen to Ctrl-C")?;
        *listens = true;
    }
    Ok(())
}

/// Runs in a thread of its own.
fn interrupted() {
    if let Some((flag, waiting)) = STOP.get()
        && !flag.set()
    {
        if !dashboard_is_open() {
            note(format_args!(
                "{waiting}; a second signal (Ctrl-C, SIGTERM) ends the command at once"
            ));
        }
        return;
    }
    restore_terminal();
    for path in unfinished().iter() {
        // What cannot be removed is left to the next process that writes there.
        let _ = std::fs::remove_file(path);
    }
    bert_core::device::exit_unflushed(EXIT_CODE);
}
