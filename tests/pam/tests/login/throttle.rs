//! Guessing: three tries are free, then it gets slow, in the end the device is disabled. The owner is not locked out.

use mfa_test_harness::{Account, Host, PamCode, Store, Transcript, at_once};

use crate::{alice, alice_with_recovery_codes, assert_let_in, assert_refused};

/// The address that the owner logs in from, and another.
const HOME: &str = "192.0.2.1";
const ELSEWHERE: &str = "203.0.113.9";

#[test]
fn after_three_failures_the_right_code_has_to_wait_and_is_not_used_up() {
    let (store, alice) = alice();
    guess_wrong(&store, &alice, 3);
    let code = alice.code(alice.now);
    for _ in 0..3 {
        assert_refused(&alice.login(&store).types(&code).run(), PamCode::AUTH_ERR, "throttled");
    }
    assert_eq!(alice.failures(&store), 3, "a try that was not looked at is no failure");
    // One second later the wait is over.
    let now = alice.at(alice.now) + 1;
    assert_let_in(&alice.login(&store).at(now).types(&code).run());
    assert_eq!(alice.failures(&store), 0);
}

#[test]
fn two_failures_cost_no_wait() {
    let (store, alice) = alice();
    guess_wrong(&store, &alice, 2);
    assert_let_in(&alice.login_at(&store, alice.now));
}

#[test]
fn each_failure_doubles_the_wait_up_to_an_hour() {
    let (store, alice) = alice();
    guess_wrong(&store, &alice, 3);
    let mut now = alice.at(alice.now);
    for failures in 3_u32..18 {
        let wait = 2_u64.pow(failures - 3).min(3600);
        let step = |second: u64| second / alice.generator.period;
        let early = alice.login(&store).at(now + wait - 1).types(alice.wrong_code(step(now + wait), 0)).run();
        assert_refused(&early, PamCode::AUTH_ERR, "throttled");
        now += wait;
        let in_time = alice.login(&store).at(now).types(alice.wrong_code(step(now), 0)).run();
        assert_refused(&in_time, PamCode::AUTH_ERR, "wrong");
        assert_eq!(alice.failures(&store), u64::from(failures) + 1);
    }
    now += 3600;
    let step = now / alice.generator.period;
    assert_let_in(&alice.login(&store).at(now).types(alice.code(step)).run());
}

#[test]
fn of_24_wrong_guesses_at_once_exactly_the_three_free_ones_are_looked_at() {
    let (store, alice) = alice();
    let logins = (0..24)
        .map(|guess| alice.login(&store).host(slow_disk()).types(alice.wrong_code(alice.now, guess)))
        .collect();
    let logins = at_once(logins);
    assert_eq!(count(&logins, "wrong"), 3);
    assert_eq!(count(&logins, "throttled"), 21);
    assert_eq!(alice.failures(&store), 3);
}

#[test]
fn pairs_of_wrong_guesses_at_once_raise_the_count_to_exactly_24() {
    let (store, alice) = alice();
    let mut failures = 0;
    let mut step = alice.now;
    while failures < 24 {
        // Far enough on that every wait is over; from the third failure on, the first of the two makes the second wait.
        step += 200;
        let login = alice.login(&store).at(alice.at(step)).host(slow_disk());
        let pair = (0..2).map(|guess| login.clone().types(alice.wrong_code(step, guess))).collect();
        let looked_at = if failures < 2 { 2 } else { 1 };
        assert_eq!(count(&at_once(pair), "wrong"), looked_at, "at {failures} failures");
        failures += looked_at;
        assert_eq!(alice.failures(&store), u64::try_from(failures).unwrap());
    }
}

#[test]
fn a_replay_is_not_charged() {
    let (store, alice) = alice();
    let code = alice.code(alice.now);
    assert_let_in(&alice.login(&store).types(&code).run());
    for _ in 0..10 {
        assert_refused(&alice.login(&store).types(&code).run(), PamCode::AUTH_ERR, "replayed");
    }
    assert_eq!(alice.failures(&store), 0);
}

