//! Bytes that are no request.

use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use mfa_core::Response;
use mfa_wire::frame::{self, MAX_BYTES, VERSION};
use mfa_wire::{Denial, Envelope, Reply};

use crate::daemon::{Daemon, PATIENCE, myself, send_bytes, status};

fn reply(stream: &UnixStream) -> Reply {
    frame::receive(stream, Instant::now() + PATIENCE).expect("mfad replies")
}

fn is_alive(daemon: &Daemon) -> bool {
    matches!(daemon.ask(status(&myself())), Ok(Response::Status(_)) | Err(Denial::NotEnrolled))
}

#[test]
fn what_is_no_request_is_not_understood_and_harms_nobody() {
    let daemon = Daemon::start();
    let whole = frame::encode(&Envelope::bare(status(&myself()))).unwrap().to_vec();
    let mut other_version = whole.clone();
    other_version[4] = 99;
    let mut more_behind = whole.clone();
    more_behind.push(0);
    more_behind[3] += 1;
    for bytes in [
        &u32::MAX.to_be_bytes()[..],
        &0_u32.to_be_bytes(),
        &[&(u32::try_from(MAX_BYTES).unwrap() + 1).to_be_bytes()[..], &[1; 100]].concat(),
        &[0, 0, 0, 3, VERSION, 255, 255],
        &[0, 0, 0, 6, VERSION, 0, 255, 255, 255, 255],
        &other_version,
        &more_behind,
    ] {
        let stream = daemon.connect();
        send_bytes(&stream, bytes);
        assert_eq!(reply(&stream).unwrap_err(), Denial::NotUnderstood, "{bytes:?}");
        assert!(is_alive(&daemon));
    }
}

#[test]
fn half_a_request_is_none() {
    let daemon = Daemon::start();
    let whole = frame::encode(&Envelope::bare(status(&myself()))).unwrap().to_vec();
    for length in [0, 1, 4, 5, whole.len() - 1] {
        let mut stream = daemon.connect();
        send_bytes(&stream, &whole[..length]);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert_eq!(rest, b"", "{length} bytes");
    }
    assert!(is_alive(&daemon));
}

#[test]
fn one_connection_has_one_reply() {
    let daemon = Daemon::start();
    let whole = frame::encode(&Envelope::bare(status(&myself()))).unwrap().to_vec();
    let mut stream = daemon.connect();
    send_bytes(&stream, &[&whole[..], &whole].concat());
    let _ = reply(&stream);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(rest, b"");
}
