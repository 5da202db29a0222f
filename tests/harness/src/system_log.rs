//! A system log that a test reads: no /dev/log, no journald, no root.
//!
//! `stand_in_for_the_system_log!` defines syslog(3) and its kin in a program, and all that is loaded into it, libpam and
//! modules, gets them: as [`crate::wall_clock`] does for the clock. A host with journald is played too: there a module finds
//! that /dev/log leads to journald, and what it sends to journald's socket is caught.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a module does with the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// syslog(3): priority with facility, and text.
    Line(i32, String),
    /// A datagram to journald, in its native protocol.
    Journal(Vec<u8>),
    /// Calls a function that is the host program's own affair: openlog(3) and the like.
    Meddled(&'static str),
}

/// Whether the host that is played has journald.
static JOURNALD_RUNS: AtomicBool = AtomicBool::new(false);

const JOURNALD_LOG: &str = "/run/systemd/journal/dev-log";
const JOURNALD_SOCKET: &str = "/run/systemd/journal/socket";

/// From now on this is a host with journald. Without it, it is one with syslog alone, whatever the real one has.
pub fn run_journald() {
    JOURNALD_RUNS.store(true, Ordering::SeqCst);
}

/// The text of a call of syslog(3).
///
/// C would declare it with `...`, which stable Rust can't define; on the 64-bit ABIs of Linux the first few pointers of a
/// variadic call come in the same registers as in a plain one. Formats of nothing but `%s` are understood, which is what
/// libpam uses; any other is given back as it stands, so that a test on the line fails and shows it.
///
/// # Safety
/// As of syslog(3): `format` is a C string, and for each `%s` in it there is a C string in `arguments`.
pub unsafe fn text(format: *const c_char, arguments: [*const c_char; 2]) -> String {
    // SAFETY: the caller's promise.
    let format = unsafe { CStr::from_ptr(format) }.to_string_lossy();
    let mut pieces = format.split('%');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    let mut arguments = arguments.into_iter();
    for piece in pieces {
        let (Some(literal), Some(argument)) = (piece.strip_prefix('s'), arguments.next()) else {
            return format.into_owned();
        };
        // SAFETY: the caller's promise.
        text.push_str(&unsafe { CStr::from_ptr(argument) }.to_string_lossy());
        text.push_str(literal);
    }
    text
}

#[cfg(not(target_pointer_width = "64"))]
compile_error!("variadic calls differ on 32-bit machines: run the tests on a 64-bit one");

/// readlink(2), but /dev/log leads to journald on a host that has it, and is missing on one that has not.
///
/// # Safety
/// As of readlink(2).
pub unsafe fn readlink(path: *const c_char, buffer: *mut c_char, size: usize) -> isize {
    // SAFETY: the caller's promise.
    let of_the_log = unsafe { CStr::from_ptr(path) } == c"/dev/log";
    if !of_the_log {
        // SAFETY: the same call, straight to the kernel.
        let length = unsafe { libc::syscall(libc::SYS_readlinkat, libc::AT_FDCWD, path, buffer, size) };
        return isize::try_from(length).unwrap_or(-1);
    }
    if !JOURNALD_RUNS.load(Ordering::SeqCst) {
        // SAFETY: it is this thread's errno.
        unsafe { *libc::__errno_location() = libc::ENOENT };
        return -1;
    }
    let length = JOURNALD_LOG.len().min(size);
    // SAFETY: `length` bytes fit both.
    unsafe { buffer.copy_from_nonoverlapping(JOURNALD_LOG.as_ptr().cast(), length) };
    isize::try_from(length).unwrap_or(-1)
}

