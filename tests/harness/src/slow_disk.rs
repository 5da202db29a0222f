//! A disk that takes its time, so that what happens between a module's reading and its writing has time to happen.
//!
//! `stand_in_for_a_slow_disk!` defines pwrite(2) and the syncs in a program, for all that is loaded into it: as
//! [`crate::wall_clock`] does for the clock.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

static DELAY_MILLISECONDS: AtomicU64 = AtomicU64::new(0);

/// From now on each write in place and each sync comes so much later.
pub fn slow_down(milliseconds: u64) {
    DELAY_MILLISECONDS.store(milliseconds, Ordering::SeqCst);
}

fn wait() {
    let milliseconds = DELAY_MILLISECONDS.load(Ordering::SeqCst);
    if milliseconds > 0 {
        thread::sleep(Duration::from_millis(milliseconds));
    }
}

/// pwrite(2), later.
///
/// # Safety
/// As of pwrite(2).
pub unsafe fn pwrite(file: c_int, data: *const c_void, length: usize, offset: i64) -> isize {
    wait();
    // SAFETY: the same call, straight to the kernel.
    let written = unsafe { libc::syscall(libc::SYS_pwrite64, file, data, length, offset) };
    isize::try_from(written).unwrap_or(-1)
}

/// fdatasync(2), later.
pub fn fdatasync(file: c_int) -> c_int {
    wait();
    // SAFETY: the same call, straight to the kernel; any number may be asked about.
    let code = unsafe { libc::syscall(libc::SYS_fdatasync, file) };
    if code == 0 { 0 } else { -1 }
}

/// Defines `pwrite`, `pwrite64` and `fdatasync` in the program that uses it.
#[macro_export]
macro_rules! stand_in_for_a_slow_disk {
    () => {
        const _: () = {
            use ::std::ffi::{c_int, c_void};
            use $crate::slow_disk;

            // SAFETY: it keeps the contract of the function whose name it takes.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn pwrite(
                file: c_int,
                data: *const c_void,
                length: usize,
                offset: i64,
            ) -> isize {
                // SAFETY: the same contract.
                unsafe { slow_disk::pwrite(file, data, length, offset) }
            }

            // SAFETY: it keeps the contract of the function whose name it takes.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn pwrite64(
                file: c_int,
                data: *const c_void,
                length: usize,
                offset: i64,
            ) -> isize {
                // SAFETY: the same contract.
                unsafe { slow_disk::pwrite(file, data, length, offset) }
            }

            // SAFETY: it keeps the contract of the function whose name it takes.
            #[unsafe(no_mangle)]
            extern "C" fn fdatasync(file: c_int) -> c_int {
                slow_disk::fdatasync(file)
            }
        };
    };
}