#[test]
fn a_success_clears_the_failures() {
    let (store, alice) = alice();
    guess_wrong(&store, &alice, 2);
    assert_eq!(alice.failures(&store), 2);
    assert_let_in(&alice.login_at(&store, alice.now));
    assert_eq!(alice.failures(&store), 0);
    let later = alice.living_at(alice.now + 1);
    guess_wrong(&store, &later, 2);
    assert_let_in(&later.login_at(&store, later.now));
}

#[test]
fn a_stranger_who_guesses_does_not_slow_the_owner_on_a_known_address() {
    let (store, alice) = alice();
    assert_let_in(&alice.login(&store).from(HOME).types(alice.code(alice.now)).run());
    let later = alice.now + 1;
    for guess in 0..10 {
        let stranger = alice.login(&store).at(alice.at(later)).from(ELSEWHERE);
        let stranger = stranger.types(alice.wrong_code(later, guess)).run();
        assert_eq!(stranger.result(), PamCode::AUTH_ERR);
    }
    let stranger = alice.login(&store).at(alice.at(later)).from(ELSEWHERE).types(alice.code(later)).run();
    assert_refused(&stranger, PamCode::AUTH_ERR, "throttled");
    // Another address is a stranger too: guessing from many of them gains nothing.
    let another = alice.login(&store).at(alice.at(later)).from("203.0.113.10").types(alice.code(later)).run();
    assert_refused(&another, PamCode::AUTH_ERR, "throttled");
    assert_let_in(&alice.login(&store).at(alice.at(later)).from(HOME).types(alice.code(later)).run());
}

#[test]
fn an_address_is_known_again_in_another_form_and_an_ipv6_network_as_a_whole() {
    for (known, again) in [("192.0.2.1", "::ffff:192.0.2.1"), ("2001:db8:1:2::7", "2001:db8:1:2:ffff::1")] {
        let (store, alice) = alice();
        assert_let_in(&login_from(&store, &alice, alice.now, known));
        let later = alice.now + 1;
        for guess in 0..4 {
            let stranger = alice.login(&store).at(alice.at(later)).from(ELSEWHERE);
            stranger.types(alice.wrong_code(later, guess)).run();
        }
        assert_refused(&login_from(&store, &alice, later, "2001:db8:1:3::7"), PamCode::AUTH_ERR, "throttled");
        assert_let_in(&login_from(&store, &alice, later, again));
    }
}

#[test]
fn guesses_on_one_account_do_not_slow_another() {
    let (store, alice) = alice();
    let bob = Account::enroll(&store, "bob");
    guess_wrong(&store, &alice, 6);
    assert_let_in(&bob.login_at(&store, bob.now));
}

#[test]
fn waiting_survives_a_clock_that_was_wrong_for_a_while() {
    let (store, alice) = alice();
    let years_ahead = alice.living_at(alice.now + 10_000_000);
    guess_wrong(&store, &years_ahead, 5);
    // Set right again: the wait is that of the failures, from now on, not of the years.
    assert_refused(&alice.login_at(&store, alice.now), PamCode::AUTH_ERR, "throttled");
    let after_the_wait = alice.at(alice.now) + 10;
    let step = after_the_wait / alice.generator.period;
    assert_let_in(&alice.login(&store).at(after_the_wait).types(alice.code(step)).run());
}

