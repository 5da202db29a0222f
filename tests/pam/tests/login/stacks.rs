//! The module among others in a stack, and each of its functions alone.

use std::fs;
use std::process::Command;

use mfa_test_harness::libpam::{DISALLOW_NULL_AUTHTOK, ESTABLISH_CRED};
use mfa_test_harness::{Account, Call, PamCode, Stack, Store};

use crate::{alice, assert_let_in};

/// The four stacks in which a setcred other than PAM_SUCCESS does harm (STANDARDS M-02).
fn stacks(store: &Store) -> Vec<(&'static str, Stack)> {
    let module = store.module();
    vec![
        ("the only module", Stack::new(&format!("auth required {module}"))),
        (
            "required, with another",
            Stack::new(&format!("auth required {module}\nauth required pam_permit.so")),
        ),
        (
            "sufficient, then deny",
            Stack::new(&format!("auth sufficient {module}\nauth required pam_deny.so")),
        ),
        ("success=1, deny, permit", {
            Stack::new(&format!(
                "auth [success=1 default=ignore] {module}\nauth requisite pam_deny.so\nauth required pam_permit.so"
            ))
        }),
    ]
}

#[test]
fn credentials_are_set_after_a_login_in_every_kind_of_stack() {
    let (store, alice) = alice();
    for (step, (name, stack)) in (alice.now..).zip(stacks(&store)) {
        let login = alice
            .login_through(&stack)
            .at(alice.at(step))
            .types(alice.code(step))
            .calls(Call::Authenticate)
            .calls_with(Call::SetCredentials, ESTABLISH_CRED)
            .run();
        assert_eq!(login.result(), PamCode::SUCCESS, "{name}: {login:#?}");
        assert_eq!(login.result_of(Call::SetCredentials), PamCode::SUCCESS, "{name}");
    }
}

#[test]
fn credentials_are_set_without_a_login_as_sshd_does_in_every_kind_of_stack() {
    let (store, alice) = alice();
    for (name, stack) in stacks(&store) {
        let login = alice.login_through(&stack).calls_with(Call::SetCredentials, ESTABLISH_CRED).run();
        assert_eq!(login.result_of(Call::SetCredentials), PamCode::SUCCESS, "{name}: {login:#?}");
        assert_eq!(login.messages, [], "{name}");
    }
}

#[test]
fn each_stack_still_refuses_a_wrong_code() {
    let (store, alice) = alice();
    for (step, (name, stack)) in (alice.now + 100..).step_by(200).zip(stacks(&store)) {
        let login = alice.login_through(&stack).at(alice.at(step)).types(alice.wrong_code(step, 0)).run();
        assert_eq!(login.result(), PamCode::AUTH_ERR, "{name}: {login:#?}");
    }
}

#[test]
fn each_function_can_be_called_alone_and_first() {
    let (store, alice) = alice();
    let module = store.module();
    let lines: String =
        ["auth", "account", "session", "password"].map(|kind| format!("{kind} required {module}\n")).concat();
    let stack = Stack::new(&lines);
    for (call, result) in [
        (Call::SetCredentials, PamCode::SUCCESS),
        // Where every module says PAM_IGNORE, libpam says PAM_PERM_DENIED (STANDARDS M-04).
        (Call::AccountManagement, PamCode::PERM_DENIED),
        (Call::OpenSession, PamCode::PERM_DENIED),
        (Call::CloseSession, PamCode::PERM_DENIED),
        (Call::ChangeToken, PamCode::PERM_DENIED),
    ] {
        let login = alice.login_through(&stack).calls(call).run();
        assert_eq!(login.result_of(call), result, "{call:?}");
        assert_eq!(login.messages, [], "{call:?}");
    }
    assert_let_in(&alice.login_through(&stack).types(alice.code(alice.now)).run());
}

#[test]
fn the_functions_that_are_not_its_business_leave_the_stack_to_the_others() {
    let (store, alice) = alice();
    let stack = store.whole_stack();
    let calls = [
        Call::AccountManagement,
        Call::OpenSession,
        Call::CloseSession,
        Call::ChangeToken,
        Call::SetCredentials,
    ];
    for call in calls {
        assert_eq!(
            alice.login_through(&stack).calls(call).run().result_of(call),
            PamCode::SUCCESS,
            "{call:?}"
        );
    }
    let whole = calls.into_iter().fold(
        alice.login_through(&stack).types(alice.code(alice.now)).calls(Call::Authenticate),
        mfa_test_harness::Login::calls,
    );
    let whole = whole.run();
    assert_let_in(&whole);
    assert!(whole.returned.iter().all(|(_, code)| *code == PamCode::SUCCESS), "{:?}", whole.returned);
}

