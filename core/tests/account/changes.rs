//! Devices that are renamed, put aside, taken up again, replaced and removed; seeds that may exist once.

use std::fs;

use mfa_core::devices::Status;
use mfa_core::otp::Profile;
use mfa_core::request::{ForeignDevice, RecoveryCodes};
use mfa_core::{Error, FileStore, Refusal, Request, Response, Secret, Store as _};

use crate::host::{Host, Phone, STEP, accepted, foreign, name, refused_as, user};

#[test]
fn a_renamed_device_goes_on_working_and_keeps_its_floor() {
    let (host, phone) = Host::with_alice();
    assert!(accepted(&host.log_in("alice", &phone.code(STEP))));
    host.ask(Request::RenameDevice { user: user("alice"), name: name("phone"), to: name("old phone") })
        .unwrap();
    assert_eq!(host.status("alice").unwrap().devices[0].name, name("old phone"));
    assert!(refused_as(&host.log_in("alice", &phone.code(STEP)), Refusal::Replayed));
    assert!(accepted(&host.log_in("alice", &phone.code(STEP + 1))));
}

#[test]
fn a_name_can_be_neither_taken_twice_nor_given_to_a_device_that_is_not_there() {
    let (host, _) = Host::with_alice();
    host.enroll_as("alice", "tablet", Profile::PLAIN).unwrap();
    let rename = |from: &str, to: &str| {
        host.ask(Request::RenameDevice { user: user("alice"), name: name(from), to: name(to) })
    };
    assert!(matches!(rename("phone", "tablet"), Err(Error::NameTaken { .. })));
    assert!(matches!(rename("watch", "clock"), Err(Error::NoSuchDevice { .. })));
    assert!(rename("phone", "phone").is_ok(), "nothing to do is no error");
}

#[test]
fn a_suspended_device_lets_nobody_in_until_it_is_resumed() {
    let (host, phone) = Host::with_alice();
    host.ask(Request::SuspendDevice { user: user("alice"), name: name("phone") }).unwrap();
    assert_eq!(host.status("alice").unwrap().devices[0].status, Status::Suspended);
    assert!(refused_as(&host.log_in("alice", &phone.code(STEP)), Refusal::Wrong));
    host.ask(Request::ResumeDevice { user: user("alice"), name: name("phone") }).unwrap();
    assert!(accepted(&host.log_in("alice", &phone.code(STEP))));
}

#[test]
fn the_old_device_works_until_the_new_one_is_proven_and_not_after() {
    let (host, old) = Host::with_alice();
    let begin = Request::BeginEnrollment {
        user: user("alice"),
        name: None,
        profile: Profile::PLAIN,
        replaces: Some(name("phone")),
    };
    let Response::Pending(pending) = host.ask(begin).unwrap() else { panic!("no key") };
    assert_eq!(pending.name, name("phone"), "it takes the name of the one it replaces");
    assert!(accepted(&host.log_in("alice", &old.code(STEP))), "the old one still works");
    let new = Phone::holding(pending.seed.clone(), Profile::PLAIN);
    let confirm = |first, second| Request::ConfirmEnrollment {
        user: user("alice"),
        id: pending.id,
        first,
        second,
        replaces: Some(name("phone")),
        recovery_codes: RecoveryCodes::No,
    };
    let wrong = confirm(old.code(STEP), old.code(STEP + 1));
    assert!(matches!(host.ask(wrong), Ok(Response::NotConfirmed(_))));
    assert!(accepted(&host.log_in("alice", &old.code(STEP + 1))), "and after a failed try, too");
    host.ask(confirm(new.code(STEP - 2), new.code(STEP - 1))).unwrap();
    assert_eq!(host.status("alice").unwrap().devices.len(), 1);
    assert!(refused_as(&host.log_in("alice", &old.code(STEP + 1)), Refusal::Wrong));
    assert!(accepted(&host.log_in("alice", &new.code(STEP))));
}

#[test]
fn an_account_with_eight_devices_can_replace_one_of_them() {
    let host = Host::new();
    for number in 1..=8 {
        host.enroll_as("alice", &format!("phone {number}"), Profile::PLAIN).unwrap();
    }
    let begin = |replaces: Option<&str>| {
        host.ask(Request::BeginEnrollment {
            user: user("alice"),
            name: Some(name("ninth")),
            profile: Profile::PLAIN,
            replaces: replaces.map(name),
        })
    };
    assert!(matches!(begin(None), Err(Error::TooManyDevices)));
    assert!(matches!(begin(Some("watch")), Err(Error::NoSuchDevice { .. })));
    assert!(matches!(begin(Some("phone 3")), Ok(Response::Pending(_))));
}

