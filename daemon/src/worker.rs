//! The part that answers: not root, one thread for each connection.

use std::io::ErrorKind;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mfa_cli::{Failure, log_event};
use mfa_core::Response;
use mfa_core::audit::Event;
use mfa_core::seal::HostKey;
use mfa_wire::frame::{self, FrameError};
use mfa_wire::{Denial, Envelope, Reply};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::net::{RecvFlags, recv};
use zeroize::Zeroizing;

use crate::PROGRAM;
use crate::cli::WorkerOptions;
use crate::limits::{Connection, Limited, Limits};
use crate::peer;
use crate::reply::{Asking, Desk};
use crate::subordinates::Subordinates;

/// How long a client may take to send its request, and to take the reply.
const CLIENT_TIME: Duration = Duration::from_secs(10);
/// How long a request waits for another one of the same user. A client waits for 15 seconds, and an account may be locked for ten.
const TURN_TIME: Duration = Duration::from_secs(4);
/// How long everybody waits for names to be found, while many are looked up.
const NAME_TIME: Duration = Duration::from_secs(2);
/// A thread hashes recovery codes on the heap and needs little else; the standard's 2 MiB are for deeper calls.
const STACK_BYTES: usize = 512 * 1024;
/// Descriptors for all connections, and for the files of those that are worked on.
const DESCRIPTORS: u64 = 4096;
/// The key's text is far shorter.
const MOST_KEY_BYTES: usize = 256;

/// Answers until the monitor ends.
pub(crate) fn run(options: &WorkerOptions) -> Result<(), Failure> {
    fence_in()?;
    let (monitor, listener) = take_over().map_err(|error| {
        Failure::usage(format!("mfad worker is not started by hand: {error}"), "start mfad without it")
    })?;
    let key = received_key(&monitor)?;
    let desk = Arc::new(Desk::new(options.store.clone(), options.policy.clone(), key));
    let limits = Arc::new(Limits::default());
    let monitor = Arc::new(monitor);
    end_with(Arc::clone(&monitor))?;
    let mut subordinates = Subordinates::of_the_host();
    loop {
        match listener.accept() {
            Ok((client, _)) => admit(client, &mut subordinates, &limits, &desk, &monitor),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                // No descriptor or memory is left: those who are connected go first.
                log_event(PROGRAM, &Event::new("no-connection").with("why", error.to_string()));
                thread::sleep(Duration::from_millis(200));
            }
        }
    }
}

/// Nothing that happens here can gain rights.
fn fence_in() -> Result<(), Failure> {
    prctl::set_no_new_privs()
        .map_err(|_| Failure::refused("the kernel refuses to give up new rights", "see the log"))?;
    // More would be nice, fewer will do.
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS.min(most), most);
    }
    Ok(())
}

/// The way to the monitor and the socket, out of the way of whatever uses standard input and output.
fn take_over() -> std::io::Result<(OwnedFd, UnixListener)> {
    let monitor = std::io::stdin().as_fd().try_clone_to_owned()?;
    let listener = UnixListener::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    listener.local_addr()?;
    // Not inherited as such from systemd.
    listener.set_nonblocking(false)?;
    hide_standard_streams()?;
    Ok((monitor, listener))
}

/// Puts /dev/null in the place of standard input and output.
pub(crate) fn hide_standard_streams() -> std::io::Result<()> {
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(())
}

