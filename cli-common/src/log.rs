//! The log of changes, in AUTHPRIV: `mfa-enroll[123]: enrolled user=alice device=phone by=root(0)`.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::process;
use std::time::Duration;

use mfa_core::UserName;
use mfa_core::audit::Event;
use nix::unistd::{User, getuid};

/// Where a syslog daemon, or journald, listens.
const SOCKET: &str = "/dev/log";

/// RFC 3164 4.1.1: facility 10, authpriv, for what only administrators may read; severity 5, notice.
const PRIORITY: u8 = 10 * 8 + 5;

/// Logs an event in the name of `program`. Logging that fails changes nothing.
pub fn record(program: &str, event: &Event) {
    // Not by syslog(3): the safe wrapper of it that we have knows no authpriv.
    let _ = send(&message(program, process::id(), event));
}

/// Who runs this program, `root(0)`, to log as `by`.
pub(crate) fn invoker() -> String {
    let uid = getuid();
    let name = User::from_uid(uid).ok().flatten().map_or_else(|| "unknown".to_owned(), |user| user.name);
    format!("{name}({uid})")
}

/// Who runs this program, for the history: `root (sudo by carol)`.
pub(crate) fn origin() -> String {
    let uid = getuid();
    let name = User::from_uid(uid).ok().flatten().map_or_else(|| format!("uid {uid}"), |user| user.name);
    // A name to show, never to trust.
    let by_sudo = std::env::var("SUDO_USER").ok().filter(|sudo_user| uid.is_root() && *sudo_user != name);
    match by_sudo.and_then(|sudo_user| sudo_user.parse::<UserName>().ok()) {
        Some(sudo_user) => format!("{name} (sudo by {sudo_user})"),
        None => name,
    }
}

fn message(program: &str, pid: u32, event: &Event) -> String {
    format!("<{PRIORITY}>{program}[{pid}]: {}", event.line())
}

fn send(message: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    // A daemon that hangs must not hang us.
    socket.set_write_timeout(Some(Duration::from_secs(1)))?;
    socket.send_to(message.as_bytes(), SOCKET).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_one_line_to_authpriv() {
        let event =
            Event::new("enrolled").with("user", "alice").with("device", "old phone").with("by", "root(0)");
        assert_eq!(
            message("mfa-enroll", 123, &event),
            "<85>mfa-enroll[123]: enrolled user=alice device=\"old phone\" by=root(0)"
        );
    }
}
