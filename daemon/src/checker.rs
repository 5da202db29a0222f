//! Checks one password, as root, in a process of its own: the modules of PAM that do it may do anything to it.

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use mfa_cli::{Failure, log_event};
use mfa_core::audit::Event;
use mfa_wire::frame;

use crate::PROGRAM;
use crate::cli::CheckerOptions;
use crate::pam::{self, PasswordOnly, SUCCESS};
use crate::password::{Check, Finding, PATIENCE};
use crate::peer;
use crate::worker::hide_standard_streams;

/// The PAM service that says how passwords are checked: `/etc/pam.d/mfa-enroll`.
const SERVICE: &std::ffi::CStr = c"mfa-enroll";

/// How long the worker may take to say what is to be checked.
const WORKER_TIME: Duration = Duration::from_secs(5);

/// Checks what the worker at the other end of standard input asks about the client at the other end of standard output.
pub(crate) fn run(options: &CheckerOptions) -> Result<(), Failure> {
    let usage = |error: std::io::Error| {
        Failure::usage(
            format!("mfad check-password is not started by hand: {error}"),
            "start mfad without it",
        )
    };
    let worker = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().map_err(usage)?);
    let client = UnixStream::from(std::io::stdout().as_fd().try_clone_to_owned().map_err(usage)?);
    worker.local_addr().map_err(usage)?;
    // PAM's modules must neither read what the worker says nor write to the client.
    hide_standard_streams().map_err(usage)?;
    // A module that hangs ends with this process.
    nix::unistd::alarm::set(u32::try_from(PATIENCE.as_secs()).unwrap_or(u32::MAX));
    let deadline = Instant::now().checked_add(WORKER_TIME).unwrap_or_else(Instant::now);
    let Ok(check) = frame::receive::<Check>(&worker, deadline) else { return Ok(()) };
    // Not the worker's word but the kernel's: a worker that was taken over can only try the passwords of those who are connected.
    let is_clients = peer::has_connected_to(&client, &options.socket)
        && peer::uid_of(&client).and_then(peer::account_of).is_some_and(|user| user == check.user);
    drop(client);
    let finding = if is_clients {
        finding(&check, options)
    } else {
        let who = check.user.as_str();
        log_event(PROGRAM, &Event::new("password-of-another").with("user", who));
        Finding::Unknown
    };
    let deadline = Instant::now().checked_add(WORKER_TIME).unwrap_or_else(Instant::now);
    // A worker that waits no longer has refused.
    let _ = frame::send(&worker, &finding, deadline);
    Ok(())
}

fn finding(check: &Check, options: &CheckerOptions) -> Finding {
    let trouble = |what: &'static str, code: i32| {
        let why = format!("{what}: {}", pam::text(code));
        let event = Event::new("password-unknown").with("user", check.user.as_str()).with("why", why);
        log_event(PROGRAM, &event);
        Finding::Unknown
    };
    let conversation = PasswordOnly::new(check.password.expose());
    let user = check.user.as_str();
    let mut pam = match pam::Handle::start(options.pam_dir.as_deref(), SERVICE, user, conversation) {
        Ok(pam) => pam,
        Err(code) => return trouble("pam_start", code),
    };
    let code = pam.authenticate();
    match code {
        SUCCESS => {}
        pam::AUTH_ERR | pam::USER_UNKNOWN | pam::MAXTRIES | pam::PERM_DENIED => return Finding::Wrong,
        other => return trouble("pam_authenticate", other),
    }
    // Somebody whom a fingerprint, a network or nothing at all lets in has not shown a password.
    if !pam.has_asked() {
        return trouble("the PAM service mfa-enroll did not ask for the password", code);
    }
    // A module may have made another user of this one.
    if pam.user().as_deref() != Some(user.as_bytes()) {
        return trouble("the PAM service mfa-enroll let in another user", code);
    }
    match pam.account() {
        SUCCESS => Finding::Right,
        code => {
            trouble("pam_acct_mgmt", code);
            Finding::Closed
        }
    }
}
