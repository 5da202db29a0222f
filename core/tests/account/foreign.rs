//! Devices that come from elsewhere: hardware tokens, other modules, other hosts.

use mfa_core::answer::Answer;
use mfa_core::devices::Status;
use mfa_core::otp::Profile;
use mfa_core::recovery::ScratchCode;
use mfa_core::request::{ForeignDevice, RecoveryCodes, WhyNotConfirmed};
use mfa_core::{Error, Evidence, Refusal, Request, Response, Result, Secret, Timestamp};

use crate::host::{Host, NOW, Phone, STEP, accepted, foreign, name, refused_as, user};

fn seed() -> Secret {
    Secret::new(b"12345678901234567890".to_vec())
}

fn phone() -> Phone {
    Phone::holding(seed(), Profile::PLAIN)
}

fn adopt(host: &Host, device: ForeignDevice, scratch_codes: &[&str]) -> Result<Response> {
    let scratch_codes = scratch_codes.iter().map(|code| ScratchCode::parse(code).unwrap()).collect();
    host.ask(Request::Adopt { user: user("alice"), devices: vec![device], scratch_codes })
}

fn token() -> ForeignDevice {
    let serial = Some("GALT11420104".parse().unwrap());
    ForeignDevice { serial, status: Status::Assigned, ..foreign("token", &seed()) }
}

fn activate(step: u64) -> Request {
    Request::ActivateToken {
        user: user("alice"),
        serial: "GALT11420104".parse().unwrap(),
        name: None,
        first: phone().code(step),
        second: phone().code(step + 1),
        recovery_codes: RecoveryCodes::No,
    }
}

#[test]
fn what_was_used_elsewhere_is_used_here() {
    let host = Host::new();
    adopt(&host, ForeignDevice { floor: Some(STEP), ..foreign("phone", &seed()) }, &[]).unwrap();
    assert!(refused_as(&host.log_in("alice", &phone().code(STEP)), Refusal::Replayed));
    assert!(accepted(&host.log_in("alice", &phone().code(STEP + 1))));
}

#[test]
fn an_expired_device_lets_nobody_in_and_is_not_activated_or_followed() {
    let end = Timestamp::from_unix_seconds(NOW - 1);
    let expired = |device: ForeignDevice| ForeignDevice { expires_at: Some(end), ..device };
    let host = Host::new();
    adopt(&host, expired(foreign("phone", &seed())), &[]).unwrap();
    assert!(refused_as(&host.log_in("alice", &phone().code(STEP)), Refusal::Expired));
    let status = host.status("alice").unwrap();
    assert_eq!((status.devices[0].expires_at, status.devices[0].is_expired), (Some(end), true));
    let (first, second) = (phone().code(STEP), phone().code(STEP + 1));
    let resync = Request::Resync { user: user("alice"), name: name("phone"), first, second };
    assert!(matches!(host.ask(resync), Ok(Response::Refused(Refusal::Expired))));

    let host = Host::new();
    adopt(&host, expired(token()), &[]).unwrap();
    assert!(matches!(host.ask(activate(STEP)), Ok(Response::Refused(Refusal::Expired))));
    let Ok(Response::Exported(devices)) = host.ask(Request::Export { user: user("alice") }) else {
        panic!("not exported")
    };
    assert_eq!(devices[0].expires_at, Some(end), "it goes with the device to another host");
}

#[test]
fn taking_over_twice_changes_nothing_but_raises_the_floor() {
    let host = Host::new();
    adopt(&host, foreign("phone", &seed()), &["11111111"]).unwrap();
    assert!(accepted(&host.log_in("alice", &phone().code(STEP - 1))));
    adopt(&host, foreign("phone", &seed()), &["11111111"]).unwrap();
    assert_eq!(host.status("alice").unwrap().devices.len(), 1);
    assert!(refused_as(&host.log_in("alice", &phone().code(STEP - 1)), Refusal::Replayed));
    adopt(&host, ForeignDevice { floor: Some(STEP), ..foreign("phone", &seed()) }, &[]).unwrap();
    assert!(refused_as(&host.log_in("alice", &phone().code(STEP)), Refusal::Replayed));
}

