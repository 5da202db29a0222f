//! A code that root issues lets a person in once, while it is good.

use mfa_core::answer::Answer;
use mfa_core::otp::Profile;
use mfa_core::recovery::RecoveryCode;
use mfa_core::verify::Factor;
use mfa_core::{Error, Refusal, Request, Response, Verdict};

use crate::host::{Host, NOW, STEP, accepted, refused_as, user};

fn issue(host: &Host, whose: &str, valid_seconds: u64) -> RecoveryCode {
    let request = Request::IssueBypass { user: user(whose), valid_seconds, reason: "lost phone".to_owned() };
    match host.ask(request) {
        Ok(Response::Bypass { code, until }) => {
            assert_eq!(until.unix_seconds(), NOW + valid_seconds);
            code
        }
        other => panic!("{other:?}"),
    }
}

fn enter(host: &Host, now: u64, whose: &str, code: &RecoveryCode) -> mfa_core::Result<Verdict> {
    host.enter(now, Some(user(whose)), Answer::Recovery(code.clone()))
}

#[test]
fn it_works_once_and_is_gone_from_the_status() {
    let (host, phone) = Host::with_alice();
    let code = issue(&host, "alice", 3600);
    let waiting = host.status("alice").unwrap().bypass.unwrap();
    assert_eq!((waiting.reason.as_str(), waiting.by.as_str()), ("lost phone", "root"));
    assert!(matches!(enter(&host, NOW, "alice", &code), Ok(Verdict::Accept(Factor::Bypass))));
    assert!(host.status("alice").unwrap().bypass.is_none());
    assert!(refused_as(&enter(&host, NOW, "alice", &code), Refusal::Replayed));
    assert!(accepted(&host.log_in("alice", &phone.code(STEP))), "the device goes on working");
}

#[test]
fn it_ends_with_its_hour_and_does_not_begin_before_it_was_issued() {
    let (host, _) = Host::with_alice();
    let code = issue(&host, "alice", 3600);
    assert!(refused_as(&enter(&host, NOW + 3601, "alice", &code), Refusal::Expired));
    assert!(refused_as(&enter(&host, NOW - 1, "alice", &code), Refusal::Expired), "a clock set back");
    assert!(accepted(&enter(&host, NOW + 3600, "alice", &code)));
}

#[test]
fn a_person_without_a_device_gets_in_by_it_and_is_not_enrolled_by_that() {
    let host = Host::new();
    let code = issue(&host, "carol", 3600);
    assert!(accepted(&enter(&host, NOW, "carol", &code)));
    assert!(host.status("carol").unwrap().devices.is_empty());
    assert!(refused_as(&enter(&host, NOW, "carol", &code), Refusal::Replayed));
    host.enroll_as("carol", "phone", Profile::PLAIN).unwrap();
    assert!(refused_as(&enter(&host, NOW, "carol", &code), Refusal::Replayed), "nor later");
}

#[test]
fn it_lives_beside_recovery_codes_old_and_new() {
    let (host, _) = Host::with_alice();
    let codes = |host: &Host| match host.ask(Request::NewRecoveryCodes { user: user("alice") }) {
        Ok(Response::RecoveryCodes(codes)) => codes,
        other => panic!("{other:?}"),
    };
    let old = codes(&host);
    let bypass = issue(&host, "alice", 3600);
    assert!(accepted(&enter(&host, NOW, "alice", &old[0])));
    let new = codes(&host);
    assert!(refused_as(&enter(&host, NOW, "alice", &old[1]), Refusal::Wrong));
    assert!(accepted(&enter(&host, NOW, "alice", &new[1])));
    assert!(accepted(&enter(&host, NOW, "alice", &bypass)));
}

#[test]
fn a_second_one_ends_the_first_and_a_cancelled_one_is_no_code() {
    let (host, _) = Host::with_alice();
    let first = issue(&host, "alice", 3600);
    let second = issue(&host, "alice", 3600);
    assert!(refused_as(&enter(&host, NOW, "alice", &first), Refusal::Wrong));
    host.ask(Request::CancelBypass { user: user("alice") }).unwrap();
    assert!(refused_as(&enter(&host, NOW, "alice", &second), Refusal::Wrong));
    assert!(matches!(host.ask(Request::CancelBypass { user: user("alice") }), Err(Error::NoBypass)));
}

#[test]
fn a_reason_and_a_sensible_time_are_needed() {
    let (host, _) = Host::with_alice();
    for (valid_seconds, reason) in [
        (59, "lost"),
        (31 * 86_400, "lost"),
        (3600, ""),
        (3600, " "),
        (3600, "a\nb"),
        (3600, &"x".repeat(201)),
    ] {
        let request = Request::IssueBypass { user: user("alice"), valid_seconds, reason: reason.to_owned() };
        assert!(matches!(host.ask(request), Err(Error::BadRequest(_))), "{valid_seconds} {reason:?}");
    }
}

#[test]
fn it_ends_with_a_repair_which_can_not_tell_whether_it_was_used() {
    let (host, _) = Host::with_alice();
    let code = issue(&host, "alice", 3600);
    std::fs::remove_file(host.path("users/alice/state")).unwrap();
    host.ask(Request::Repair { user: user("alice") }).unwrap();
    assert!(!accepted(&enter(&host, NOW, "alice", &code)));
}
