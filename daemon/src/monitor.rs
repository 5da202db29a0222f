//! The part that stays root: gets things ready, starts the worker, and starts a checker for each password. It reads nothing that
//! a client has sent.

use std::ffi::OsString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mfa_cli::{Failure, log_event};
use mfa_core::audit::Event;
use mfa_core::{FileStore, Store as _};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, User, geteuid};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};
use zeroize::Zeroizing;

use crate::PROGRAM;
use crate::checks::Checks;
use crate::cli::MonitorOptions;
use crate::listener::listener;
use crate::password::{PATIENCE, Wanted, wanted};
use crate::peer;

/// Passwords that are checked at once, of all users. One of a user: see `limits`.
const MOST_CHECKS: usize = 32;

/// After this a checker is ended. It has an alarm of its own that should have ended it by then.
const MOST_CHECKING: Duration = PATIENCE.saturating_add(Duration::from_secs(5));

/// How often those are looked after that run.
const LOOK: Duration = Duration::from_secs(1);

/// Where this program is, whatever was installed in its place meanwhile.
const MYSELF: &str = "/proc/self/exe";

/// Runs until the worker ends.
pub(crate) fn run(options: &MonitorOptions) -> Result<(), Failure> {
    umask(Mode::from_bits_truncate(0o077));
    let listener = listener(options.listen.as_deref())?;
    let socket = listener.local_addr().ok().and_then(|address| peer::name_of(&address)).ok_or_else(|| {
        Failure::refused("the socket to listen at has no name", "see ListenStream in mfad.socket")
    })?;
    let (identity, key) = match &options.store {
        Some(_) => (None, Zeroizing::new(String::new())),
        None => given_away(&options.user).map(|(identity, key)| (Some(identity), key))?,
    };
    let (mine, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|error| could_not("make a way to the worker", error))?;
    let mut worker = start_worker(options, identity, theirs, listener)?;
    // It reads this first. Another store has its key inside.
    let message = Zeroizing::new(format!("k{}", *key));
    send(&mine, message.as_bytes(), SendFlags::NOSIGNAL).map_err(|_| worker_ended())?;
    drop(key);
    log_event(PROGRAM, &Event::new("started").with("worker", worker.id().to_string()));
    let mut arguments = vec!["--socket".into(), socket];
    if let Some(folder) = &options.pam_dir {
        arguments.extend(["--pam-dir".into(), folder.into()]);
    }
    serve(&mine, &arguments, &mut worker)
}

/// Gets the host's store ready and gives it to the user who answers. Returns that user, and the text of the key.
fn given_away(user: &str) -> Result<((Uid, Gid), Zeroizing<String>), Failure> {
    if !geteuid().is_root() {
        return Err(Failure::refused(
            "only root can start it for the host's own store",
            "systemctl start mfad.socket; for another store: --store DIR",
        ));
    }
    let account = User::from_name(user).ok().flatten().filter(|account| !account.uid.is_root());
    let Some(account) = account else {
        return Err(Failure::refused(
            format!("there is no system user {user} to answer as, or it is root"),
            format!(
                "useradd --system --home-dir /var/lib/pam-mfa --no-create-home --shell /usr/sbin/nologin {user}"
            ),
        ));
    };
    let store = FileStore::system();
    let failed = |error: mfa_core::Error| {
        Failure::refused(error.to_string(), "no login is changed by that: root's programs do not need mfad")
    };
    store.prepare().map_err(failed)?;
    store.give_to(account.uid, account.gid).map_err(failed)?;
    let key = store.key().map_err(failed)?.expose_text();
    Ok(((account.uid, account.gid), key))
}

fn start_worker(
    options: &MonitorOptions,
    identity: Option<(Uid, Gid)>,
    way: OwnedFd,
    listener: UnixListener,
) -> Result<Child, Failure> {
    let mut arguments: Vec<OsString> = Vec::new();
    for (option, value) in [("--store", &options.store), ("--policy", &options.policy)] {
        if let Some(value) = value {
            arguments.extend([option.into(), value.into()]);
        }
    }
    let mut command = part("worker", way, OwnedFd::from(listener));
    // What a recovery code is hashed in is given back at once, and not kept for each thread (mallopt(3)).
    command.args(arguments).env("MALLOC_MMAP_THRESHOLD_", "1048576");
    if let Some((uid, gid)) = identity {
        // No further groups: the standard library drops them where root becomes somebody else.
        command.uid(uid.as_raw()).gid(gid.as_raw());
    }
    command.spawn().map_err(|error| could_not("start the worker", error))
}

/// This program in another role, with nothing but these two descriptors and standard error.
fn part(role: &str, stdin: OwnedFd, stdout: OwnedFd) -> Command {
    let mut command = Command::new(MYSELF);
    command.arg0(PROGRAM).arg(role).env_clear().current_dir("/");
    command.stdin(Stdio::from(stdin)).stdout(Stdio::from(stdout)).stderr(Stdio::inherit());
    command
}

fn serve(worker_way: &OwnedFd, checker_arguments: &[OsString], worker: &mut Child) -> Result<(), Failure> {
    let mut checks = Checks::default();
    loop {
        checks.end(MOST_CHECKING);
        // While nobody's password is checked there is nothing to look after.
        let look = (checks.count() > 0).then_some(LOOK);
        set_socket_timeout(worker_way, Timeout::Recv, look)
            .map_err(|error| could_not("wait for the worker", error))?;
        match wanted(worker_way.as_fd()) {
            Ok(Wanted::Checker(way, client)) => {
                checks.end(MOST_CHECKING);
                if checks.count() >= MOST_CHECKS {
                    log_event(PROGRAM, &Event::new("too-many-password-checks"));
                    continue;
                }
                match part("check-password", way, client).args(checker_arguments).spawn() {
                    Ok(checker) => checks.add(checker),
                    Err(error) => {
                        log_event(PROGRAM, &Event::new("no-checker").with("why", error.to_string()));
                    }
                }
            }
            // A worker that was taken over, or one without descriptors left.
            Ok(Wanted::Nonsense) => log_event(PROGRAM, &Event::new("nonsense-from-the-worker")),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {
                if !matches!(worker.try_wait(), Ok(None)) {
                    return Err(worker_ended());
                }
            }
            Ok(Wanted::Nothing) | Err(_) => {
                // It may only have closed its end, and may not be ours to kill: whoever started mfad ends all of it.
                if worker.kill().is_ok() {
                    let _ = worker.wait();
                }
                return Err(worker_ended());
            }
        }
    }
}

fn worker_ended() -> Failure {
    log_event(PROGRAM, &Event::new("worker-ended"));
    Failure::refused("the worker has ended", "whoever has started mfad starts it again; the log may say why")
}

fn could_not(what: &str, error: impl std::fmt::Display) -> Failure {
    Failure::refused(format!("can't {what}: {error}"), "is /proc there, and is there memory?")
}
