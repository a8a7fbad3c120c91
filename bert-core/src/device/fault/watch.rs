//! The panic hook and the logger through which faults come to light.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Write;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::str::FromStr;
use std::sync::{Mutex, OnceLock};

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::{Fault, OPERATION, cause, is_catching, lock, record};
use crate::device::tuning;
use crate::error::{Error, Result};

/// The environment variable with the least severe level of messages that are shown.
const VARIABLE: &str = "BERT_LOG";

/// Beginnings of the names that CubeCL gives to the threads of devices: below fusion, and fusion's own.
const DEVICE_THREADS: [&str; 2] = ["DSD-", "DSU-"];

/// Log targets that say that work was given up, with the beginning of the message.
const FATAL: [(&str, &str); 5] = [
    // A panic in a task that nobody waits for.
    ("cubecl_common::device::handle::channel::task", "CallError("),
    // A panic in an operation of the fusion queue, outside of tuning.
    (
        "burn_fusion::stream::queue::execution",
        "an operation failed",
    ),
    (
        "cubecl_wgpu::compute::device_poison",
        "the wgpu device was lost",
    ),
    // On a client, the end of a session; on a worker, a session that failed.
    ("burn_remote::client::service", "Remote response stream"),
    ("burn_remote::server::worker", "Session"),
];

/// Panics of device threads that are remembered until their caller shows whether it survived them.
const REMEMBERED: usize = 64;

static SHOWN: OnceLock<LevelFilter> = OnceLock::new();
static OF_DEVICES: Mutex<VecDeque<(String, String)>> = Mutex::new(VecDeque::new());

thread_local! {
    static LAST: RefCell<Option<KeptPanic>> = const { RefCell::new(None) };
}

/// A panic on a thread that is in [`catching`](super::catching).
pub(super) struct KeptPanic {
    pub(super) message: String,
    pub(super) of_device: bool,
    /// Message of Rust's hook, unless it has been printed.
    pub(super) text: Option<String>,
    operation: String,
}

impl KeptPanic {
    pub(super) fn fault(&self) -> Fault {
        Fault::with_operation(&self.message, self.operation.clone())
    }
}

/// Watches the process for faults of devices: installs a panic hook and a logger. Calls after the first change nothing.
///
/// Panics on a device's thread are not printed, because the autotuner and its probes survive most of them; what they do
/// not survive is recorded. The environment variable `BERT_LOG` (`off`, `error`, `warn`, `info`, `debug`, `trace`) shows the
/// messages of the libraries below from that level on, and from `debug` on these panics. Tuning of kernels that takes longer
/// than some seconds is reported in a line. Where the process has a logger already, that one stays, and panics of detached
/// tasks are not recorded.
///
/// # Errors
/// [`Error::InvalidVariable`] if `BERT_LOG` is none of these levels.
pub fn watch() -> Result<()> {
    let value = std::env::var(VARIABLE).unwrap_or_default();
    let shown = match value.trim() {
        "" => LevelFilter::Off,
        name => LevelFilter::from_str(name).map_err(|_| Error::InvalidVariable {
            name: VARIABLE,
            value: name.to_owned(),
            allowed: "off, error, warn, info, debug or trace",
        })?,
    };
    if SHOWN.set(shown).is_err() {
        return Ok(());
    }
    if log::set_logger(&Watch).is_ok() {
        // Faults are warnings, and what the tuner does is information.
        log::set_max_level(shown.max(LevelFilter::Info));
    }
    let default = take_hook();
    set_hook(Box::new(move |info| panicked(info, &*default)));
    Ok(())
}

fn shows(level: Level) -> bool {
    SHOWN.get().is_some_and(|shown| level <= *shown)
}

/// The hook: runs on the thread that panics, before it unwinds.
fn panicked(info: &PanicHookInfo<'_>, default: &dyn Fn(&PanicHookInfo<'_>)) {
    let message = info.payload_as_str().unwrap_or_default();
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let shown = shows(Level::Debug);
    if shown {
        default(info);
    }
    if is_device_thread() {
        let mut panics = lock(&OF_DEVICES);
        if panics.len() == REMEMBERED {
            panics.pop_front();
        }
        panics.push_back((message.to_owned(), lock(&OPERATION).clone()));
        return;
    }
    let file = info.location().map(std::panic::Location::file);
    let of_device = cause::is_of_a_device(message, file);
    if is_catching() {
        if aborts(message) {
            // Nothing will be caught any more.
            if let Some(text) = take_last().and_then(|panic| panic.text) {
                print(&text);
            }
            if !shown {
                default(info);
            }
            return;
        }
        let kept = KeptPanic {
            message: message.to_owned(),
            of_device,
            text: (!shown).then(|| described(name, info)),
            operation: lock(&OPERATION).clone(),
        };
        LAST.set(Some(kept));
    } else if of_device {
        record(Fault::new(message));
    } else if !shown {
        default(info);
    }
}

/// True on a thread of a device, whose panics may be survived and are not printed.
pub(crate) fn is_device_thread() -> bool {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or_default();
    DEVICE_THREADS.iter().any(|start| name.starts_with(start))
}

/// True if Rust ends the process after a panic with this message.
fn aborts(message: &str) -> bool {
    message.starts_with("panic in a function that cannot unwind")
        || message.starts_with("panic in a destructor during cleanup")
}

/// Text of Rust's own hook.
fn described(thread: &str, info: &PanicHookInfo<'_>) -> String {
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => {
            format!("thread '{thread}' {info}\nstack backtrace:\n{backtrace}")
        }
        _ => format!("thread '{thread}' {info}"),
    }
}

/// The last panic that was kept back on this thread.
pub(super) fn take_last() -> Option<KeptPanic> {
    LAST.take()
}

/// The operation that was under way when a device's thread panicked with `message`, if one did.
pub(super) fn operation_of(message: &str) -> Option<String> {
    let panics = lock(&OF_DEVICES);
    let found = panics.iter().rev().find(|(panic, _)| panic == message)?;
    Some(found.1.clone())
}

pub(super) fn print(text: &str) {
    // Nobody is left to hear of it if that fails.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Listens to the libraries below.
struct Watch;

impl Log for Watch {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        shows(metadata.level())
            || is_fatal_target(metadata)
            || tuning::is_of_the_tuner(metadata.target())
    }

    fn log(&self, entry: &Record<'_>) {
        tuning::record_message(entry.target(), *entry.args());
        if is_fatal_target(entry.metadata()) {
            let message = entry.args().to_string();
            let target = entry.target();
            if FATAL
                .iter()
                .any(|(name, start)| *name == target && message.starts_with(start))
            {
                record(Fault::new(&message));
            }
        }
        if shows(entry.level()) {
            print(&format!(
                "[{} {}] {}",
                entry.level(),
                entry.target(),
                entry.args()
            ));
        }
    }

    fn flush(&self) {}
}

fn is_fatal_target(metadata: &Metadata<'_>) -> bool {
    metadata.level() <= Level::Warn && FATAL.iter().any(|(target, _)| *target == metadata.target())
}