#[test]
fn they_deny_what_the_others_deny() {
    let (store, alice) = alice();
    let module = store.module();
    let stack = Stack::new(&format!("account required {module}\naccount required pam_deny.so"));
    let login = alice.login_through(&stack).calls(Call::AccountManagement).run();
    assert_ne!(login.result_of(Call::AccountManagement), PamCode::SUCCESS);
}

#[test]
fn two_logins_on_one_handle_need_two_codes() {
    let (store, alice) = alice();
    let code = alice.code(alice.now);
    let login = alice
        .login(&store)
        .types(&code)
        .types(&code)
        .types(alice.code(alice.now + 1))
        .calls(Call::Authenticate)
        .calls(Call::Authenticate)
        .calls(Call::Authenticate)
        .run();
    let results: Vec<PamCode> = login.returned.iter().map(|(_, code)| *code).collect();
    assert_eq!(results, [PamCode::SUCCESS, PamCode::AUTH_ERR, PamCode::SUCCESS]);
}

#[test]
fn a_stack_with_the_module_twice_asks_for_two_codes() {
    let (store, alice) = alice();
    let bob = Account::enroll(&store, "bob");
    let stack = Stack::new(&format!("auth required {0}\nauth required {0}", store.module()));
    let code = alice.code(alice.now);
    let login = alice.login_through(&stack).types(&code).types(&code).run();
    assert_eq!(login.result(), PamCode::AUTH_ERR);
    let login = bob.login_through(&stack).types(bob.code(bob.now)).types(bob.code(bob.now + 1)).run();
    assert_eq!(login.result(), PamCode::SUCCESS, "{login:#?}");
}

#[test]
fn the_user_name_is_left_as_it_was() {
    // sshd refuses a login whose PAM_USER a module has changed.
    let store = Store::temporary();
    for name in ["alice", "CORP\\alice", "Zażółć"] {
        let person = Account::enroll(&store, name);
        let environment = store.beside("environment");
        let stack = Stack::new(&format!(
            "auth required {}\nauth required pam_exec.so quiet log={} /usr/bin/env",
            store.module(),
            environment.display()
        ));
        for typed in [person.code(person.now), person.wrong_code(person.now, 0)] {
            person.login_through(&stack).types(typed).run();
            let seen = fs::read_to_string(&environment).unwrap();
            fs::remove_file(&environment).unwrap();
            assert!(seen.lines().any(|line| line == format!("PAM_USER={name}")), "{seen}");
        }
    }
}

#[test]
fn a_wrong_code_counts_for_pam_faillock_and_no_code_undoes_its_lock() {
    // pam_faillock looks only after accounts of this host.
    let me = Command::new("id").arg("-un").output().unwrap().stdout;
    let store = Store::temporary();
    let me = Account::enroll(&store, String::from_utf8(me).unwrap().trim());
    let tally = store.beside("tally");
    fs::create_dir(&tally).unwrap();
    let faillock = format!("dir={} deny=3 even_deny_root", tally.display());
    let stack = Stack::new(&format!(
        "auth required pam_faillock.so preauth {faillock}\n\
         auth [success=1 default=bad] {}\n\
         auth [default=die] pam_faillock.so authfail {faillock}\n\
         auth required pam_permit.so",
        store.module()
    ));
    let attempt = |step: u64, typed: String| me.login_through(&stack).at(me.at(step)).types(typed).run();
    assert_eq!(attempt(me.now, me.code(me.now)).result(), PamCode::SUCCESS);
    for step in me.now + 1..me.now + 4 {
        assert_eq!(attempt(step, me.wrong_code(step, 0)).result(), PamCode::AUTH_ERR);
    }
    let step = me.now + 10;
    let locked = attempt(step, me.code(step));
    assert_eq!(locked.result(), PamCode::AUTH_ERR, "it let in past pam_faillock's lock: {locked:#?}");
    assert!(locked.log_text().contains(": accepted "), "the code was right: {}", locked.log_text());
    // As `faillock --reset` does.
    fs::remove_file(tally.join(&me.user)).unwrap();
    assert_eq!(attempt(step + 1, me.code(step + 1)).result(), PamCode::SUCCESS);
}

#[test]
fn null_tokens_are_disallowed_also_if_the_application_does_not_say_so() {
    let (store, alice) = alice();
    for flags in [0, DISALLOW_NULL_AUTHTOK] {
        let login =
            alice.login(&store).user("bob").types("000000").calls_with(Call::Authenticate, flags).run();
        assert_eq!(login.result(), PamCode::AUTH_ERR);
    }
    let login = alice
        .login(&store)
        .types(alice.code(alice.now))
        .calls_with(Call::Authenticate, DISALLOW_NULL_AUTHTOK)
        .run();
    assert_let_in(&login);
}
