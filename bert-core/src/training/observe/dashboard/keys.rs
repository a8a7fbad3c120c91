//! Ctrl-C as a signal while the terminal is in raw mode.
//!
//! Elsewhere than on Unix these functions do nothing.

#[cfg(unix)]
mod unix {
    use std::io;
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    use rustix::termios::{
        LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
    };

    /// The terminal before the dashboard changed it.
    static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

    /// Special characters with this code are off (`_POSIX_VDISABLE`, which is 0 on Linux).
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const OFF: u8 = 0;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const OFF: u8 = 0xff;

    /// Keeps the settings of the terminal for [`restore`].
    pub(in super::super) fn remember() {
        *before() = tcgetattr(io::stdin()).ok();
    }

    /// The settings are back.
    pub(in super::super) fn forget() {
        *before() = None;
    }

    /// Waits until the renderer's thread has switched to raw mode, and lets Ctrl-C through.
    pub(in super::super) fn await_raw_mode() {
        let start = Instant::now();
        while !allow_interrupt() && start.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Makes Ctrl-C a signal again if the terminal is in raw mode; whether it is.
    ///
    /// Ctrl-Z and Ctrl-\ stay mere keys: they would leave the shell with the dashboard's screen.
    pub(in super::super) fn allow_interrupt() -> bool {
        let Ok(mut settings) = tcgetattr(io::stdin()) else {
            return false;
        };
        if settings.local_modes.contains(LocalModes::ICANON) {
            return false;
        }
        if !settings.local_modes.contains(LocalModes::ISIG) {
            settings.local_modes.insert(LocalModes::ISIG);
            for key in [SpecialCodeIndex::VSUSP, SpecialCodeIndex::VQUIT] {
                settings.special_codes[key] = OFF;
            }
            // A terminal that refuses is one where `q` still works.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &settings);
        }
        true
    }

    /// Puts the settings back; whether there were any.
    pub(in super::super) fn restore() -> bool {
        let Some(settings) = before().take() else {
            return false;
        };
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &settings);
        true
    }

    fn before() -> std::sync::MutexGuard<'static, Option<Termios>> {
        BEFORE
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(not(unix))]
mod other {
    pub(in super::super) fn remember() {}
    pub(in super::super) fn forget() {}
    pub(in super::super) fn await_raw_mode() {}
    pub(in super::super) fn allow_interrupt() -> bool {
        false
    }
    pub(in super::super) fn restore() -> bool {
        false
    }
}

#[cfg(not(unix))]
pub(super) use other::*;
#[cfg(unix)]
pub(super) use unix::*;
