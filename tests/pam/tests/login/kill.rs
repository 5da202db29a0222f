//! A host that is killed at any instant, as sshd kills its child: the next login works, and no code works twice.

use std::thread;
use std::time::{Duration, Instant};

use mfa_test_harness::{Host, PamCode};

use crate::{alice, assert_let_in};

#[test]
fn two_hundred_logins_killed_at_random_moments_leave_no_lock_and_no_code_that_works_twice() {
    let (store, alice) = alice();
    let held = |step| {
        let host = Host { starts_held: true, ..Host::default() };
        alice.login(&store).at(alice.at(step)).host(host).types(alice.code(step))
    };
    let mut step = alice.now;
    let mut moments = Moments::new(duration_of(held(step)));
    let (mut cut_short, mut used_up) = (0, 0);
    for _ in 0..200 {
        step += 1;
        let mut login = held(step).start();
        login.wait_for_the_call();
        let moment = moments.next();
        login.let_go();
        wait(moment);
        let killed = login.kill();

        let again = alice.login_at(&store, step);
        if killed.returned.is_empty() {
            cut_short += 1;
            used_up += u32::from(!again.let_in());
            moments.later();
        } else {
            moments.earlier();
            assert!(killed.let_in() && !again.let_in(), "twice: {killed:#?} {again:#?}");
        }
        let once_more = alice.login_at(&store, step);
        assert_eq!(once_more.result(), PamCode::AUTH_ERR, "a code worked twice");
        step += 1;
        assert_let_in(&alice.login_at(&store, step));
    }
    // Else the moments were not inside of logins, and the test has shown nothing.
    assert!((50..=150).contains(&cut_short), "{cut_short} of 200 were cut short");
    assert!(used_up < cut_short, "all of the {cut_short} that were cut short had used their code up");
}

/// From the call of pam_authenticate(3) to its return.
fn duration_of(login: mfa_test_harness::Login) -> Duration {
    let mut login = login.start();
    login.wait_for_the_call();
    let begun = Instant::now();
    login.let_go();
    login.wait_for_the_return();
    let took = begun.elapsed();
    assert_let_in(&login.finish());
    took
}

/// Spins: a sleep is too coarse.
fn wait(moment: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < moment {
        thread::yield_now();
    }
}

/// Moments from 0 to `span`, by xorshift; `span` goes after what the machine does, so that half of the moments are early enough.
struct Moments {
    state: u64,
    span: Duration,
}

impl Moments {
    const fn new(span: Duration) -> Self {
        Self { state: 0x9e37_79b9_7f4a_7c15, span }
    }

    fn next(&mut self) -> Duration {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.span * u32::try_from(self.state % 1000).unwrap() / 1000
    }

    fn later(&mut self) {
        self.span = self.span * 10 / 9;
    }

    fn earlier(&mut self) {
        self.span = self.span * 9 / 10;
    }
}
