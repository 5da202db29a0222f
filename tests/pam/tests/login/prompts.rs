//! What the person sees: one prompt, the same for everybody.

use std::fs;

use mfa_test_harness::libpam::SILENT;
use mfa_test_harness::{Account, Answer, Call, Done, Item, Message, PamCode, Stack, Style};

use crate::{alice, alice_with_recovery_codes, assert_let_in, assert_refused};

fn prompt(style: Style, text: &str) -> Vec<Message> {
    vec![Message { style, text: text.as_bytes().to_vec() }]
}

#[test]
fn the_prompt_comes_once_and_what_is_typed_is_shown() {
    let (store, alice) = alice();
    let login = alice.login(&store).types(alice.code(alice.now)).run();
    assert_let_in(&login);
    assert_eq!(login.messages, prompt(Style::PromptEchoOn, "Verification code: "));
}

#[test]
fn echo_off_hides_what_is_typed_and_echo_on_is_the_default() {
    let (store, alice) = alice();
    for (options, style) in [("echo=off", Style::PromptEchoOff), ("echo=on", Style::PromptEchoOn)] {
        let login = alice.login_through(&store.stack_with(options)).types("").run();
        assert_eq!(login.messages, prompt(style, "Verification code: "), "{options}");
    }
}

#[test]
fn the_prompt_can_be_worded() {
    let (store, alice) = alice();
    for (option, text) in [
        ("prompt=Code:", "Code:"),
        ("[prompt=One-time code, please: ]", "One-time code, please: "),
        ("[prompt=Kod jednorazowy (żółty): ]", "Kod jednorazowy (żółty): "),
        ("[prompt=100%s %n: ]", "100%s %n: "),
    ] {
        let login = alice.login_through(&store.stack_with(option)).types("").run();
        assert_eq!(login.messages, prompt(Style::PromptEchoOn, text), "{option}");
    }
}

#[test]
fn nobody_can_tell_from_the_talk_who_is_enrolled_or_locked_out() {
    let (store, alice) = alice();
    // `root` exists on every machine, `nosuchuser` on none; neither has a device.
    let mut talks = Vec::new();
    for user in ["alice", "root", "nosuchuser"] {
        let login = alice.login(&store).user(user).types("000000").run();
        talks.push((user, login.messages.clone(), login.result(), login.delay_asked));
    }
    for attempt in 0..10 {
        alice.login(&store).types(alice.wrong_code(alice.now, attempt)).run();
    }
    let login = alice.login(&store).types(alice.wrong_code(alice.now, 20)).run();
    assert_refused(&login, PamCode::AUTH_ERR, "throttled");
    talks.push(("throttled", login.messages.clone(), login.result(), login.delay_asked));

    let policy = store.beside("stig.toml");
    fs::write(&policy, "throttle = \"stig\"\n").unwrap();
    let stig = store.stack_with(&format!("policy={}", policy.display()));
    let far = alice.at(alice.now + 100_000);
    for attempt in 0..4 {
        alice
            .login_through(&stig)
            .at(far + u64::from(attempt) * 7200)
            .types(alice.wrong_code(alice.now + 100_000, attempt))
            .run();
    }
    let login = alice.login_through(&stig).at(far + 50_000).types("000000").run();
    assert_refused(&login, PamCode::AUTH_ERR, "disabled");
    talks.push(("disabled", login.messages.clone(), login.result(), login.delay_asked));

    let ((_, messages, result, delay), others) = talks.split_first().unwrap();
    assert_eq!(*result, PamCode::AUTH_ERR);
    assert_eq!(*messages, prompt(Style::PromptEchoOn, "Verification code: "));
    for (who, their_messages, their_result, their_delay) in others {
        assert_eq!((their_messages, their_result), (messages, result), "{who}");
        assert!(!delay.is_zero() && !their_delay.is_zero(), "{who}: {delay:?} {their_delay:?}");
    }
}

