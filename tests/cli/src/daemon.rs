//! Something that answers like `mfad` at a socket: the same frames, core behind them, and a password of its own.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use mfa_core::request::Evidence;
use mfa_core::{Caller, FileStore, Policy, Timestamp, UserName};
use mfa_test_harness::{Store, artifacts};
use mfa_wire::{Denial, Envelope, Reply, frame};

use crate::in_locale;

/// The password of its one account.
pub const PASSWORD: &str = "correct horse";

/// A daemon that answers for `owner` from `store` as long as the test runs.
pub struct Daemon {
    socket: PathBuf,
}

impl Daemon {
    /// Starts it.
    pub fn start(store: &Store, owner: &str) -> Self {
        let socket = store.beside("socket");
        let listener = UnixListener::bind(&socket).expect("a socket beside the store");
        let (files, owner) = (store.path(), owner.parse().expect("a user name"));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(&stream, &FileStore::at(&files), &owner);
            }
        });
        Self { socket }
    }

    /// `mfa-enroll --socket SOCKET`, to be completed, in a UTF-8 locale.
    pub fn mfa_enroll(&self, user: &str) -> Command {
        let mut command = Command::new(artifacts::mfa_enroll());
        command.arg("--socket").arg(&self.socket).args(["--no-account-check", "--user", user]);
        in_locale(command, "C.UTF-8")
    }
}

fn serve(stream: &UnixStream, files: &FileStore, owner: &UserName) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let Ok(envelope) = frame::receive::<Envelope>(stream, deadline) else { return };
    let _ = frame::send(stream, &reply(envelope, files, owner), deadline);
}

fn reply(envelope: Envelope, files: &FileStore, owner: &UserName) -> Reply {
    let evidence = match (envelope.proof, envelope.password) {
        (Some(answer), _) => Evidence::Answer(answer),
        (None, Some(password)) if password.expose() == PASSWORD.as_bytes() => Evidence::Password,
        (None, Some(_)) => return Err(Denial::WrongPassword),
        (None, None) => Evidence::Nothing,
    };
    let caller = Caller::owner(owner.clone(), evidence, format!("{owner} by mfad"));
    mfa_core::answer(envelope.request, &caller, files, &Policy::default(), Timestamp::now())
        .map_err(|error| Denial::from(&error))
}