#[test]
fn recovery_codes_come_with_the_first_device_if_they_are_asked_for_and_only_then() {
    let host = Host::new();
    let codes_with = |device: &str| {
        let pending = host.begin("alice", device, Profile::PLAIN).unwrap();
        let phone = Phone::holding(pending.seed.clone(), Profile::PLAIN);
        let confirm = |first, second| {
            host.ask(Request::ConfirmEnrollment {
                user: user("alice"),
                id: pending.id,
                first,
                second,
                replaces: None,
                recovery_codes: RecoveryCodes::IfNone,
            })
        };
        assert!(matches!(confirm(phone.code(5), phone.code(9)), Ok(Response::NotConfirmed(_))));
        match confirm(phone.code(STEP - 1), phone.code(STEP)) {
            Ok(Response::Enrolled { recovery_codes, .. }) => recovery_codes.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(codes_with("phone"), 10);
    assert_eq!(host.status("alice").unwrap().recovery_codes_left, Some(10));
    assert_eq!(codes_with("tablet"), 0);
}

fn adopt(host: &Host, whose: &str, device: ForeignDevice) -> mfa_core::Result<Response> {
    host.ask(Request::Adopt { user: user(whose), devices: vec![device], scratch_codes: Vec::new() })
}

#[test]
fn a_seed_that_another_account_has_is_refused_and_free_again_when_it_is_removed() {
    let host = Host::new();
    let seed = Secret::new(vec![7; 20]);
    let adopt = |whose: &str| adopt(&host, whose, foreign("token", &seed));
    adopt("alice").unwrap();
    match adopt("bob") {
        Err(Error::SeedInUse { user: holder }) => assert_eq!(holder, user("alice")),
        other => panic!("{other:?}"),
    }
    assert!(matches!(host.status("bob"), Err(Error::NotEnrolled)), "nothing was made");
    host.ask(Request::RemoveDevice { user: user("alice"), name: name("token") }).unwrap();
    adopt("bob").unwrap();
    assert!(matches!(adopt("alice"), Err(Error::SeedInUse { .. })));
}

#[test]
fn a_serial_number_that_another_account_has_is_refused() {
    let host = Host::new();
    let assign = |whose: &str, byte: u8| {
        let serial = Some("GALT11420104".parse().unwrap());
        adopt(&host, whose, ForeignDevice { serial, ..foreign("token", &Secret::new(vec![byte; 20])) })
    };
    assign("alice", 1).unwrap();
    assert!(matches!(assign("bob", 2), Err(Error::SerialInUse { .. })));
}

#[test]
fn a_mark_that_was_left_behind_is_in_nobodys_way() {
    let host = Host::new();
    let seed = Secret::new(vec![7; 20]);
    let adopt = |whose: &str| adopt(&host, whose, foreign("token", &seed));
    adopt("alice").unwrap();
    // As if root had removed the account's folder by hand.
    fs::remove_dir_all(host.path("users/alice")).unwrap();
    adopt("bob").unwrap();
}

#[test]
fn two_accounts_that_take_the_same_seed_at_once_do_not_both_get_it() {
    for round in 0..20_u8 {
        let host = Host::new();
        FileStore::at(host.path("")).prepare().unwrap();
        let seed = Secret::new(vec![round; 20]);
        let adopted = std::thread::scope(|scope| {
            let adopt = |whose: &'static str| {
                let (host, seed) = (&host, &seed);
                scope.spawn(move || {
                    let devices = vec![foreign("token", seed)];
                    host.ask(Request::Adopt { user: user(whose), devices, scratch_codes: Vec::new() }).is_ok()
                })
            };
            let both = [adopt("alice"), adopt("bob")];
            both.map(|thread| thread.join().unwrap())
        });
        assert_eq!(adopted.iter().filter(|adopted| **adopted).count(), 1, "round {round}");
    }
}

#[test]
fn a_removed_device_leaves_its_history_and_nothing_else() {
    let (host, phone) = Host::with_alice();
    let marks = || {
        let folders = fs::read_dir(host.path("marks")).unwrap().map(|folder| folder.unwrap().path());
        folders.map(|folder| fs::read_dir(folder).unwrap().count()).sum::<usize>()
    };
    assert_eq!(marks(), 1);
    host.ask(Request::RemoveDevice { user: user("alice"), name: name("phone") }).unwrap();
    assert_eq!(marks(), 0);
    assert!(matches!(host.status("alice"), Err(Error::NotEnrolled)));
    assert!(refused_as(&host.log_in("alice", &phone.code(STEP)), Refusal::NotEnrolled));
    assert_eq!(host.history("alice").len(), 2);
}
