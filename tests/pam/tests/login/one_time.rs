//! One-time means once: in a row, at once, with the clock set back, whatever happens in between.

use mfa_test_harness::{Account, Answer, Done, Host, PamCode, Store, Transcript, at_once};

use crate::{alice, alice_with_recovery_codes, assert_let_in, assert_refused};

#[test]
fn a_right_code_lets_in() {
    let (store, alice) = alice();
    assert_let_in(&alice.login(&store).types(alice.code(alice.now)).run());
}

#[test]
fn a_code_works_once() {
    let (store, alice) = alice();
    let code = alice.code(alice.now);
    assert_let_in(&alice.login(&store).types(&code).run());
    assert_refused(&alice.login(&store).types(&code).run(), PamCode::AUTH_ERR, "replayed");
    let later = alice.login(&store).at(alice.at(alice.now + 1)).types(&code).run();
    assert_refused(&later, PamCode::AUTH_ERR, "replayed");
}

#[test]
fn what_a_login_used_up_is_on_disk_before_it_is_answered() {
    let (store, alice) = alice_with_recovery_codes();
    let code = alice.code(alice.now);
    for (typed, result) in [
        (&code, PamCode::SUCCESS),
        (&code, PamCode::AUTH_ERR),
        (&alice.wrong_code(alice.now, 0), PamCode::AUTH_ERR),
        (&alice.code(alice.now + 1), PamCode::SUCCESS),
    ] {
        let login = alice.login(&store).types(typed).run();
        assert_eq!(login.result(), result, "{login:#?}");
        // One write of one block and one sync: no login is cheaper, and none dearer.
        assert_eq!(login.disk, [Done::Written, Done::Synced], "{login:#?}");
    }
    let recovery = alice.login(&store).types(alice.recovery_codes().first().unwrap()).run();
    assert_let_in(&recovery);
    assert_eq!(recovery.disk.last(), Some(&Done::Synced), "{recovery:#?}");
}

#[test]
fn the_next_code_works_after_a_replay_was_tried() {
    let (store, alice) = alice();
    let code = alice.code(alice.now);
    assert_let_in(&alice.login(&store).types(&code).run());
    assert_refused(&alice.login(&store).types(&code).run(), PamCode::AUTH_ERR, "replayed");
    assert_let_in(&alice.login_at(&store, alice.now + 1));
}

#[test]
fn a_code_at_or_below_the_floor_is_dead_also_if_it_was_never_used() {
    let (store, alice) = alice();
    let present = alice.now + 10;
    // Middle of the window `present`: its three steps are present - 1, present, present + 1.
    assert_let_in(&alice.login(&store).at(alice.at(present)).types(alice.code(present)).run());
    let unused_but_older = alice.login(&store).at(alice.at(present)).types(alice.code(present - 1)).run();
    assert_refused(&unused_but_older, PamCode::AUTH_ERR, "replayed");
}

#[test]
fn both_codes_of_the_enrollment_are_used_up_by_it() {
    let (store, alice) = alice();
    for step in [alice.now - 2, alice.now - 1] {
        let login = alice.login(&store).at(alice.at(alice.now - 1)).types(alice.code(step)).run();
        assert_refused(&login, PamCode::AUTH_ERR, "replayed");
    }
}

#[test]
fn a_clock_set_back_revives_no_code() {
    let (store, alice) = alice();
    let used = alice.now + 100;
    assert_let_in(&alice.login_at(&store, used));
    for back in [0, 1, 2, 50, 99] {
        let step = used - back;
        let login = alice.login_at(&store, step);
        assert_ne!(login.result(), PamCode::SUCCESS, "{back} steps back: {}", login.log_text());
    }
    assert_let_in(&alice.login_at(&store, used + 1));
}

#[test]
fn a_clock_far_behind_the_last_login_is_named_in_the_log() {
    let (store, alice) = alice();
    assert_let_in(&alice.login_at(&store, alice.now + 100));
    assert_refused(&alice.login_at(&store, alice.now + 50), PamCode::AUTH_ERR, "skew");
}

#[test]
fn a_code_of_another_user_is_wrong() {
    let (store, alice) = alice();
    let bob = Account::enroll(&store, "bob");
    let login = alice.login(&store).types(bob.code(alice.now)).run();
    assert_refused(&login, PamCode::AUTH_ERR, "wrong");
    assert_let_in(&bob.login(&store).at(bob.at(alice.now)).types(bob.code(alice.now)).run());
}

#[test]
fn ten_processes_with_one_code_let_exactly_one_in() {
    let (store, alice) = alice();
    for round in 0..10 {
        assert_exactly_one(race(&store, &alice, alice.now + round, 10));
    }
}

#[test]
fn sixty_four_processes_with_one_code_let_exactly_one_in() {
    let (store, alice) = alice();
    for round in 0..3 {
        assert_exactly_one(race(&store, &alice, alice.now + round, 64));
    }
}

