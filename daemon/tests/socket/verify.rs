//! Codes of a program that runs as the user, such as a screen locker.

use std::thread;
use std::time::Instant;

use mfa_core::answer::Answer;
use mfa_core::otp::Code;
use mfa_core::verify::Round;
use mfa_core::{Factor, Refusal, Request, Response, Verdict};

use crate::daemon::{Daemon, PATIENCE, myself};

fn verify(code: &Code, remote_host: Option<&str>) -> Request {
    Request::Verify {
        user: Some(myself()),
        answer: Answer::Code(code.clone()),
        remote_host: remote_host.map(str::to_owned),
        round: Round::First,
    }
}

fn verdict(reply: mfa_wire::Reply) -> Verdict {
    match reply {
        Ok(Response::Verdict(verdict)) => verdict,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_code_works_once_here_or_at_a_login() {
    let daemon = Daemon::start();
    let device = daemon.enroll(&myself());
    let code = device.code(device.present() + 1);
    assert!(matches!(verdict(daemon.ask(verify(&code, None))), Verdict::Accept(Factor::Device { .. })));
    assert_eq!(verdict(daemon.ask(verify(&code, None))), Verdict::Refuse(Refusal::Replayed));
    assert_eq!(verdict(Ok(daemon.as_root(verify(&code, None)))), Verdict::Refuse(Refusal::Replayed));
}

#[test]
fn of_many_at_once_one_is_let_in() {
    let daemon = Daemon::start();
    let device = daemon.enroll(&myself());
    let code = device.code(device.present() + 1);
    let accepted = thread::scope(|scope| {
        // Four connections of a user are the most.
        let asking: Vec<_> =
            (0..4).map(|_| scope.spawn(|| verdict(daemon.ask(verify(&code, None))))).collect();
        let verdicts = asking.into_iter().map(|asking| asking.join().unwrap());
        verdicts.filter(|verdict| matches!(verdict, Verdict::Accept(_))).count()
    });
    assert_eq!(accepted, 1);
}

#[test]
fn failures_here_do_not_count_for_the_address_that_the_client_names() {
    let daemon = Daemon::start();
    let device = daemon.enroll(&myself());
    let home = Some("192.0.2.1");
    let present = device.present();
    assert!(matches!(
        verdict(Ok(daemon.as_root(verify(&device.code(present + 1), home)))),
        Verdict::Accept(_)
    ));
    let begin = Instant::now();
    // A wait may be over before it is looked at; the next one is longer.
    loop {
        assert!(matches!(verdict(daemon.ask(verify(&device.wrong(), home))), Verdict::Refuse(_)));
        let Response::Status(status) = daemon.as_root(Request::Status { user: myself() }) else { panic!() };
        let device = &status.devices[0];
        assert_eq!(device.wait_seconds, 0, "the owner's own address must not have to wait");
        if device.failures >= 3 && device.stranger_wait_seconds > 0 {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{device:?}");
    }
}
