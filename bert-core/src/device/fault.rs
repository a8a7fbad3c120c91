//! Faults of devices: found where they happen, kept until the command ends with them.
//!
//! A CubeCL device computes on threads of its own. A panic there ends one of three ways, which the panic hook cannot tell
//! apart: a blocking call hands it to its caller, who may survive it (the autotuner and its throughput probes do, by the
//! hundred on small devices); an operation of the fusion queue leaves it on the tensors it was to write; or the task was
//! sent without waiting, and nobody is told. The last two are logged by CubeCL and Burn at the place that catches them, so
//! that [`watch`] listens to both: the hook keeps the message, and the log says that it was fatal. A lost device is
//! logged, too, and otherwise only reported by the next read.
//!
//! The first fault of the process is kept. [`check`] turns it into an error, and [`catching`] does so with the panics of
//! the thread that reads from a failed device.

mod cause;
mod watch;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::TensorReadError;

use crate::error::{Error, Result};

pub use cause::FaultKind;
#[cfg(feature = "dashboard")]
pub(crate) use watch::is_device_thread;
pub use watch::watch;

/// A failure on a device's thread, or of a call to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The operation under way, as [`during`] named it.
    pub operation: String,
    /// The message of the driver or runtime, on one line.
    pub cause: String,
    /// The class of failure, which decides what helps.
    pub kind: FaultKind,
}

// A process has one command, and its devices are the process's: one record.
static FIRST: Mutex<Option<Fault>> = Mutex::new(None);
static FAULTY: AtomicBool = AtomicBool::new(false);
static OPERATION: Mutex<String> = Mutex::new(String::new());

thread_local! {
    /// Calls of [`catching`] that this thread is in.
    static CATCHING: Cell<usize> = const { Cell::new(0) };
}

impl Fault {
    fn new(message: &str) -> Self {
        Self::with_operation(message, lock(&OPERATION).clone())
    }

    fn with_operation(message: &str, operation: String) -> Self {
        let (cause, kind) = match super::lost_session(message) {
            Some(cause) => (cause, FaultKind::WorkerLost),
            None => (cause::cause(message), cause::kind(message)),
        };
        Self {
            operation: match operation.is_empty() {
                true => "a computation".to_owned(),
                false => operation,
            },
            cause,
            kind,
        }
    }

    /// The error that ends the work, with the remedy for this kind of fault and `further` advice, if any.
    pub fn into_error(self, further: Option<&str>) -> Error {
        let remedy = self.kind.remedy();
        Error::DeviceFailed {
            operation: self.operation,
            cause: self.cause,
            remedy: match further {
                Some(further) => format!("{remedy}; {further}"),
                None => remedy.to_owned(),
            },
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        fault.into_error(None)
    }
}

/// The first fault since the process began, or since [`forget`].
pub fn first() -> Option<Fault> {
    match FAULTY.load(Ordering::Acquire) {
        true => lock(&FIRST).clone(),
        false => None,
    }
}

/// Fails once a device has: to be asked wherever results have been read.
///
/// # Errors
/// [`Error::DeviceFailed`] with the first fault.
pub fn check() -> Result<()> {
    first().map_or(Ok(()), |fault| Err(fault.into()))
}

/// The error of a read that failed, which becomes a fault, or that of the fault before it.
pub fn failed_read(error: &TensorReadError) -> Error {
    record(Fault::new(&error.to_string())).into()
}

/// Clears the record, for programs that go on with another device.
pub fn forget() {
    *lock(&FIRST) = None;
    FAULTY.store(false, Ordering::Release);
}

/// Names the operation under way until the returned value is dropped.
pub fn during(operation: impl Into<String>) -> During {
    During {
        before: std::mem::replace(&mut *lock(&OPERATION), operation.into()),
    }
}

/// The name of an operation; dropping it brings back the one before.
#[must_use = "the operation ends when this is dropped"]
pub struct During {
    before: String,
}

impl Drop for During {
    fn drop(&mut self) {
        *lock(&OPERATION) = std::mem::take(&mut self.before);
    }
}

/// Runs `work`; a panic in it that stems from a device becomes a fault.
///
/// Panics of other origin go on, after the message that the hook of [`watch`] has kept back. Faults that made nothing panic
/// here are left to [`first`] and [`check`].
///
/// # Errors
/// The first fault.
pub fn catching<R>(work: impl FnOnce() -> R) -> Result<R, Fault> {
    CATCHING.set(CATCHING.get() + 1);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(CATCHING.get() - 1);
    let payload = match outcome {
        Ok(result) => return Ok(result),
        Err(payload) => payload,
    };
    let kept = watch::take_last();
    if let Some(fault) = first() {
        return Err(fault);
    }
    let message = cause::text(payload.as_ref());
    let own = kept.as_ref().filter(|panic| panic.message == message);
    let from_device = watch::operation_of(message)
        .map(|operation| Fault::with_operation(message, operation))
        .or_else(|| {
            own.filter(|panic| panic.of_device)
                .map(|panic| panic.fault())
        })
        .or_else(|| cause::is_of_a_device(message, None).then(|| Fault::new(message)));
    match from_device {
        Some(fault) => Err(record(fault)),
        None => {
            if let Some(text) = own.and_then(|panic| panic.text.as_deref()) {
                watch::print(text);
            }
            resume_unwind(payload)
        }
    }
}

/// Keeps `fault` unless there is an earlier one; returns the one that is kept.
fn record(fault: Fault) -> Fault {
    let kept = lock(&FIRST).get_or_insert(fault).clone();
    FAULTY.store(true, Ordering::Release);
    kept
}

fn is_catching() -> bool {
    CATCHING.get() > 0
}

/// Locks what is whole whatever panicked meanwhile.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Held by tests that leave a fault in the record.
    pub(crate) static RECORD: Mutex<()> = Mutex::new(());

    #[test]
    fn the_first_fault_is_the_error() {
        let _alone = lock(&RECORD);
        forget();
        assert!(check().is_ok());
        {
            let _operation = during("the test");
            record(Fault::new("wgpu error: Out of Memory\n"));
            record(Fault::new("a consequence"));
        }
        let text = check().unwrap_err().to_string();
        assert!(text.contains("during the test"), "{text}");
        assert!(text.contains("Out of Memory"), "{text}");
        assert!(text.contains("--accumulate"), "{text}");
        let panic = catching(|| panic!("for want of data"));
        assert_eq!(panic.unwrap_err(), first().unwrap());
        forget();
        assert!(check().is_ok());
    }

    #[test]
    fn a_panic_of_ours_goes_on() {
        let _alone = lock(&RECORD);
        forget();
        let outcome = catch_unwind(|| catching(|| panic!("of ours")));
        assert_eq!(
            cause::text(outcome.unwrap_err().as_ref()),
            "of ours".to_owned()
        );
        assert_eq!(first(), None);
    }

    #[test]
    fn a_read_that_fails_is_a_fault() {
        let _alone = lock(&RECORD);
        forget();
        let fault = catching(|| {
            panic!("Error while reading data: use …: WithContext {{ reason: \"lost\" }}");
        });
        assert_eq!(fault.unwrap_err().cause, "lost");
        forget();
    }
}