#[test]
fn a_scratch_code_lets_in_once_and_guesses_at_it_have_to_wait() {
    let host = Host::new();
    adopt(&host, foreign("phone", &seed()), &["11111111", "22222222"]).unwrap();
    assert_eq!(host.status("alice").unwrap().recovery_codes_left, Some(2));
    let enter = |now, digits: &[u8]| host.enter(now, Some(user("alice")), Answer::parse(digits).unwrap());
    assert!(accepted(&enter(NOW, b"11111111")));
    assert!(refused_as(&enter(NOW, b"11111111"), Refusal::Replayed));
    assert_eq!(host.status("alice").unwrap().recovery_codes_left, Some(1));
    for guess in [b"00000000", b"00000001", b"00000002"] {
        assert!(refused_as(&enter(NOW, guess), Refusal::Wrong));
    }
    assert!(refused_as(&enter(NOW, b"22222222"), Refusal::Throttled { wait_seconds: 1 }));
    assert!(accepted(&enter(NOW + 1, b"22222222")));
    assert!(
        accepted(&host.log_in_at(NOW, "alice", &phone().code(STEP))),
        "the app was not charged for any of it"
    );
}

#[test]
fn a_device_of_eight_digits_and_scratch_codes_get_along() {
    let host = Host::new();
    let profile = Profile { digits: 8.try_into().unwrap(), ..Profile::PLAIN };
    adopt(&host, ForeignDevice { profile, ..foreign("phone", &seed()) }, &["11111111"]).unwrap();
    let phone = Phone::holding(seed(), profile);
    assert!(accepted(&host.log_in("alice", &phone.code(STEP))));
    let enter = |digits: &[u8]| host.enter(NOW, Some(user("alice")), Answer::parse(digits).unwrap());
    assert!(accepted(&enter(b"11111111")));
    assert!(refused_as(&enter(b"00000000"), Refusal::Wrong));
    assert_eq!(
        host.status("alice").unwrap().devices[0].failures,
        1,
        "a wrong one may have been meant for either"
    );
}

#[test]
fn new_recovery_codes_end_the_scratch_codes() {
    let host = Host::new();
    adopt(&host, foreign("phone", &seed()), &["11111111"]).unwrap();
    host.ask(Request::NewRecoveryCodes { user: user("alice") }).unwrap();
    let typed = host.enter(NOW, Some(user("alice")), Answer::parse(b"11111111").unwrap());
    assert!(refused_as(&typed, Refusal::Wrong));
}

#[test]
fn an_assigned_token_lets_nobody_in_until_two_of_its_codes_have_proven_it() {
    let host = Host::new();
    adopt(&host, token(), &[]).unwrap();
    assert!(refused_as(&host.log_in("alice", &phone().code(STEP)), Refusal::Wrong));
    assert!(matches!(host.ask_as("alice", Evidence::Nothing, activate(STEP)), Err(Error::PasswordNeeded)));
    assert!(matches!(
        host.ask_as("alice", Evidence::Password, activate(STEP)),
        Ok(Response::Enrolled { .. })
    ));
    assert_eq!(host.status("alice").unwrap().devices[0].status, Status::Active);
    assert!(refused_as(&host.log_in_at(NOW + 30, "alice", &phone().code(STEP + 1)), Refusal::Replayed));
    assert!(accepted(&host.log_in_at(NOW + 60, "alice", &phone().code(STEP + 2))));
    assert!(
        matches!(host.ask(activate(STEP + 3)), Err(Error::NoSuchToken { .. })),
        "there is nothing left to prove"
    );
}

#[test]
fn a_token_from_a_drawer_is_activated_though_its_clock_is_off() {
    let host = Host::new();
    adopt(&host, token(), &[]).unwrap();
    host.ask(activate(STEP - 600)).unwrap();
    assert!(accepted(&host.log_in_at(NOW + 60, "alice", &phone().code(STEP - 597))));
}

