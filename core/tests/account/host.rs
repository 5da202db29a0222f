//! A store of its own, and the devices of the people in it.

use std::path::PathBuf;

use mfa_core::answer::Answer;
use mfa_core::devices::{DeviceName, Status};
use mfa_core::history::Change;
use mfa_core::otp::{Code, Generator, MovingFactor, Profile};
use mfa_core::request::{AccountStatus, ForeignDevice, PendingEnrollment, RecoveryCodes};
use mfa_core::verify::Round;
use mfa_core::{
    Caller, Evidence, FileStore, Policy, Refusal, Request, Response, Result, Secret, Timestamp, UserName,
    Verdict,
};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const STEP: u64 = NOW / 30;

/// A store of its own with `alice` enrolled or not.
pub(crate) struct Host {
    pub(crate) folder: tempfile::TempDir,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn with_alice() -> (Self, Phone) {
        let host = Self::new();
        let phone = host.enroll("alice");
        (host, phone)
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join("store").join(relative)
    }

    pub(crate) fn ask_at(&self, now: u64, request: Request) -> Result<Response> {
        let store = FileStore::at(self.path(""));
        mfa_core::answer(
            request,
            &Caller::privileged("root"),
            &store,
            &Policy::default(),
            Timestamp::from_unix_seconds(now),
        )
    }

    /// The same, asked by the account's owner.
    pub(crate) fn ask_as(&self, owner: &str, evidence: Evidence, request: Request) -> Result<Response> {
        let store = FileStore::at(self.path(""));
        let caller = Caller::owner(user(owner), evidence, format!("{owner} by mfad"));
        mfa_core::answer(request, &caller, &store, &Policy::default(), Timestamp::from_unix_seconds(NOW))
    }

    pub(crate) fn history(&self, whose: &str) -> Vec<Change> {
        match self.ask(Request::History { user: user(whose) }).unwrap() {
            Response::History(changes) => changes,
            other => panic!("{other:?}"),
        }
    }

    /// Another host with the same files.
    pub(crate) fn copy_of(other: &Self) -> Self {
        let host = Self::new();
        let from = other.path("").into_os_string();
        let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(host.folder.path()).status();
        assert!(copied.unwrap().success());
        host
    }

    pub(crate) fn ask(&self, request: Request) -> Result<Response> {
        self.ask_at(NOW, request)
    }

    pub(crate) fn begin(&self, user: &str, name: &str, profile: Profile) -> Result<PendingEnrollment> {
        let request = Request::BeginEnrollment {
            user: user.parse().unwrap(),
            name: Some(name.parse().unwrap()),
            profile,
            replaces: None,
        };
        match self.ask(request)? {
            Response::Pending(pending) => Ok(pending),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn confirm(
        &self,
        user: &str,
        pending: &PendingEnrollment,
        first: Code,
        second: Code,
    ) -> Result<Response> {
        self.ask(Request::ConfirmEnrollment {
            user: user.parse().unwrap(),
            id: pending.id,
            first,
            second,
            replaces: None,
            recovery_codes: RecoveryCodes::No,
        })
    }

    pub(crate) fn enroll_as(&self, user: &str, name: &str, profile: Profile) -> Result<Phone> {
        let pending = self.begin(user, name, profile)?;
        let phone = Phone::holding(pending.seed.clone(), profile);
        let counter = match profile.moving_factor {
            MovingFactor::Time(period) => NOW / period.seconds() - 2,
            MovingFactor::Counter(_) => 0,
        };
        match self.confirm(user, &pending, phone.code(counter), phone.code(counter + 1))? {
            Response::Enrolled { .. } => Ok(phone),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn enroll(&self, user: &str) -> Phone {
        self.enroll_as(user, "phone", Profile::PLAIN).unwrap()
    }

    pub(crate) fn log_in_at(&self, now: u64, user: &str, code: &Code) -> Result<Verdict> {
        self.enter(now, user.parse().ok(), Answer::Code(code.clone()))
    }

    pub(crate) fn log_in(&self, user: &str, code: &Code) -> Result<Verdict> {
        self.log_in_at(NOW, user, code)
    }

    pub(crate) fn enter(&self, now: u64, user: Option<UserName>, answer: Answer) -> Result<Verdict> {
        match self.ask_at(
            now,
            Request::Verify { user, answer, remote_host: Some("192.0.2.1".to_owned()), round: Round::First },
        )? {
            Response::Verdict(verdict) => Ok(verdict),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn status(&self, user: &str) -> Result<AccountStatus> {
        match self.ask(Request::Status { user: user.parse().unwrap() })? {
            Response::Status(status) => Ok(status),
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) struct Phone(Generator);

impl Phone {
    pub(crate) fn holding(seed: Secret, profile: Profile) -> Self {
        Self(Generator::new(&seed, profile.algorithm, profile.digits))
    }

    pub(crate) fn code(&self, counter: u64) -> Code {
        self.0.code_at(counter)
    }
}

pub(crate) fn accepted(verdict: &Result<Verdict>) -> bool {
    matches!(verdict, Ok(Verdict::Accept(_)))
}

pub(crate) fn refused_as(verdict: &Result<Verdict>, refusal: Refusal) -> bool {
    matches!(verdict, Ok(Verdict::Refuse(found)) if *found == refusal)
}

pub(crate) fn user(text: &str) -> UserName {
    text.parse().unwrap()
}

pub(crate) fn name(text: &str) -> DeviceName {
    text.parse().unwrap()
}

/// A plain device that was enrolled elsewhere.
pub(crate) fn foreign(device: &str, seed: &Secret) -> ForeignDevice {
    ForeignDevice {
        name: name(device),
        profile: Profile::PLAIN,
        seed: seed.clone(),
        serial: None,
        floor: None,
        clock_offset_steps: 0,
        status: Status::Active,
        expires_at: None,
    }
}
