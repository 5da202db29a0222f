//! Accounts in a real store on a real disk: enrolling, logging in, losing things, and files that are not as they should be.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Barrier;
use std::thread;

use mfa_core::answer::Answer;
use mfa_core::otp::{Code, LookAhead, MovingFactor, Period, Profile};
use mfa_core::request::WhyNotConfirmed;
use mfa_core::store::{Access, Account};
use mfa_core::verify::Round;
use mfa_core::{
    Caller, Error, Evidence, FileStore, Policy, Refusal, Request, Response, Result, Secret, Store as _,
    Timestamp, Verdict,
};
use nix::sys::signal::{SigSet, Signal};

use crate::host::{Host, NOW, Phone, STEP, accepted, refused_as};

#[test]
fn an_enrolled_person_logs_in_with_a_code_that_works_once() {
    let (host, phone) = Host::with_alice();
    assert!(accepted(&host.log_in("alice", &phone.code(STEP))));
    assert!(refused_as(&host.log_in("alice", &phone.code(STEP)), Refusal::Replayed));
}

#[test]
fn the_codes_of_the_enrollment_are_used_up() {
    let host = Host::new();
    let pending = host.begin("alice", "phone", Profile::PLAIN).unwrap();
    let phone = Phone::holding(pending.seed.clone(), Profile::PLAIN);
    assert!(matches!(
        host.confirm("alice", &pending, phone.code(STEP - 1), phone.code(STEP)),
        Ok(Response::Enrolled { .. })
    ));
    assert!(refused_as(&host.log_in("alice", &phone.code(STEP - 1)), Refusal::Replayed));
    assert!(refused_as(&host.log_in("alice", &phone.code(STEP)), Refusal::Replayed));
    assert!(accepted(&host.log_in("alice", &phone.code(STEP + 1))));
}

#[test]
fn of_many_logins_with_one_code_at_once_exactly_one_gets_in() {
    let (host, phone) = Host::with_alice();
    let barrier = Barrier::new(24);
    let code = phone.code(STEP);
    let winners: usize = thread::scope(|scope| {
        let logins: Vec<_> = (0..24)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    usize::from(accepted(&host.log_in("alice", &code)))
                })
            })
            .collect();
        logins.into_iter().map(|login| login.join().unwrap()).sum()
    });
    assert_eq!(winners, 1);
}

#[test]
fn parallel_wrong_guesses_are_all_counted() {
    let (host, phone) = Host::with_alice();
    // Two known failures fewer than the first wait, so that all of these are looked at.
    thread::scope(|scope| {
        for _ in 0..3 {
            scope
                .spawn(|| assert!(refused_as(&host.log_in("alice", &phone.code(STEP + 50)), Refusal::Wrong)));
        }
    });
    assert_eq!(host.status("alice").unwrap().devices[0].failures, 3);
}

