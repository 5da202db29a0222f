//! One user can't use up what is there for all.

use std::io::Read as _;
use std::time::{Duration, Instant};

use mfa_core::Response;
use mfa_wire::frame;
use mfa_wire::{Denial, Reply};

use crate::daemon::{Daemon, PATIENCE, myself, status};

#[test]
fn a_fifth_connection_is_turned_away_and_silent_ones_are_closed() {
    let daemon = Daemon::start();
    // The connection that showed that it listens is no longer counted.
    std::thread::sleep(Duration::from_secs(1));
    let begin = Instant::now();
    let mut silent: Vec<_> = (0..4).map(|_| daemon.connect()).collect();
    // The kernel takes a connection before mfad counts it; they are counted in their order.
    let fifth: Reply = frame::receive(&daemon.connect(), Instant::now() + PATIENCE).unwrap();
    assert_eq!(fifth.unwrap_err(), Denial::TooMany);
    let mut rest = Vec::new();
    for stream in &mut silent {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.read_to_end(&mut rest);
    }
    assert_eq!(rest, b"", "nothing was asked");
    assert!(begin.elapsed() > Duration::from_secs(8), "a slow client has ten seconds");
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert!(matches!(daemon.ask(status(&myself())), Ok(Response::Status(_)) | Err(Denial::NotEnrolled)));
}

#[test]
fn after_a_burst_of_requests_it_says_wait() {
    let daemon = Daemon::start();
    let replies: Vec<Reply> = (0..34).map(|_| daemon.ask(status(&myself()))).collect();
    let turned_away = replies.iter().filter(|reply| matches!(reply, Err(Denial::TooMany))).count();
    assert!((1..=4).contains(&turned_away), "{turned_away}");
    assert!(replies[..30].iter().all(|reply| !matches!(reply, Err(Denial::TooMany))));
    std::thread::sleep(Duration::from_millis(2500));
    assert!(!matches!(daemon.ask(status(&myself())), Err(Denial::TooMany)));
}