#[test]
fn the_names_of_strangers_leave_nothing_in_the_store() {
    let (store, alice) = alice();
    // The first one may set up the record that they all are measured against.
    alice.login(&store).user("stranger0").types("000000").run();
    let names = |store: &mfa_test_harness::Store| -> Vec<_> {
        store.content().into_iter().map(|(path, content)| (path, content.len())).collect()
    };
    let before = names(&store);
    for number in 1..20 {
        let login = alice.login(&store).user(format!("stranger{number}")).types("000000").run();
        assert_refused(&login, PamCode::AUTH_ERR, "not-enrolled");
    }
    assert_eq!(names(&store), before);
}

#[test]
fn after_a_recovery_code_the_person_is_told_once_how_many_are_left() {
    let (store, alice) = alice_with_recovery_codes();
    let stack = store.whole_stack();
    for (code, left) in alice.recovery_codes().iter().zip((0..10).rev()) {
        let login = alice
            .login_through(&stack)
            .types(code)
            .calls(Call::Authenticate)
            .calls(Call::AccountManagement)
            .calls(Call::SetCredentials)
            .run();
        assert_let_in(&login);
        let notices = login.notices();
        let [notice] = notices.as_slice() else { panic!("one notice, not {notices:?}") };
        assert!(notice.contains(&format!(" {left} left")), "{left}: {notice}");
        assert_eq!(notice.contains("mfa-enroll recovery-codes"), left <= 3, "{left}: {notice}");
    }
}

#[test]
fn who_logs_in_without_an_account_phase_is_told_with_the_credentials() {
    let (store, alice) = alice_with_recovery_codes();
    let login = alice
        .login(&store)
        .types(alice.recovery_codes().first().unwrap())
        .calls(Call::Authenticate)
        .calls(Call::SetCredentials)
        .run();
    assert_eq!(login.notices().len(), 1, "{login:#?}");
}

#[test]
fn nothing_is_told_before_the_whole_stack_has_let_the_person_in() {
    let (store, alice) = alice_with_recovery_codes();
    let stack = Stack::new(&format!("auth required {}\nauth required pam_deny.so", store.module()));
    let login = alice.login_through(&stack).types(alice.recovery_codes().first().unwrap()).run();
    assert_eq!(login.result(), PamCode::AUTH_ERR);
    assert_eq!(login.notices(), Vec::<String>::new(), "a wrong password, and the code was told to be right");
}

#[test]
fn a_silent_login_says_nothing_but_the_prompt() {
    let (store, alice) = alice_with_recovery_codes();
    let login = alice
        .login_through(&store.whole_stack())
        .types(alice.recovery_codes().first().unwrap())
        .calls_with(Call::Authenticate, SILENT)
        .calls_with(Call::AccountManagement, SILENT)
        .calls_with(Call::SetCredentials, SILENT)
        .run();
    assert_let_in(&login);
    assert_eq!(login.messages, prompt(Style::PromptEchoOn, "Verification code: "));
}

#[test]
fn a_refusal_says_nothing_to_the_person() {
    let (store, alice) = alice();
    let code = alice.code(alice.now);
    assert_let_in(&alice.login(&store).types(&code).run());
    let unlucky =
        [code, alice.wrong_code(alice.now, 0), "no code".to_owned(), "AAAA-BBBB-CCCC-DDDD".to_owned()];
    for typed in unlucky {
        let login = alice.login(&store).types(&typed).run();
        assert_eq!(login.result(), PamCode::AUTH_ERR);
        assert_eq!(login.notices(), Vec::<String>::new(), "{typed}");
    }
}

#[test]
fn a_refusal_asks_libpam_to_wait_and_an_accepted_login_does_not() {
    let (store, alice) = alice();
    let refused = alice.login(&store).types(alice.wrong_code(alice.now, 0)).run();
    assert!(!refused.delay_asked.is_zero(), "{refused:#?}");
    let nodelay =
        alice.login_through(&store.stack_with("nodelay")).types(alice.wrong_code(alice.now, 1)).run();
    assert_refused(&nodelay, PamCode::AUTH_ERR, "wrong");
    assert!(nodelay.delay_asked.is_zero(), "{nodelay:#?}");
    // A wait that is asked for is only made use of after a failure.
    let accepted = alice.login(&store).types(alice.code(alice.now)).run();
    assert_let_in(&accepted);
    assert!(accepted.delay_asked.is_zero(), "{accepted:#?}");
}

