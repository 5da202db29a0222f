//! What counts as the account's password, and what does not.

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use mfa_core::{Response, UserName};
use mfa_wire::{Denial, Password, frame};
use serde::{Deserialize, Serialize};

use crate::daemon::{Daemon, PASSWORD, PATIENCE, begin, files_below, myself};

fn with_pam(pam: &str) -> (Daemon, mfa_wire::Reply) {
    let daemon = Daemon::with_pam(pam);
    let reply = daemon.ask_with_password(begin(&myself()), PASSWORD);
    if reply.is_err() {
        assert_eq!(files_below(&daemon.store.path()), 0, "a key was made");
    }
    (daemon, reply)
}

#[test]
fn a_stack_that_lets_in_without_asking_proves_no_password() {
    let (_daemon, reply) = with_pam("auth required pam_permit.so\naccount required pam_permit.so\n");
    assert_eq!(reply.unwrap_err(), Denial::Unavailable);
}

#[test]
fn a_stack_that_lets_root_in_proves_no_password() {
    // The checker is root on a real host.
    let (_daemon, reply) = with_pam(
        "auth sufficient pam_rootok.so\nauth sufficient pam_permit.so\naccount required pam_permit.so\n",
    );
    assert_eq!(reply.unwrap_err(), Denial::Unavailable);
}

#[test]
fn an_expired_account_gets_no_device() {
    let usual =
        crate::daemon::USUAL_PAM.replace("account required pam_permit.so", "account required pam_deny.so");
    let (_daemon, reply) = with_pam(&usual);
    assert_eq!(reply.unwrap_err(), Denial::AccountClosed);
}

#[test]
fn a_broken_stack_is_trouble_and_no_wrong_password() {
    let (_daemon, reply) = with_pam("auth required no_such_module.so\n");
    assert_eq!(reply.unwrap_err(), Denial::Unavailable);
}

#[test]
fn a_stack_that_asks_for_something_shown_gets_no_answer() {
    // pam_mfa.so itself asks with echo; for this service it does not ask at all.
    let module = mfa_test_harness::artifacts::module();
    let pam = format!("auth required {}\n{}", module.display(), crate::daemon::USUAL_PAM);
    let (_daemon, reply) = with_pam(&pam);
    assert!(matches!(reply, Ok(Response::Pending(_))), "{reply:?}");
}

#[test]
fn a_checker_that_dies_takes_nothing_with_it() {
    // What pam_exec starts has the checker for its parent.
    let pam = "auth required pam_exec.so expose_authtok quiet KILLER\naccount required pam_permit.so\n";
    let daemon = Daemon::with_pam(&pam.replace("KILLER", "/bin/sh CHECK-killer"));
    let killer = daemon.store.beside("check-killer");
    std::fs::write(killer, "kill -KILL $PPID\n").unwrap();
    for _ in 0..3 {
        let reply = daemon.ask_with_password(begin(&myself()), PASSWORD);
        assert_eq!(reply.unwrap_err(), Denial::Unavailable);
    }
    assert_eq!(daemon.ask(begin(&myself())).unwrap_err(), Denial::PasswordNeeded);
}

/// What the worker sends to a checker.
#[derive(Serialize)]
struct Check {
    user: UserName,
    password: Password,
}

/// What a checker answers.
#[derive(Debug, PartialEq, Eq, Deserialize)]
enum Finding {
    Right,
    Wrong,
    Closed,
    Unknown,
}

/// What a checker finds of the right password, if the worker says that this is a client of the socket.
fn finding(daemon: &Daemon, socket: &Path, client: UnixStream) -> Finding {
    let (mine, theirs) = UnixStream::pair().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mfad"));
    command.arg("check-password").arg("--socket").arg(socket);
    command.arg("--pam-dir").arg(daemon.store.beside("pam.d"));
    command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::from(OwnedFd::from(client)));
    let mut checker = command.spawn().unwrap();
    drop(command);
    let check = Check { user: myself(), password: Password::new(PASSWORD).unwrap() };
    frame::send(&mine, &check, Instant::now() + PATIENCE).unwrap();
    let finding = frame::receive(&mine, Instant::now() + PATIENCE).unwrap();
    checker.wait().unwrap();
    finding
}

#[test]
fn a_worker_that_was_taken_over_can_try_no_password_of_somebody_who_has_not_connected() {
    let daemon = Daemon::start();
    let (socket, other) = (daemon.store.beside("accepting"), daemon.store.beside("other"));
    let listener = UnixListener::bind(&socket).unwrap();
    let other_listener = UnixListener::bind(&other).unwrap();
    let connected = UnixStream::connect(&socket).unwrap();
    let (client, _) = listener.accept().unwrap();
    assert_eq!(finding(&daemon, &socket, client), Finding::Right, "a client that has connected");
    assert_eq!(finding(&daemon, &socket, connected), Finding::Unknown, "who listens has not connected");
    let connected = UnixStream::connect(&other).unwrap();
    assert_eq!(finding(&daemon, &socket, connected), Finding::Unknown, "nor who listens elsewhere");
    let (accepted_elsewhere, _) = other_listener.accept().unwrap();
    assert_eq!(finding(&daemon, &socket, accepted_elsewhere), Finding::Unknown, "nor who connects elsewhere");
    let (one, _two) = UnixStream::pair().unwrap();
    assert_eq!(finding(&daemon, &socket, one), Finding::Unknown, "nor whoever has made a pair");
}