#[test]
fn a_token_can_be_neither_resumed_nor_resynchronised_into_use() {
    let host = Host::new();
    adopt(&host, token(), &[]).unwrap();
    let resume = Request::ResumeDevice { user: user("alice"), name: name("token") };
    assert!(matches!(host.ask(resume), Err(Error::BadRequest(_))));
    let resync = Request::Resync {
        user: user("alice"),
        name: name("token"),
        first: phone().code(STEP),
        second: phone().code(STEP + 1),
    };
    assert!(matches!(host.ask(resync), Err(Error::BadRequest(_))));
}

#[test]
fn the_counter_of_a_token_goes_on_from_where_its_file_says() {
    let host = Host::new();
    let counter = mfa_core::otp::MovingFactor::Counter(mfa_core::otp::LookAhead::DEFAULT);
    let profile = Profile { moving_factor: counter, ..Profile::PLAIN };
    adopt(&host, ForeignDevice { profile, floor: Some(99), ..token() }, &[]).unwrap();
    let press = Phone::holding(seed(), profile);
    let request = |at| Request::ActivateToken {
        user: user("alice"),
        serial: "GALT11420104".parse().unwrap(),
        name: Some(name("my token")),
        first: press.code(at),
        second: press.code(at + 1),
        recovery_codes: RecoveryCodes::No,
    };
    assert!(matches!(host.ask(request(99)), Ok(Response::NotConfirmed(WhyNotConfirmed::Used))));
    host.ask(request(100)).unwrap();
    assert_eq!(host.status("alice").unwrap().devices[0].name, name("my token"));
    assert!(accepted(&host.log_in("alice", &press.code(102))));
}

#[test]
fn an_account_moves_to_another_host_and_used_codes_stay_used() {
    let (here, phone) = Host::with_alice();
    assert!(accepted(&here.log_in("alice", &phone.code(STEP))));
    let Ok(Response::Exported(devices)) = here.ask(Request::Export { user: user("alice") }) else {
        panic!("nothing exported")
    };
    let there = Host::new();
    there.ask(Request::Adopt { user: user("alicia"), devices, scratch_codes: Vec::new() }).unwrap();
    assert!(refused_as(&there.log_in("alicia", &phone.code(STEP)), Refusal::Replayed));
    assert!(accepted(&there.log_in("alicia", &phone.code(STEP + 1))));
}

#[test]
fn all_devices_come_or_none() {
    let host = Host::new();
    let devices = (0..9).map(|number| foreign("phone", &Secret::new(vec![number; 20]))).collect();
    let answer = host.ask(Request::Adopt { user: user("alice"), devices, scratch_codes: Vec::new() });
    assert!(matches!(answer, Err(Error::TooManyDevices)));
    assert!(matches!(host.status("alice"), Err(Error::NotEnrolled)));
}

#[test]
fn an_owner_who_guesses_at_a_tokens_codes_has_to_wait_and_root_does_not() {
    let host = Host::new();
    adopt(&host, token(), &[]).unwrap();
    let guess = || {
        let other = Phone::holding(Secret::new(vec![9; 20]), Profile::PLAIN);
        let Request::ActivateToken { user, serial, name, recovery_codes, .. } = activate(STEP) else {
            panic!()
        };
        let (first, second) = (other.code(STEP), other.code(STEP + 1));
        Request::ActivateToken { user, serial, name, first, second, recovery_codes }
    };
    for _ in 0..3 {
        let answer = host.ask_as("alice", Evidence::Password, guess());
        assert!(matches!(answer, Ok(Response::NotConfirmed(_))), "{answer:?}");
    }
    let right = host.ask_as("alice", Evidence::Password, activate(STEP));
    assert!(matches!(right, Ok(Response::Refused(Refusal::Throttled { .. }))), "{right:?}");
    assert!(matches!(host.ask(activate(STEP)), Ok(Response::Enrolled { .. })));
    assert_eq!(host.status("alice").unwrap().devices[0].failures, 0, "proven, and forgiven");
}
