//! A disk that is watched, and that takes its time if it is told to, so that what happens between a module's reading and
//! its writing has time to happen.
//!
//! `stand_in_for_the_disk!` defines pwrite(2) and fdatasync(2) in a program, for all that is loaded into it: as
//! [`crate::wall_clock`] does for the clock.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// What was asked of the disk, and done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Done {
    /// A write in place.
    Written,
    /// A sync of a file's data.
    Synced,
}

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

/// Defines `pwrite`, `pwrite64` and `fdatasync` in the program that uses it; each use is told to the given `fn(Done)`.
#[macro_export]
macro_rules! stand_in_for_the_disk {
    ($sink:path) => {
        const _: () = {
            use ::std::ffi::{c_int, c_void};
            use $crate::disk::{self, Done};

            // SAFETY: it keeps the contract of the function whose name it takes.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn pwrite(
                file: c_int,
                data: *const c_void,
                length: usize,
                offset: i64,
            ) -> isize {
                // SAFETY: the same contract.
                let written = unsafe { disk::pwrite(file, data, length, offset) };
                $sink(Done::Written);
                written
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
                let written = unsafe { disk::pwrite(file, data, length, offset) };
                $sink(Done::Written);
                written
            }

            // SAFETY: it keeps the contract of the function whose name it takes.
            #[unsafe(no_mangle)]
            extern "C" fn fdatasync(file: c_int) -> c_int {
                let code = disk::fdatasync(file);
                $sink(Done::Synced);
                code
            }
        };
    };
}
