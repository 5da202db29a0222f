//! sudo, sudo-rs, su and login: the same two factors, the same codes.

use std::time::Duration;

use mfa_ssh_tests::{Ended, Host, Login, PASSWORD, Terminal, on_debian_13, on_each_debian};

#[test]
fn sudo_wants_the_password_and_a_code() {
    on_each_debian(sudo_asks("sudo"));
}

#[test]
fn sudo_rs_wants_the_password_and_a_code() {
    on_debian_13(sudo_asks("sudo-rs"));
}

fn sudo_asks(sudo: &'static str) -> impl Fn(&Host) {
    move |host| {
        let phone = host.enroll("alice");
        let command = format!("{sudo} echo now I am root");
        let refused = answered(host, host.terminal("alice", &command), PASSWORD, &phone.wrong_code());
        assert!(refused.status != 0 && !refused.screen.contains("now I am root"), "{}", refused.screen);
        host.wait_for_log(&["pam_mfa(sudo:auth)", "refused", "reason=wrong", "user=alice"]);
        let accepted = answered(host, host.terminal("alice", &command), PASSWORD, &phone.code());
        assert!(accepted.status == 0 && accepted.screen.contains("now I am root"), "{}", accepted.screen);
        host.wait_for_log(&["pam_mfa(sudo:auth)", "accepted", "user=alice"]);
    }
}

#[test]
fn sudo_reads_both_answers_from_standard_input_where_told_to() {
    on_each_debian(sudo_reads("sudo"));
}

#[test]
fn sudo_rs_reads_both_answers_from_standard_input_where_told_to() {
    on_debian_13(sudo_reads("sudo-rs"));
}

fn sudo_reads(sudo: &'static str) -> impl Fn(&Host) {
    move |host| {
        let phone = host.enroll("alice");
        let piped =
            |code: &str| host.run("alice", &format!("printf '%s\\n' '{PASSWORD}' {code} | {sudo} -S id -un"));
        let refused = piped(&phone.wrong_code());
        assert!(refused.status != 0, "{}", refused.screen);
        let accepted = piped(&phone.code());
        assert!(accepted.status == 0 && accepted.screen.contains("root"), "{}", accepted.screen);
    }
}

#[test]
fn a_code_used_for_ssh_does_not_work_for_sudo() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        let code = phone.code();
        assert_eq!(host.ssh("alice", PASSWORD, &code), Login::In);
        let again = answered(host, host.terminal("alice", "sudo id -un"), PASSWORD, &code);
        assert!(again.status != 0, "{}", again.screen);
        host.wait_for_log(&["pam_mfa(sudo:auth)", "reason=replayed", "user=alice"]);
        let next = answered(host, host.terminal("alice", "sudo id -un"), PASSWORD, &phone.next_code());
        assert!(next.status == 0, "{}", next.screen);
    });
}

#[test]
fn su_wants_the_code_of_the_account_that_one_becomes() {
    on_each_debian(|host| {
        let alice = host.enroll("alice");
        let bob = host.enroll("bob");
        let become_bob = || host.terminal("alice", "su bob -c 'echo now I am $(id -un)'");
        let refused = answered(host, become_bob(), PASSWORD, &alice.code());
        assert!(refused.status != 0 && !refused.screen.contains("now I am bob"), "{}", refused.screen);
        let accepted = answered(host, become_bob(), PASSWORD, &bob.code());
        assert!(accepted.status == 0 && accepted.screen.contains("now I am bob"), "{}", accepted.screen);
        host.wait_for_log(&["pam_mfa(su:auth)", "accepted", "user=bob"]);
    });
}

#[test]
fn su_by_root_asks_nothing() {
    on_each_debian(|host| {
        host.enroll("bob");
        assert_eq!(host.root("su bob -c 'id -un'"), "bob\n");
    });
}

#[test]
fn login_wants_the_password_and_a_code() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        let console = host.terminal("root", "exec login alice");
        console.wait_for("Password: ");
        console.type_line(PASSWORD);
        console.wait_for("Verification code: ");
        host.type_code(&console, &phone.wrong_code());
        console.wait_for("Login incorrect");
        // It asks for a name again.
        console.wait_for("login: ");
        console.type_line("alice");
        console.wait_for("Password: ");
        console.type_line(PASSWORD);
        console.wait_for("Verification code: ");
        host.type_code(&console, &phone.code());
        console.wait_for("alice@host");
        console.type_line("echo now I am $(id -un); exit");
        console.wait_for("now I am alice");
        let _ = console.end();
        host.wait_for_log(&["pam_mfa(login:auth)", "accepted", "user=alice"]);
    });
}

#[test]
fn ctrl_c_at_the_prompt_ends_sudo_and_is_not_charged() {
    on_each_debian(ctrl_c_at("sudo"));
}

#[test]
fn ctrl_c_at_the_prompt_ends_sudo_rs_and_is_not_charged() {
    on_debian_13(ctrl_c_at("sudo-rs"));
}

fn ctrl_c_at(sudo: &'static str) -> impl Fn(&Host) {
    move |host| {
        let phone = host.enroll("alice");
        let command = format!("{sudo} id -un");
        for _ in 0..8 {
            let terminal = host.terminal("alice", &command);
            type_password(&terminal, PASSWORD);
            terminal.wait_for("Verification code: ");
            let ended = terminal.interrupt();
            assert!(ended.status != 0 && !ended.screen.contains("root"), "{}", ended.screen);
        }
        let accepted = answered(host, host.terminal("alice", &command), PASSWORD, &phone.code());
        assert!(accepted.status == 0 && accepted.screen.contains("root"), "{}", accepted.screen);
    }
}

fn answered(host: &Host, terminal: Terminal, password: &str, code: &str) -> Ended {
    type_password(&terminal, password);
    terminal.wait_for("Verification code: ");
    host.type_code(&terminal, code);
    terminal.end()
}

fn type_password(terminal: &Terminal, password: &str) {
    // sudo, sudo-rs and su each word it differently.
    terminal.wait_for("assword");
    // sudo-rs shows its prompt first, then turns the echo off and with it drops what was typed until then.
    std::thread::sleep(Duration::from_millis(200));
    terminal.type_line(password);
}