#[test]
fn an_unknown_user_is_refused_after_the_same_work_and_nothing_is_created() {
    let (host, phone) = Host::with_alice();
    for user in [None, Some("mallory".parse().unwrap())] {
        let verdict = host.enter(NOW, user, Answer::Code(phone.code(STEP)));
        assert!(refused_as(&verdict, Refusal::NotEnrolled));
    }
    let users: Vec<_> =
        fs::read_dir(host.path("users")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(users, ["alice"]);
}

#[test]
fn a_code_of_another_account_is_wrong() {
    let (host, phone) = Host::with_alice();
    host.enroll("bob");
    assert!(refused_as(&host.log_in("bob", &phone.code(STEP)), Refusal::Wrong));
}

#[test]
fn a_store_that_does_not_exist_refuses_and_stays_away() {
    let host = Host::new();
    let code = Code::from_digits(b"123456").unwrap();
    assert!(matches!(host.log_in("alice", &code), Err(Error::NoStore { .. })));
    assert!(!host.path("").exists());
}

#[test]
fn names_of_every_kind_have_their_own_record() {
    let host = Host::new();
    let long = "n".repeat(200);
    for user in ["CORP\\alice", "alice@example.com", "żółć", &long, "a b", "..."] {
        let phone = host.enroll(user);
        assert!(accepted(&host.log_in(user, &phone.code(STEP))), "{user}");
    }
}

#[test]
fn every_profile_works_from_enrollment_to_login() {
    let host = Host::new();
    for (number, algorithm) in (0..).zip(["SHA1", "SHA256", "SHA512"]) {
        for digits in 6..=8_u8 {
            for period in [30, 60, 120_u8] {
                let period = Period::try_from(period).unwrap();
                let profile = Profile {
                    moving_factor: MovingFactor::Time(period),
                    algorithm: algorithm.parse().unwrap(),
                    digits: digits.try_into().unwrap(),
                };
                let user = format!("user-{number}-{digits}-{}", period.seconds());
                let phone = host.enroll_as(&user, "phone", profile).unwrap();
                assert!(accepted(&host.log_in(&user, &phone.code(NOW / period.seconds()))), "{user}");
            }
        }
    }
}

#[test]
fn a_counter_device_works_from_enrollment_to_login() {
    let host = Host::new();
    let profile = Profile { moving_factor: MovingFactor::Counter(LookAhead::DEFAULT), ..Profile::PLAIN };
    let token = host.enroll_as("alice", "token", profile).unwrap();
    assert!(
        refused_as(&host.log_in("alice", &token.code(1)), Refusal::Replayed),
        "the second code of the enrollment"
    );
    assert!(accepted(&host.log_in("alice", &token.code(2))));
}

#[test]
fn the_two_codes_must_be_right_different_and_consecutive() {
    let host = Host::new();
    let pending = host.begin("alice", "phone", Profile::PLAIN).unwrap();
    let phone = Phone::holding(pending.seed.clone(), Profile::PLAIN);
    let other = Phone::holding(Secret::new(vec![7; 20]), Profile::PLAIN);
    for (first, second, why) in [
        (phone.code(STEP), phone.code(STEP), WhyNotConfirmed::SameCode),
        (phone.code(STEP - 2), phone.code(STEP), WhyNotConfirmed::NotConsecutive),
        (phone.code(STEP), phone.code(STEP - 1), WhyNotConfirmed::NotConsecutive),
        (phone.code(STEP + 19), phone.code(STEP + 20), WhyNotConfirmed::ClockOff { seconds: 600 }),
        (phone.code(STEP - 41), phone.code(STEP - 40), WhyNotConfirmed::ClockOff { seconds: -1200 }),
        (other.code(STEP - 1), other.code(STEP), WhyNotConfirmed::OtherCodes),
    ] {
        match host.confirm("alice", &pending, first, second) {
            Ok(Response::NotConfirmed(found)) => assert_eq!(found, why),
            other => panic!("{other:?}"),
        }
        assert!(matches!(host.status("alice"), Err(Error::NotEnrolled)));
    }
    assert!(matches!(
        host.confirm("alice", &pending, phone.code(STEP - 1), phone.code(STEP)),
        Ok(Response::Enrolled { .. })
    ));
}

#[test]
fn an_app_that_ignores_the_algorithm_is_found_out() {
    let host = Host::new();
    let wanted =
        Profile { algorithm: "SHA512".parse().unwrap(), digits: 8.try_into().unwrap(), ..Profile::PLAIN };
    let pending = host.begin("alice", "phone", wanted).unwrap();
    let app = Phone::holding(pending.seed.clone(), Profile::PLAIN);
    match host.confirm("alice", &pending, app.code(STEP - 1), app.code(STEP)) {
        Ok(Response::NotConfirmed(why)) => {
            assert_eq!(why, WhyNotConfirmed::ProfileIgnored { instead: Profile::PLAIN })
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_device_whose_clock_is_off_by_minutes_is_enrolled_with_its_drift() {
    let host = Host::new();
    let pending = host.begin("alice", "phone", Profile::PLAIN).unwrap();
    let phone = Phone::holding(pending.seed.clone(), Profile::PLAIN);
    assert!(matches!(
        host.confirm("alice", &pending, phone.code(STEP + 7), phone.code(STEP + 8)),
        Ok(Response::Enrolled { .. })
    ));
    assert_eq!(host.status("alice").unwrap().devices[0].drift_steps, 7);
    assert!(accepted(&host.log_in_at(NOW + 30, "alice", &phone.code(STEP + 9))));
}

#[test]
fn a_retry_shows_the_same_key_until_it_is_old() {
    let host = Host::new();
    let first = host.begin("alice", "phone", Profile::PLAIN).unwrap();
    let retry = host.begin("alice", "phone", Profile::PLAIN).unwrap();
    assert_eq!((first.id, first.seed.clone()), (retry.id, retry.seed));
    let request = |name: &str| Request::BeginEnrollment {
        user: "alice".parse().unwrap(),
        name: Some(name.parse().unwrap()),
        profile: Profile::PLAIN,
        replaces: None,
    };
    let Response::Pending(later) = host.ask_at(NOW + 901, request("phone")).unwrap() else {
        panic!("no key")
    };
    assert_ne!(first.id, later.id, "fifteen minutes later it is another one");
    let phone = Phone::holding(first.seed.clone(), Profile::PLAIN);
    assert!(matches!(
        host.confirm("alice", &first, phone.code(STEP - 1), phone.code(STEP)),
        Err(Error::NoSuchEnrollment)
    ));
}

#[test]
fn an_enrollment_that_was_confirmed_can_not_be_confirmed_again() {
    let host = Host::new();
    let pending = host.begin("alice", "phone", Profile::PLAIN).unwrap();
    let phone = Phone::holding(pending.seed.clone(), Profile::PLAIN);
    assert!(matches!(
        host.confirm("alice", &pending, phone.code(STEP - 2), phone.code(STEP - 1)),
        Ok(Response::Enrolled { .. })
    ));
    let again = host.confirm("alice", &pending, phone.code(STEP), phone.code(STEP + 1));
    assert!(matches!(again, Err(Error::NoSuchEnrollment)));
}

#[test]
fn eight_devices_work_side_by_side_and_a_ninth_is_refused() {
    let host = Host::new();
    let phones: Vec<Phone> = (1..=8)
        .map(|number| host.enroll_as("alice", &format!("device {number}"), Profile::PLAIN).unwrap())
        .collect();
    assert!(matches!(host.begin("alice", "device 9", Profile::PLAIN), Err(Error::TooManyDevices)));
    for phone in &phones {
        assert!(accepted(&host.log_in("alice", &phone.code(STEP))));
    }
    assert!(matches!(host.begin("alice", "device 3", Profile::PLAIN), Err(Error::NameTaken { .. })));
}

#[test]
fn a_removed_device_lets_nobody_in_and_its_successor_starts_afresh() {
    let (host, old) = Host::with_alice();
    let request = || Request::RemoveDevice { user: "alice".parse().unwrap(), name: "phone".parse().unwrap() };
    host.ask(request()).unwrap();
    assert!(refused_as(&host.log_in("alice", &old.code(STEP)), Refusal::NotEnrolled));
    assert!(matches!(host.ask(request()), Err(Error::NotEnrolled)));
    for _ in 0..20 {
        let new = host.enroll("alice");
        assert!(accepted(&host.log_in("alice", &new.code(STEP))));
        host.ask(request()).unwrap();
    }
}

#[test]
fn recovery_codes_work_once_each_and_new_ones_end_the_old() {
    let (host, _) = Host::with_alice();
    let make = || match host.ask(Request::NewRecoveryCodes { user: "alice".parse().unwrap() }).unwrap() {
        Response::RecoveryCodes(codes) => codes,
        other => panic!("{other:?}"),
    };
    let enter = |code: &mfa_core::recovery::RecoveryCode| {
        host.enter(NOW, "alice".parse().ok(), Answer::Recovery(code.clone()))
    };
    let old = make();
    assert!(accepted(&enter(&old[0])));
    assert!(refused_as(&enter(&old[0]), Refusal::Replayed));
    assert_eq!(host.status("alice").unwrap().recovery_codes_left, Some(9));
    let new = make();
    assert!(refused_as(&enter(&old[1]), Refusal::Wrong));
    assert_eq!(host.status("alice").unwrap().recovery_codes_left, Some(10));
    assert!(accepted(&enter(&new[0])));
    let text = fs::read_to_string(host.path("users/alice/devices.toml")).unwrap();
    for code in &new {
        assert!(
            !text.contains(&*code.expose_grouped())
                && !text.contains(&code.expose_grouped().replace('-', ""))
        );
    }
}

#[test]
fn recovery_codes_are_made_for_enrolled_accounts_alone() {
    let (host, _) = Host::with_alice();
    let request = Request::NewRecoveryCodes { user: "bob".parse().unwrap() };
    assert!(matches!(host.ask(request), Err(Error::NotEnrolled)));
    assert!(!host.path("users/bob").exists());
}

#[test]
fn unlocking_forgets_the_failures() {
    let (host, phone) = Host::with_alice();
    for _ in 0..3 {
        assert!(refused_as(&host.log_in("alice", &phone.code(STEP + 50)), Refusal::Wrong));
    }
    assert!(matches!(
        host.log_in("alice", &phone.code(STEP)),
        Ok(Verdict::Refuse(Refusal::Throttled { .. }))
    ));
    host.ask(Request::Unlock { user: "alice".parse().unwrap() }).unwrap();
    assert!(accepted(&host.log_in("alice", &phone.code(STEP))));
}

#[test]
fn an_owner_may_verify_and_look_but_not_at_others() {
    let (host, phone) = Host::with_alice();
    host.enroll("bob");
    let ask = |request| {
        let store = FileStore::at(host.path(""));
        let caller = Caller::owner("alice".parse().unwrap(), Evidence::Nothing, "alice by mfad");
        mfa_core::answer(request, &caller, &store, &Policy::default(), Timestamp::from_unix_seconds(NOW))
    };
    let verify = |user: &str| Request::Verify {
        user: user.parse().ok(),
        answer: Answer::Code(phone.code(STEP)),
        remote_host: None,
        round: Round::First,
    };
    assert!(matches!(ask(verify("bob")), Err(Error::NotAllowed)));
    assert!(matches!(
        ask(Request::Verify {
            user: None,
            answer: Answer::Code(phone.code(STEP)),
            remote_host: None,
            round: Round::First
        }),
        Err(Error::NotAllowed)
    ));
    assert!(matches!(ask(Request::Status { user: "bob".parse().unwrap() }), Err(Error::NotAllowed)));
    assert!(matches!(ask(Request::Unlock { user: "alice".parse().unwrap() }), Err(Error::NotAllowed)));
    assert!(matches!(ask(verify("alice")), Ok(Response::Verdict(Verdict::Accept(_)))));
}

#[test]
fn what_the_store_creates_is_its_owners_alone() {
    let (host, _) = Host::with_alice();
    let mode = |path: &str| fs::metadata(host.path(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(["", "users", "users/alice", "decoy", "decoy/0", "decoy/f"].map(mode), [0o700; 6]);
    assert_eq!(["users/alice/devices.toml", "users/alice/state", "decoy/a/state"].map(mode), [0o600; 3]);
    assert_eq!(mode("key"), 0o400);
    assert_eq!(fs::metadata(host.path("users/alice/state")).unwrap().len(), 8192);
}

/// Damages alice's account and says how a login with a right code ends.
fn login_after(damage: impl FnOnce(&Host)) -> Result<Verdict> {
    let (host, phone) = Host::with_alice();
    damage(&host);
    host.log_in("alice", &phone.code(STEP))
}

#[test]
fn whoever_holds_a_lock_can_not_be_stopped_from_a_terminal() {
    let (host, _) = Host::with_alice();
    let store = FileStore::at(host.path(""));
    let held_back = || {
        let mask = SigSet::thread_get_mask().unwrap();
        [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU].map(|signal| mask.contains(signal))
    };
    for access in [Access::Login, Access::Change] {
        let inside = store.update(Account::User(&"alice".parse().unwrap()), access, |_| Ok(held_back()));
        assert_eq!((inside.unwrap(), held_back()), ([true; 3], [false; 3]), "{access:?}");
    }
    let refused: Result<()> =
        store.update(Account::User(&"alice".parse().unwrap()), Access::Login, |_| Err(Error::CodeNeeded));
    assert_eq!((refused.is_err(), held_back()), (true, [false; 3]));
}

#[test]
fn a_torn_slot_leaves_the_state_before_it() {
    let (host, phone) = Host::with_alice();
    assert!(accepted(&host.log_in("alice", &phone.code(STEP))));
    for slot in [0, 4096] {
        let mut bytes = fs::read(host.path("users/alice/state")).unwrap();
        bytes[slot + 100] ^= 1;
        fs::write(host.path("users/alice/state"), bytes).unwrap();
        // The torn write was the newest or the oldest; either way somebody can still log in, and the floor is one login old at most.
        let next = if slot == 0 { STEP + 1 } else { STEP + 2 };
        assert!(accepted(&host.log_in_at(next * 30, "alice", &phone.code(next))), "slot at {slot}");
    }
}

#[test]
fn a_state_with_no_whole_slot_is_refused() {
    let verdict = login_after(|host| fs::write(host.path("users/alice/state"), [0; 8192]).unwrap());
    assert!(matches!(verdict, Err(Error::Corrupt { .. })), "{verdict:?}");
}

#[test]
fn a_slot_copied_over_the_other_is_no_second_state() {
    let (host, phone) = Host::with_alice();
    let old = fs::read(host.path("users/alice/state")).unwrap();
    assert!(accepted(&host.log_in("alice", &phone.code(STEP))));
    let mut bytes = fs::read(host.path("users/alice/state")).unwrap();
    bytes[4096..].copy_from_slice(&old[..4096]);
    fs::write(host.path("users/alice/state"), &bytes).unwrap();
    assert!(
        accepted(&host.log_in("alice", &phone.code(STEP))),
        "only the older slot is left, as after a torn write"
    );
    bytes[..4096].copy_from_slice(&[0; 4096]);
    fs::write(host.path("users/alice/state"), &bytes).unwrap();
    assert!(matches!(host.log_in("alice", &phone.code(STEP)), Err(Error::Corrupt { .. })));
}

#[test]
fn missing_and_damaged_files_are_refused() {
    type Damage = fn(&Host);
    let damages: [(&str, Damage); 8] = [
        ("no state", |host| fs::remove_file(host.path("users/alice/state")).unwrap()),
        ("short state", |host| fs::write(host.path("users/alice/state"), b"short").unwrap()),
        ("empty devices", |host| fs::write(host.path("users/alice/devices.toml"), b"").unwrap()),
        ("binary devices", |host| fs::write(host.path("users/alice/devices.toml"), b"\xff\xfe").unwrap()),
        ("huge devices", |host| {
            fs::write(host.path("users/alice/devices.toml"), vec![b'#'; 1 << 20]).unwrap()
        }),
        ("empty key", |host| {
            fs::remove_file(host.path("key")).unwrap();
            fs::write(host.path("key"), b"").unwrap();
            fs::set_permissions(host.path("key"), fs::Permissions::from_mode(0o400)).unwrap();
        }),
        ("no key", |host| fs::remove_file(host.path("key")).unwrap()),
        ("another's state", |host| {
            host.enroll("bob");
            fs::copy(host.path("users/bob/state"), host.path("users/alice/state")).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let verdict = login_after(damage);
        assert!(matches!(verdict, Err(Error::Corrupt { .. } | Error::KeyLost { .. })), "{what}: {verdict:?}");
    }
}

#[test]
fn files_that_others_could_reach_are_refused() {
    for file in ["users/alice/devices.toml", "users/alice/state", "key"] {
        let elsewhere = |host: &Host| host.folder.path().join("elsewhere");
        let verdict = login_after(|host| {
            fs::set_permissions(host.path(file), fs::Permissions::from_mode(0o640)).unwrap()
        });
        assert!(matches!(verdict, Err(Error::Untrusted { .. })), "{file} readable by others: {verdict:?}");
        let verdict = login_after(|host| {
            fs::rename(host.path(file), elsewhere(host)).unwrap();
            symlink(elsewhere(host), host.path(file)).unwrap();
        });
        assert!(matches!(verdict, Err(Error::Untrusted { .. })), "{file} a symbolic link: {verdict:?}");
        let verdict = login_after(|host| fs::hard_link(host.path(file), elsewhere(host)).unwrap());
        assert!(matches!(verdict, Err(Error::Untrusted { .. })), "{file} with a hard link: {verdict:?}");
        let verdict = login_after(|host| {
            fs::remove_file(host.path(file)).unwrap();
            nix::unistd::mkfifo(&host.path(file), nix::sys::stat::Mode::S_IRWXU).unwrap();
        });
        assert!(matches!(verdict, Err(Error::Untrusted { .. })), "{file} a FIFO: {verdict:?}");
        let verdict = login_after(|host| {
            fs::remove_file(host.path(file)).unwrap();
            fs::create_dir(host.path(file)).unwrap();
        });
        assert!(matches!(verdict, Err(Error::Untrusted { .. })), "{file} a folder: {verdict:?}");
    }
    for folder in ["", "users", "users/alice"] {
        let verdict = login_after(|host| {
            fs::set_permissions(host.path(folder), fs::Permissions::from_mode(0o777)).unwrap()
        });
        assert!(
            matches!(verdict, Err(Error::Untrusted { .. })),
            "{folder:?} writable by others: {verdict:?}"
        );
    }
}

#[test]
fn a_lost_key_is_never_replaced_by_a_new_one() {
    let (host, _) = Host::with_alice();
    fs::remove_file(host.path("key")).unwrap();
    assert!(matches!(host.begin("bob", "phone", Profile::PLAIN), Err(Error::KeyLost { .. })));
    let code = Code::from_digits(b"123456").unwrap();
    assert!(
        matches!(host.log_in("alice", &code), Err(Error::KeyLost { .. })),
        "and a login says what is the matter"
    );
    assert!(!host.path("key").exists());
}

#[test]
fn a_key_that_was_replaced_while_nobody_was_enrolled_leaves_no_decoys_that_do_not_open() {
    let (host, _) = Host::with_alice();
    fs::remove_dir_all(host.path("users")).unwrap();
    fs::remove_file(host.path("key")).unwrap();
    let phone = host.enroll("bob");
    assert!(refused_as(&host.log_in("nobody", &phone.code(STEP)), Refusal::NotEnrolled));
    let text = fs::read_to_string(host.path("decoy/0/devices.toml")).unwrap();
    host.enroll("carol");
    assert_eq!(
        fs::read_to_string(host.path("decoy/0/devices.toml")).unwrap(),
        text,
        "and they stay once they open"
    );
}

#[test]
fn a_confirmation_that_the_disk_refused_half_way_can_be_repeated_and_both_codes_are_used_up() {
    let host = Host::new();
    let pending = host.begin("alice", "phone", Profile::PLAIN).unwrap();
    let phone = Phone::holding(pending.seed.clone(), Profile::PLAIN);
    // A folder in the place of the new secret file: the state is written, the devices can't be.
    fs::create_dir(host.path("users/alice/devices.toml.new")).unwrap();
    assert!(host.confirm("alice", &pending, phone.code(STEP - 3), phone.code(STEP - 2)).is_err());
    fs::remove_dir(host.path("users/alice/devices.toml.new")).unwrap();
    assert!(matches!(
        host.confirm("alice", &pending, phone.code(STEP - 1), phone.code(STEP)),
        Ok(Response::Enrolled { .. })
    ));
    assert!(refused_as(&host.log_in("alice", &phone.code(STEP)), Refusal::Replayed));
    assert!(accepted(&host.log_in("alice", &phone.code(STEP + 1))));
}

#[test]
fn a_damaged_state_is_repaired_so_that_no_used_code_works_again() {
    for damage in [None, Some(vec![0; 8192])] {
        let (host, phone) = Host::with_alice();
        assert!(accepted(&host.log_in("alice", &phone.code(STEP))));
        match damage {
            None => fs::remove_file(host.path("users/alice/state")).unwrap(),
            Some(bytes) => fs::write(host.path("users/alice/state"), bytes).unwrap(),
        }
        assert!(host.log_in("alice", &phone.code(STEP + 1)).is_err());
        host.ask(Request::Repair { user: "alice".parse().unwrap() }).unwrap();
        assert!(!accepted(&host.log_in("alice", &phone.code(STEP))));
        assert!(!accepted(&host.log_in("alice", &phone.code(STEP + 1))));
        let later = STEP + 12;
        assert!(accepted(&host.log_in_at(later * 30, "alice", &phone.code(later))), "six minutes later");
    }
}

#[test]
fn repairing_puts_out_of_use_what_can_not_be_told() {
    let host = Host::new();
    let profile = Profile { moving_factor: MovingFactor::Counter(LookAhead::DEFAULT), ..Profile::PLAIN };
    let token = host.enroll_as("alice", "token", profile).unwrap();
    host.ask(Request::NewRecoveryCodes { user: "alice".parse().unwrap() }).unwrap();
    host.ask(Request::Repair { user: "alice".parse().unwrap() }).unwrap();
    assert!(refused_as(&host.log_in("alice", &token.code(2)), Refusal::Wrong));
    assert_eq!(host.status("alice").unwrap().recovery_codes_left, None);
    assert!(matches!(host.ask(Request::Repair { user: "bob".parse().unwrap() }), Err(Error::NotEnrolled)));
}

#[test]
fn a_folder_that_took_anothers_place_while_a_login_waited_is_the_one_that_counts() {
    let (host, phone) = Host::with_alice();
    let held = fs::File::open(host.path("users/alice")).unwrap();
    held.lock().unwrap();
    thread::scope(|scope| {
        let login = scope.spawn(|| host.log_in("alice", &phone.code(STEP)));
        thread::sleep(std::time::Duration::from_millis(50));
        let copy = std::process::Command::new("cp")
            .arg("-a")
            .arg(host.path("users/alice"))
            .arg(host.path("copy"))
            .status();
        assert!(copy.unwrap().success());
        fs::rename(host.path("users/alice"), host.path("old")).unwrap();
        fs::rename(host.path("copy"), host.path("users/alice")).unwrap();
        drop(held);
        assert!(accepted(&login.join().unwrap()));
    });
    assert!(refused_as(&host.log_in("alice", &phone.code(STEP)), Refusal::Replayed));
}

#[test]
fn left_overs_of_a_killed_enrollment_are_in_nobodys_way() {
    let (host, phone) = Host::with_alice();
    for file in ["devices.toml.new", "state.new", "pending.toml.new"] {
        fs::write(host.path("users/alice").join(file), b"half").unwrap();
    }
    fs::create_dir(host.path("users/bob")).unwrap();
    assert!(accepted(&host.log_in("alice", &phone.code(STEP))));
    assert!(refused_as(&host.log_in("bob", &phone.code(STEP)), Refusal::NotEnrolled));
    fs::set_permissions(host.path("users/bob"), fs::Permissions::from_mode(0o700)).unwrap();
    let second = host.enroll_as("alice", "tablet", Profile::PLAIN).unwrap();
    let bobs = host.enroll("bob");
    assert!(accepted(&host.log_in("alice", &second.code(STEP))));
    assert!(accepted(&host.log_in("bob", &bobs.code(STEP))));
}

#[test]
fn devices_without_their_state_are_refused_and_a_state_without_its_device_is_not() {
    let (host, phone) = Host::with_alice();
    let before = fs::read(host.path("users/alice/state")).unwrap();
    let devices = fs::read(host.path("users/alice/devices.toml")).unwrap();
    host.enroll_as("alice", "tablet", Profile::PLAIN).unwrap();
    let after = fs::read(host.path("users/alice/state")).unwrap();
    // Killed between the state and the devices: the tablet's state is there, the tablet is not.
    let two_devices = fs::read(host.path("users/alice/devices.toml")).unwrap();
    fs::write(host.path("users/alice/devices.toml"), &devices).unwrap();
    assert!(accepted(&host.log_in("alice", &phone.code(STEP))));
    // The other way round can't happen, and is refused.
    fs::write(host.path("users/alice/devices.toml"), &two_devices).unwrap();
    fs::write(host.path("users/alice/state"), &before).unwrap();
    assert!(matches!(host.log_in("alice", &phone.code(STEP + 1)), Err(Error::Corrupt { .. })));
    fs::write(host.path("users/alice/state"), &after).unwrap();
    assert!(accepted(&host.log_in("alice", &phone.code(STEP + 1))));
}