#[test]
fn behind_a_right_code_a_refusal_by_another_module_waits_as_behind_a_wrong_one() {
    let (store, alice) = alice();
    let stack = Stack::new(&format!("auth required {}\nauth required pam_deny.so", store.module()));
    for code in [alice.code(alice.now), alice.wrong_code(alice.now, 0)] {
        let login = alice.login_through(&stack).types(code).run();
        assert_eq!(login.result(), PamCode::AUTH_ERR);
        assert!((1.0..=3.0).contains(&login.delay_asked.as_secs_f32()), "{login:#?}");
    }
}

#[test]
fn the_pause_is_of_some_seconds_and_a_stack_can_ask_for_a_longer_one() {
    let (store, alice) = alice();
    let usual = alice.login(&store).types(alice.wrong_code(alice.now, 0)).run();
    // Two seconds, which libpam varies by up to half.
    let seconds = usual.delay_asked.as_secs_f32();
    assert!((1.0..=3.0).contains(&seconds), "{seconds}");
    let stack = Stack::new(&format!(
        "auth optional pam_faildelay.so delay=20000000\nauth required {}",
        store.module()
    ));
    let longer = alice.login_through(&stack).types(alice.wrong_code(alice.now, 1)).run();
    assert!(longer.delay_asked.as_secs_f32() >= 10.0, "{:?}", longer.delay_asked);
}

#[test]
fn nobody_can_tell_from_the_disk_who_is_enrolled_or_locked_out() {
    let (store, alice) = alice();
    let bob = Account::enroll(&store, "bob").with_recovery_codes(&store);
    let disk = |user: &str, typed: &str| alice.login(&store).user(user).types(typed).run().disk;
    // What is as long as a recovery code costs more, whoever it is for.
    for typed in ["000000", "hunter2", "AAAA-BBBB-CCCC-DDDD", "a password that is long"] {
        let strangers = disk("nosuchuser", typed);
        assert!(strangers.contains(&Done::Synced), "{typed}: {strangers:?}");
        for user in ["alice", "bob", "root", "../x", "a\nb"] {
            assert_eq!(disk(user, typed), strangers, "{user} {typed}");
        }
    }
    for attempt in 0..10 {
        bob.login(&store).types(bob.wrong_code(bob.now, attempt)).run();
    }
    let throttled = bob.login(&store).types(bob.wrong_code(bob.now, 20)).run();
    assert_refused(&throttled, PamCode::AUTH_ERR, "throttled");
    assert_eq!(throttled.disk, disk("nosuchuser", "000000"));
}

#[test]
fn without_a_user_name_the_module_asks_for_it_as_every_module_does() {
    let (store, alice) = alice();
    let login = mfa_test_harness::Login::new(&store.stack())
        .at(alice.at(alice.now))
        .types("alice")
        .types(alice.code(alice.now))
        .run();
    assert_let_in(&login);
    assert_eq!(login.prompts(), ["login:", "Verification code: "]);
}

#[test]
fn the_prompt_does_not_depend_on_where_the_login_comes_from() {
    let (store, alice) = alice();
    for host in ["192.0.2.1", "2001:db8::1", "host.example.com", "evil\u{1b}[2J", "a b reason=accepted", ""] {
        let login = alice
            .login(&store)
            .from(host)
            .item(Item::Terminal, "ssh")
            .answers(Answer::Text(b"".to_vec()))
            .run();
        assert_eq!(login.messages, prompt(Style::PromptEchoOn, "Verification code: "), "{host}");
        assert_refused(&login, PamCode::AUTH_ERR, "cancelled");
    }
}
