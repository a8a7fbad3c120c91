//! Ends of processes that have a graphics driver in them.
//!
//! A driver undoes itself in destructors that the C library runs at exit. Work that nobody waits for may be under way on a
//! device's thread then, as after an error or Ctrl-C: SwiftShader crashes, and the process ends with the signal's exit code in
//! place of its own. Whatever had to be kept is kept by then, so that such a process ends without destructors.

use std::io::Write;
#[cfg(all(target_os = "linux", feature = "cubecl"))]
use std::sync::atomic::{AtomicBool, Ordering};

/// True once a graphics driver has been asked for a device.
#[cfg(all(target_os = "linux", feature = "cubecl"))]
static DRIVER: AtomicBool = AtomicBool::new(false);

/// Takes note of a graphics driver in this process.
#[cfg(feature = "wgpu")]
pub(super) fn a_driver_starts() {
    #[cfg(target_os = "linux")]
    DRIVER.store(true, Ordering::Relaxed);
}

/// Ends the process with an exit code; on Linux without the destructors of C libraries if a graphics driver was started,
/// which must not run while the device is at work. Both standard streams are flushed.
pub fn exit(code: u8) -> ! {
    // Nobody is left to hear of it if that fails.
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    exit_unflushed(code)
}

/// Ends the process as [`exit`] does, for a thread that must not wait for one that is writing.
pub fn exit_unflushed(code: u8) -> ! {
    #[cfg(all(target_os = "linux", feature = "cubecl"))]
    if DRIVER.load(Ordering::Relaxed) {
        at_once(code.into());
    }
    std::process::exit(code.into())
}

/// Makes a test program end as [`exit`] does, with the code that it chose.
#[cfg(all(target_os = "linux", target_env = "gnu", feature = "cubecl"))]
#[expect(
    unsafe_code,
    reason = "the harness ends test programs, and only the C library tells of that end"
)]
pub(super) fn end_tests_at_once() {
    use std::ffi::{c_int, c_void};
    use std::sync::Once;

    unsafe extern "C" {
        fn on_exit(handler: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
    }
    extern "C" fn handler(code: c_int, _: *mut c_void) {
        if DRIVER.load(Ordering::Relaxed) {
            at_once(code);
        }
    }
    static REGISTERED: Once = Once::new();
    // After the driver, so that it comes before the driver's destructors.
    REGISTERED.call_once(|| {
        // SAFETY: the handler is there for as long as the process, and uses its code alone. If it can't be registered,
        // destructors run as ever.
        unsafe { on_exit(handler, std::ptr::null_mut()) };
    });
}

#[cfg(all(target_os = "linux", feature = "cubecl"))]
#[expect(
    unsafe_code,
    reason = "the standard library has no exit without destructors"
)]
fn at_once(code: i32) -> ! {
    // SAFETY: the call ends the process and touches none of its memory.
    unsafe { libc::_exit(code) }
}
