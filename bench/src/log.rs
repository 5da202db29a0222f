//! The system log of the bench: a line costs what it costs where a daemon listens, and none of them reaches the real log.
//!
//! Without it a machine with no /dev/log would measure the system console: libpam asks syslog(3) to write there then.

use std::os::unix::net::UnixDatagram;
use std::sync::OnceLock;
use std::thread;

use mfa_test_harness::system_log::Entry;

static DAEMON: OnceLock<UnixDatagram> = OnceLock::new();

/// Starts to listen, as a log daemon does.
pub(crate) fn listen() {
    let (ours, daemons) = UnixDatagram::pair().expect("two sockets");
    thread::spawn(move || {
        let mut datagram = [0; 4096];
        while daemons.recv(&mut datagram).is_ok() {}
    });
    DAEMON.set(ours).expect("it is called once");
}

/// One datagram a line, as syslog(3) sends it.
pub(crate) fn send(entry: Entry) {
    if let (Entry::Line(priority, text), Some(daemon)) = (entry, DAEMON.get()) {
        let line = format!("<{priority}>Jan  1 00:00:00 mfa-bench[{}]: {text}", std::process::id());
        // A log that is full changes nothing.
        let _ = daemon.send(line.as_bytes());
    }
}
