//! A running `mfad`, and a client of it.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use mfa_core::answer::Answer;
use mfa_core::otp::{Code, Generator, MovingFactor, Profile};
use mfa_core::request::{PendingEnrollment, RecoveryCodes};
use mfa_core::{Caller, FileStore, Policy, Request, Response, Timestamp, UserName, answer};
use mfa_test_harness::Store;
use mfa_wire::{Envelope, Password, Reply, ask};

/// The password that the stand-in for an account's real one takes.
pub(crate) const PASSWORD: &[u8] = b"correct horse";

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A PAM file by which [`PASSWORD`] is right for everybody, after it was asked for.
pub(crate) const USUAL_PAM: &str = "auth [success=1 default=ignore] pam_exec.so expose_authtok quiet CHECK\n\
                                    auth requisite pam_deny.so\n\
                                    auth required pam_permit.so\n\
                                    account required pam_permit.so\n";

/// `mfad` with a store of its own, stopped with this value.
pub(crate) struct Daemon {
    pub(crate) store: Store,
    pub(crate) child: Child,
}

impl Daemon {
    pub(crate) fn start() -> Self {
        Self::with_pam(USUAL_PAM)
    }

    /// With another PAM file; `CHECK` in it is a program that takes [`PASSWORD`].
    pub(crate) fn with_pam(pam: &str) -> Self {
        let store = Store::temporary();
        let check = store.beside("check");
        fs::write(&check, "#!/bin/sh\n[ \"$(tr -d '\\0')\" = 'correct horse' ]\n").unwrap();
        fs::set_permissions(&check, Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(store.beside("pam.d")).unwrap();
        let text = pam.replace("CHECK", &check.to_string_lossy());
        fs::write(store.beside("pam.d/mfa-enroll"), text).unwrap();
        let child = spawn(&mut mfad(&store));
        let daemon = Self { store, child };
        daemon.wait_until_it_listens();
        daemon
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.store.beside("socket")
    }

    pub(crate) fn wait_until_it_listens(&self) {
        let begin = Instant::now();
        while UnixStream::connect(self.socket()).is_err() {
            assert!(begin.elapsed() < PATIENCE, "mfad does not listen");
            sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn connect(&self) -> UnixStream {
        UnixStream::connect(self.socket()).expect("mfad listens")
    }

    pub(crate) fn ask(&self, request: Request) -> Reply {
        self.send(&Envelope::bare(request))
    }

    pub(crate) fn ask_with_password(&self, request: Request, password: &[u8]) -> Reply {
        self.send(&Envelope { request, proof: None, password: Password::new(password) })
    }

    pub(crate) fn ask_with_code(&self, request: Request, code: &Code) -> Reply {
        self.send(&Envelope { request, proof: Some(Answer::Code(code.clone())), password: None })
    }

    pub(crate) fn send(&self, envelope: &Envelope) -> Reply {
        ask(&self.socket(), envelope, PATIENCE).expect("mfad replies")
    }

    /// Asks as root's programs do, which open the store themselves.
    pub(crate) fn as_root(&self, request: Request) -> Response {
        let caller = Caller::privileged("root");
        answer(request, &caller, &FileStore::at(self.store.path()), &Policy::default(), Timestamp::now())
            .expect("the store is fine")
    }

    /// A proven device of `user`, by root.
    pub(crate) fn enroll(&self, user: &UserName) -> Device {
        let Response::Pending(pending) = self.as_root(begin(user)) else { panic!("no key") };
        let device = Device(pending);
        let present = device.present();
        let confirm = device.confirm(user, present - 1);
        assert!(matches!(self.as_root(confirm), Response::Enrolled { .. }));
        device
    }

    /// The worker's process number.
    pub(crate) fn worker(&self) -> i32 {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let begin = Instant::now();
        loop {
            let list = fs::read_to_string(&children).unwrap_or_default();
            if let Some(pid) = list.split_whitespace().next() {
                return pid.parse().expect("a number");
            }
            assert!(begin.elapsed() < PATIENCE, "mfad has no worker");
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `mfad` for this store, to be completed.
pub(crate) fn mfad(store: &Store) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mfad"));
    command.arg("--listen").arg(store.beside("socket")).arg("--store").arg(store.path());
    command.arg("--pam-dir").arg(store.beside("pam.d"));
    command
}

pub(crate) fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("mfad starts")
}

/// The name of whoever runs the tests, as the system has it.
pub(crate) fn myself() -> UserName {
    let output = Command::new("id").arg("--user").arg("--name").output().expect("id is everywhere");
    String::from_utf8_lossy(&output.stdout).trim_end().parse().expect("a user name")
}

/// Somebody else.
pub(crate) fn somebody_else() -> UserName {
    "somebody-else".parse().unwrap()
}

pub(crate) fn begin(user: &UserName) -> Request {
    Request::BeginEnrollment { user: user.clone(), name: None, profile: Profile::PLAIN, replaces: None }
}

pub(crate) fn status(user: &UserName) -> Request {
    Request::Status { user: user.clone() }
}

/// A device that has a key.
#[derive(Clone, Debug)]
pub(crate) struct Device(pub(crate) PendingEnrollment);

impl Device {
    pub(crate) fn code(&self, step: u64) -> Code {
        let profile = self.0.profile;
        Generator::new(&self.0.seed, profile.algorithm, profile.digits).code_at(step)
    }

    /// The time step that it is.
    pub(crate) fn present(&self) -> u64 {
        mfa_test_harness::account::unix_seconds() / u64::from(self.period())
    }

    fn period(&self) -> u8 {
        match self.0.profile.moving_factor {
            MovingFactor::Time(period) => period.into(),
            MovingFactor::Counter(_) => panic!("it goes by time"),
        }
    }

    /// The request that proves it by the codes of `step` and the next one.
    pub(crate) fn confirm(&self, user: &UserName, step: u64) -> Request {
        Request::ConfirmEnrollment {
            user: user.clone(),
            id: self.0.id,
            first: self.code(step),
            second: self.code(step + 1),
            replaces: None,
            recovery_codes: RecoveryCodes::IfNone,
        }
    }

    /// A code that is right nowhere near the present.
    pub(crate) fn wrong(&self) -> Code {
        let near: Vec<Code> =
            (self.present() - 50..self.present() + 50).map(|step| self.code(step)).collect();
        (0..1_000_000)
            .filter_map(|number| Code::from_digits(format!("{number:06}").as_bytes()))
            .find(|code| !near.iter().any(|other| other.same_as(code)))
            .expect("nearly all codes are wrong")
    }
}

/// Sends these bytes as they are.
pub(crate) fn send_bytes(mut stream: &UnixStream, bytes: &[u8]) {
    stream.write_all(bytes).expect("mfad takes them");
}

/// Every file below a folder: nothing was made if there is none.
pub(crate) fn files_below(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, |entries| {
        entries
            .flatten()
            .map(|entry| if entry.path().is_dir() { files_below(&entry.path()) } else { 1 })
            .sum()
    })
}
