//! The words of the module: an unknown or malformed one refuses every login, so that a typing error weakens none.

use mfa_test_harness::{Call, PamCode, Stack};

use crate::{alice, assert_let_in};

#[test]
fn an_unknown_or_malformed_option_refuses_also_a_right_code() {
    let (store, alice) = alice();
    for option in [
        "nullok",
        "nosuchoption",
        "Debug",
        "debug=yes",
        "debug=",
        "echo",
        "echo=",
        "echo=On",
        "echo=maybe",
        "prompt",
        "prompt=",
        "nodelay=1",
        "try_first_pass=",
        "use_first_pass=no",
        "forward_pass=1",
        "policy",
        "policy=",
        "policy=relative/policy.toml",
        "store",
        "store=",
        "store=relative/store",
        "no_increment_hotp",
        "secret=/tmp/x",
        "debug,nodelay",
        "--debug",
        "=",
        "\u{202e}debug",
    ] {
        // No answer is scripted: whether it asks before it refuses is its affair, so one is offered.
        let login = alice.login_through(&store.stack_with(option)).types(alice.code(alice.now)).run();
        assert_eq!(login.result(), PamCode::SERVICE_ERR, "{option}: {}", login.log_text());
        let log = login.log_text();
        assert!(log.contains("reason=misconfigured"), "{option}: {log}");
        assert!(login.log.iter().any(|line| line.level <= 3), "not logged as an error: {:?}", login.log);
    }
    // None of them used the code up.
    assert_let_in(&alice.login(&store).types(alice.code(alice.now)).run());
}

#[test]
fn the_log_names_the_bad_option_but_not_its_value() {
    let (store, alice) = alice();
    let login = alice.login_through(&store.stack_with("nosuchoption=hunter2")).types("").run();
    assert_eq!(login.result(), PamCode::SERVICE_ERR);
    assert!(login.log_text().contains("nosuchoption"), "{}", login.log_text());
}

#[test]
fn an_option_given_twice_is_an_error() {
    let (store, alice) = alice();
    for options in ["echo=on echo=off", "prompt=a: prompt=b:", "store=/nonexistent", "policy=/a policy=/b"] {
        let login = alice.login_through(&store.stack_with(options)).types(alice.code(alice.now)).run();
        assert_eq!(login.result(), PamCode::SERVICE_ERR, "{options}: {}", login.log_text());
    }
}

#[test]
fn every_option_by_itself_lets_a_right_code_in() {
    let (store, alice) = alice();
    for (step, options) in
        (alice.now..).zip(["debug", "echo=on", "echo=off", "nodelay", "prompt=x", "debug nodelay echo=off"])
    {
        let stack = store.stack_with(options);
        let login = alice.login_through(&stack).at(alice.at(step)).types(alice.code(step)).run();
        assert_let_in(&login);
    }
}

#[test]
fn debug_says_more_but_never_what_was_typed_nor_the_seed() {
    let (store, alice) = alice();
    let stack = store.stack_with("debug");
    let quiet = alice.login(&store).types(alice.wrong_code(alice.now, 1)).run();
    for typed in [alice.wrong_code(alice.now, 0), alice.code(alice.now)] {
        let login = alice.login_through(&stack).types(&typed).run();
        assert!(login.log.len() > quiet.log.len(), "debug adds nothing: {:?}", login.log);
        assert!(login.log.iter().any(|line| line.level == 7), "no line of level LOG_DEBUG: {:?}", login.log);
        let log = login.log_text();
        assert!(!log.contains(&typed), "{log}");
        assert!(!log.contains(&alice.generator.secret), "{log}");
    }
    let login = alice.login_through(&stack).types("a password, perhaps").run();
    assert!(!login.log_text().contains("perhaps"), "{}", login.log_text());
}

#[test]
fn the_other_functions_of_the_module_do_not_stumble_over_a_bad_option() {
    let (store, alice) = alice();
    let stack = Stack::new(&format!("auth required {} nosuchoption", store.module()));
    let login = alice.login_through(&stack).calls(Call::SetCredentials).run();
    assert_eq!(login.result_of(Call::SetCredentials), PamCode::SUCCESS);
}
