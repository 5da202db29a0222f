//! A wall clock that a test sets: it stands still until it is moved.
//!
//! `stand_in_for_the_wall_clock!` defines `clock_gettime` and `time` in a program. The dynamic linker looks for a symbol
//! in the program first and in its libraries after that, so libpam and the modules that it loads get them too, if the
//! program exports them (`-Wl,--export-dynamic-symbol`, see build.rs there). No LD_PRELOAD, no root, no namespace.

use std::ffi::{c_int, c_long};
use std::sync::atomic::{AtomicI64, Ordering};

/// Seconds since 1970 at which the wall clock stands; negative: it runs.
static STANDS_AT: AtomicI64 = AtomicI64::new(-1);

/// Lets the wall clock stand at this second.
pub fn stop_at(unix_seconds: u64) {
    STANDS_AT.store(i64::try_from(unix_seconds).unwrap_or(i64::MAX), Ordering::SeqCst);
}

/// Lets it run again.
pub fn run() {
    STANDS_AT.store(-1, Ordering::SeqCst);
}

/// clock_gettime(2). Only the wall clock stands; waits with a bound go by the others.
///
/// # Safety
/// As of clock_gettime(2): `result` can be written to.
pub unsafe fn clock_gettime(clock: libc::clockid_t, result: *mut libc::timespec) -> c_int {
    let stands_at = STANDS_AT.load(Ordering::SeqCst);
    if stands_at >= 0 && matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE) {
        // SAFETY: the caller's promise.
        unsafe { *result = libc::timespec { tv_sec: stands_at, tv_nsec: 0 } };
        return 0;
    }
    // SAFETY: the same call, straight to the kernel.
    let code = unsafe { libc::syscall(libc::SYS_clock_gettime, c_long::from(clock), result) };
    if code == 0 { 0 } else { -1 }
}

/// time(2).
///
/// # Safety
/// As of time(2): `result` is NULL or can be written to.
pub unsafe fn time(result: *mut libc::time_t) -> libc::time_t {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it points to our own variable; and `result` is the caller's promise.
    unsafe {
        clock_gettime(libc::CLOCK_REALTIME, &raw mut now);
        if !result.is_null() {
            *result = now.tv_sec;
        }
    }
    now.tv_sec
}

/// Defines `clock_gettime` and `time` in the program that uses it.
#[macro_export]
macro_rules! stand_in_for_the_wall_clock {
    () => {
        // SAFETY: it keeps the contract of the function whose name it takes.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn clock_gettime(
            clock: ::libc::clockid_t,
            result: *mut ::libc::timespec,
        ) -> ::std::ffi::c_int {
            // SAFETY: the same contract.
            unsafe { $crate::wall_clock::clock_gettime(clock, result) }
        }

        // SAFETY: it keeps the contract of the function whose name it takes.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn time(result: *mut ::libc::time_t) -> ::libc::time_t {
            // SAFETY: the same contract.
            unsafe { $crate::wall_clock::time(result) }
        }
    };
}
