//! What an ordinary user may do to the own account, and what it takes.

use mfa_core::answer::Answer;
use mfa_core::history::Change;
use mfa_core::otp::Profile;
use mfa_core::request::RecoveryCodes;
use mfa_core::seal::HostKey;
use mfa_core::store::{Access, Account, MarkTable, Record, Store};
use mfa_core::{
    Caller, Error, Evidence, FileStore, Policy, Refusal, Request, Response, Result, Timestamp, UserName,
};

use crate::host::{Host, Phone, STEP, accepted, foreign, name, refused_as, user};

fn begin() -> Request {
    Request::BeginEnrollment { user: user("alice"), name: None, profile: Profile::PLAIN, replaces: None }
}

fn remove() -> Request {
    Request::RemoveDevice { user: user("alice"), name: name("phone") }
}

fn code(phone: &Phone, step: u64) -> Evidence {
    Evidence::Answer(Answer::Code(phone.code(step)))
}

#[test]
fn a_first_device_needs_the_password() {
    let host = Host::new();
    host.enroll("bob");
    assert!(matches!(host.ask_as("alice", Evidence::Nothing, begin()), Err(Error::PasswordNeeded)));
    let any_code = Evidence::Answer(Answer::parse(b"123456").unwrap());
    assert!(matches!(host.ask_as("alice", any_code, begin()), Err(Error::PasswordNeeded)));
    assert!(!host.path("users/alice").exists(), "nothing is made for who has not shown it");
    let Ok(Response::Pending(pending)) = host.ask_as("alice", Evidence::Password, begin()) else {
        panic!("no key")
    };
    let phone = Phone::holding(pending.seed.clone(), Profile::PLAIN);
    let confirm = Request::ConfirmEnrollment {
        user: user("alice"),
        id: pending.id,
        first: phone.code(STEP - 2),
        second: phone.code(STEP - 1),
        replaces: None,
        recovery_codes: RecoveryCodes::No,
    };
    assert!(matches!(host.ask_as("alice", Evidence::Nothing, confirm), Ok(Response::Enrolled { .. })));
    assert!(accepted(&host.log_in("alice", &phone.code(STEP))));
}

#[test]
fn once_there_is_a_device_a_password_changes_nothing() {
    let (host, phone) = Host::with_alice();
    let requests = || {
        [
            begin(),
            remove(),
            Request::RenameDevice { user: user("alice"), name: name("phone"), to: name("mine") },
            Request::SuspendDevice { user: user("alice"), name: name("phone") },
            Request::ResumeDevice { user: user("alice"), name: name("phone") },
            Request::NewRecoveryCodes { user: user("alice") },
        ]
    };
    for evidence in [Evidence::Nothing, Evidence::Password] {
        for request in requests() {
            let what = format!("{request:?}");
            let answer = host.ask_as("alice", evidence.clone(), request);
            assert!(matches!(answer, Err(Error::CodeNeeded)), "{what}: {answer:?}");
        }
    }
    assert!(accepted(&host.log_in("alice", &phone.code(STEP))));
}

#[test]
fn not_even_when_every_device_is_suspended() {
    let (host, _) = Host::with_alice();
    host.ask(Request::SuspendDevice { user: user("alice"), name: name("phone") }).unwrap();
    assert!(matches!(host.ask_as("alice", Evidence::Password, begin()), Err(Error::CodeNeeded)));
}

#[test]
fn a_current_code_allows_one_change_and_is_used_up() {
    let (host, phone) = Host::with_alice();
    let rename = |to: &str| Request::RenameDevice { user: user("alice"), name: name("phone"), to: name(to) };
    assert!(host.status("alice").is_ok());
    let wrong = host.ask_as("alice", code(&phone, STEP + 50), rename("a"));
    assert!(matches!(wrong, Ok(Response::Refused(Refusal::Wrong))));
    assert!(matches!(host.ask_as("alice", code(&phone, STEP), rename("phone")), Ok(Response::Done)));
    let again = host.ask_as("alice", code(&phone, STEP), rename("b"));
    assert!(matches!(again, Ok(Response::Refused(Refusal::Replayed))));
    assert!(
        refused_as(&host.log_in("alice", &phone.code(STEP)), Refusal::Replayed),
        "no login with it either"
    );
}

#[test]
fn codes_can_be_guessed_here_no_faster_than_at_a_login() {
    let (host, phone) = Host::with_alice();
    for _ in 0..3 {
        let wrong = host.ask_as("alice", code(&phone, STEP + 50), remove());
        assert!(matches!(wrong, Ok(Response::Refused(Refusal::Wrong))));
    }
    let right = host.ask_as("alice", code(&phone, STEP), remove());
    assert!(matches!(right, Ok(Response::Refused(Refusal::Throttled { .. }))), "{right:?}");
}

#[test]
fn a_recovery_code_is_evidence_too() {
    let (host, _) = Host::with_alice();
    let Ok(Response::RecoveryCodes(codes)) = host.ask(Request::NewRecoveryCodes { user: user("alice") })
    else {
        panic!("no codes")
    };
    let evidence = || Evidence::Answer(Answer::Recovery(codes[0].clone()));
    assert!(matches!(host.ask_as("alice", evidence(), begin()), Ok(Response::Pending(_))));
    let again = host.ask_as("alice", evidence(), begin());
    assert!(matches!(again, Ok(Response::Refused(Refusal::Replayed))));
}

