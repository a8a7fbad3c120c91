//! Memory of the process.

/// Returns to the system what has been freed, where the allocator would keep it: glibc's keeps the gaps that packed weights leave.
#[cfg_attr(
    all(target_os = "linux", target_env = "gnu", not(miri)),
    expect(unsafe_code, reason = "a function of the C library")
)]
pub fn release_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
    // SAFETY: it takes a number, locks the allocator itself, and leaves alone what is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