/// sendto(2), but a datagram to journald goes to `sink`.
///
/// # Safety
/// As of sendto(2).
pub unsafe fn sendto(
    socket: c_int,
    data: *const c_void,
    length: usize,
    flags: c_int,
    address: *const libc::sockaddr,
    address_length: libc::socklen_t,
    sink: fn(Entry),
) -> isize {
    // SAFETY: the caller's promise.
    if unsafe { leads_to_journald(address, address_length) } {
        // SAFETY: the caller's promise.
        let datagram = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) };
        sink(Entry::Journal(datagram.to_vec()));
        return isize::try_from(length).unwrap_or(-1);
    }
    // SAFETY: the same call, straight to the kernel.
    let sent =
        unsafe { libc::syscall(libc::SYS_sendto, socket, data, length, flags, address, address_length) };
    isize::try_from(sent).unwrap_or(-1)
}

/// # Safety
/// `address` is NULL or has `length` bytes.
unsafe fn leads_to_journald(address: *const libc::sockaddr, length: libc::socklen_t) -> bool {
    let length = usize::try_from(length).unwrap_or(0);
    let path_at = std::mem::offset_of!(libc::sockaddr_un, sun_path);
    // SAFETY: the caller's promise; `sa_family` is at the beginning of every address.
    if address.is_null() || length <= path_at || unsafe { (*address).sa_family } != AF_UNIX {
        return false;
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(address.cast::<u8>(), length) };
    let path = bytes.get(path_at..).unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default();
    Path::new(OsStr::from_bytes(path)) == Path::new(JOURNALD_SOCKET)
}

/// AF_UNIX in the width of an address's family.
const AF_UNIX: libc::sa_family_t = 1;

/// Defines syslog(3), openlog(3) and their kin in the program that uses it; each use goes to the given `fn(Entry)`.
#[macro_export]
macro_rules! stand_in_for_the_system_log {
    ($sink:path) => {
        const _: () = {
            use ::std::ffi::{c_char, c_int, c_void};
            use $crate::system_log::{self, Entry};

            // SAFETY: it keeps the contract of the function whose name it takes.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn syslog(
                priority: c_int,
                format: *const c_char,
                first: *const c_char,
                second: *const c_char,
            ) {
                // SAFETY: the same contract.
                $sink(Entry::Line(priority, unsafe { system_log::text(format, [first, second]) }));
            }

            /// syslog(3) of a program built with `_FORTIFY_SOURCE`.
            // SAFETY: it keeps the contract of the function whose name it takes.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn __syslog_chk(
                priority: c_int,
                _flag: c_int,
                format: *const c_char,
                first: *const c_char,
                second: *const c_char,
            ) {
                // SAFETY: the same contract.
                $sink(Entry::Line(priority, unsafe { system_log::text(format, [first, second]) }));
            }

            // SAFETY: it keeps the contract of the function whose name it takes.
            #[unsafe(no_mangle)]
            extern "C" fn openlog(_name: *const c_char, _options: c_int, _facility: c_int) {
                $sink(Entry::Meddled("openlog"));
            }

            // SAFETY: it keeps the contract of the function whose name it takes.
            #[unsafe(no_mangle)]
            extern "C" fn closelog() {
                $sink(Entry::Meddled("closelog"));
            }

            // SAFETY: it keeps the contract of the function whose name it takes.
            #[unsafe(no_mangle)]
            extern "C" fn setlogmask(_mask: c_int) -> c_int {
                $sink(Entry::Meddled("setlogmask"));
                0xff
            }

            // SAFETY: it keeps the contract of the function whose name it takes.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn readlink(path: *const c_char, buffer: *mut c_char, size: usize) -> isize {
                // SAFETY: the same contract.
                unsafe { system_log::readlink(path, buffer, size) }
            }

            // SAFETY: it keeps the contract of the function whose name it takes.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn sendto(
                socket: c_int,
                data: *const c_void,
                length: usize,
                flags: c_int,
                address: *const ::libc::sockaddr,
                address_length: ::libc::socklen_t,
            ) -> isize {
                // SAFETY: the same contract.
                unsafe { system_log::sendto(socket, data, length, flags, address, address_length, $sink) }
            }
        };
    };
}