#[test]
fn two_processes_with_one_recovery_code_let_exactly_one_in() {
    let (store, alice) = alice_with_recovery_codes();
    for code in alice.recovery_codes() {
        let logins = vec![alice.login(&store).host(slow_disk()).types(code); 2];
        assert_eq!(at_once(logins).iter().filter(|login| login.let_in()).count(), 1);
    }
}

#[test]
fn eight_users_at_once_all_get_in() {
    let store = Store::temporary();
    let people: Vec<Account> =
        (0..8).map(|number| Account::enroll(&store, &format!("user{number}"))).collect();
    let logins = people
        .iter()
        .map(|person| person.login(&store).host(slow_disk()).types(person.code(person.now)))
        .collect();
    for login in at_once(logins) {
        assert_let_in(&login);
    }
}

#[test]
fn what_was_used_while_somebody_sat_at_the_prompt_is_refused() {
    let (store, alice) = alice();
    let code = alice.code(alice.now);
    let mut sits = alice.login(&store).answers(Answer::Held(code.clone().into())).start();
    sits.wait_for_the_prompt();
    // The lock is not held at the prompt, and nothing is decided on what was read before it.
    assert_let_in(&alice.login(&store).types(&code).run());
    assert_refused(&sits.finish(), PamCode::AUTH_ERR, "replayed");
}

#[test]
fn another_login_while_one_sits_at_the_prompt_does_not_refuse_it() {
    let (store, alice) = alice();
    let later = alice.now + 1;
    let mut sits: mfa_test_harness::Running =
        alice.login(&store).at(alice.at(later)).answers(Answer::Held(alice.code(later).into())).start();
    sits.wait_for_the_prompt();
    assert_let_in(&alice.login_at(&store, alice.now));
    assert_let_in(&sits.finish());
}

#[test]
fn the_time_of_the_answer_counts_not_that_of_the_prompt() {
    let (store, alice) = alice();
    let answered = alice.now + 4;
    let slow = Answer::Late(alice.at(answered), alice.code(answered).into());
    assert_let_in(&alice.login(&store).answers(slow).run());
    let stale = Answer::Late(alice.at(answered + 10), alice.code(answered + 5).into());
    let stale = alice.login(&store).at(alice.at(answered + 5)).answers(stale).run();
    assert_refused(&stale, PamCode::AUTH_ERR, "wrong");
}

#[test]
fn a_recovery_code_works_once_and_in_any_spelling() {
    let (store, alice) = alice_with_recovery_codes();
    let [first, second, third, ..] = alice.recovery_codes() else { panic!("there are ten") };
    assert_let_in(&alice.login(&store).types(first).run());
    let again = alice.login(&store).types(first).run();
    assert_eq!(again.result(), PamCode::AUTH_ERR, "{}", again.log_text());
    assert_let_in(&alice.login(&store).types(second.to_lowercase()).run());
    assert_let_in(&alice.login(&store).types(format!("  {} ", third.replace('-', ""))).run());
}

#[test]
fn there_are_ten_recovery_codes_of_sixteen_characters_and_all_work() {
    let (store, alice) = alice_with_recovery_codes();
    assert_eq!(alice.recovery_codes().len(), 10);
    for code in alice.recovery_codes() {
        let groups: Vec<usize> = code.split('-').map(str::len).collect();
        assert_eq!(groups, [4, 4, 4, 4], "{code}");
        assert_let_in(&alice.login(&store).types(code).run());
    }
    assert_let_in(&alice.login(&store).types(alice.code(alice.now)).run());
}

#[test]
fn a_recovery_code_of_another_user_is_wrong() {
    let (store, alice) = alice();
    let bob = Account::enroll(&store, "bob").with_recovery_codes(&store);
    let login = alice.login(&store).types(bob.recovery_codes().first().unwrap()).run();
    assert_refused(&login, PamCode::AUTH_ERR, "wrong");
}

#[test]
fn a_removed_device_lets_nobody_in() {
    let (store, alice) = alice();
    let removed = mfa_test_harness::account::mfa_enroll(&store, "alice")
        .args(["remove", &alice.device, "--yes"])
        .output()
        .unwrap();
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    let login = alice.login(&store).types(alice.code(alice.now)).run();
    assert_refused(&login, PamCode::AUTH_ERR, "not-enrolled");
}

/// On a disk that takes its time between what is read and what is written.
fn race(store: &Store, alice: &Account, step: u64, processes: usize) -> Vec<Transcript> {
    let login = alice.login(store).at(alice.at(step)).host(slow_disk()).types(alice.code(step));
    at_once(vec![login; processes])
}

fn slow_disk() -> Host {
    Host { disk_delay: Some(3), ..Host::default() }
}

#[track_caller]
fn assert_exactly_one(logins: Vec<Transcript>) {
    let (let_in, refused): (Vec<_>, Vec<_>) = logins.into_iter().partition(Transcript::let_in);
    assert_eq!(let_in.len(), 1, "let in: {}", let_in.len());
    for login in &refused {
        assert_refused(login, PamCode::AUTH_ERR, "replayed");
    }
}
