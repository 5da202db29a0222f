//! The journal: the same line as syslog's, with its fields beside it.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use mfa_core::audit::Event;

use crate::conversation::Priority;

/// syslog's facility for what only administrators may read (LOG_AUTHPRIV).
const AUTHPRIV: u8 = 10;

/// Which of PAM's calls an event belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Auth,
    Account,
}

/// Sends `event` to journald in its native protocol (systemd's "Native Journal Protocol").
///
/// # Errors
/// journald does not run, is not who reads syslog on this host, or does not take it now. The caller falls back to syslog, so that
/// every event is logged once.
pub(crate) fn send(priority: Priority, service: &[u8], phase: Phase, event: &Event) -> io::Result<()> {
    if std::fs::read_link("/dev/log")? != Path::new("/run/systemd/journal/dev-log") {
        return Err(io::ErrorKind::NotFound.into());
    }
    let service = String::from_utf8_lossy(service);
    let program = std::fs::read_to_string("/proc/self/comm")?;
    let mut entry = String::with_capacity(1024);
    let mut field = |key: &str, value: &str| {
        // No value holds a newline: the event has escaped them, and a program's name is cut to its first line.
        let value = value.lines().next().unwrap_or_default();
        entry.extend([key, "=", value, "\n"]);
    };
    let phase = match phase {
        Phase::Auth => "auth",
        Phase::Account => "account",
    };
    field("MESSAGE", &format!("pam_mfa({service}:{phase}): {}", event.line()));
    field("PRIORITY", &syslog_priority(priority).to_string());
    field("SYSLOG_FACILITY", &AUTHPRIV.to_string());
    field("SYSLOG_IDENTIFIER", &program);
    field("SYSLOG_PID", &std::process::id().to_string());
    for (key, value) in event.fields() {
        field(&key, &value);
    }
    let socket = UnixDatagram::unbound()?;
    // A journal that is stuck must not hold up a login.
    socket.set_nonblocking(true)?;
    socket.send_to(entry.as_bytes(), "/run/systemd/journal/socket").map(|_| ())
}

/// The number of a priority in syslog(3).
pub(crate) const fn syslog_priority(priority: Priority) -> libc::c_int {
    match priority {
        Priority::Alert => libc::LOG_ALERT,
        Priority::Critical => libc::LOG_CRIT,
        Priority::Error => libc::LOG_ERR,
        Priority::Notice => libc::LOG_NOTICE,
        Priority::Info => libc::LOG_INFO,
        Priority::Debug => libc::LOG_DEBUG,
    }
}

/// Makes a panic silent: Rust would print it on standard error, which belongs to the host program.
///
/// The hook is this library's own: it has its own copy of Rust's runtime, so a host that is written in Rust keeps its hook. The place
/// of the panic goes to syslog, its message does not, for it could hold anything.
pub(crate) fn keep_panics_off_the_terminal() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |at| format!("{}:{}", at.file(), at.line()));
        if let Ok(line) = std::ffi::CString::new(format!("pam_mfa: internal error at {place}")) {
            // SAFETY: the format takes one string, which ends with a zero.
            unsafe {
                libc::syslog(libc::LOG_AUTHPRIV | libc::LOG_ALERT, c"%s".as_ptr(), line.as_ptr());
            }
        }
    }));
}
