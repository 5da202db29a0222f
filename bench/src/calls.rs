//! The system calls of one login, counted by strace(1) from outside.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueEnum};
use mfa_test_harness::libpam::Call;
use nix::unistd::{AccessFlags, access};

use crate::clock::Clock;
use crate::login::{Kind, Login};
use crate::modules::{Module, Prepared};
use crate::temporary;

/// What one login of one module asked of the kernel.
pub(crate) struct Calls {
    pub(crate) module: Module,
    /// From pam_start(3) to pam_end(3).
    pub(crate) in_all: usize,
    /// In pam_authenticate(3).
    pub(crate) in_authenticate: usize,
    /// Those that wait for the disk.
    pub(crate) syncs: usize,
}

/// One login of each kind, the accepted one first, for each module.
pub(crate) fn measure(parent: &Path) -> Vec<Calls> {
    eprintln!("bench: the system calls of each login ...");
    let logins = Module::ALL.into_iter().flat_map(|module| Kind::BOTH.map(|kind| (module, kind)));
    logins.map(|(module, kind)| count(parent, module, kind)).collect()
}

fn count(parent: &Path, module: Module, kind: Kind) -> Calls {
    let folder = temporary(parent);
    let trace = folder.path().join("trace");
    let name = |value: clap::builder::PossibleValue| value.get_name().to_owned();
    let status = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().expect("a process knows its own program"))
        .arg("login")
        .arg(folder.path())
        .args(["--module", &name(module.to_possible_value().expect("each has a name"))])
        .args(["--kind", &name(kind.to_possible_value().expect("each has a name"))])
        .status()
        .unwrap_or_else(|error| panic!("strace: {error}\nhint: bench/setup.sh"));
    assert!(status.success(), "strace: {status}");
    let trace = std::fs::read_to_string(trace).expect("what strace wrote");
    of_last_login(&trace, module)
}

/// What stands between the marks of the last login; of the calls before it, some are of a first time.
fn of_last_login(trace: &str, module: Module) -> Calls {
    let mut calls = Calls { module, in_all: 0, in_authenticate: 0, syncs: 0 };
    let mut place = Mark::End;
    for line in trace.lines() {
        // `1234  openat(AT_FDCWD, ..`; a line of a signal or an exit has no call.
        let Some((_, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if let Some(mark) = Mark::ALL.into_iter().find(|mark| call.contains(mark.path())) {
            place = mark;
            if place == Mark::Begin {
                calls = Calls { module, in_all: 0, in_authenticate: 0, syncs: 0 };
            }
            continue;
        }
        // The second half of a call that another thread has interrupted.
        let is_call = !call.starts_with(['+', '-', '<']);
        if is_call && place != Mark::End {
            calls.in_all += 1;
            calls.in_authenticate += usize::from(place == Mark::Authenticate);
            let name = call.split('(').next().unwrap_or_default();
            calls.syncs += usize::from(["fsync", "fdatasync", "syncfs", "sync", "msync"].contains(&name));
        }
    }
    assert_ne!(calls.in_all, 0, "strace saw no login of {}", module.name());
    calls
}

/// Calls that strace shows and nobody else makes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Begin,
    Authenticate,
    Authenticated,
    End,
}

impl Mark {
    const ALL: [Self; 4] = [Self::Begin, Self::Authenticate, Self::Authenticated, Self::End];

    const fn path(self) -> &'static str {
        match self {
            Self::Begin => "\"/proc/mfa-bench/begin\"",
            Self::Authenticate => "\"/proc/mfa-bench/authenticate\"",
            Self::Authenticated => "\"/proc/mfa-bench/authenticated\"",
            Self::End => "\"/proc/mfa-bench/end\"",
        }
    }

    fn set(self) {
        // There is no such file.
        let _ = access(self.path().trim_matches('"'), AccessFlags::F_OK);
    }
}

/// Logins for something else to watch: strace(1), or valgrind(1).
#[derive(Args)]
pub(crate) struct Watched {
    folder: PathBuf,
    #[arg(long)]
    module: Module,
    #[arg(long)]
    kind: Kind,
}

/// How often the watched user logs in.
const LOGINS: u32 = 3;

impl Watched {
    /// Logs in, with marks.
    pub(crate) fn run(&self) {
        let at = Prepared::set_up(self.module, &self.folder, 1);
        let clock = Clock::of_every_run(LOGINS);
        for step in 0..LOGINS {
            let login = Login { at: &at, user: 0, step, kind: self.kind };
            let code = login.code(&clock);
            Mark::Begin.set();
            let mut handle = login.start(code);
            Mark::Authenticate.set();
            let result = handle.call(Call::Authenticate, 0);
            Mark::Authenticated.set();
            drop(handle);
            Mark::End.set();
            login.check(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_calls_of_the_last_login_are_counted() {
        let trace = "7  access(\"/proc/mfa-bench/begin\", F_OK) = -1 ENOENT\n\
                     7  openat(AT_FDCWD, \"a\") = 3\n\
                     7  access(\"/proc/mfa-bench/end\", F_OK) = -1 ENOENT\n\
                     7  access(\"/proc/mfa-bench/begin\", F_OK) = -1 ENOENT\n\
                     7  openat(AT_FDCWD, \"a\") = 3\n\
                     7  access(\"/proc/mfa-bench/authenticate\", F_OK) = -1 ENOENT\n\
                     8  recvfrom(5,  <unfinished ...>\n\
                     7  fdatasync(3) = 0\n\
                     8  <... recvfrom resumed>\"x\", 1) = 1\n\
                     7  access(\"/proc/mfa-bench/authenticated\", F_OK) = -1 ENOENT\n\
                     7  munmap(0x1, 2) = 0\n\
                     7  access(\"/proc/mfa-bench/end\", F_OK) = -1 ENOENT\n\
                     7  write(1, \"x\", 1) = 1\n\
                     7  +++ exited with 0 +++\n";
        let calls = of_last_login(trace, Module::Mfa);
        assert_eq!((calls.in_all, calls.in_authenticate, calls.syncs), (4, 2, 1));
    }
}
