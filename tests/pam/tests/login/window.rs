//! Which time steps are accepted, how a device's drift is learned, and every kind of device against oathtool.

use mfa_test_harness::{Account, PamCode, Store};

use crate::{alice, assert_let_in, assert_refused};

#[test]
fn exactly_the_steps_minus_one_to_plus_one_are_accepted() {
    let (store, alice) = alice();
    // A login in the middle of its step: from here on the learned drift is 0, whatever the enrollment saw.
    assert_let_in(&alice.login_at(&store, alice.now));
    let present = alice.now + 1000;
    let codes = alice.generator.codes(present - 10, 21);
    let mut accepted = Vec::new();
    for (offset, code) in (-10_i64..=10).zip(codes) {
        // Each from the same beginning.
        let store = store.copy();
        let login = alice.login(&store).at(alice.at(present)).types(code).run();
        if login.let_in() {
            accepted.push(offset);
        } else {
            assert_refused(&login, PamCode::AUTH_ERR, "wrong");
        }
    }
    assert_eq!(accepted, [-1, 0, 1]);
}

#[test]
fn the_window_ends_where_the_step_does() {
    let (store, alice) = alice();
    assert_let_in(&alice.login_at(&store, alice.now));
    let step = alice.now + 100;
    let period = alice.generator.period;
    for (second, lets_in) in [
        ((step - 1) * period - 1, false),
        ((step - 1) * period, true),
        ((step + 2) * period - 1, true),
        ((step + 2) * period, false),
    ] {
        let store = store.copy();
        let login = alice.login(&store).at(second).types(alice.code(step)).run();
        assert_eq!(login.let_in(), lets_in, "second {second} of step {step}: {}", login.log_text());
    }
}

#[test]
fn a_drift_is_learned_one_step_at_a_time() {
    let (store, alice) = alice();
    assert_let_in(&alice.login_at(&store, alice.now));
    let mut present = alice.now + 100;
    let mut attempt = |offset: i64| {
        present += 100;
        let code = alice.code(present.checked_add_signed(offset).unwrap());
        alice.login(&store).at(alice.at(present)).types(code).run()
    };
    assert_refused(&attempt(2), PamCode::AUTH_ERR, "wrong");
    assert_let_in(&attempt(1));
    assert_let_in(&attempt(2));
    assert_let_in(&attempt(3));
    assert_refused(&attempt(1), PamCode::AUTH_ERR, "wrong");
    assert_let_in(&attempt(3));
}

#[test]
fn a_drift_is_followed_up_to_a_cap() {
    let (store, alice) = alice();
    assert_let_in(&alice.login_at(&store, alice.now));
    let mut furthest = 0;
    for offset in 1..=30 {
        let present = alice.now + 100 * offset;
        let login = alice.login(&store).at(alice.at(present)).types(alice.code(present + offset)).run();
        if !login.let_in() {
            break;
        }
        furthest = offset;
    }
    // One step beyond the largest drift that is recorded.
    assert_eq!(furthest, 11);
}

#[test]
fn a_wrong_code_teaches_no_drift() {
    let (store, alice) = alice();
    assert_let_in(&alice.login_at(&store, alice.now));
    let present = alice.now + 100;
    let wrong = alice.login(&store).at(alice.at(present)).types(alice.code(present + 3)).run();
    assert_refused(&wrong, PamCode::AUTH_ERR, "wrong");
    assert_let_in(&alice.login(&store).at(alice.at(present)).types(alice.code(present - 1)).run());
}

#[test]
fn codes_of_every_algorithm_length_and_period_are_accepted() {
    let store = Store::temporary();
    for algorithm in ["SHA1", "SHA256", "SHA512"] {
        for digits in ["6", "7", "8"] {
            for period in ["30", "60", "120"] {
                let user = format!("{algorithm}-{digits}-{period}").to_lowercase();
                let options = ["--algorithm", algorithm, "--digits", digits, "--period", period];
                let person = Account::enroll_with(&store, &user, &options);
                let generator = &person.generator;
                assert_eq!(generator.algorithm, algorithm);
                assert_eq!(generator.digits.to_string(), digits);
                assert_eq!(generator.period.to_string(), period);
                assert_let_in(&person.login_at(&store, person.now));
                let wrong = person
                    .login(&store)
                    .at(person.at(person.now + 1))
                    .types(person.wrong_code(person.now, 0));
                assert_refused(&wrong.run(), PamCode::AUTH_ERR, "wrong");
                assert_let_in(&person.login_at(&store, person.now + 1));
            }
        }
    }
}

#[test]
fn a_seed_is_as_long_as_its_hash() {
    let store = Store::temporary();
    for (algorithm, characters) in [("SHA1", 32), ("SHA256", 52), ("SHA512", 103)] {
        let person = Account::enroll_with(&store, &algorithm.to_lowercase(), &["--algorithm", algorithm]);
        assert_eq!(person.generator.secret.len(), characters, "{algorithm}");
    }
}

#[test]
fn a_code_of_another_length_is_wrong() {
    let store = Store::temporary();
    for (digits, others) in [("6", [7, 8]), ("7", [6, 8]), ("8", [6, 7])] {
        let person = Account::enroll_with(&store, &format!("digits{digits}"), &["--digits", digits]);
        for other in others {
            let mut generator = person.generator.clone();
            generator.digits = other;
            let login = person.login(&store).types(generator.code(person.now)).run();
            assert_refused(&login, PamCode::AUTH_ERR, "wrong");
        }
        assert_let_in(&person.login_at(&store, person.now));
    }
}

#[test]
fn a_leading_zero_belongs_to_the_code() {
    let (store, alice) = alice();
    let codes = alice.generator.codes(alice.now, 200);
    let steps = (alice.now..).zip(codes);
    let (step, code) = steps.into_iter().find(|(_, code)| code.starts_with('0')).expect("one code in ten");
    let cut = code.strip_prefix('0').unwrap();
    let login = alice.login(&store).at(alice.at(step)).types(cut).run();
    assert_refused(&login, PamCode::AUTH_ERR, "not-a-code");
    assert_let_in(&alice.login(&store).at(alice.at(step)).types(&code).run());
}

#[test]
fn logins_work_after_2038_and_after_2106_and_in_2603() {
    let (store, alice) = alice();
    for year_starts in [2_145_916_800, 4_291_747_200, 19_975_939_200] {
        assert_let_in(&alice.login_at(&store, year_starts / 30 + 1));
    }
}