#[test]
fn at_most_a_hundred_failures_disable_the_device_and_time_does_not_enable_it() {
    let (store, alice) = alice();
    // NIST SP 800-63B 3.2.2: at most 100, from known addresses and from others together.
    assert_let_in(&alice.login(&store).from(HOME).types(alice.code(alice.now)).run());
    let (step, strangers) = guess_until_disabled(&store, &alice, alice.now, ELSEWHERE);
    assert_refused(&login_from(&store, &alice, step + 1, "203.0.113.10"), PamCode::AUTH_ERR, "disabled");
    let (step, at_home) = guess_until_disabled(&store, &alice, step, HOME);
    assert!(strangers + at_home <= 100, "{strangers} and {at_home} failures were looked at");
    for later in [200, 100_000, 10_000_000] {
        for place in [HOME, ELSEWHERE] {
            assert_refused(&login_from(&store, &alice, step + later, place), PamCode::AUTH_ERR, "disabled");
        }
    }
}

#[test]
fn a_stranger_who_guesses_for_days_does_not_lock_the_owner_out_of_a_known_address() {
    let (store, alice) = alice();
    assert_let_in(&alice.login(&store).from(HOME).types(alice.code(alice.now)).run());
    let (step, _) = guess_until_disabled(&store, &alice, alice.now, ELSEWHERE);
    assert_refused(&login_from(&store, &alice, step + 1, ELSEWHERE), PamCode::AUTH_ERR, "disabled");
    assert_let_in(&login_from(&store, &alice, step + 1, HOME));
}

#[test]
fn a_recovery_code_releases_a_disabled_device() {
    let (store, alice) = alice_with_recovery_codes();
    let (step, _) = guess_until_disabled(&store, &alice, alice.now, ELSEWHERE);
    assert_refused(&login_from(&store, &alice, step + 1, ELSEWHERE), PamCode::AUTH_ERR, "disabled");
    let code = alice.recovery_codes().first().unwrap();
    assert_let_in(&alice.login(&store).at(alice.at(step + 1)).from(ELSEWHERE).types(code).run());
    assert_let_in(&login_from(&store, &alice, step + 1, ELSEWHERE));
}

#[test]
fn wrong_recovery_codes_are_slowed_too() {
    let (store, alice) = alice_with_recovery_codes();
    for wrong in ["AAAA-AAAA-AAAA-AAAA", "BBBB-BBBB-BBBB-BBBB", "CCCC-CCCC-CCCC-CCCC"] {
        assert_refused(&alice.login(&store).types(wrong).run(), PamCode::AUTH_ERR, "wrong");
    }
    let right = alice.recovery_codes().first().unwrap();
    assert_refused(&alice.login(&store).types(right).run(), PamCode::AUTH_ERR, "throttled");
    assert_let_in(&alice.login(&store).at(alice.at(alice.now) + 1).types(right).run());
}

/// So that guesses which come at once are all read before one is written, if nothing keeps them apart.
fn slow_disk() -> Host {
    Host { disk_delay: Some(3), ..Host::default() }
}

fn guess_wrong(store: &Store, alice: &Account, times: u32) {
    for guess in 0..times {
        let login = alice.login(store).types(alice.wrong_code(alice.now, guess)).run();
        assert_eq!(login.result(), PamCode::AUTH_ERR);
    }
}

fn count(logins: &[Transcript], reason: &str) -> usize {
    logins.iter().filter(|login| login.log_text().contains(&format!("reason={reason} "))).count()
}

fn login_from(store: &Store, alice: &Account, step: u64, place: &str) -> Transcript {
    alice.login(store).at(alice.at(step)).from(place).types(alice.code(step)).run()
}

/// Guesses wrong, each time after every wait is over, until nothing more is looked at. The step then, and how many were.
fn guess_until_disabled(store: &Store, alice: &Account, from: u64, place: &str) -> (u64, u32) {
    let mut step = from;
    for failures in 0..=100 {
        step += 200;
        let login = alice.login(store).at(alice.at(step)).from(place).types(alice.wrong_code(step, 0)).run();
        assert_eq!(login.result(), PamCode::AUTH_ERR);
        if login.log_text().contains("reason=disabled ") {
            return (step, failures);
        }
        assert_refused(&login, PamCode::AUTH_ERR, "wrong");
    }
    panic!("101 failures from {place}, and the next is still looked at");
}
