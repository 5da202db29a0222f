//! A host that is killed at any instant, as sshd kills its child: the next login works, and no code works twice.

use mfa_test_harness::moments::{PARTS, spin, timed};
use mfa_test_harness::{Host, Moments, PamCode};

use crate::{alice, assert_let_in};

#[test]
fn two_hundred_logins_killed_at_random_moments_leave_no_lock_and_no_code_that_works_twice() {
    let (store, alice) = alice();
    let held = |step| {
        let host = Host { starts_held: true, ..Host::default() };
        alice.login(&store).at(alice.at(step)).host(host).types(alice.code(step))
    };
    let mut step = alice.now;
    let (took, undisturbed) = timed(held(step));
    assert_let_in(&undisturbed);
    let (mut moments, mut parts) = (Moments::within(took), Parts(0x9e37_79b9_7f4a_7c15));
    let (mut cut_short, mut used_up) = (0, 0);
    for _ in 0..200 {
        step += 1;
        let mut login = held(step).start();
        login.wait_for_the_call();
        let moment = moments.after(parts.next());
        login.let_go();
        spin(moment);
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

/// Parts of a time, by xorshift.
struct Parts(u64);

impl Parts {
    fn next(&mut self) -> u32 {
        let Self(state) = self;
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        u32::try_from(*state % u64::from(PARTS)).unwrap()
    }
}
