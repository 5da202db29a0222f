//! Nobody can ask about, or change, another account; and nobody but root what is root's.

use mfa_core::Request;
use mfa_core::answer::Answer;
use mfa_core::verify::Round;
use mfa_wire::Denial;

use crate::daemon::{Daemon, PASSWORD, begin, myself, somebody_else, status};

#[test]
fn another_account_is_denied_alike_whether_it_exists_or_not() {
    let daemon = Daemon::start();
    let device = daemon.enroll(&somebody_else());
    let before = daemon.store.content();
    let code = device.code(device.present() + 1);
    for user in [somebody_else(), "nobody-at-all".parse().unwrap()] {
        let verify = Request::Verify {
            user: Some(user.clone()),
            answer: Answer::Code(code.clone()),
            remote_host: None,
            round: Round::First,
        };
        let remove = Request::RemoveDevice { user: user.clone(), name: device.0.name.clone() };
        for request in [
            status(&user),
            Request::History { user: user.clone() },
            verify,
            begin(&user),
            device.confirm(&user, device.present()),
            remove,
            Request::NewRecoveryCodes { user: user.clone() },
        ] {
            assert_eq!(daemon.ask(request.clone()).unwrap_err(), Denial::NotAllowed, "{request:?}");
            assert_eq!(daemon.ask_with_code(request, &code).unwrap_err(), Denial::NotAllowed);
        }
        assert_eq!(daemon.ask_with_password(begin(&user), PASSWORD).unwrap_err(), Denial::NotAllowed);
    }
    assert!(daemon.store.content() == before, "a code was used up, or a failure was charged");
}

#[test]
fn nobody_is_no_account_either() {
    let daemon = Daemon::start();
    let answer = Answer::Code(mfa_core::otp::Code::from_digits(b"123456").unwrap());
    let verify = Request::Verify { user: None, answer, remote_host: None, round: Round::First };
    assert_eq!(daemon.ask(verify).unwrap_err(), Denial::NotAllowed);
}

#[test]
fn what_is_roots_takes_root_even_with_a_code_and_the_password() {
    let daemon = Daemon::start();
    let device = daemon.enroll(&myself());
    let before = daemon.store.content();
    let user = myself;
    for request in [
        Request::IssueBypass { user: user(), valid_seconds: 60, reason: "none".to_owned() },
        Request::CancelBypass { user: user() },
        Request::Adopt { user: user(), devices: Vec::new(), scratch_codes: Vec::new() },
        Request::Export { user: user() },
        Request::Unlock { user: user() },
        Request::Repair { user: user() },
    ] {
        let code = device.code(device.present() + 1);
        assert_eq!(
            daemon.ask_with_code(request.clone(), &code).unwrap_err(),
            Denial::NotAllowed,
            "{request:?}"
        );
        assert_eq!(daemon.ask_with_password(request, PASSWORD).unwrap_err(), Denial::NotAllowed);
    }
    assert!(daemon.store.content() == before);
}
