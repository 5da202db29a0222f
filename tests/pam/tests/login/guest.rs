//! A guest in another program: leaves it as it was, and copes with whatever state it is in.
//!
//! That umask, working directory, signals, descriptors, environment, locale, threads and timers are as they were is
//! checked by the harness after every login of every test; here for hosts that are out of the ordinary.

use mfa_test_harness::{Account, Call, Host, Login, PamCode, Stack, Store, in_threads};

use crate::{alice, alice_with_recovery_codes, assert_let_in, assert_refused};

/// The watch over every login sees what it is there to see, in modules of others.
#[test]
#[should_panic(expected = "the host program is not as it was found")]
fn a_module_that_changes_the_umask_is_noticed() {
    let stack = Stack::new("session required pam_umask.so umask=0077");
    let host = Host { umask: Some(0o022), ..Host::default() };
    Login::new(&stack).user("root").host(host).calls(Call::OpenSession).run();
}

#[test]
#[should_panic(expected = "what was typed is shown")]
fn a_module_that_says_back_what_was_typed_is_noticed() {
    let stack = Stack::new("auth required pam_exec.so quiet expose_authtok stdout /bin/cat");
    Login::new(&stack).user("alice").types("correct horse").run();
}

#[test]
fn a_host_with_any_umask_is_left_with_it_and_the_store_keeps_its_modes() {
    let (store, alice) = alice();
    let modes = || -> Vec<_> {
        let content = store.content().into_iter();
        content.map(|(path, _)| (std::fs::metadata(&path).unwrap().permissions(), path)).collect()
    };
    alice.login(&store).user("nobody-of-that-name").types("000000").run();
    let before = modes();
    for (step, umask) in (alice.now..).zip([0o000, 0o022, 0o077, 0o777]) {
        let login =
            alice.login(&store).at(alice.at(step)).host(Host { umask: Some(umask), ..Host::default() });
        let login = login.types(alice.code(step)).run();
        assert_let_in(&login);
        let left = login.host.last().unwrap().status.get("Umask").unwrap().clone();
        assert_eq!(u32::from_str_radix(&left, 8).unwrap(), umask);
    }
    assert_eq!(modes(), before);
}

#[test]
fn a_host_that_ignores_its_children_can_log_in() {
    let (store, alice) = alice();
    let login = alice.login(&store).on_a_host_that_ignores_children().types(alice.code(alice.now)).run();
    assert_let_in(&login);
    let ignored = login.host.first().unwrap().status.get("SigIgn").unwrap();
    let ignored = u64::from_str_radix(ignored, 16).unwrap();
    assert_eq!(ignored >> (17 - 1) & 1, 1, "SIGCHLD is not ignored: the test tests nothing");
}

#[test]
fn a_host_with_hardly_any_descriptors_is_refused_or_let_in_but_not_harmed() {
    let (store, alice) = alice();
    let mut results = Vec::new();
    for (step, open_files) in (alice.now..).zip(0..24) {
        let host = Host { open_files: Some(open_files), ..Host::default() };
        let login = alice.login(&store).at(alice.at(step)).host(host).types(alice.code(step)).run();
        // PAM_SYSTEM_ERR is libpam's own word where its audit finds no descriptor.
        let refused = [PamCode::AUTHINFO_UNAVAIL, PamCode::SERVICE_ERR, PamCode::SYSTEM_ERR];
        let in_order = login.let_in() || refused.contains(&login.result());
        assert!(in_order, "{open_files} descriptors: {login:#?}");
        results.push(login.let_in());
    }
    assert_eq!(results.first(), Some(&false), "with no descriptor at all");
    assert_eq!(results.last(), Some(&true), "with 23 descriptors");
    assert!(results.is_sorted(), "more descriptors, and refused again: {results:?}");
}

#[test]
fn a_host_with_a_small_limit_on_files_is_not_killed_and_no_code_works_twice() {
    let (store, alice) = alice();
    let mut step = alice.now;
    for file_bytes in [0, 1, 100, 4095, 4096, 4097, 8191, 8192, 1 << 20] {
        // Two at each limit: one for each slot of the state.
        for _ in 0..2 {
            step += 1;
            let limited = alice
                .login(&store)
                .at(alice.at(step))
                .host(Host { file_bytes: Some(file_bytes), ..Host::default() })
                .types(alice.code(step))
                .run();
            assert_eq!(limited.killed_by(), None, "SIGXFSZ at a limit of {file_bytes} bytes");
            assert!(matches!(limited.result(), PamCode::SUCCESS | PamCode::AUTHINFO_UNAVAIL), "{limited:#?}");
            let again = alice.login_at(&store, step);
            assert_eq!(
                again.let_in(),
                !limited.let_in(),
                "at a limit of {file_bytes} bytes: {}",
                again.log_text()
            );
            if file_bytes >= 8192 {
                assert_let_in(&limited);
            }
        }
    }
}

#[test]
fn a_host_without_the_memory_for_a_recovery_code_refuses_it_and_lives() {
    let (store, alice) = alice_with_recovery_codes();
    let host = || Host { memory_headroom: Some(8 << 20), ..Host::default() };
    let recovery = alice.recovery_codes().first().unwrap();
    let refused = alice.login(&store).host(host()).types(recovery).run();
    assert_eq!(refused.killed_by(), None, "{refused:#?}");
    assert_refused(&refused, PamCode::AUTHINFO_UNAVAIL, "unavailable");
    // It was not used up by that, and a code of the device needs no such memory.
    assert_let_in(&alice.login(&store).types(recovery).run());
    assert_let_in(&alice.login(&store).host(host()).types(alice.code(alice.now)).run());
}

#[test]
fn threads_with_a_handle_each_log_in_beside_each_other() {
    let store = Store::temporary();
    let people: Vec<Account> =
        (0..8).map(|number| Account::enroll(&store, &format!("user{number}"))).collect();
    // One clock for the whole process.
    let now = people.iter().map(|person| person.now).max().unwrap();
    for round in 0..5 {
        let step = now + round;
        let logins: Vec<Login> = people
            .iter()
            .map(|person| person.login(&store).at(person.at(step)).types(person.code(step)))
            .collect();
        for login in in_threads(logins) {
            assert_eq!(login.result(), PamCode::SUCCESS, "{}", login.log_text());
        }
    }
}

#[test]
fn of_two_threads_with_one_code_exactly_one_gets_in() {
    let (store, alice) = alice();
    for step in alice.now..alice.now + 10 {
        let login = alice.login(&store).at(alice.at(step)).types(alice.code(step));
        let let_in = in_threads(vec![login.clone(), login]).iter().filter(|login| login.let_in()).count();
        assert_eq!(let_in, 1);
    }
}

#[test]
fn an_environment_that_names_other_folders_changes_nothing() {
    let (store, alice) = alice();
    let login = alice.login(&store).through(&[
        "env",
        "HOME=/nonexistent",
        "TMPDIR=/nonexistent",
        "XDG_CONFIG_HOME=/nonexistent",
        "PAM_MFA_STORE=/nonexistent",
        "MFA_STORE=/nonexistent",
        "TZ=Pacific/Kiritimati",
        "RUST_BACKTRACE=full",
        "RUST_LOG=trace",
        "LC_ALL=C",
    ]);
    assert_let_in(&login.types(alice.code(alice.now)).run());
}
