//! What a person may type, and what an application may hand over instead.

use mfa_test_harness::{Answer, PamCode};

use crate::{alice, assert_let_in, assert_refused};

#[test]
fn a_code_is_read_however_people_space_it() {
    let (store, alice) = alice();
    let spellings: [fn(&str) -> String; 8] = [
        |code| format!("{} {}", &code[..3], &code[3..]),
        |code| format!("{}-{}", &code[..3], &code[3..]),
        |code| format!("  {code}"),
        |code| format!("{code}   "),
        |code| format!("\t{code}\t"),
        |code| code.chars().flat_map(|digit| [digit, ' ']).collect(),
        full_width,
        |code| format!("{code}\r"),
    ];
    for (step, spell) in (alice.now..).zip(spellings) {
        let typed = spell(&alice.code(step));
        let login = alice.login(&store).at(alice.at(step)).types(&typed).run();
        assert!(login.let_in(), "{typed:?}: {}", login.log_text());
    }
}

#[test]
fn what_is_not_shaped_like_a_code_is_refused_uncharged_and_unlogged() {
    let (store, alice) = alice();
    let code = alice.code(alice.now);
    let arabic_indic: String =
        code.bytes().map(|digit| char::from_u32(0x660 + u32::from(digit - b'0')).unwrap()).collect();
    for typed in [
        format!("+{}", &code[1..]),
        format!("+{code}"),
        format!("-{}.0", &code[2..]),
        format!("0x{}", &code[2..]),
        format!("{code}a"),
        format!("a{code}"),
        format!("{code}{code}"),
        format!("{code};{code}"),
        format!("{code}\n{code}"),
        arabic_indic,
        code[..5].to_owned(),
        "correct horse battery staple".to_owned(),
        "%s%n%d%x".to_owned(),
        "\u{1b}[2Jnot a code".to_owned(),
        "\u{202e}123456".to_owned(),
    ] {
        let login = alice.login(&store).types(&typed).run();
        assert_refused(&login, PamCode::AUTH_ERR, "not-a-code");
        assert_eq!(alice.failures(&store), 0, "charged for {typed:?}");
    }
    assert_let_in(&alice.login(&store).types(&code).run());
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let (store, alice) = alice();
    for typed in [&b"\xff\xfe\xfd123456"[..], b"\xc3", b"123456\x80", b"\xed\xa0\x80"] {
        let login = alice.login(&store).types(typed).run();
        assert_refused(&login, PamCode::AUTH_ERR, "not-a-code");
    }
    assert_eq!(alice.failures(&store), 0);
}

#[test]
fn an_answer_of_512_bytes_is_read_and_a_longer_one_is_refused() {
    let (store, alice) = alice();
    let padded = |length: usize, code: &str| format!("{code:>length$}");
    let code = alice.code(alice.now);
    for length in [513, 1024, 10_000] {
        let login = alice.login(&store).types(padded(length, &code)).run();
        assert_refused(&login, PamCode::AUTH_ERR, "not-a-code");
    }
    for length in [513, 10_000] {
        let login = alice.login(&store).types(format!("{code:<length$}")).run();
        assert_refused(&login, PamCode::AUTH_ERR, "not-a-code");
        let login = alice.login(&store).types("9".repeat(length)).run();
        assert_refused(&login, PamCode::AUTH_ERR, "not-a-code");
    }
    assert_eq!(alice.failures(&store), 0);
    assert_let_in(&alice.login(&store).types(padded(512, &code)).run());
}

#[test]
fn an_empty_answer_is_a_cancel_and_costs_nothing() {
    let (store, alice) = alice();
    for _ in 0..5 {
        let login = alice.login(&store).types("").run();
        assert_refused(&login, PamCode::AUTH_ERR, "cancelled");
        let login = alice.login(&store).types(" \t ").run();
        assert_refused(&login, PamCode::AUTH_ERR, "not-a-code");
    }
    assert_eq!(alice.failures(&store), 0);
    assert_let_in(&alice.login(&store).types(alice.code(alice.now)).run());
}

#[test]
fn a_failing_conversation_is_a_cancel_and_costs_nothing() {
    let (store, alice) = alice();
    for _ in 0..5 {
        for answer in [Answer::Null, Answer::ConversationError] {
            let login = alice.login(&store).answers(answer).run();
            assert_refused(&login, PamCode::CONV_ERR, "cancelled");
        }
    }
    assert_eq!(alice.failures(&store), 0);
    assert_let_in(&alice.login(&store).types(alice.code(alice.now)).run());
}

#[test]
fn the_junk_that_sshd_sends_for_denied_users_is_charged_to_nobody() {
    let (store, alice) = alice();
    // sshd repeats the junk to the length of what was typed (auth-pam.c, fake_password).
    for typed in [6, 1, 2, 3, 4, 5, 7, 8, 12, 13, 14, 19, 26, 100, 512] {
        let junk: Vec<u8> = b"\x08\n\r\x7fINCORRECT".iter().copied().cycle().take(typed).collect();
        let login = alice.login(&store).types(&junk).run();
        assert_refused(&login, PamCode::AUTH_ERR, "blocked-by-sshd");
    }
    assert_eq!(alice.failures(&store), 0);
    assert_let_in(&alice.login(&store).types(alice.code(alice.now)).run());
}

#[test]
fn what_only_resembles_the_junk_of_sshd_is_not_taken_for_it() {
    let (store, alice) = alice();
    for typed in [&b"INCORRECT"[..], b"\x08\n\r\x7fCORRECT", b"\x08\n\r\x7fINCORRECT\x08\n\r\x7fincorrect"] {
        let login = alice.login(&store).types(typed).run();
        assert_refused(&login, PamCode::AUTH_ERR, "not-a-code");
    }
}

fn full_width(code: &str) -> String {
    code.bytes().map(|digit| char::from_u32(0xff10 + u32::from(digit - b'0')).unwrap()).collect()
}
