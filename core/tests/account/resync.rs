//! A device whose clock or counter has run away is followed by two of its codes.

use mfa_core::otp::{LookAhead, MovingFactor, Profile};
use mfa_core::request::WhyNotConfirmed;
use mfa_core::{Evidence, Refusal, Request, Response, Result};

use crate::host::{Host, NOW, Phone, STEP, accepted, name, refused_as, user};

fn request(phone: &Phone, step: u64) -> Request {
    Request::Resync {
        user: user("alice"),
        name: name("phone"),
        first: phone.code(step),
        second: phone.code(step + 1),
    }
}

fn resync(host: &Host, phone: &Phone, step: u64) -> Result<Response> {
    host.ask_as("alice", Evidence::Nothing, request(phone, step))
}

#[test]
fn a_clock_that_is_two_hours_ahead_is_followed_and_codes_from_there_let_in_once() {
    let (host, phone) = Host::with_alice();
    let ahead = STEP + 240;
    assert!(refused_as(&host.log_in("alice", &phone.code(ahead)), Refusal::Wrong));
    assert!(matches!(resync(&host, &phone, ahead), Ok(Response::Done)));
    assert_eq!(host.status("alice").unwrap().devices[0].drift_steps, 240);
    for used in [ahead, ahead + 1] {
        assert!(refused_as(&host.log_in("alice", &phone.code(used)), Refusal::Replayed), "used up");
    }
    let later = NOW + 60;
    assert!(accepted(&host.log_in_at(later, "alice", &phone.code(ahead + 2))));
    assert!(refused_as(&host.log_in_at(later, "alice", &phone.code(STEP + 2)), Refusal::Wrong));
}

#[test]
fn a_clock_that_is_behind_is_followed_unless_its_codes_were_used() {
    let (host, phone) = Host::with_alice();
    // The enrollment has used up the present; what the device shows now was seen before.
    assert!(matches!(resync(&host, &phone, STEP - 300), Ok(Response::NotConfirmed(WhyNotConfirmed::Used))));
    let weeks_later = NOW + 14 * 86_400;
    let behind = weeks_later / 30 - 300;
    let done = host.ask_at(weeks_later, request(&phone, behind)).unwrap();
    assert!(matches!(done, Response::Done));
    assert!(accepted(&host.log_in_at(weeks_later, "alice", &phone.code(behind + 2))));
}

#[test]
fn wrong_codes_count_as_failures_and_a_wait_is_a_wait() {
    let (host, phone) = Host::with_alice();
    let other = Phone::holding(mfa_core::Secret::new(vec![9; 20]), Profile::PLAIN);
    for _ in 0..3 {
        assert!(matches!(resync(&host, &other, STEP + 5), Ok(Response::NotConfirmed(_))));
    }
    assert_eq!(host.status("alice").unwrap().devices[0].failures, 3);
    let right = resync(&host, &phone, STEP + 5);
    assert!(matches!(right, Ok(Response::Refused(Refusal::Throttled { .. }))), "{right:?}");
    assert!(matches!(host.ask(request(&phone, STEP + 5)), Ok(Response::Done)), "root need not wait");
}

#[test]
fn a_counter_that_was_pressed_in_a_pocket_is_followed() {
    let host = Host::new();
    let profile = Profile { moving_factor: MovingFactor::Counter(LookAhead::DEFAULT), ..Profile::PLAIN };
    let token = host.enroll_as("alice", "phone", profile).unwrap();
    assert!(refused_as(&host.log_in("alice", &token.code(90)), Refusal::Wrong));
    assert!(matches!(resync(&host, &token, 90), Ok(Response::Done)));
    assert!(refused_as(&host.log_in("alice", &token.code(91)), Refusal::Replayed));
    assert!(accepted(&host.log_in("alice", &token.code(92))));
    assert!(matches!(resync(&host, &token, 50), Ok(Response::NotConfirmed(_))), "never back");
}

#[test]
fn a_counter_device_does_not_come_back_from_a_repair() {
    let host = Host::new();
    let profile = Profile { moving_factor: MovingFactor::Counter(LookAhead::DEFAULT), ..Profile::PLAIN };
    let token = host.enroll_as("alice", "phone", profile).unwrap();
    std::fs::remove_file(host.path("users/alice/state")).unwrap();
    host.ask(Request::Repair { user: user("alice") }).unwrap();
    host.ask(Request::ResumeDevice { user: user("alice"), name: name("phone") }).unwrap();
    for counter in 0..5 {
        assert!(
            !accepted(&host.log_in("alice", &token.code(counter))),
            "counter {counter} may have been used"
        );
    }
    assert!(matches!(host.ask(request(&token, 2)), Ok(Response::NotConfirmed(_))));
}