#[test]
fn what_is_for_root_alone_is_for_no_owner_whatever_the_evidence() {
    let (host, phone) = Host::with_alice();
    let alice = || user("alice");
    let requests = [
        Request::IssueBypass { user: alice(), valid_seconds: 3600, reason: "lost".into() },
        Request::CancelBypass { user: alice() },
        Request::Adopt {
            user: alice(),
            devices: vec![foreign("token", &mfa_core::Secret::new(vec![1; 20]))],
            scratch_codes: Vec::new(),
        },
        Request::Export { user: alice() },
        Request::Unlock { user: alice() },
        Request::Repair { user: alice() },
    ];
    for request in requests {
        let what = format!("{request:?}");
        let answer = host.ask_as("alice", code(&phone, STEP), request);
        assert!(matches!(answer, Err(Error::NotAllowed)), "{what}: {answer:?}");
    }
    assert!(accepted(&host.log_in("alice", &phone.code(STEP))), "and the code was not even looked at");
}

#[test]
fn an_owner_can_do_nothing_to_another_account() {
    let (host, phone) = Host::with_alice();
    host.enroll("bob");
    let requests = [
        Request::Status { user: user("bob") },
        Request::History { user: user("bob") },
        Request::BeginEnrollment { user: user("bob"), name: None, profile: Profile::PLAIN, replaces: None },
        Request::RemoveDevice { user: user("bob"), name: name("phone") },
        Request::Resync {
            user: user("bob"),
            name: name("phone"),
            first: phone.code(1),
            second: phone.code(2),
        },
    ];
    for request in requests {
        let what = format!("{request:?}");
        let answer = host.ask_as("alice", code(&phone, STEP), request);
        assert!(matches!(answer, Err(Error::NotAllowed)), "{what}: {answer:?}");
    }
    assert_eq!(host.status("bob").unwrap().devices[0].failures, 0);
}

#[test]
fn a_key_that_was_given_out_for_the_password_becomes_no_second_device() {
    let host = Host::new();
    host.enroll("bob");
    let Ok(Response::Pending(pending)) = host.ask_as("alice", Evidence::Password, begin()) else {
        panic!("no key")
    };
    // Meanwhile root moves her real device in.
    let device = foreign("token", &mfa_core::Secret::new(vec![1; 20]));
    host.ask(Request::Adopt { user: user("alice"), devices: vec![device], scratch_codes: Vec::new() })
        .unwrap();
    let thiefs = Phone::holding(pending.seed.clone(), Profile::PLAIN);
    for replaces in [None, Some(name("token"))] {
        let confirm = Request::ConfirmEnrollment {
            user: user("alice"),
            id: pending.id,
            first: thiefs.code(STEP - 2),
            second: thiefs.code(STEP - 1),
            replaces,
            recovery_codes: RecoveryCodes::No,
        };
        let answer = host.ask_as("alice", Evidence::Nothing, confirm);
        assert!(matches!(answer, Err(Error::NoSuchEnrollment)), "{answer:?}");
    }
    assert_eq!(host.status("alice").unwrap().devices.len(), 1);
}

/// A store in which something happens just before an account is changed.
struct Meanwhile<'a> {
    store: FileStore,
    act: &'a dyn Fn(),
}

impl Store for Meanwhile<'_> {
    fn key(&self) -> Result<&HostKey> {
        self.store.key()
    }
    fn prepare(&self) -> Result<()> {
        self.store.prepare()
    }
    fn update<T>(
        &self,
        account: Account<'_>,
        access: Access,
        decide: impl FnMut(&mut Record) -> Result<T>,
    ) -> Result<T> {
        if access == Access::Change {
            (self.act)();
        }
        self.store.update(account, access, decide)
    }
    fn accounts(&self) -> Result<Vec<UserName>> {
        self.store.accounts()
    }
    fn history(&self, user: &UserName) -> Result<Vec<Change>> {
        self.store.history(user)
    }
    fn with_marks<T>(&self, work: impl FnOnce(&dyn MarkTable) -> Result<T>) -> Result<T> {
        self.store.with_marks(work)
    }
}

#[test]
fn a_password_gives_out_no_key_to_an_account_that_has_got_a_device_at_the_same_moment() {
    let host = Host::new();
    host.enroll("bob");
    let act = || {
        host.enroll("alice");
    };
    let store = Meanwhile { store: FileStore::at(host.path("")), act: &act };
    let caller = Caller::owner(user("alice"), Evidence::Password, "alice by mfad");
    let answer = mfa_core::answer(begin(), &caller, &store, &Policy::default(), Timestamp::now());
    assert!(matches!(answer, Err(Error::CodeNeeded)), "{answer:?}");
}

#[test]
fn a_key_that_somebody_was_shown_elsewhere_is_not_shown_to_the_owner() {
    let host = Host::new();
    host.enroll("bob");
    let key_at = |place: &str| {
        let store = FileStore::at(host.path(""));
        let caller = Caller::owner(user("alice"), Evidence::Password, place);
        let now = Timestamp::from_unix_seconds(crate::host::NOW);
        match mfa_core::answer(begin(), &caller, &store, &Policy::default(), now) {
            Ok(Response::Pending(pending)) => pending.seed,
            other => panic!("{other:?}"),
        }
    };
    let strangers = key_at("sshd login from 203.0.113.9");
    let owners = key_at("sshd login from 192.0.2.1");
    assert_ne!(owners, strangers);
    assert_eq!(key_at("sshd login from 192.0.2.1"), owners, "a connection that was cut goes on with it");
    assert_ne!(key_at("sshd login from 203.0.113.9"), owners);
}
