//! Password and code over ssh: which codes get in, and how often.

use mfa_ssh_tests::{Host, Login, PASSWORD, Terminal, on_each_debian};

#[test]
fn a_right_code_after_the_password_logs_in() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
        host.wait_for_log(&[
            "authpriv.",
            "pam_mfa(sshd:auth)",
            "accepted",
            "user=alice",
            "device=phone",
            "127.0.0.1",
        ]);
    });
}

#[test]
fn a_code_may_be_typed_as_the_phone_shows_it() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        let code = phone.code();
        let (left, right) = code.split_at(3);
        assert_eq!(host.ssh("alice", PASSWORD, &format!(" {left} {right} ")), Login::In);
    });
}

#[test]
fn a_wrong_code_is_refused_and_the_right_one_still_works() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        assert_eq!(host.ssh("alice", PASSWORD, &phone.wrong_code()), Login::Refused);
        host.wait_for_log(&[
            "authpriv.notice",
            "pam_mfa(sshd:auth)",
            "refused",
            "reason=wrong",
            "user=alice",
        ]);
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
    });
}

#[test]
fn a_wrong_password_is_refused_whatever_the_code() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        assert_eq!(host.ssh("alice", "wrong horse", &phone.code()), Login::Refused);
        // The code was right and is used up: a thief who has it learns nothing, and can't try another password with it.
        assert_eq!(host.ssh("alice", PASSWORD, &phone.next_code()), Login::In);
    });
}

#[test]
fn a_code_works_once() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        let code = phone.code();
        assert_eq!(host.ssh("alice", PASSWORD, &code), Login::In);
        assert_eq!(host.ssh("alice", PASSWORD, &code), Login::Refused);
        host.wait_for_log(&["refused", "reason=replayed", "user=alice"]);
        assert_eq!(host.ssh("alice", PASSWORD, &phone.next_code()), Login::In);
    });
}

#[test]
fn a_code_that_came_before_a_used_one_is_refused() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        let (earlier, later) = (phone.code(), phone.next_code());
        assert_eq!(host.ssh("alice", PASSWORD, &later), Login::In);
        assert_eq!(host.ssh("alice", PASSWORD, &earlier), Login::Refused);
    });
}

#[test]
fn a_code_used_for_the_enrollment_does_not_log_in() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code_used_for_the_enrollment()), Login::Refused);
    });
}

#[test]
fn a_code_of_another_user_is_refused() {
    on_each_debian(|host| {
        let alice = host.enroll("alice");
        let bob = host.enroll("bob");
        assert_eq!(host.ssh("alice", PASSWORD, &bob.code()), Login::Refused);
        assert_eq!(host.ssh("alice", PASSWORD, &alice.code()), Login::In);
        assert_eq!(host.ssh("bob", PASSWORD, &bob.code()), Login::In);
    });
}

#[test]
fn of_sixteen_connections_with_one_code_exactly_one_gets_in() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        let waiting = at_the_code_prompt(host, "alice", 16);
        let code = phone.code();
        for terminal in &waiting {
            host.type_code(terminal, &code);
        }
        let outcomes = waiting.into_iter().map(|terminal| host.outcome(terminal, "alice"));
        assert_eq!(outcomes.filter(|outcome| *outcome == Login::In).count(), 1);
        let log = host.log();
        assert_eq!(log.lines().filter(|line| line.contains("reason=replayed")).count(), 15, "{log}");
    });
}

#[test]
fn of_sixteen_connections_with_one_recovery_code_exactly_one_gets_in() {
    on_each_debian(|host| {
        host.enroll("alice");
        let recovery_codes = host.recovery_codes("alice");
        let recovery_code = &recovery_codes[0];
        let waiting = at_the_code_prompt(host, "alice", 16);
        for terminal in &waiting {
            host.type_code(terminal, recovery_code);
        }
        let outcomes = waiting.into_iter().map(|terminal| host.outcome(terminal, "alice"));
        assert_eq!(outcomes.filter(|outcome| *outcome == Login::In).count(), 1);
    });
}

#[test]
fn a_session_that_sits_at_the_prompt_is_not_refused_because_another_one_finished() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        let slow = host.ssh_to_the_code_prompt("", "alice", PASSWORD);
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
        host.type_code(&slow, &phone.next_code());
        assert_eq!(host.outcome(slow, "alice"), Login::In);
    });
}

#[test]
fn a_recovery_code_works_once_and_leaves_the_others() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        let recovery_codes = host.recovery_codes("alice");
        let (first, second) = (&recovery_codes[0], &recovery_codes[1]);
        assert_eq!(host.ssh("alice", PASSWORD, first), Login::In);
        assert_eq!(host.ssh("alice", PASSWORD, first), Login::Refused);
        assert_eq!(host.ssh("alice", PASSWORD, &second.to_lowercase().replace('-', "")), Login::In);
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
    });
}

#[test]
fn guesses_in_parallel_do_not_escape_the_throttle() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        let waiting = at_the_code_prompt(host, "alice", 16);
        for terminal in &waiting {
            host.type_code(terminal, &phone.wrong_code());
        }
        for terminal in waiting {
            assert_eq!(host.outcome(terminal, "alice"), Login::Refused);
        }
        // Three tries are free; then, in the seconds that this takes, the waits let only a few more through.
        let log = host.log();
        let judged = log.lines().filter(|line| line.contains("reason=wrong")).count();
        let throttled = log.lines().filter(|line| line.contains("reason=throttled")).count();
        assert!(judged < 10 && judged + throttled == 16, "{judged} judged, {throttled} throttled:\n{log}");
        host.root("mfa-admin unlock alice");
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
    });
}

#[test]
fn a_device_that_failed_too_often_is_disabled_until_root_unlocks_it() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        host.root("echo 'throttle = \"stig\"' >/etc/pam-mfa/policy.toml");
        for _ in 0..3 {
            assert_eq!(host.ssh("alice", PASSWORD, &phone.wrong_code()), Login::Refused);
        }
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::Refused);
        host.wait_for_log(&["refused", "reason=disabled", "user=alice"]);
        host.root("mfa-admin unlock alice");
        assert_eq!(host.ssh("alice", PASSWORD, &phone.next_code()), Login::In);
    });
}

fn at_the_code_prompt(host: &Host, user: &str, count: usize) -> Vec<Terminal> {
    let clients: Vec<Terminal> = (0..count).map(|_| host.ssh_client("", user)).collect();
    for client in &clients {
        client.wait_for("Password: ");
        client.type_line(PASSWORD);
    }
    for client in &clients {
        client.wait_for("Verification code: ");
    }
    clients
}