fn received_key(monitor: &OwnedFd) -> Result<Option<HostKey>, Failure> {
    let ended = || Failure::refused("the monitor has ended", "start mfad again");
    let mut text = Zeroizing::new([0; MOST_KEY_BYTES]);
    let (length, _) = recv(monitor, text.as_mut_slice(), RecvFlags::empty()).map_err(|_| ended())?;
    let text = text.get(..length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
    match text.strip_prefix('k') {
        Some("") => Ok(None),
        Some(text) => HostKey::from_text(text).map(Some).ok_or_else(ended),
        None => Err(ended()),
    }
}

/// Ends this process when the monitor's end of the way is closed. Not by PR_SET_PDEATHSIG: the kernel sends that signal with the rights of who
/// has died, and under systemd the monitor may not kill another user's process.
fn end_with(monitor: Arc<OwnedFd>) -> Result<(), Failure> {
    let watch = move || loop {
        match recv(&*monitor, &mut [0; 1], RecvFlags::empty()) {
            // Nothing is sent after the key.
            Ok((1.., _)) | Err(rustix::io::Errno::INTR) => {}
            Ok((0, _)) | Err(_) => std::process::exit(1),
        }
    };
    let failed = |error| Failure::refused(format!("no thread can be started: {error}"), "is there memory?");
    thread::Builder::new().stack_size(STACK_BYTES).spawn(watch).map(|_| ()).map_err(failed)
}

fn admit(
    client: UnixStream,
    subordinates: &mut Subordinates,
    limits: &Arc<Limits>,
    desk: &Arc<Desk>,
    monitor: &Arc<OwnedFd>,
) {
    // The kernel always knows; without it there is nobody to answer.
    let Some(uid) = peer::uid_of(&client) else { return };
    let now = Instant::now();
    let share = subordinates.share_of(uid, now);
    let Ok(connection) = limits.admit(uid, share, now.checked_add(NAME_TIME).unwrap_or(now)) else {
        return turn_away(&client, Denial::TooMany);
    };
    let deadline = Instant::now().checked_add(CLIENT_TIME).unwrap_or_else(Instant::now);
    let (desk, monitor) = (Arc::clone(desk), Arc::clone(monitor));
    let talk = move || serve(&client, uid, connection, &desk, &monitor, deadline);
    if let Err(error) = thread::Builder::new().stack_size(STACK_BYTES).spawn(talk) {
        // The client is closed with it.
        log_event(PROGRAM, &Event::new("no-thread").with("why", error.to_string()));
    }
}

/// Says no without reading anything, and without waiting for somebody who does not listen.
fn turn_away(client: &UnixStream, denial: Denial) {
    let reply: Reply = Err(denial);
    let _ = client.set_nonblocking(true);
    let _ = frame::send(client, &reply, Instant::now().checked_add(CLIENT_TIME).unwrap_or_else(Instant::now));
}

fn serve(
    client: &UnixStream,
    uid: u32,
    mut connection: Connection,
    desk: &Desk,
    monitor: &OwnedFd,
    deadline: Instant,
) {
    let Some(user) = peer::account_of(uid) else {
        return turn_away(client, Denial::UnknownCaller);
    };
    connection.is_named();
    let reply = match frame::receive::<Envelope>(client, deadline) {
        Ok(envelope) => {
            let turn_deadline = Instant::now().checked_add(TURN_TIME).unwrap_or(deadline);
            match connection.turn(turn_deadline) {
                Ok(_turn) => {
                    let asking = Asking { user: &user, uid, client, monitor: monitor.as_fd() };
                    desk.reply(envelope, &asking)
                }
                Err(Limited::TooMany) => Err(Denial::TooMany),
                Err(Limited::Busy) => Err(Denial::Busy),
            }
        }
        Err(FrameError::BadLength | FrameError::OtherVersion | FrameError::Malformed) => {
            Err(Denial::NotUnderstood)
        }
        // Nobody is there to be told.
        Err(FrameError::Closed | FrameError::TimedOut | FrameError::Io(_)) => return,
    };
    send_reply(client, reply);
}

/// Sends the reply; of a history that is too long, the newest part.
fn send_reply(client: &UnixStream, mut reply: Reply) {
    loop {
        let deadline = Instant::now().checked_add(CLIENT_TIME).unwrap_or_else(Instant::now);
        match (frame::send(client, &reply, deadline), &mut reply) {
            (Err(FrameError::BadLength), Ok(Response::History(changes))) if !changes.is_empty() => {
                let too_many = changes.len().div_ceil(8);
                changes.drain(..too_many);
            }
            (Err(FrameError::BadLength), reply @ Ok(_)) => *reply = Err(Denial::Unavailable),
            (Ok(()) | Err(_), _) => return,
        }
    }
}
